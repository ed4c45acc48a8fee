"""The distributed session: the controller's side of pytest's main loop.

The engine says what happened; this turns it into pytest's hooks, one event at a time, in the order in
which each worker caused them.
"""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable, Generator
from typing import Any

import pytest
from _pytest.config import ExitCode

from phalanx import bring, launch, logfile, machines, timeouts
from phalanx.figures import Figures
from phalanx.garbage import RareCollections, set_aside
from phalanx.history import History
from phalanx.interrupts import Interrupts
from phalanx.nodes import NodeManager
from phalanx.plugin_scheduling import POLL_S, PluginScheduling
from phalanx.producer import Producer
from phalanx.progress import Progress
from phalanx.run import Run, some
from phalanx.scheduling import Scheduling
from phalanx.surface import Surface
from phalanx.watchdog import Watchdog
from phalanx.worker_events import WorkerEvents
from phalanx.zygote_events import ZygoteEvents

LEFTOVER_GRACE_S = 0.5

_DEFAULT_THRESHOLDS = gc.get_threshold()


class DSession(Surface):
    def __init__(self, config: pytest.Config) -> None:
        super().__init__(config)
        self.run = Run(config, self)
        self._workers = WorkerEvents(self.run)
        self._history = History(self.run)
        self._zygote = ZygoteEvents(self.run, self._workers, self._history)
        self._handlers: dict[str, Callable[[int, Any], None]] = {
            name[3:]: getattr(source, name)
            for source in (self._zygote, self._workers)
            for name in dir(source)
            if name.startswith("on_")
        }
        self._leftovers: list[tuple[int, str, bool]] = []
        self._figures = Figures(config)
        self._progress = Progress(config)

    # ---- hooks of pytest ----

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self.run.session = session
        logfile.share(self.config)
        if machines.are_wanted(self.config):
            self._start_on_machines()
            return
        self.run.nodemanager = NodeManager(self.config)
        bring.refuse_here(self.config, self.run.nodemanager.specs)
        self.run.nodes = self.run.nodemanager.setup_nodes()
        interpreter = self.run.nodes[0].gateway.interpreter if self.run.nodes else None
        self.run.controller = launch.start(self.config, interpreter)
        self.run.recruiting.begin()

    def _start_on_machines(self) -> None:
        self.run.machines = machines.Machines(self.run)
        machines.refuse_what_cannot_be(self.config, self.run.dist)
        texts = self.run.machines.connect()
        self.run.nodemanager = NodeManager(self.config, texts)
        self.run.nodes = self.run.nodemanager.setup_nodes()
        self.run.recruiting = machines.RecruitingOnMachines(self.run, self.run.machines)
        self.run.recruiting.begin()

    @pytest.hookimpl
    def pytest_collection(self) -> bool:
        return True  # the zygote collects; this process never imports a test module

    @pytest.hookimpl(trylast=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Producer) -> Any:
        if self.run.dist == "each":
            from xdist.scheduler import EachScheduling

            return EachScheduling(config, log)
        return Scheduling(self.run)

    @pytest.hookimpl
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.run.sched = self.config.hook.pytest_xdist_make_scheduler(
            config=self.config, log=Producer("dsession", self.config)
        )
        if not isinstance(self.run.sched, Scheduling):
            if self.run.machines is not None:
                raise pytest.UsageError(
                    f"the scheduler {type(self.run.sched).__name__} runs tests on this machine only: leave "
                    "out --tx ssh= and command="
                )
            self.run.mail = PluginScheduling(self.run, self.run.sched)
        self._workers.begin()
        if timeouts.are_there(self.config):
            self.run.engine.heed_timeouts()
        rare_collections = RareCollections(_DEFAULT_THRESHOLDS)
        rare_collections.begin()
        with (
            Interrupts(self.run.engine) as interrupts,
            Watchdog(self.config.option.watchdog) as watchdog,
        ):
            try:
                self._progress.begin()
                while not self._is_over():
                    self._loop_once(interrupts, watchdog)
                self._end_shared_fixtures()
            except KeyboardInterrupt:
                self.run.engine.kill()
                raise interrupts.exception() from None
            finally:
                self._progress.end()
                self._workers.end_retries()
                set_aside()  # the tests' reports, and what pytest itself is made of
                rare_collections.end()
        if self.run.interrupted or interrupts.count:  # it may have come after the loop's last look
            raise interrupts.exception()
        self._zygote.finish()
        self._workers.end_retries()
        self._check_account()
        if self.run.pending_exception is not None:
            raise self.run.pending_exception
        if self.run.failure and not session.shouldfail:
            session.shouldfail = self.run.failure  # the terminal shows it, with -q too
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        return True

    @pytest.hookimpl(hookwrapper=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        self._end_engine(session)
        yield
        if (
            self.run.internal_error
        ):  # pytest-testmon makes a success of what it takes for "no tests"
            session.exitstatus = ExitCode.INTERNAL_ERROR

    def _end_engine(self, session: pytest.Session) -> None:
        engine, self.run.controller = self.run.controller, None
        if engine is None:
            return
        if self.run.is_planned:
            self._figures.gather(engine, self._history.outcomes())
        if not self.run.terminated:
            try:
                self._history.write(engine)
                engine.end(LEFTOVER_GRACE_S)
            except KeyboardInterrupt:  # every test is over; nobody wants to wait for what they left
                session.exitstatus = ExitCode.INTERRUPTED
            self._leftovers = [
                payload for event, _, payload in engine.poll(0) if event == "leftover"
            ]
        engine.close()  # without an end to wait for: whatever there is of the run is killed
        for node in self._active_nodes:
            logfile.rescue(self.config, node.gateway.id)

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        self._figures.show_schedule(terminalreporter)
        if self.config.option.verbose < 0:
            return
        for text in self._workers.summary_reports:
            terminalreporter.write_sep("=", f"xdist: {text}")
        for pid, command, ended in self._leftovers:
            terminalreporter.write_line(_describe_leftover(pid, command, ended))
        if self._workers.cut_short:
            terminalreporter.write_line(
                f"interrupted while running: {some(self._workers.cut_short)}"
            )
        self._figures.show(terminalreporter)

    @pytest.hookimpl
    def pytest_warning_recorded(self, warning_message: Any, when: str) -> None:
        if when == "config":
            self._zygote.note_config_warning(warning_message)

    # ---- the loop ----

    def _end_shared_fixtures(self) -> None:
        """Waits for as long as they take; a second Ctrl-C ends that."""
        if self.run.shared:
            while not self.run.engine.end_zygote(0.2):
                if self.run.machines is not None:  # the answer is among the events
                    self._handle_rest()
            self._handle_rest()

    def _handle_rest(self) -> None:
        for event, number, payload in self.run.engine.poll(0):
            self._handlers[event](number, payload)

    def _is_over(self) -> bool:
        return self.run.is_over() and (self.run.over or not self._workers.relieve())

    def _loop_once(self, interrupts: Interrupts, watchdog: Watchdog) -> None:
        run, handlers, mail = self.run, self._handlers, self.run.mail
        session, watches = run.session, watchdog.watches
        patience = self._progress.patience_s if mail is None else POLL_S
        events = run.engine.poll(self._patience(patience))
        if mail is not None and not events:
            mail.look_whether_stalled()
        for event, number, payload in events:
            if watches:
                watchdog.busy(event, number)
            handlers[event](number, payload)
            if mail is not None and run.is_planned:
                mail.settle()
            if (session.shouldfail or session.shouldstop) and not run.stopping:
                run.stop()
        self._serve_queue()
        if (session.shouldfail or session.shouldstop) and not run.stopping:
            run.stop()
        watchdog.idle()
        self._progress.tick(self.run.engine, self.run.session.testsfailed)
        if interrupts.count and not self.run.interrupted:
            self.run.interrupted = True
            self.run.terminated = interrupts.number != signal.SIGINT
            self.run.stopping = True
            self.run.engine.interrupt()

    # ---- the end ----

    def _check_account(self) -> None:
        """Never green with a test missing: the ledger says what became of every test."""
        if not self.run.is_planned:
            return
        account = self.run.engine.account()
        if account["unaccounted"] and not self.run.stopping:
            lost = [self.run.ids[test] for test in self.run.engine.tests_in_state("unaccounted")]
            raise RuntimeError(
                f"{len(lost)} tests were started and nobody knows how they ended: {some(lost)}"
            )
        if account["not_run"] and not self.run.stopping:
            rest = [self.run.ids[test] for test in self.run.engine.tests_in_state("not_run")]
            message = f"{len(rest)} not run, as no worker was left: {some(rest)}"
            self.run.fail(message)


# Where plugins find it; some look for this name in the text of a plugin that is registered.
DSession.__module__ = "xdist.dsession"


def _describe_leftover(pid: int, command: str, ended: bool) -> str:
    what = "ended it" if ended else "left it alone, as it has left its worker's process group"
    return f"a test left process {pid} behind ({command}); {what}"
