"""How flaky a run was: tests that failed and passed in it, by whoever tried them again."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from phalanx import late_options


def percent(part: int, whole: int) -> str:
    """Two digits where there are few: 0.32 %, 2.5 %, 33 %."""
    share = 100 * part / whole
    return f"{share:.0f} %" if share >= 10 or share == 0 else f"{share:.2g} %"


class Flakiness:
    """In the controller, or in a run without workers."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._failed_tries: Counter[str] = Counter()
        self._flaky: dict[str, int] = {}  # node id: failed tries

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: Any) -> None:
        outcome = report.outcome
        if outcome == "passed":
            if self._failed_tries and report.when == "call" and report.nodeid in self._failed_tries:
                self._flaky[report.nodeid] = self._failed_tries[report.nodeid]
        elif outcome == "failed":
            self._flaky.pop(report.nodeid, None)
        elif (
            outcome != "skipped"
        ):  # "rerun" is ours and pytest-rerunfailures', "retried" pytest-retry's
            self._failed_tries[report.nodeid] += 1

    @property
    def flaky(self) -> dict[str, int]:
        return self._flaky

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._is_failure() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _is_failure(self) -> bool:
        return bool(self._flaky) and late_options.value(self._config, "--flaky") == "fail"

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self._flaky or self._config.option.verbose < 0:
            return
        total = max(terminalreporter._session.testscollected, len(self._flaky))
        terminalreporter.write_sep("=", "flaky tests", yellow=True)
        for nodeid, tries in self._flaky.items():
            times = "once" if tries == 1 else f"{tries} times"
            terminalreporter.write_line(f"{nodeid} failed {times}, then passed")
        verdict = ", which --flaky=fail makes a failure" if self._is_failure() else ""
        terminalreporter.write_line(
            f"{len(self._flaky)} of {total} tests were flaky ({percent(len(self._flaky), total)}){verdict}"
        )
