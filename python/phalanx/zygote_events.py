"""Events of the zygote, turned into pytest's hooks: a run until its workers are forked."""

from __future__ import annotations

from typing import Any

import pytest

from phalanx import count, crash, ordering
from phalanx._engine import EngineError
from phalanx.history import History
from phalanx.run import Run
from phalanx.serialize import warning_from_data
from phalanx.terminal import WorkerStatus
from phalanx.worker_events import WorkerEvents


class ZygoteEvents:
    def __init__(self, run: Run, workers: WorkerEvents, history: History) -> None:
        self.run = run
        self._workers = workers
        self._history = history
        self._collecting: str | None = None  # the file that the zygote imports
        self._config_warnings: set[Any] = set()

    def note_config_warning(self, warning: Any) -> None:
        """This process has recorded it, and need not hear of it again."""
        self._config_warnings.add(_warning_key(warning))

    def on_ready(self, number: int, info: dict[str, Any]) -> None:
        for node in self.run.nodes:
            self._workers.set_info(node, info)
            self.run.config.hook.pytest_testnodeready(node=node)
        self._workers.info = info

    def on_collecting(self, number: int, nodeid: str) -> None:
        self._collecting = nodeid

    def on_items(self, number: int, items: list[Any]) -> None:
        if self.run.mail is not None:
            self.run.mail.add_groups(len(self.run.ids), [item[1] for item in items])
        self.run.ids += [item[0] for item in items]

    def on_deselected(self, number: int, ids: list[str]) -> None:
        if self.run.terminal:
            self.run.terminal._add_stats("deselected", [_Deselected(nodeid) for nodeid in ids])

    def on_collect_report(self, number: int, data: dict[str, Any]) -> None:
        report = self.run.config.hook.pytest_report_from_serializable(
            config=self.run.config, data=data
        )
        self.run.config.hook.pytest_collectreport(report=report)

    def on_warning(self, number: int, data: dict[str, Any]) -> None:
        warning = warning_from_data(data["warning"])
        if data["when"] == "config" and _warning_key(warning) in self._config_warnings:
            return  # this process read the same configuration and has said so
        self.run.config.hook.pytest_warning_recorded.call_historic(
            kwargs={
                "warning_message": warning,
                "when": data["when"],
                "nodeid": data["nodeid"],
                "location": data["location"],
            }
        )

    def on_collected(self, number: int, count: int) -> None:
        session = self.run.session
        if count != len(self.run.ids):
            raise RuntimeError(f"{count} tests were collected, {len(self.run.ids)} arrived")
        ids = list(self.run.ids)
        for node in self.run.nodes:
            self.run.config.hook.pytest_xdist_node_collection_finished(node=node, ids=ids)
            if self.run.trdist:
                self.run.trdist.setstatus(
                    node.gateway.spec, WorkerStatus.CollectionDone, tests_collected=count
                )
        session.testscollected = count
        if session.testsfailed and not self.run.config.option.continue_on_collection_errors:
            self.run.over = True
            self.run.pending_exception = session.Interrupted(_errors_during_collection(session))
            return
        if self.run.interrupted or self.run.stopping:
            self.run.over = True
            return
        self._show_start()
        try:
            self._start_workers()
        except EngineError as error:  # too few descriptors, too little memory
            raise pytest.UsageError(f"the workers cannot be started: {error}") from None
        if self.run.mail is not None:  # an error in there is one of the scheduler
            self.run.mail.collected(self.run.nodes, self.run.ids)

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
        self.run.report_line(f"forked after collection{shared}")

    def _start_workers(self) -> None:
        self._history.read()
        self.run.engine.plan(
            dist=self.run.dist if self.run.mail is None else "mail",
            workers=len(self.run.nodes),
            reorder=bool(self.run.config.option.loadscopereorder),
            max_restarts=-1 if self._workers.max_restart is None else self._workers.max_restart,
            interleave=count.is_repeated(self.run.config),
            keep_order=ordering.keeps_order(self.run.config),
            max_chunk=self.run.config.option.maxschedchunk or 0,
        )
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
        self.run.report_line(f"early claims: {name}")

    def on_refused(self, number: int, reason: str) -> None:
        self.run.over = True
        self.run.pending_exception = pytest.UsageError(reason)

    def on_zygote_done(self, number: int, data: dict[str, Any]) -> None:
        """Its session ended without a fork: a usage error, or an exception of a plugin."""
        self.run.over = True
        if data["usage_error"] is not None:
            self.run.pending_exception = pytest.UsageError(*data["usage_error"])
        elif (
            self.run.pending_exception is None
            and not self.run.internal_error
            and not self.run.stopping
        ):
            self.run.pending_exception = RuntimeError(
                f"the zygote's session ended with exit status {data['status']} before any test ran"
            )

    def on_zygote_down(self, number: int, payload: tuple[int | None, str | None]) -> None:
        if self.run.over:
            return
        status, text = payload
        self.run.over = True
        if self.run.interrupted:
            return
        cause = text or crash.describe_status(status)
        session = self.run.session
        if self._collecting is None:
            self.run.pending_exception = pytest.UsageError(
                f"the process that collects the tests died while it configured pytest: {cause}"
            )
            return
        report = crash.collect_report(self._collecting, cause)
        self.run.config.hook.pytest_collectreport(report=report)
        self.run.pending_exception = session.Interrupted(_errors_during_collection(session))

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


def _errors_during_collection(session: pytest.Session) -> str:
    plural = "" if session.testsfailed == 1 else "s"
    return f"{session.testsfailed} error{plural} during collection"


def _warning_key(warning: Any) -> tuple[str, str, str, int]:
    return str(warning.message), warning.category.__name__, warning.filename, warning.lineno
