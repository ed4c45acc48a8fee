"""Outcomes and Tally, which read reports in C, beside the same in Python."""

from __future__ import annotations

import itertools
import random
from types import SimpleNamespace
from typing import Any

import pytest

from phalanx._engine import Outcomes, Tally


def letter(report: Any) -> str:
    """What one phase says of the whole test."""
    if report.outcome == "passed":
        if report.when != "call":
            return " "
        return "X" if hasattr(report, "wasxfail") else "."
    if report.outcome == "skipped":
        return "x" if hasattr(report, "wasxfail") else "s"
    if report.outcome == "failed":
        return {"call": "F", "setup": "E", "teardown": "E"}.get(report.when, "C")
    return "r"


def reports(tests: int) -> list[Any]:
    chance = random.Random(7)
    whens = ["setup", "call", "teardown", "???", None]
    found = []
    for test, when in itertools.product(range(tests), whens):
        report = SimpleNamespace(
            nodeid=f"test_a.py::test_{test}",
            when=when,
            outcome=chance.choice(["passed", "passed", "failed", "skipped", "rerun", "retried", 3]),
            duration=chance.random(),
            item_index=test,
        )
        if chance.random() < 0.2:
            report.wasxfail = "reason"
        if chance.random() < 0.1:
            report.flaky_tries = 1
        found.append(report)
    return found


def test_they_read_what_the_model_reads() -> None:
    words = {".": "passed", "F": "failed", "E": "error", "s": "skipped", "x": "xfailed"}
    words.update({"X": "xpassed", "r": "rerun", "C": "failed"})
    tally = Tally()
    expected: dict[str, list[str]] = {}
    durations: dict[str, float] = {}
    for report in reports(500):
        one = Outcomes(500)
        one.read(report)
        assert one.letters()[report.item_index :][:1] == letter(report).encode(), report
        tally.read(report)
        durations[report.nodeid] = durations.get(report.nodeid, 0.0) + report.duration
        if letter(report) != " ":
            is_flaky = letter(report) in ".X" and hasattr(report, "flaky_tries")
            word = "flaky" if is_flaky else words[letter(report)]
            expected.setdefault(report.nodeid, []).append(word)
    assert tally.outcomes() == expected
    assert tally.durations() == durations


@pytest.mark.parametrize("index", [-1, 2, 10**30, "1", None])
def test_a_report_of_no_test_of_ours_is_left_alone(index: Any) -> None:
    outcomes = Outcomes(2)
    report = SimpleNamespace(nodeid="a", when="call", outcome="passed", item_index=index)
    outcomes.read(report)
    del report.item_index
    outcomes.read(report)
    assert outcomes.letters() == b"  "


def test_a_report_may_lack_what_pytest_makes() -> None:
    tally = Tally()
    tally.read(SimpleNamespace(nodeid="a"))
    assert tally.outcomes() == {"a": ["rerun"]} and tally.durations() == {"a": 0.0}
    with pytest.raises(AttributeError):
        tally.read(SimpleNamespace())
