"""--order, the ini option, and the plugins that mean an order."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from phalanx import ordering


def config(order: str | None = None, ini: str = "", *installed: str, off: str = "") -> Any:
    plugins = [(name, SimpleNamespace(metadata={"name": name})) for name in installed]
    return SimpleNamespace(
        option=SimpleNamespace(order=order),
        getini=lambda name: {"phalanx_order": ini}[name],
        pluginmanager=SimpleNamespace(
            list_plugin_distinfo=lambda: plugins, is_registered=lambda plugin: plugin != off
        ),
    )


def test_costs_decide_unless_an_ordering_plugin_is_active() -> None:
    assert not ordering.keeps_order(config())
    assert not ordering.keeps_order(config(None, "", "pytest-cov"))
    assert ordering.keeps_order(config(None, "", "pytest-cov", "pytest-randomly"))
    assert ordering.keeps_order(config(None, "", "pytest_order"))
    nameless: Any = None  # a distribution that is being replaced, or damaged
    assert not ordering.keeps_order(config(None, "", nameless))
    assert not ordering.keeps_order(config(None, "", "pytest-randomly", off="pytest-randomly"))


def test_what_is_asked_for_counts_more() -> None:
    assert not ordering.keeps_order(config("cost", "", "pytest-randomly"))
    assert not ordering.keeps_order(config(None, "cost", "pytest-randomly"))
    assert ordering.keeps_order(config("collection", "cost"))
    assert ordering.keeps_order(config(None, "collection"))


def test_a_value_that_is_none_is_a_usage_error() -> None:
    with pytest.raises(pytest.UsageError, match="phalanx_order = fast: it is one of cost"):
        ordering.keeps_order(config(None, "fast"))
