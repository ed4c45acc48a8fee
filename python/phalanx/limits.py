"""Tests that may not run beside others: the marks, and the slot of a limited one.

    @pytest.mark.phalanx_exclusive               runs while no other test of the run does
    @pytest.mark.phalanx_limit("database", 2)    at most two tests of this group run at a time

What the marks mean is kept by the run queue; here they are only read and checked, with and without workers,
so that a wrong one is not found out in CI.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Optional

import pytest

Limit = list[Any]  # [group, tests at a time], or [None, 0]: exclusive
Limits = dict[pytest.Item, Limit]

MARKERS = (
    "phalanx_exclusive: with workers, this test runs while no other one does.",
    "phalanx_limit(group, tests): with workers, at most so many tests of the group run at a time; the "
    "fixture phalanx_slot tells them apart.",
)

_found: pytest.StashKey[Limits] = pytest.StashKey()

_Marks = Optional[tuple[pytest.Mark, ...]]  # of a node and those above it; None: there are none


def found(config: pytest.Config) -> Limits:
    """The limits of the collected tests."""
    return config.stash.get(_found, {})


def read(session: pytest.Session) -> None:
    """Reads the marks of all collected tests. Raises pytest.UsageError for one that makes no sense."""
    session.config.stash[_found] = _Reader().read(session.items)


class _Reader:
    """Most tests have no such mark, and a suite has many tests: what is above them is looked at once."""

    def __init__(self) -> None:
        self._marks: dict[object, _Marks] = {None: None}
        # Of a group: its limit, and the test that said so.
        self._said: dict[str, tuple[int, str]] = {}

    def read(self, items: Iterable[pytest.Item]) -> Limits:
        limits = {}
        for item in items:
            marks = _own_marks(item, self._marks_above(item.parent))
            if marks:
                limits[item] = self._limit(item, marks)
        return limits

    def _marks_above(self, node: Any) -> _Marks:
        if node not in self._marks:
            self._marks[node] = _own_marks(node, self._marks_above(node.parent))
        return self._marks[node]

    def _limit(self, item: pytest.Item, marks: tuple[pytest.Mark, ...]) -> Limit:
        is_exclusive = False
        group = None
        for mark in marks:
            if mark.name == "phalanx_exclusive":
                is_exclusive = True
                _refuse_arguments(item, mark)
                continue
            name, tests = _group_of(item, mark)
            if group not in (None, name):
                raise pytest.UsageError(
                    f"{item.nodeid}: phalanx_limit({group!r}, …) and phalanx_limit({name!r}, …): a test "
                    "belongs to one group: mark it phalanx_exclusive, or give the two one name"
                )
            group = name
            said, who = self._said.setdefault(name, (tests, item.nodeid))
            if said != tests:
                raise pytest.UsageError(
                    f"{item.nodeid}: phalanx_limit({name!r}, {tests}), but {who} says "
                    f"phalanx_limit({name!r}, {said}): give a group one limit"
                )
        return [None, 0] if is_exclusive or group is None else [group, self._said[group][0]]


def _own_marks(node: Any, above: _Marks) -> _Marks:
    for mark in node.own_markers:
        if mark.name == "phalanx_limit" or mark.name == "phalanx_exclusive":
            above = (*(above or ()), mark)
    return above


def _refuse_arguments(item: pytest.Item, mark: pytest.Mark) -> None:
    if mark.args or mark.kwargs:
        raise pytest.UsageError(
            f"{item.nodeid}: phalanx_exclusive takes no arguments; for tests that may run beside others, "
            'but not beside each other: phalanx_limit("database", 1)'
        )


def _group_of(item: pytest.Item, mark: pytest.Mark) -> tuple[str, int]:
    values = {**dict(zip(("group", "tests"), mark.args)), **mark.kwargs}
    group, tests = values.pop("group", None), values.pop("tests", None)
    is_good = isinstance(group, str) and group and type(tests) is int and tests > 0
    if not is_good or values or len(mark.args) > 2:
        raise pytest.UsageError(
            f"{item.nodeid}: phalanx_limit takes the name of a group and how many of its tests may run at "
            'a time, 1 or more: phalanx_limit("database", 2)'
        )
    return group, tests


@pytest.fixture
def phalanx_slot(request: pytest.FixtureRequest) -> int:
    """Which of its group's places a test marked phalanx_limit has, from 0: no other test of the group that
    runs at the same time has the same. 0 in an exclusive test, and without workers."""
    if request.node not in found(request.config):
        raise pytest.UsageError(
            f"{request.node.nodeid}: phalanx_slot is for tests marked phalanx_limit: this one is not"
        )
    interactor = request.config.pluginmanager.getplugin("workerinteractor")
    return 0 if interactor is None else int(interactor.slot())
