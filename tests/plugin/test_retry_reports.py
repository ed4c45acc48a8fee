"""What Retries reports, of tries that a test makes up."""

from __future__ import annotations

from typing import Any

import pytest

from phalanx.retries import Retries


class Desk:
    """Stands for a run: hands tests out again as long as there is room, and notes what is reported."""

    def __init__(self, config: pytest.Config, room: int) -> None:
        self.room = room
        self.logged: list[tuple[str, str, str]] = []
        self.retries = Retries(config, self.again, self.log)
        self.retries._most = 2

    def again(self, test: Any, where: Any) -> bool:
        self.room -= 1
        return self.room >= 0

    def log(self, report: Any) -> None:
        self.logged.append((report.nodeid, report.when, report.outcome))

    def run(self, test: str, worker: int, *outcomes: str) -> None:
        for when, outcome in zip(("setup", "call", "teardown"), outcomes):
            report = pytest.TestReport(test, ("", 0, test), {}, outcome, "why", when)  # type: ignore[arg-type]
            self.retries.hold(worker, test, report)
        self.retries.finish(worker)


PASSED = ("passed", "passed", "passed")
FAILED = ("passed", "failed", "passed")


def test_without_room_the_first_failure_is_the_last(pytestconfig: pytest.Config) -> None:
    desk = Desk(pytestconfig, room=1)
    desk.run("a", 0, *FAILED)
    desk.run("b", 1, *FAILED)
    assert desk.logged[0] == ("a", "call", "rerun")
    assert desk.logged[1:] == [("b", w, o) for w, o in zip(("setup", "call", "teardown"), FAILED)]
    desk.run("a", 1, *PASSED)
    assert [outcome for *_, outcome in desk.logged[4:]] == list(PASSED)


def test_what_was_not_tried_again_has_failed(pytestconfig: pytest.Config) -> None:
    desk = Desk(pytestconfig, room=9)
    desk.run("a", 0, *FAILED)
    desk.retries.end()
    assert [outcome for *_, outcome in desk.logged] == ["rerun", *FAILED]
    desk.retries.end()
    assert len(desk.logged) == 4  # once


def test_two_workers_reports_are_kept_apart(pytestconfig: pytest.Config) -> None:
    desk = Desk(pytestconfig, room=9)
    report = pytest.TestReport("a", ("", 0, "a"), {}, "failed", "why", "setup")
    desk.retries.hold(0, "a", report)
    desk.run("b", 1, *PASSED)
    assert {nodeid for nodeid, *_ in desk.logged} == {"b"}
    desk.retries.let_go(0)
    assert desk.logged[-1] == ("a", "setup", "failed")


def test_a_try_that_crashed_after_its_call_passed_is_no_pass(pytestconfig: pytest.Config) -> None:
    desk = Desk(pytestconfig, room=9)
    desk.run("a", 0, "passed", "passed", "failed")
    assert desk.logged == [("a", "teardown", "rerun")]
