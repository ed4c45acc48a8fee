"""The worker's side of pytest's main loop, and the zygote's until it forks.

One plugin object serves both: registered before collection, it reports what is collected; its
`pytest_runtestloop` is where the zygote stays at the latest, and where every worker waits for the run queue.
"""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable, Generator, Sequence
from typing import Any, NoReturn, TypeVar

import pytest
from _pytest.terminal import TerminalReporter

from phalanx import (
    _engine,
    coverage_data,
    garbage,
    junit,
    limits,
    logfile,
    mail,
    nodes,
    retries,
    shared,
    timeouts,
)
from phalanx.forkpoint import ForkPoint
from phalanx.needs import Needs
from phalanx.serialize import cut_output, outcome_settler, report_writer, warning_to_data

ITEMS_PER_MESSAGE = 500

# Implementations of pytest_runtest_protocol that only pass `nextitem` on to pytest's own.
PASSES_NEXTITEM_ON = frozenset(
    {
        "_pytest.runner",
        "pytest_rerunfailures",
        "flaky.flaky_pytest_plugin",
        "pytest_retry.retry_plugin",
    }
)

Answer = TypeVar("Answer")
SetTitle = Callable[[str], None]
set_title: SetTitle | None
try:
    from setproctitle import setproctitle as set_title
except ImportError:
    set_title = None


class _NextItem:
    """Stands for the test to come while nobody has claimed one: passed on to pytest_runtest_teardown,
    where the claim is made and the real item takes its place."""

    def __repr__(self) -> str:
        return "<the next test, not claimed yet>"


NEXT_ITEM: Any = _NextItem()
_UNCLAIMED: Any = object()
_NO_ITEM: Any = None  # in the place of a test that only other workers have


class WorkerInteractor:
    def __init__(
        self,
        config: pytest.Config,
        fork_point: ForkPoint,
        rare_collections: garbage.RareCollections,
    ) -> None:
        self.config = config
        self.workerinput = config.workerinput  # type: ignore[attr-defined]
        self.has_finished = False
        self._fork_point = fork_point
        self._rare_collections = rare_collections
        self._shared = shared.SharedFixtures(config, fork_point.watch)
        self._early_claims = False
        self._next: Any = _UNCLAIMED
        self._log_lines: logfile.TestLines | None = None
        self._coverage_data: coverage_data.CoverageData | None = None
        self.items: list[pytest.Item] = []  # in the order of the run's list
        self.item_index = -1
        config.pluginmanager.register(self, "workerinteractor")

    @property
    def workerid(self) -> str:
        return self._fork_point.name

    @property
    def worker(self) -> _engine.Worker | None:
        return self._fork_point.worker

    def send(self, type: int, value: object) -> int:
        try:
            return self._fork_point.send(type, value)
        except _engine.StrayProcess:
            self.end_stray()

    # ---- configuring and collecting, in the zygote or in a worker that does so for itself ----

    @pytest.hookimpl
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self.session = session
        self._fork_point.early_setups.session_started(session)
        logfile.configured()
        self._fork_point.give_files()
        self._rare_collections.begin()
        self.send(_engine.MSG_READY, nodes.worker_info())

    @pytest.hookimpl
    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        if isinstance(collector, pytest.File):
            self._fork_point.look(collector.nodeid)
            self.send(_engine.MSG_COLLECTING, collector.nodeid)

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if not report.passed:
            data = self.config.hook.pytest_report_to_serializable(config=self.config, report=report)
            self.send(_engine.MSG_COLLECT_REPORT, data)

    @pytest.hookimpl
    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        self.send(_engine.MSG_DESELECTED, [_name_of(item) for item in items])

    @pytest.hookimpl
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._rare_collections.end()
        self._install_claims()
        self._fork_point.after_collection(self._stand_for_all, self._leave_to_workers)
        # Whoever comes here is a worker.
        if self._fork_point.has_collected:
            self._shared.inherit(session)
        else:
            self._tell_collection()
        self._fork_point.give_files()
        assert self.worker is not None
        coverage_data.send_own(self.config)
        places = self.worker.await_queue()
        if places is not None:
            found = session.items
            # With --dist each a place can be nowhere: another worker's test.
            self.items = [
                found[place] if place < len(found) else _NO_ITEM for place in places
            ] or found
            self._to_data = report_writer(self.config)
            self._settle_outcome = outcome_settler(self.config)
            _silence_terminal(self.config)
            junit.install(self.config, self._tell_xml)
            retries.prepare_worker(self.config)
            timeouts.install(self.config, self._set_deadline)
            self._coverage_data = coverage_data.CoverageData()
            self._log_lines = logfile.TestLines(self.config, self.workerid)
            try:
                self._run_tests(session)
            finally:
                self._log_lines.end()
        return True

    def _stand_for_all(self) -> None:
        """In the zygote that has collected, before the first fork."""
        self._shared.set_up(self.session, self.send)
        self._tell_collection()

    def _leave_to_workers(self) -> None:
        """In the zygote, after the last worker."""
        self._shared.tear_down(self.send)

    def _tell_collection(self) -> None:
        items = self.session.items
        by_group = self.config.option.loadgroup
        needs, limit_of = Needs(), limits.found(self.config)
        for start in range(0, len(items), ITEMS_PER_MESSAGE):
            batch = items[start : start + ITEMS_PER_MESSAGE]
            self.send(
                _engine.MSG_ITEMS,
                [
                    [
                        item.nodeid,
                        _group(item) if by_group else None,
                        needs.of(item),
                        limit_of.get(item),
                    ]
                    for item in batch
                ],
            )
        self.send(_engine.MSG_COLLECTED, [len(items)])

    # ---- in a worker: tests ----

    def _run_tests(self, session: pytest.Session) -> None:
        worker = self.worker
        assert worker is not None
        if worker.by_mail():
            mail.run_tests(self, session)
            return
        items = self.items
        protocol = self.config.hook.pytest_runtest_protocol
        index = self._claim(session)
        while index is not None:
            self.item_index = index
            item = items[index]
            self._ask(worker.start)
            self.title("running", item.nodeid)
            self._next = _UNCLAIMED
            if self._early_claims:
                self._claim_next(session)
            protocol(item=item, nextitem=self._next_item(items))
            if self._next is _UNCLAIMED:  # nobody called pytest_runtest_teardown
                self._claim_next(session)
            self._ask(worker.end)
            self.title("idle")
            index = self._next
            if session.shouldfail or session.shouldstop:
                worker.close_queue()
                worker.unclaim()
                break

    def _next_item(self, items: list[pytest.Item]) -> Any:
        if self._next is _UNCLAIMED:
            return NEXT_ITEM
        return None if self._next is None else items[self._next]

    def _claim(self, session: pytest.Session) -> int | None:
        assert self.worker is not None
        if session.shouldfail or session.shouldstop:
            self.worker.close_queue()
            return None
        return self._ask(self.worker.claim)

    def slot(self) -> int:
        """The permit that the running test's group has given it."""
        assert self.worker is not None
        return self._ask(self.worker.permit)

    def _set_deadline(self, rest: float, timeout: float, stack_signal: int) -> None:
        assert self.worker is not None
        self._ask(self.worker.set_deadline, rest, timeout, stack_signal)

    def _ask(self, call: Callable[..., Answer], *args: Any) -> Answer:
        """The way into the engine while tests run. A child that a test forked and that returns from it must
        not run on: it is ended here, before teardowns run twice."""
        try:
            return call(*args)
        except _engine.StrayProcess:
            self.end_stray()

    def end_stray(self) -> NoReturn:
        nodeid = self.items[self.item_index].nodeid if self.item_index >= 0 else "a hook"
        os.write(
            self._fork_point.stderr,
            f"phalanx: a child process that {nodeid} forked returned from the test; it is ended here "
            f"(pid {os.getpid()}): end it with os._exit in the test\n".encode(),
        )
        os._exit(1)

    def _claim_next(self, session: pytest.Session) -> None:
        self._next = self._claim(session)

    def _install_claims(self) -> None:
        """Just in time: the next test is claimed when pytest_runtest_teardown is *called*, and the real
        item replaces the stand-in in the call's arguments, so that no implementation ever sees it. The
        hook caller's own entry point is the one place that every caller, subset or not, goes through."""
        caller: Any = self.config.hook.pytest_runtest_teardown
        execute = caller._hookexec

        def claim_then_execute(name: str, impls: Any, kwargs: Any, firstresult: bool) -> Any:
            __tracebackhide__ = True  # as pluggy's own frames are, when an implementation fails
            if kwargs.get("nextitem") is NEXT_ITEM:
                if self._next is _UNCLAIMED:
                    self._claim_next(self.session)
                kwargs["nextitem"] = self._next_item(self.items)
            return execute(name, impls, kwargs, firstresult)

        caller._hookexec = claim_then_execute
        for impl in self.config.hook.pytest_runtest_protocol.get_hookimpls():
            module = _module_of(impl)
            if "nextitem" in impl.argnames and module not in PASSES_NEXTITEM_ON:
                self._early_claims = True
                self.send(_engine.MSG_EARLY_CLAIMS, impl.plugin_name or module)
                break

    def title(self, state: str, nodeid: str = "") -> None:
        if set_title is not None:
            try:
                set_title(f"[pytest-xdist {state}] {nodeid}".rstrip())
            except Exception:
                pass  # a process title is decoration

    # ---- reports: each is written before the next phase starts ----

    @pytest.hookimpl
    def pytest_runtest_logstart(self, nodeid: str, location: Any) -> None:
        self.send(_engine.MSG_LOG_START, (nodeid, location))

    @pytest.hookimpl
    def pytest_runtest_logfinish(self, nodeid: str, location: Any) -> None:
        self.send(_engine.MSG_LOG_FINISH, (nodeid, location))
        if self._log_lines is not None:
            self._log_lines.put()
        if self._coverage_data is not None:
            self._coverage_data.put()

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._settle_outcome(self.config, report)
        data = self._to_data(self.config, report)
        if data.get("sections"):
            data["sections"] = cut_output(data["sections"])
        data["item_index"] = self.item_index
        lossy = self.send(_engine.MSG_REPORT, data)
        if lossy:
            self._warn_of_loss(
                f"{lossy} of the values that plugins or the test attached to its {report.when} report",
                report.nodeid,
                report.location,
            )
        if self.worker is not None:
            self._ask(self.worker.phase, _phase_after(report), getattr(report, "duration", None))

    def _tell_xml(self, record: dict[str, Any]) -> None:
        self.send(_engine.MSG_XML_RECORD, record)

    def _warn_of_loss(self, what: str, nodeid: str, location: Any) -> None:
        text = f"{what} cannot cross to the controller and arrive as their repr"
        path, line, _ = location
        warning = warnings.WarningMessage(
            pytest.PytestWarning(text), pytest.PytestWarning, path, (line or 0) + 1
        )
        self.pytest_warning_recorded(warning, "runtest", nodeid, None)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._shared.explain(item)

    @pytest.hookimpl(tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> None:
        if self.worker is None:
            self._fork_point.early_setups.fixture_begins(fixturedef)
        self._shared.on_set_up(fixturedef)

    # ---- both ----

    @pytest.hookimpl
    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, when: str, nodeid: str, location: Any
    ) -> None:
        self.send(
            _engine.MSG_WARNING,
            {
                "warning": warning_to_data(warning_message),
                "when": when,
                "nodeid": nodeid,
                "location": location,
            },
        )

    @pytest.hookimpl
    def pytest_internalerror(self, excrepr: object) -> None:
        self.send(_engine.MSG_INTERNAL_ERROR, str(excrepr))

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        if self.worker is not None:
            self.worker.close_queue()
        # The controller says it again until it hears of this, and must not interrupt teardowns by that. Its
        # second word is SIGKILL.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, lambda number, frame: None)
        error = excinfo.value
        is_exit = isinstance(error, pytest.exit.Exception)
        self.send(
            _engine.MSG_STOPPED,
            {
                "exit": is_exit,
                "reason": getattr(error, "msg", None) if is_exit else None,
                "returncode": getattr(error, "returncode", None),
            },
        )

    @pytest.hookimpl(hookwrapper=True)
    def pytest_sessionfinish(self, exitstatus: int) -> Generator[None, None, None]:
        output: dict[str, Any] = self.config.workeroutput  # type: ignore[attr-defined]
        output["exitstatus"] = int(exitstatus)
        output["shouldfail"] = self.session.shouldfail
        output["shouldstop"] = self.session.shouldstop
        yield
        if self.worker is not None:
            self._shared.leave(self.session)
            lossy = _engine.encode(output)[1]
            if lossy:
                self._warn_of_loss(f"{lossy} of the values in config.workeroutput", "", ("", 0, ""))
            self.send(_engine.MSG_FINISHED, output)
            self.has_finished = True


def _phase_after(report: pytest.TestReport) -> int:
    """The phase that begins when this report was written: crashes are charged to it."""
    if report.when == "setup":
        return 2 if report.passed else 3
    return 3 if report.when == "call" else 0


def _silence_terminal(config: pytest.Config) -> None:
    """Nobody sees what a worker's terminal reporter writes: it is told neither of tests nor of the end,
    where it would have all plugins make their summaries, nor of an interrupt, whose traceback it would write
    down. The object stays, as plugins ask for it; one that
    a plugin has put in its place is left alone."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if type(reporter) is not TerminalReporter:
        return
    for name in (
        "pytest_runtest_logstart",
        "pytest_runtest_logreport",
        "pytest_runtest_logfinish",
        "pytest_keyboard_interrupt",
        "pytest_sessionfinish",
    ):
        caller: Any = getattr(config.hook, name)
        if any(impl.plugin is reporter for impl in caller.get_hookimpls()):
            caller._remove_plugin(reporter)


def _name_of(item: Any) -> str:
    """pytest-testmon deselects stand-ins without a node id."""
    return getattr(item, "nodeid", type(item).__name__)


def _module_of(impl: Any) -> str:
    return str(getattr(impl.function, "__module__", ""))


def _group(item: pytest.Item) -> str | None:
    """The xdist_group of a test; several marks make one group of their own."""
    names = set()
    for mark in item.iter_markers("xdist_group"):
        name = mark.args[0] if mark.args else mark.kwargs.get("name", "default")
        names.add(str(name))
    return "_".join(sorted(names)) if names else None
