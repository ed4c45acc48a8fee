"""Events of the workers, turned into pytest's hooks, in the order in which each worker caused them."""

from __future__ import annotations

from typing import Any

import pytest

from phalanx import _engine, crash, junit, logfile, options, retries
from phalanx.machines import LOST
from phalanx.nodes import WorkerController
from phalanx.run import Run
from phalanx.serialize import report_reader


class WorkerEvents:
    def __init__(self, run: Run) -> None:
        self.run = run
        self._config = run.config
        self._hook: Any = run.config.hook
        self.info: dict[str, Any] = {}  # what the zygote tells of all its workers
        self.collecting: dict[int, str | None] = {}  # who collects, -1: the zygote, and which file
        self.died_collecting: list[tuple[WorkerController, str | None, str]] = []
        self.not_started: str | None = None  # why a worker could not be
        self._ready: set[int] = set()
        self.max_restart = options.max_worker_restart(run.config)
        self.cut_short: list[str] = []  # tests that were running when their worker was interrupted
        self.summary_reports: list[str] = []
        self._started: dict[int, Any] = {}  # worker number: (node id, location) of its last test
        self._xml_records = junit.Records(run.config)
        self.retries: retries.Retries | None = None
        if retries.wanted(run.config):
            self.retries = retries.Retries(run.config, self._run_again, self._log)

    def begin(self) -> None:
        """All plugins are there now, also those that read reports."""
        self._read_report = report_reader(self.run.config)

    def make_ready(self, node: WorkerController, info: dict[str, Any]) -> None:
        if node.number not in self._ready:
            self._ready.add(node.number)
            self.run.dsession.worker_workerready(node, info)

    def fork(self, node: WorkerController) -> None:
        lossy = _engine.encode(node.workerinput)[1]
        if lossy:
            self.run.config.issue_config_time_warning(
                pytest.PytestWarning(
                    f"{lossy} of the values in the workerinput of {node.gateway.id} cannot cross to "
                    "the worker and arrive as their repr"
                ),
                stacklevel=2,
            )
        self.run.recruiting.ask(node)

    def on_worker_up(self, number: int, pid: int) -> None:
        pass

    # These three are the controller's share of every test: they look nothing up twice.

    def on_log_start(self, number: int, data: Any) -> None:
        nodeid, location = self._started[number] = data
        self._hook.pytest_runtest_logstart(nodeid=nodeid, location=location)

    def _log(self, report: Any) -> None:
        self.run.config.hook.pytest_runtest_logreport(report=report)

    def _run_again(self, test: int, worker: Any) -> bool:
        if self.run.stopping:
            return False
        if self.run.mail is not None:
            return self.run.mail.run_again(self.run.mail.name_of(test))
        return self.run.engine.add_late(test, worker)

    def end_retries(self) -> None:
        if self.retries is not None:
            self.retries.end()

    def on_log_finish(self, number: int, data: Any) -> None:
        nodeid, location = data
        if self.retries is not None:
            self.retries.finish(number)
        self._hook.pytest_runtest_logfinish(nodeid=nodeid, location=location)

    def on_report(self, number: int, data: dict[str, Any]) -> None:
        node = self.run.nodes[number]
        data["worker_id"] = node.workerinput["workerid"]
        data["testrun_uid"] = node.workerinput["testrunuid"]
        report = self._read_report(self._config, data)
        report.node = node
        if self.retries is not None:
            self.retries.hold(number, data.get("item_index", -1), report)
        else:
            self._hook.pytest_runtest_logreport(report=report)

    def on_test_complete(self, number: int, data: tuple[int, float]) -> None:
        if self.run.mail is not None:
            self.run.mail.complete(self.run.nodes[number], *data)

    def on_xml_record(self, number: int, data: dict[str, Any]) -> None:
        self._xml_records.add(self.run.nodes[number], data)

    def on_internal_error(self, number: int, text: str) -> None:
        """pytest_internalerror takes exceptions, which cannot cross: the text is raised here anew."""
        self.run.internal_error = True
        try:
            raise RuntimeError(text)
        except RuntimeError:
            excinfo = pytest.ExceptionInfo.from_current()
            self.run.config.hook.pytest_internalerror(excrepr=_Text(text), excinfo=excinfo)
        self.run.stop()

    def on_stopped(self, number: int, data: dict[str, Any]) -> None:
        """A test or hook called pytest.exit, or raised KeyboardInterrupt."""
        if not self.run.interrupted and self.run.pending_exception is None:
            if data["exit"]:
                self.run.pending_exception = pytest.exit.Exception(
                    data["reason"], data["returncode"]
                )
            else:
                self.run.pending_exception = KeyboardInterrupt()
        self.run.stop()

    def on_finished(self, number: int, workeroutput: dict[str, Any]) -> None:
        node = self.run.nodes[number]
        node.workeroutput = workeroutput
        node.shutting_down = True
        session = self.run.session
        if workeroutput["shouldfail"] and not session.shouldfail:
            session.shouldfail = workeroutput["shouldfail"]
        if workeroutput["shouldstop"] and not session.shouldstop:
            session.shouldstop = workeroutput["shouldstop"]

    def on_worker_down(self, number: int, payload: dict[str, Any]) -> None:
        node = self.run.nodes[number]
        node.shutting_down = True
        self.run.gone.add(number)
        logfile.rescue(self._config, node.gateway.id)
        if self.run.mail is not None:
            self.run.mail.remove(node, payload["test"])
        if payload["finished"]:
            if self.retries is not None:
                self.retries.let_go(number)
            self.run.dsession.worker_workerfinished(node)
            if payload["text"]:
                self.run.report_line(f"[{node.gateway.id}] {payload['text']}")
            if payload["test"] is not None:
                self.cut_short.append(self.run.ids[payload["test"]])
            return
        self.run.failed_nodes += 1
        cause = crash.describe_down(payload)
        self.run.dsession.worker_errordown(node, f"Not properly terminated: {cause}")
        is_lost = (payload["text"] or "").startswith(LOST)
        if payload["test"] is not None:
            self._handle_crash_item(node, payload)
        elif is_lost and (self._config.option.lost == "rerun" or not self.run.is_planned):
            pass  # what it had is run elsewhere
        elif not self.run.stopping and number in self.collecting:
            self.died_collecting.append((node, self.collecting[number], cause))
            if payload["replacement"] is None:
                return  # a new one would go the same way
        elif not self.run.stopping:
            self._died_idle(node, cause)
        if is_lost:
            return
        self._replace(node, payload["replacement"])

    def on_test_lost(self, number: int, payload: dict[str, Any]) -> None:
        """A worker that sends bytes of somebody else's is ended as soon as they are read. What it ran until
        then has no report that can be trusted."""
        why = f": {payload['text']}" if payload["text"] else ""
        text = f"it ended, and its reports are lost{why}"
        lost = {**payload, "text": text, "phase": 0, "last_words": ("", "", "")}
        self._handle_crash_item(self.run.nodes[number], lost)

    def _died_idle(self, node: WorkerController, cause: str) -> None:
        """No test is to blame, but teardowns and what its plugins had to say are lost: not a success."""
        self.run.fail(f"worker {node.gateway.id} died outside a test: {cause}")

    def _handle_crash_item(self, node: WorkerController, payload: dict[str, Any]) -> None:
        test = payload["test"]
        nodeid = self.run.ids[test]
        started, location = self._started.get(node.number, (None, None))
        if started != nodeid:  # it died before the test could say that it starts
            location = (nodeid.split("::")[0], None, nodeid)
        report: Any = crash.crash_report(node.gateway.id, nodeid, location, payload)
        report.node = node
        report.worker_id = node.gateway.id
        report.item_index = test
        mail = self.run.mail
        crashitem = nodeid if mail is None else mail.name_of(test)
        self.run.config.hook.pytest_handlecrashitem(
            crashitem=crashitem, report=report, sched=self.run.sched
        )
        if self.retries is not None:
            self.retries.hold(node.number, test, report)
            self.retries.finish(node.number)
        else:
            self._log(report)

    def _replace(self, node: WorkerController, number: int | None) -> None:
        if number is not None:
            self.run.report_line(f"\nreplacing crashed worker {node.gateway.id}")
            self._add_worker(node, number)
        elif not self.run.stopping and self.max_restart is not None:
            if self.max_restart == 0:
                message = f"worker {node.gateway.id} crashed and worker restarting disabled"
            else:
                message = f"maximum crashed workers reached: {self.max_restart}"
            if message not in self.summary_reports:
                self.summary_reports.append(message)
                self.run.report_line("\n" + message)

    def _add_worker(self, like: WorkerController, number: int) -> None:
        assert self.run.nodemanager is not None
        clone = self.run.nodemanager.setup_node(like.gateway.spec, number)
        self.run.nodes.append(clone)
        self.fork(clone)
        self.make_ready(clone, getattr(like, "workerinfo", self.info))
        if self.run.recruiting.is_late:  # else it collects, and tells what it has found
            self.run.dsession.worker_collectionfinish(clone, list(self.run.ids))
        if self.run.mail is not None:
            self.run.mail.replaced(clone, like)

    def on_worker_wanted(self, number: int, machine: int) -> None:
        """Tests are on a machine whose workers have ended."""
        code = -2 - machine
        self._add_worker(self.run.nodes_of(code)[0], number)

    def relieve(self) -> bool:
        """All workers are gone. Are there tests to run again, and may somebody be started for them?"""
        numbers = self.run.engine.relieve()
        for number in numbers:
            self._add_worker(self.run.nodes[0], number)
        return bool(numbers)

    def on_fork_failed(self, number: int, text: str) -> None:
        node = self.run.nodes[number]
        self.not_started = text
        self.run.gone.add(number)
        self.run.failed_nodes += 1
        self.run.dsession.worker_errordown(node, f"could not be started: {text}")


class _Text:
    """A string in the place of an exception's representation."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text

    def toterminal(self, tw: Any) -> None:
        tw.line(self._text)
