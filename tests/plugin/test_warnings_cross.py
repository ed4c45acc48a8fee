"""Warnings cross between processes as data: shown the same, and nothing imported to do so."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import pytest

from phalanx import _engine, serialize


class Own(UserWarning):
    pass


class Demanding(UserWarning):
    def __init__(self, text: str, more: int) -> None:
        super().__init__(text)
        self.more = more


def record(message: Any, category: Any = None) -> warnings.WarningMessage:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn(message, category)
    return caught[0]


def crossed(message: warnings.WarningMessage) -> warnings.WarningMessage:
    data = serialize.warning_to_data(message)
    encoded, _ = _engine.encode(data)
    return serialize.warning_from_data(_engine.decode(encoded))


@pytest.mark.parametrize(
    "message",
    [
        record("text"),
        record("text", DeprecationWarning),
        record(Own("own")),
        record(UserWarning("one", 2, ("three",))),
        record(Demanding("demanding", 3)),
        record(UnicodeWarning("é \udc80")),
        record(UserWarning()),
        record(UserWarning(object())),
    ],
    ids=str,
)
def test_shown_the_same(message: warnings.WarningMessage) -> None:
    other = crossed(message)
    assert str(other.message) == str(message.message)
    assert other.category.__name__ == message.category.__name__
    assert (other.filename, other.lineno) == (message.filename, message.lineno)
    show = warnings.formatwarning
    assert show(str(other.message), other.category, other.filename, other.lineno, "") == show(
        str(message.message), message.category, message.filename, message.lineno, ""
    )


def test_known_classes_stay_themselves() -> None:
    assert crossed(record("x", DeprecationWarning)).category is DeprecationWarning
    assert isinstance(crossed(record(UserWarning("x"))).message, UserWarning)


def test_nothing_is_imported() -> None:
    data = serialize.warning_to_data(record(Own("own")))
    for key in ("message_module", "category_module"):
        if key in data:
            data[key] = "this"  # a module of the standard library that prints when it is imported
    sys.modules.pop("this", None)
    warning = serialize.warning_from_data(data)
    assert "this" not in sys.modules
    assert str(warning.message) == "own" and issubclass(warning.category, Warning)
    assert warning.category.__name__ == "Own"
