"""--retries: tests that fail run again, later and elsewhere, and have one outcome in the end.

The reports of a test are held back until its protocol has ended. If one of them failed and there are tries
left, the test is handed out again, and its failure is reported as `rerun`, which counts for nothing. What is
reported in full is the last try: a pass after a failure makes the test flaky, and a run that ends before the
last try reports the failure it knows of.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from phalanx import junit, late_options

Report = Any
Log = Callable[[Report], object]


def wanted(config: pytest.Config) -> int:
    """How often a test that fails is tried again; 0 where somebody else owns the option."""
    retries: int = late_options.value(config, "--retries")
    return retries


def install(config: pytest.Config, is_distributed: bool) -> None:
    """In a run without workers. With workers the session has its own Retries."""
    if not wanted(config):
        return
    if hasattr(config, "workerinput"):
        return
    config.pluginmanager.register(Status())
    if not is_distributed:
        config.pluginmanager.register(HereAndLater(config), "phalanx-retries")


def prepare_worker(config: pytest.Config) -> None:
    """A failure may be followed by a pass on another worker: only the controller counts for --maxfail."""
    if wanted(config):
        config.option.maxfail = 0


class Retries:
    """Holds reports back and decides.

    `again(test, where)` hands a test out once more and says whether it could; `log` is pytest's hook."""

    def __init__(self, config: pytest.Config, again: Callable[[Any, Any], bool], log: Log) -> None:
        self._config = config
        self._most = wanted(config)
        self._again = again
        self._log = log
        self._held: dict[Any, tuple[Any, list[Report]]] = {}  # who runs a test: which, its reports
        self._failed: dict[Any, list[list[Report]]] = {}  # by test: the reports of each failed try

    def hold(self, where: Any, test: Any, report: Report) -> None:
        self._held.setdefault(where, (test, []))[1].append(report)

    def finish(self, where: Any) -> None:
        """The protocol of the test that ran there has ended."""
        test, reports = self._held.pop(where, (None, []))
        if not reports:
            return
        earlier = self._failed.get(test, [])
        if any(report.failed for report in reports):
            if len(earlier) < self._most and self._again(test, where):
                self._failed[test] = [*earlier, reports]
                self._tell_of_rerun(reports)
                return
        elif earlier and not any(r.passed and r.when == "call" for r in reports):
            # Skipped, say: that settles nothing, so the failure stands.
            reports = earlier[-1]
            earlier = earlier[:-1]
        self._failed.pop(test, None)
        self._settle(reports, earlier)

    def let_go(self, where: Any) -> None:
        """Whoever ran a test there was interrupted: what it reported is all there will be."""
        for report in self._held.pop(where, (None, []))[1]:
            self._log(report)

    def end(self) -> None:
        """The run is over: tests that were not tried again have failed."""
        for where in list(self._held):
            self.let_go(where)
        failed, self._failed = self._failed, {}
        for tries in failed.values():
            self._settle(tries[-1], tries[:-1])

    def _tell_of_rerun(self, reports: list[Report]) -> None:
        for report in reports:
            if report.failed:
                shown = copy.copy(report)
                shown.outcome = "rerun"
                with junit.without_case(self._config, shown):
                    self._log(shown)

    def _settle(self, reports: list[Report], earlier: list[list[Report]]) -> None:
        passed = not any(report.failed for report in reports)
        failures = list(_failures(earlier))
        if failures and passed:
            for report in reports:
                if report.when == "call":
                    report.flaky_tries = len(earlier)
        written = not failures
        for report in reports:
            if not written and report.when == "teardown":
                junit.add_tries(self._config, report, failures, passed)
                written = True
            self._log(report)
        if not written:  # it crashed: there was no teardown
            junit.add_tries(self._config, reports[-1], failures, passed)


def _failures(tries: list[list[Report]]) -> Iterator[Report]:
    for reports in tries:
        for report in reports:
            if report.failed:
                yield report


class HereAndLater:
    """Without workers: what failed runs again after all others."""

    def __init__(self, config: pytest.Config) -> None:
        caller: Any = config.hook.pytest_runtest_logreport
        self._execute = caller._hookexec
        self._caller = caller
        self._is_logging = False
        self._item: pytest.Item | None = None
        self._added = 0
        self._retries = Retries(config, self._run_later, self._log)
        # Every caller goes through here, also one that a directory's conftest files made a subset of.
        caller._hookexec = self._hold_or_execute

    def _hold_or_execute(self, name: str, impls: Any, kwargs: Any, firstresult: bool) -> Any:
        if self._is_logging or self._item is None:
            return self._execute(name, impls, kwargs, firstresult)
        self._retries.hold("here", self._item, kwargs["report"])
        return []

    def _log(self, report: Report) -> None:
        self._is_logging = True
        try:
            self._caller(report=report)
        finally:
            self._is_logging = False

    def _run_later(self, item: pytest.Item, where: object) -> bool:
        item.session.items.append(
            item
        )  # pytest's loop goes through this list, and on to its new end
        self._added += 1
        return True

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._item = item
        yield
        self._retries.finish("here")  # not all implementations call logfinish
        self._item = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logfinish(self) -> None:
        self._retries.finish("here")

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Iterator[None]:
        yield
        self._item = None
        self._retries.end()
        if self._added:
            del session.items[-self._added :]


class Status:
    """How a try and a flaky test look."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: Report) -> Any:
        if report.outcome == "rerun":
            return "rerun", "R", ("RERUN", {"yellow": True})
        if report.passed and hasattr(report, "flaky_tries"):
            return "flaky", "~", ("FLAKY", {"yellow": True})
        return None
