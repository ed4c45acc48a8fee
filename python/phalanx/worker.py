"""The worker's side of pytest's main loop, and the zygote's until it forks.

One plugin object serves both: registered before collection in the zygote, where it reports what is
collected; its `pytest_runtestloop` is where the zygote stays for good and every worker begins.
"""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable, Generator, Sequence
from typing import Any, NoReturn

import pytest
from _pytest.terminal import TerminalReporter

from phalanx import (
    _engine,
    adapters,
    forking,
    garbage,
    identity,
    junit,
    mail,
    nodes,
    resources,
    retries,
    shared,
)
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


class WorkerInteractor:
    def __init__(
        self,
        config: pytest.Config,
        zygote: _engine.Zygote,
        workerinput: identity.WorkerInput,
        watch: resources.Watch,
        inherited: forking.Inherited,
        refuse: Callable[[str], None],
        stderr: int,
        rare_collections: garbage.RareCollections,
    ) -> None:
        self.config = config
        self.workerinput = workerinput
        self.workerid = "?"
        self.testrunuid: str = dict.__getitem__(workerinput, "testrunuid")
        self.worker: _engine.Worker | None = None
        self._zygote = zygote
        self._watch = watch
        self._inherited = inherited
        self._refuse = refuse
        self._rare_collections = rare_collections
        self._stderr = stderr  # the real one, whatever is captured
        self.send = zygote.send
        self._shared = shared.SharedFixtures(config, watch)
        self._early_claims = False
        self._by_mail = False
        self._next: Any = _UNCLAIMED
        self.item_index = -1
        config.pluginmanager.register(self, "workerinteractor")

    # ---- in the zygote: configuring and collecting ----

    @pytest.hookimpl
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self.session = session
        self._rare_collections.begin()
        self.send(_engine.MSG_READY, nodes.worker_info())

    @pytest.hookimpl
    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        if isinstance(collector, pytest.File):
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
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        batch = []
        by_group = self.config.option.loadgroup
        needs = Needs()
        for item in session.items:
            batch.append([item.nodeid, _group(item) if by_group else None, needs.of(item)])
            if len(batch) == ITEMS_PER_MESSAGE:
                self.send(_engine.MSG_ITEMS, batch)
                batch = []
        if batch:
            self.send(_engine.MSG_ITEMS, batch)

    @pytest.hookimpl
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        cause = self._watch.find(adapters.repaired_descriptors(self.config))
        if cause is not None:
            self._refuse(
                f"{cause} before the tests ran, and processes must not share it. This version of "
                "phalanx forks its workers after collection: do it in a fixture or a test"
            )
        self._shared.set_up(session, self.send)
        self._rare_collections.end()
        self._install_claims()
        self._zygote.send(_engine.MSG_COLLECTED, [len(session.items)])
        self._inherited.serve_signals()
        self._inherited.settle()  # while the controller fills the run queue
        self._serve()
        if self.worker is not None:
            self._run_tests(session)
        return True

    def _serve(self) -> None:
        """The zygote stays in here until the run is over; each worker comes out of it once."""
        while True:
            request, number, value = self._zygote.serve()
            if request == "fork":
                self._inherited.prepare()
                born = self._fork(number)
                if born is not None:
                    self._become_worker(value, *born)
                    return
            elif request == "end":
                self._shared.tear_down(self.send)
                forking.leave(0)

    def _fork(self, number: int) -> tuple[_engine.Worker, int, int, int] | None:
        zygote = os.getpid()
        try:
            return self._zygote.fork(number)
        except _engine.EngineError as error:
            if os.getpid() == zygote:
                raise
            # A worker that could not begin; the controller sees it die.
            os.write(self._stderr, f"phalanx: worker gw{number} cannot begin: {error}\n".encode())
            os._exit(1)

    # ---- in a worker ----

    def _become_worker(self, value: dict[str, Any], worker: _engine.Worker, *texts: int) -> None:
        self.worker = worker
        self.send = self._send_or_end
        self._by_mail = value["by_mail"]
        if value["nice"]:
            os.nice(value["nice"])
        workerinput = value["workerinput"]
        self.workerid = workerinput["workerid"]
        identity.release_environ()
        self._watch.release()
        os.environ[identity.WORKER_VARIABLE] = self.workerid
        os.environ.update(value["environment"])
        self.workerinput.settle(workerinput)
        out, err, faults = texts
        self._inherited.repair(self.config, self.workerid, (out, err, faults))
        adapters.repair(self.config)
        self._shared.inherit(self.session)
        self._to_data = report_writer(self.config)
        self._settle_outcome = outcome_settler(self.config)
        _silence_terminal(self.config)
        junit.install(self.config, self._tell_xml)
        retries.prepare_worker(self.config)

    def _run_tests(self, session: pytest.Session) -> None:
        if self._by_mail:
            mail.run_tests(self, session)
            return
        worker = self.worker
        assert worker is not None
        items = session.items
        protocol = self.config.hook.pytest_runtest_protocol
        index = self._claim(session)
        while index is not None:
            self.item_index = index
            item = items[index]
            self._start(worker)
            self.title("running", item.nodeid)
            self._next = _UNCLAIMED
            if self._early_claims:
                self._claim_next(session)
            protocol(item=item, nextitem=self._next_item(items))
            if self._next is _UNCLAIMED:  # nobody called pytest_runtest_teardown
                self._claim_next(session)
            self._end(worker)
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
        try:
            return self.worker.claim()
        except _engine.StrayProcess:
            self.end_stray()

    # A child that a test forked and that returns from it must not run on: every way into the engine ends it,
    # before teardowns run twice.

    def _send_or_end(self, type: int, value: object) -> int:
        assert self.worker is not None
        try:
            return self.worker.send(type, value)
        except _engine.StrayProcess:
            self.end_stray()

    def _enter(self, phase: int) -> None:
        try:
            if self.worker is not None:
                self.worker.phase(phase)
        except _engine.StrayProcess:
            self.end_stray()

    def _start(self, worker: _engine.Worker) -> None:
        try:
            worker.start()
        except _engine.StrayProcess:
            self.end_stray()

    def _end(self, worker: _engine.Worker) -> None:
        try:
            worker.end()
        except _engine.StrayProcess:
            self.end_stray()

    def end_stray(self) -> NoReturn:
        nodeid = self.session.items[self.item_index].nodeid if self.item_index >= 0 else "a hook"
        os.write(
            self._stderr,
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
        items = self.session.items

        def claim_then_execute(name: str, impls: Any, kwargs: Any, firstresult: bool) -> Any:
            if kwargs.get("nextitem") is NEXT_ITEM:
                if self._next is _UNCLAIMED:
                    self._claim_next(self.session)
                kwargs["nextitem"] = self._next_item(items)
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

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._settle_outcome(self.config, report)
        data = self._to_data(self.config, report)
        if data.get("sections"):
            data["sections"] = cut_output(data["sections"])
        data["item_index"] = self.item_index
        data["worker_id"] = self.workerid
        data["testrun_uid"] = self.testrunuid
        lossy = self.send(_engine.MSG_REPORT, data)
        if lossy:
            self._warn_of_loss(
                f"{lossy} of the values that plugins or the test attached to its {report.when} report",
                report.nodeid,
                report.location,
            )
        self._enter(_phase_after(report))

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
