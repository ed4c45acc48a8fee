"""Events of whoever collects, the zygote or each worker, turned into pytest's hooks: a run until its tests
are handed out."""

from __future__ import annotations

from typing import Any

import pytest

from phalanx import count, crash, late_options, ordering
from phalanx._engine import EngineError
from phalanx.gathering import ZYGOTE, Once, describe_difference
from phalanx.history import History
from phalanx.joining import join
from phalanx.run import Run
from phalanx.serialize import warning_from_data
from phalanx.terminal import WorkerStatus
from phalanx.worker_events import WorkerEvents


class ZygoteEvents:
    """`number` is -1 for the zygote, else that of a worker which collects for itself."""

    def __init__(self, run: Run, workers: WorkerEvents, history: History) -> None:
        self.run = run
        self._workers = workers
        self._history = history
        self._collecting = workers.collecting
        self._lists: dict[int, list[str]] = {}  # of node ids, until they are compared
        self._groups: dict[int, list[Any]] = {}
        self._first = ZYGOTE  # whose list is the run's
        self._differing: list[int] = []
        self._once = Once()
        self._config_warnings: set[Any] = set()

    def note_config_warning(self, warning: Any) -> None:
        """This process has recorded it, and need not hear of it again."""
        self._config_warnings.add(_warning_key(warning))

    # ---- how workers come to be ----

    def on_fork_here(self, number: int, data: dict[str, Any]) -> None:
        if self._is_ending():
            return
        for node in self.run.nodes_of(number):
            self._begin(node.number, number)
        if self.run.machines is not None:  # its node knows what to do
            return
        self.run.recruiting.fork_here(data["place"], data["what"])

    def on_refused(self, number: int, reason: str) -> None:
        if self._is_ending():
            return
        self._begin(self.run.nodes_of(number)[0].number, number)
        if self.run.machines is None:
            self.run.recruiting.refused(reason)

    def _begin(self, number: int, zygote: int) -> None:
        """This worker goes on where the zygote stands."""
        self._once.begin(number, zygote)
        self._collecting[number] = self._collecting.get(zygote)

    def _is_ending(self) -> bool:
        """Whether the run is over before it has workers."""
        is_ending = self.run.interrupted or self.run.stopping
        self.run.over = is_ending and not self.run.forked
        return is_ending

    # ---- collecting ----

    def on_ready(self, number: int, info: dict[str, Any]) -> None:
        self._workers.info = info
        for node in self.run.nodes_of(number):
            self._workers.make_ready(node, info)

    def on_collecting(self, number: int, nodeid: str) -> None:
        self._collecting[number] = nodeid

    def on_items(self, number: int, items: list[Any]) -> None:
        self._lists.setdefault(number, []).extend(item[0] for item in items)
        if self.run.mail is not None:
            self._groups.setdefault(number, []).extend(item[1] for item in items)

    def on_deselected(self, number: int, ids: list[str]) -> None:
        if self.run.terminal and self._once.is_new(number, "deselected", *ids):
            self.run.terminal._add_stats("deselected", [_Deselected(nodeid) for nodeid in ids])

    def on_collect_report(self, number: int, data: dict[str, Any]) -> None:
        report = self.run.config.hook.pytest_report_from_serializable(
            config=self.run.config, data=data
        )
        if self._once.is_new(number, "report", report.nodeid, report.outcome, report.longreprtext):
            self.run.config.hook.pytest_collectreport(report=report)

    def on_warning(self, number: int, data: dict[str, Any]) -> None:
        warning = warning_from_data(data["warning"])
        key = _warning_key(warning)
        if data["when"] == "config" and key in self._config_warnings:
            return  # this process read the same configuration and has said so
        if data["when"] != "runtest" and not self._once.is_new(
            number, "warning", data["when"], data["nodeid"], *key
        ):
            return
        self.run.config.hook.pytest_warning_recorded.call_historic(
            kwargs={
                "warning_message": warning,
                "when": data["when"],
                "nodeid": data["nodeid"],
                "location": data["location"],
            }
        )

    def on_collected(self, number: int, payload: tuple[int, bool]) -> None:
        count, differs = payload
        ids = self._lists.get(number, [])
        if count != len(ids):
            raise RuntimeError(f"{count} tests were collected, {len(ids)} arrived")
        self._collecting.pop(number, None)
        if self.run.dist == "each" and number != ZYGOTE and not self.run.is_planned:
            assert self.run.mail is not None
            self.run.mail.numbering.add(number, join(self.run.ids, ids))
        elif not self.run.ids:
            self.run.ids, self._first = ids, number
            if self.run.mail is not None:
                self.run.mail.add_groups(0, self._groups.get(number, []))
        if differs:
            self._differing.append(number)
        elif number != self._first:
            self._lists.pop(number, None)  # there is none of no tests
        for node in self.run.nodes_of(number):
            self.run.dsession.worker_collectionfinish(node, list(ids))
            if self.run.trdist:
                self.run.trdist.setstatus(
                    node.gateway.spec, WorkerStatus.CollectionDone, tests_collected=count
                )
        if number == ZYGOTE:
            self._complete()

    def on_gathered(self, number: int, count: int) -> None:
        """Every worker that is alive has collected."""
        for node, file, cause in self._workers.died_collecting:
            self.run.fail(f"worker {node.gateway.id} died {_while(file)}: {cause}")
        if self._differing and not self.run.stopping:
            self._report_differences()
            self.run.stop()
        else:
            self._complete()

    def _report_differences(self) -> None:
        first = self.run.name_of(self._first)
        for number in self._differing:
            other = self.run.name_of(number)
            report = pytest.CollectReport(
                nodeid=other,
                outcome="failed",
                longrepr=describe_difference(
                    first, self.run.ids, other, self._lists[number], self.run.recruiting.line
                ),
                result=[],
            )
            self.run.config.hook.pytest_collectreport(report=report)

    def _complete(self) -> None:
        session = self.run.session
        session.testscollected = len(self.run.ids)
        if session.testsfailed and not self.run.config.option.continue_on_collection_errors:
            self.run.pending_exception = session.Interrupted(_errors_during_collection(session))
            self._abandon()
        elif self.run.interrupted or self.run.stopping:
            self._abandon()
        else:
            self._show_start()
            try:
                self._start_tests()
            except EngineError as error:  # too few descriptors, too little memory
                raise pytest.UsageError(f"the workers cannot be started: {error}") from None
            if self.run.mail is not None:  # an error in there is one of the scheduler
                self.run.mail.collected(self.run.nodes, self.run.ids)

    def _abandon(self) -> None:
        """There will be no test. Workers that are there end their sessions."""
        if self.run.forked:
            self.run.stop()
        else:
            self.run.over = True

    def _show_start(self) -> None:
        assert self.run.sched is not None
        if not self.run.terminal or not self.run.trdist:
            return
        self.run.trdist.ensure_show_status()
        self.run.terminal.write_line("")
        if self.run.config.option.verbose > 0:
            name = getattr(self.run.sched, "name", type(self.run.sched).__name__)
            self.run.terminal.write_line(f"scheduling tests via {name}")
        shared = f" and the shared fixtures {', '.join(self.run.shared)}" if self.run.shared else ""
        self.run.report_line(f"{self.run.recruiting.line}{shared}")
        if ramp := self.run.config.option.ramp:
            workers = "1 worker" if len(self.run.nodes) == 1 else f"{len(self.run.nodes)} workers"
            self.run.report_line(f"ramping test start over {ramp:g}s across {workers}")

    def _start_tests(self) -> None:
        self.run.is_planned = True
        self._history.read()
        self.run.engine.ramp(self.run.config.option.ramp)
        self.run.engine.plan(
            dist=self.run.dist if self.run.mail is None else "mail",
            workers=len(self.run.nodes),
            reorder=bool(self.run.config.option.loadscopereorder),
            max_restarts=self.run.max_restarts,
            interleave=count.is_repeated(self.run.config),
            keep_order=ordering.keeps_order(self.run.config),
            max_chunk=self.run.config.option.maxschedchunk or 0,
            explain=bool(late_options.value(self.run.config, "--schedule-report")),
        )
        if self.run.recruiting.is_late:
            for node in self.run.nodes:
                self._workers.fork(node)
            self.run.forked = True

    def on_shared(self, number: int, data: dict[str, Any]) -> None:
        """Fixtures that every worker inherits: set up, or failed to be torn down."""
        self.run.shared = data.get("set_up", self.run.shared)
        if "report" in data:
            config = self.run.config
            report = config.hook.pytest_report_from_serializable(config=config, data=data["report"])
            config.hook.pytest_runtest_logreport(report=report)

    def on_early_claims(self, number: int, name: str) -> None:
        if self._once.is_new(number, "early claims", name):
            self.run.report_line(f"early claims: {name}")

    # ---- ends without a test ----

    def on_session_done(self, number: int, data: dict[str, Any]) -> None:
        """A session ended before there were tests to run: a usage error, or an exception of a plugin."""
        if self.run.pending_exception is None and not self.run.stopping:
            if data["usage_error"] is not None:
                self.run.pending_exception = pytest.UsageError(*data["usage_error"])
            elif not self.run.internal_error:
                who = self.run.name_of(number)
                self.run.pending_exception = RuntimeError(
                    f"the session of {who} ended with exit status {data['status']} before any test ran"
                )
        self._collecting.pop(number, None)
        self._abandon()

    def on_zygote_down(self, number: int, payload: tuple[int | None, str | None]) -> None:
        if self.run.over:
            return
        status, text = payload
        self.run.over = True
        if not self.run.interrupted:
            self._blame(self._collecting.get(number), text or crash.describe_status(status))

    def finish(self) -> None:
        """All workers are gone. If none of them had collected, that has to have a reason."""
        run = self.run
        if self.run.is_planned or run.stopping or run.pending_exception is not None or run.over:
            return
        if self._workers.died_collecting:
            for file, cause in {
                file: cause for _, file, cause in self._workers.died_collecting
            }.items():
                self._blame(file, cause)
        elif self._workers.not_started is not None:
            run.pending_exception = pytest.UsageError(
                f"no worker could be started: {self._workers.not_started}"
            )
        elif not run.session.shouldfail and not run.session.shouldstop:
            run.pending_exception = RuntimeError("all workers ended before any test ran")

    def _blame(self, file: str | None, cause: str) -> None:
        """Whoever collected died of it."""
        session = self.run.session
        if file is None:
            self.run.pending_exception = pytest.UsageError(
                f"the process that collects the tests died while it configured pytest: {cause}"
            )
            return
        report = crash.collect_report(file, cause)
        self.run.config.hook.pytest_collectreport(report=report)
        self.run.pending_exception = session.Interrupted(_errors_during_collection(session))

    # ---- machines ----

    def on_machine_up(self, number: int, text: str) -> None:
        pass  # machines.py has waited for all of them

    def on_machine_says(self, number: int, line: str) -> None:
        if line:
            self.run.report_line(f"[{self.run.name_of(number)}] {line}")

    def on_machine_down(self, number: int, why: str) -> None:
        self.run.report_line(f"\nlost {self.run.name_of(number)}: {why}")
        if self.run.terminal:
            self.run.terminal.flush()  # somebody may be looking at a log

    def on_guard_down(self, number: int, payload: None) -> None:
        self.run.report_line(
            "phalanx: the guard process died; running workers go on, crashed ones are not replaced"
        )


class _Deselected:
    """Stands for an item that the zygote has left out, where plugins go through the terminal's statistics."""

    def __init__(self, nodeid: str) -> None:
        self.nodeid = nodeid
        path, bracket, parameters = nodeid.partition("[")
        self.name = path.rpartition("::")[2] + bracket + parameters


def _while(file: str | None) -> str:
    return f"while it collected {file}" if file else "while it configured pytest"


def _errors_during_collection(session: pytest.Session) -> str:
    plural = "" if session.testsfailed == 1 else "s"
    return f"{session.testsfailed} error{plural} during collection"


def _warning_key(warning: Any) -> tuple[str, str, str, int]:
    return str(warning.message), warning.category.__name__, warning.filename, warning.lineno
