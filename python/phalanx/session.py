"""The distributed session: the controller's side of pytest's main loop.

The engine says what happened; this turns it into pytest's hooks, one event at a time, in the order in
which each worker caused them.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from _pytest.config import ExitCode

from phalanx import _engine, crash, junit, launch, options
from phalanx.garbage import RareCollections, set_aside
from phalanx.nodes import NodeManager, WorkerController
from phalanx.serialize import report_reader, warning_from_data
from phalanx.terminal import TerminalDistReporter, WorkerStatus
from phalanx.watchdog import Watchdog

LEFTOVER_GRACE_S = 0.5

# From here on the collector's walks over their reports can be felt. Fewer tests leave it alone: they may be
# a run inside of somebody else's process, whose objects are none of ours.
MANY_TESTS = 2_000

_DEFAULT_THRESHOLDS = gc.get_threshold()

SCHEDULER_NAMES = {
    "load": "LoadScheduling",
    "loadscope": "LoadScopeScheduling",
    "loadfile": "LoadFileScheduling",
    "loadgroup": "LoadGroupScheduling",
    "worksteal": "WorkStealingScheduling",
}


# What a worker's messages must be; one of another shape is no worker of ours.
_SHAPES: dict[str, Any] = {
    "report": dict,
    "log_start": tuple,
    "log_finish": tuple,
    "finished": dict,
    "stopped": dict,
    "warning": dict,
    "internal_error": str,
    "xml_record": dict,
}


class Scheduling:
    """Stands for the engine's run queue where hooks pass a scheduler on."""

    def __init__(self, session: DSession) -> None:
        self.config = session.config
        self.dist = session.dist
        self.name = SCHEDULER_NAMES[session.dist]
        self._session = session

    def mark_test_pending(self, item: str) -> None:
        """Runs a test once more: what pytest_handlecrashitem may ask for."""
        if self.dist not in ("load", "worksteal"):
            raise NotImplementedError(f"--dist {self.dist} cannot run a test again")
        self._session.engine.add_late(self._session.ids.index(item))


class Interrupts:
    """Ctrl-C, SIGTERM and SIGHUP while tests run: the first one is noted, so that no event is lost half-way
    through a hook, the second one is raised at once. Ctrl-Z stops the whole run, and what continues this
    process continues it."""

    def __init__(self, engine: _engine.Controller) -> None:
        self.count = 0
        self._engine = engine
        self.number = signal.SIGINT
        self._earlier: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        # Only the main thread may, and only in place of Python's own handlers: another one is somebody's.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                self._take(number, self._on_signal)
            self._take(signal.SIGTSTP, self._on_suspend)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)

    def exception(self) -> BaseException:
        """What ends pytest's session: exit status 2, or that of a process which the signal killed."""
        if self.number == signal.SIGINT:
            return KeyboardInterrupt()
        return pytest.exit.Exception(f"ended by {self.number.name}", 128 + self.number)

    def _take(
        self, number: signal.Signals, handler: Callable[[int, FrameType | None], None]
    ) -> None:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            self._earlier[number] = signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        self.number = signal.Signals(number)
        if self.count > 1:
            raise KeyboardInterrupt

    def _on_suspend(self, number: int, frame: FrameType | None) -> None:
        # By the default action, which the kernel leaves out where no shell could continue this process.
        signal.signal(number, signal.SIG_DFL)
        self._engine.suspend()
        os.kill(os.getpid(), number)
        self._engine.resume()
        signal.signal(number, self._on_suspend)


class DSession:
    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.dist: str = config.getoption("dist")
        self.nodemanager: NodeManager | None = None
        self.sched: Scheduling | None = None
        self.nodes: list[WorkerController] = []
        self.ids: list[str] = []
        self._started: dict[int, Any] = {}  # worker number: (node id, location) of its last test
        self.maxfail: int = config.getvalue("maxfail")
        self.terminal: Any = config.pluginmanager.getplugin("terminalreporter")
        self.trdist: TerminalDistReporter | None = None
        if self.terminal:
            self.trdist = TerminalDistReporter(config)
            config.pluginmanager.register(self.trdist, "terminaldistreporter")
        self._engine: _engine.Controller | None = None
        self._session: Any = None
        self._max_restart = options.max_worker_restart(config)
        self._cut_short: list[str] = []  # tests that were running when their worker was interrupted
        self._forked = False  # the workers were asked for
        self._over = False  # the zygote ended without a run
        self._stopping = False
        self._interrupted = False
        self._terminated = False  # by SIGTERM or SIGHUP: nobody waits for anything
        self._pending_exception: BaseException | None = None
        self._internal_error = False
        self._failure: str | None = None
        self._heard: set[int] = set()  # tests with their last report
        self._rejected: tuple[WorkerController, dict[str, Any]] | None = None
        self._handlers: dict[str, Callable[[int, Any], None]] = {
            name[3:]: getattr(self, name) for name in dir(type(self)) if name.startswith("on_")
        }
        self._summary_reports: list[str] = []
        self._leftovers: list[tuple[int, str, bool]] = []
        self._figures: str | None = None
        self._collecting: str | None = None  # the file that the zygote imports
        self._worker_info: dict[str, Any] = {}
        self._xml_records = junit.Records(config)
        self._config_warnings: set[Any] = set()

    # ---- hooks of pytest ----

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._session = session
        self.nodemanager = NodeManager(self.config, options.expand_specs(self.config), os.getcwd())
        self.nodes = self.nodemanager.setup_nodes()
        self._engine = launch.start(self.config)
        self._engine.setup(self._zygote_setup())

    @pytest.hookimpl
    def pytest_collection(self) -> bool:
        return True  # the zygote collects; this process never imports a test module

    @pytest.hookimpl(trylast=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: object) -> Scheduling:
        return Scheduling(self)

    @pytest.hookimpl
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.sched = self.config.hook.pytest_xdist_make_scheduler(config=self.config, log=_no_log)
        if not isinstance(self.sched, Scheduling):
            raise pytest.UsageError(
                "a plugin or conftest file brings a scheduler of its own "
                f"({type(self.sched).__name__}, from pytest_xdist_make_scheduler): "
                "this version of phalanx has no support for custom schedulers"
            )
        self._read_report = report_reader(self.config)
        rare_collections = RareCollections(_DEFAULT_THRESHOLDS)
        rare_collections.begin()
        with (
            Interrupts(self.engine) as interrupts,
            Watchdog(self.config.option.watchdog) as watchdog,
        ):
            try:
                while not self._is_over():
                    self._loop_once(interrupts, watchdog)
            except KeyboardInterrupt:
                self.engine.kill()
                raise interrupts.exception() from None
            finally:
                if len(self.ids) >= MANY_TESTS:
                    set_aside()  # their reports
                rare_collections.end()
        if self._interrupted or interrupts.count:  # it may have come after the loop's last look
            raise interrupts.exception()
        self._report_lost()
        self._check_account()
        if self._pending_exception is not None:
            raise self._pending_exception
        if self._failure and not session.shouldfail:
            session.shouldfail = self._failure  # the terminal shows it, with -q too
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        return True

    @pytest.hookimpl
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._internal_error:
            session.exitstatus = ExitCode.INTERNAL_ERROR
        engine, self._engine = self._engine, None
        if engine is None:
            return
        if self._forked:
            self._figures = engine.summary()
        if not self._terminated:
            try:
                engine.end(LEFTOVER_GRACE_S)
            except KeyboardInterrupt:  # every test is over; nobody wants to wait for what they left
                session.exitstatus = ExitCode.INTERRUPTED
            self._leftovers = [
                payload for event, _, payload in engine.poll(0) if event == "leftover"
            ]
        engine.close()  # without an end to wait for: whatever there is of the run is killed

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.config.option.verbose < 0:
            return
        for text in self._summary_reports:
            terminalreporter.write_sep("=", f"xdist: {text}")
        for pid, command, ended in self._leftovers:
            terminalreporter.write_line(_describe_leftover(pid, command, ended))
        if self._cut_short:
            terminalreporter.write_line(f"interrupted while running: {_some(self._cut_short)}")
        if self._figures:
            terminalreporter.write_line(self._figures)

    # ---- the loop ----

    @property
    def engine(self) -> _engine.Controller:
        assert self._engine is not None
        return self._engine

    def _zygote_setup(self) -> dict[str, Any]:
        setup = {
            "args": [str(arg) for arg in self.config.invocation_params.args],
            "directory": os.getcwd(),
            "environment": dict(os.environ),
            "sys_path": launch.sys_path(),
            "workerinputs": [node.workerinput for node in self.nodes],
            "environments": [node.gateway.spec.env for node in self.nodes],
            "basetemp": None,
        }
        factory = getattr(self.config, "_tmp_path_factory", None)
        if factory is not None:
            setup["basetemp"] = str(factory.getbasetemp())
        return setup

    def _is_over(self) -> bool:
        return self._over or (self._forked and self.engine.active() == 0)

    def _loop_once(self, interrupts: Interrupts, watchdog: Watchdog) -> None:
        handlers = self._handlers
        for event, number, payload in self.engine.poll():
            watchdog.at = (event, number)
            if not isinstance(payload, _SHAPES.get(event, object)):
                self.engine.reject(number)
                continue
            handlers[event](number, payload)
            if (self._session.shouldfail or self._session.shouldstop) and not self._stopping:
                self._stop()
        watchdog.at = None
        if interrupts.count and not self._interrupted:
            self._interrupted = True
            self._terminated = interrupts.number != signal.SIGINT
            self._stopping = True
            self.engine.interrupt()

    def _stop(self) -> None:
        """Nobody claims any more; what runs goes on to its end. Of -x while tests are collected the zygote
        knows as well: how its collection ends decides how the run does, as without workers."""
        self._stopping = True
        if self._forked:
            self.engine.stop()
        elif self._session.shouldstop:
            self._over = True

    def _report_line(self, line: str) -> None:
        if self.terminal and self.config.option.verbose >= 0:
            self.terminal.write_line(line)

    # ---- events of the zygote ----

    def on_ready(self, number: int, info: dict[str, Any]) -> None:
        for node in self.nodes:
            self._set_worker_info(node, info)
            self.config.hook.pytest_testnodeready(node=node)
        self._worker_info = info

    def _set_worker_info(self, node: WorkerController, info: dict[str, Any]) -> None:
        node.workerinfo = dict(info, id=node.gateway.id, spec=node.gateway.spec)

    def on_collecting(self, number: int, nodeid: str) -> None:
        self._collecting = nodeid

    def on_items(self, number: int, items: list[Any]) -> None:
        self.ids += [nodeid for nodeid, _, _ in items]

    def on_deselected(self, number: int, ids: list[str]) -> None:
        if self.terminal:
            self.terminal._add_stats("deselected", [_Deselected(nodeid) for nodeid in ids])

    def on_collect_report(self, number: int, data: dict[str, Any]) -> None:
        report = self.config.hook.pytest_report_from_serializable(config=self.config, data=data)
        self.config.hook.pytest_collectreport(report=report)

    @pytest.hookimpl
    def pytest_warning_recorded(self, warning_message: Any, when: str) -> None:
        if when == "config":
            self._config_warnings.add(_warning_key(warning_message))

    def on_warning(self, number: int, data: dict[str, Any]) -> None:
        warning = warning_from_data(data["warning"])
        if data["when"] == "config" and _warning_key(warning) in self._config_warnings:
            return  # this process read the same configuration and has said so
        self.config.hook.pytest_warning_recorded.call_historic(
            kwargs={
                "warning_message": warning,
                "when": data["when"],
                "nodeid": data["nodeid"],
                "location": data["location"],
            }
        )

    def on_collected(self, number: int, count: int) -> None:
        session = self._session
        if count != len(self.ids):
            raise RuntimeError(f"{count} tests were collected, {len(self.ids)} arrived")
        ids = list(self.ids)
        for node in self.nodes:
            self.config.hook.pytest_xdist_node_collection_finished(node=node, ids=ids)
            if self.trdist:
                self.trdist.setstatus(
                    node.gateway.spec, WorkerStatus.CollectionDone, tests_collected=count
                )
        session.testscollected = count
        if session.testsfailed and not self.config.option.continue_on_collection_errors:
            self._over = True
            self._pending_exception = session.Interrupted(_errors_during_collection(session))
            return
        if self._interrupted or self._stopping:
            self._over = True
            return
        self._show_start()
        self._start_workers()

    def _show_start(self) -> None:
        assert self.sched is not None
        if not self.terminal or not self.trdist:
            return
        self.trdist.ensure_show_status()
        self.terminal.write_line("")
        if self.config.option.verbose > 0:
            self.terminal.write_line(f"scheduling tests via {self.sched.name}")
        self._report_line("forked after collection")

    def _start_workers(self) -> None:
        self.engine.plan(
            dist=self.dist,
            workers=len(self.nodes),
            reorder=bool(self.config.option.loadscopereorder),
            max_restarts=-1 if self._max_restart is None else self._max_restart,
        )
        for node in self.nodes:
            self._fork(node)
        self._forked = True

    def _fork(self, node: WorkerController) -> None:
        lossy = _engine.encode(node.workerinput)[1]
        if lossy:
            self.config.issue_config_time_warning(
                pytest.PytestWarning(
                    f"{lossy} of the values in the workerinput of {node.gateway.id} cannot cross to "
                    "the worker and arrive as their repr"
                ),
                stacklevel=2,
            )
        self.engine.fork(
            node.number,
            {"workerinput": node.workerinput, "environment": node.gateway.spec.env},
        )

    def on_early_claims(self, number: int, name: str) -> None:
        self._report_line(f"early claims: {name}")

    def on_refused(self, number: int, reason: str) -> None:
        self._over = True
        self._pending_exception = pytest.UsageError(reason)

    def on_zygote_done(self, number: int, data: dict[str, Any]) -> None:
        """Its session ended without a fork: a usage error, or an exception of a plugin."""
        self._over = True
        if data["usage_error"] is not None:
            self._pending_exception = pytest.UsageError(*data["usage_error"])
        elif self._pending_exception is None and not self._internal_error and not self._stopping:
            self._pending_exception = RuntimeError(
                f"the zygote's session ended with exit status {data['status']} before any test ran"
            )

    def on_zygote_down(self, number: int, payload: tuple[int | None, str | None]) -> None:
        if self._over:
            return
        status, text = payload
        self._over = True
        if self._interrupted:
            return
        cause = text or crash.describe_status(status)
        session = self._session
        if self._collecting is None:
            self._pending_exception = pytest.UsageError(
                f"the process that collects the tests died while it configured pytest: {cause}"
            )
            return
        report = crash.collect_report(self._collecting, cause)
        self.config.hook.pytest_collectreport(report=report)
        self._pending_exception = session.Interrupted(_errors_during_collection(session))

    def on_guard_down(self, number: int, payload: None) -> None:
        self._report_line(
            "phalanx: the guard process died; running workers go on, crashed ones are not replaced"
        )

    # ---- events of a worker ----

    def on_worker_up(self, number: int, pid: int) -> None:
        pass

    def on_log_start(self, number: int, data: Any) -> None:
        nodeid, location = self._started[number] = data
        self.config.hook.pytest_runtest_logstart(nodeid=nodeid, location=location)

    def on_log_finish(self, number: int, data: Any) -> None:
        nodeid, location = data
        self.config.hook.pytest_runtest_logfinish(nodeid=nodeid, location=location)

    def on_report(self, number: int, data: dict[str, Any]) -> None:
        report = self._read_report(self.config, data)
        report.node = self.nodes[number]
        if report.when == "teardown":
            self._heard.add(data.get("item_index", -1))
        self.config.hook.pytest_runtest_logreport(report=report)

    def on_xml_record(self, number: int, data: dict[str, Any]) -> None:
        self._xml_records.add(self.nodes[number], data)

    def on_internal_error(self, number: int, text: str) -> None:
        """pytest_internalerror takes exceptions, which cannot cross: the text is raised here anew."""
        self._internal_error = True
        try:
            raise RuntimeError(text)
        except RuntimeError:
            excinfo = pytest.ExceptionInfo.from_current()
            self.config.hook.pytest_internalerror(excrepr=_Text(text), excinfo=excinfo)
        self._stop()

    def on_stopped(self, number: int, data: dict[str, Any]) -> None:
        """A test or hook called pytest.exit, or raised KeyboardInterrupt."""
        if not self._interrupted and self._pending_exception is None:
            if data["exit"]:
                self._pending_exception = pytest.exit.Exception(data["reason"], data["returncode"])
            else:
                self._pending_exception = KeyboardInterrupt()
        self._stop()

    def on_finished(self, number: int, workeroutput: dict[str, Any]) -> None:
        node = self.nodes[number]
        node.workeroutput = workeroutput
        node.shutting_down = True
        session = self._session
        if workeroutput["shouldfail"] and not session.shouldfail:
            session.shouldfail = workeroutput["shouldfail"]
        if workeroutput["shouldstop"] and not session.shouldstop:
            session.shouldstop = workeroutput["shouldstop"]

    def on_worker_down(self, number: int, payload: dict[str, Any]) -> None:
        node = self.nodes[number]
        node.shutting_down = True
        if payload["finished"]:
            self.config.hook.pytest_testnodedown(node=node, error=None)
            if payload["text"]:
                self._report_line(f"[{node.gateway.id}] {payload['text']}")
            if payload["test"] is not None:
                self._cut_short.append(self.ids[payload["test"]])
            return
        if payload["text"]:
            self._rejected = node, payload
        cause = crash.describe_down(payload)
        self.config.hook.pytest_testnodedown(node=node, error=f"Not properly terminated: {cause}")
        if payload["test"] is not None:
            self._handle_crash_item(node, payload)
        elif not self._stopping:
            self._died_idle(node, cause)
        self._replace(node, payload["replacement"])

    def _died_idle(self, node: WorkerController, cause: str) -> None:
        """No test is to blame, but teardowns and what its plugins had to say are lost: not a success."""
        self._fail(f"worker {node.gateway.id} died outside a test: {cause}")

    def _handle_crash_item(self, node: WorkerController, payload: dict[str, Any]) -> None:
        test = payload["test"]
        self._heard.add(test)
        nodeid = self.ids[test]
        started, location = self._started.get(node.number, (None, None))
        if started != nodeid:  # it died before the test could say that it starts
            location = (nodeid.split("::")[0], None, nodeid)
        report: Any = crash.crash_report(node.gateway.id, nodeid, location, payload)
        report.node = node
        report.worker_id = node.gateway.id
        report.item_index = test
        self.config.hook.pytest_handlecrashitem(crashitem=nodeid, report=report, sched=self.sched)
        self.config.hook.pytest_runtest_logreport(report=report)

    def _replace(self, node: WorkerController, number: int | None) -> None:
        assert self.nodemanager is not None
        if number is not None:
            self._report_line(f"\nreplacing crashed worker {node.gateway.id}")
            clone = self.nodemanager.setup_node(node.gateway.spec, number)
            self._set_worker_info(clone, self._worker_info)
            self.nodes.append(clone)
            self._fork(clone)
            self.config.hook.pytest_testnodeready(node=clone)
        elif not self._stopping and self._max_restart is not None:
            if self._max_restart == 0:
                message = f"worker {node.gateway.id} crashed and worker restarting disabled"
            else:
                message = f"maximum crashed workers reached: {self._max_restart}"
            if message not in self._summary_reports:
                self._summary_reports.append(message)
                self._report_line("\n" + message)

    def on_fork_failed(self, number: int, text: str) -> None:
        node = self.nodes[number]
        self.config.hook.pytest_testnodedown(node=node, error=f"could not be started: {text}")

    # ---- the end ----

    def _fail(self, message: str) -> None:
        """The run goes on, and is not a success."""
        self._failure = f"{self._failure}; {message}" if self._failure else message

    def _report_lost(self) -> None:
        """A worker that sends bytes of somebody else's is ended as soon as they are read. What it ran until
        then has a place in the ledger and no report that can be trusted."""
        if self._rejected is None:
            return
        node, payload = self._rejected
        engine = self.engine
        left = {*engine.tests_in_state("not_run"), *engine.tests_in_state("unaccounted")}
        for test in set(range(len(self.ids))) - self._heard - left:
            lost = {**payload, "test": test, "phase": 0, "last_words": ("", "", "")}
            self._handle_crash_item(node, lost)

    def _check_account(self) -> None:
        """Never green with a test missing: the ledger says what became of every test."""
        if not self._forked:
            return
        account = self.engine.account()
        if account["unaccounted"] and not self._stopping:
            lost = [self.ids[test] for test in self.engine.tests_in_state("unaccounted")]
            raise RuntimeError(
                f"{len(lost)} tests were started and nobody knows how they ended: {_some(lost)}"
            )
        if account["not_run"] and not self._stopping:
            rest = [self.ids[test] for test in self.engine.tests_in_state("not_run")]
            message = f"{len(rest)} not run, as no worker was left: {_some(rest)}"
            self._fail(message)


class _Deselected:
    """Stands for an item that the zygote has left out, where plugins go through the terminal's statistics."""

    def __init__(self, nodeid: str) -> None:
        self.nodeid = nodeid
        path, bracket, parameters = nodeid.partition("[")
        self.name = path.rpartition("::")[2] + bracket + parameters


class _Text:
    """A string in the place of an exception's representation."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text

    def toterminal(self, tw: Any) -> None:
        tw.line(self._text)


def _errors_during_collection(session: pytest.Session) -> str:
    plural = "" if session.testsfailed == 1 else "s"
    return f"{session.testsfailed} error{plural} during collection"


def _warning_key(warning: Any) -> tuple[str, str, str, int]:
    return str(warning.message), warning.category.__name__, warning.filename, warning.lineno


def _describe_leftover(pid: int, command: str, ended: bool) -> str:
    what = "ended it" if ended else "left it alone, as it has left its worker's process group"
    return f"a test left process {pid} behind ({command}); {what}"


def _some(ids: list[str], most: int = 5) -> str:
    more = f", … and {len(ids) - most} more" if len(ids) > most else ""
    return ", ".join(ids[:most]) + more


def _no_log(*args: object, **kwargs: object) -> None:
    """pytest_xdist_make_scheduler wants something to log with."""
