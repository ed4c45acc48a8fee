"""--tx: what a specification says, and what is refused, in one sentence that names it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from phalanx import specs


def config(*tx: str) -> Any:
    return SimpleNamespace(getoption=lambda name: list(tx))


@pytest.mark.parametrize(
    ("tx", "texts"),
    [
        (["popen"], ["popen"]),
        (["3*popen"], ["popen"] * 3),
        (["2*popen//id=a", "popen", "1*popen"], ["popen//id=a"] * 2 + ["popen"] * 2),
        (["12*popen"], ["popen"] * 12),
        (["0*popen", "popen"], ["popen"]),
    ],
)
def test_one_text_for_each_worker(tx: list[str], texts: list[str]) -> None:
    assert specs.parse_tx_spec_config(config(*tx)) == texts


@pytest.mark.parametrize("tx", [[], ["0*popen"]])
def test_none_at_all(tx: list[str]) -> None:
    with pytest.raises(pytest.UsageError, match="please specify --tx"):
        specs.parse_tx_spec_config(config(*tx))


def test_settings_are_attributes() -> None:
    spec = specs.parse(
        "popen//id=left//env:DB=test//env:EMPTY=//nice=5//execmodel=main_thread_only"
    )
    assert spec.popen is True and spec.id == "left" and spec.nice == "5"
    assert spec.env == {"DB": "test", "EMPTY": ""}
    assert spec.python is None and spec.chdir is None and spec.ssh is None and spec.gpu is None
    assert specs.parse("popen//gpu=1").gpu == "1"  # settings of somebody's scheduler
    assert str(spec).startswith("popen//id=left")


def test_equal_by_what_they_say() -> None:
    assert specs.parse("popen") == specs.parse("popen")
    assert specs.parse("popen") != specs.parse("popen//id=a")
    assert len({specs.parse("popen"), specs.parse("popen")}) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ssh", "ssh= says where: ssh=user@host"),
        ("ssh=", "ssh= says where: ssh=user@host"),
        ("ssh='host", "No closing quotation"),
        ("command=", "command= says where: command=docker"),
        ("ssh=host//popen", "reached in one way"),
        ("ssh=host//command=env", "reached in one way"),
        ("ssh=host//workers=many", "workers= takes a number or 'auto', not 'many'"),
        ("ssh=host//workers=0", "workers= takes a number or 'auto', not '0'"),
        ("ssh=host//python", "python has no value"),
        ("ssh=host//nice=much", "nice= takes a number, not 'much'"),
        ("socket=:8888", "socket= is not supported: other machines are reached by ssh="),
        ("popen//via=proxy", "via= is not supported: other machines are reached by ssh="),
        ("*popen", "begins with 'popen'"),
        ("python=python3", "begins with 'popen'"),
        ("popen//python", "python= takes a path, and none is given"),
        ("popen//chdir=", "chdir= takes a path, and none is given"),
        ("popen//nice=much", "nice= takes a number, not 'much'"),
        ("popen//id=a//id=b", "id is set twice"),
        ("popen//env:A=1//env:A=2", "A is set twice"),
        ("popen//", "'' is no setting"),
        ("popen//_spec=x", "is no setting"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(pytest.UsageError) as error:
        specs.parse(text)
    assert f"--tx {text}: " in str(error.value) and message in str(error.value)
