"""--order: whether tests may start in another order than they were collected in."""

from __future__ import annotations

import pytest

ORDERS = ("cost", "collection")

# Distributions whose plugins put the tests into an order that is meant.
ORDERING_PLUGINS = frozenset(
    {
        "pytest-dependency",
        "pytest-order",
        "pytest-ordering",
        "pytest-random-order",
        "pytest-randomly",
    }
)


def keeps_order(config: pytest.Config) -> bool:
    order = config.option.order or config.getini("phalanx_order")
    if not order:
        return bool(active_plugins(config))
    if order not in ORDERS:
        raise pytest.UsageError(f"phalanx_order = {order}: it is one of {', '.join(ORDERS)}")
    return bool(order == "collection")


def active_plugins(config: pytest.Config) -> list[str]:
    """The ordering plugins that are installed and not switched off with -p no:NAME."""
    names = set()
    for plugin, distribution in config.pluginmanager.list_plugin_distinfo():
        if config.pluginmanager.is_registered(plugin):
            names.add(str(distribution.metadata["name"]).lower().replace("_", "-"))
    return sorted(names & ORDERING_PLUGINS)
