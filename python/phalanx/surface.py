"""What plugins look at, call and change in pytest-xdist's `DSession`: the base of ours.

They read how far a run is, set `shouldstop`, put events of their own on `queue`, and wrap or replace the
`worker_...` methods, each of which tells the hooks of one event. What pytest-xdist's methods do besides
is the engine's here; the events that come for every test have none.
"""

from __future__ import annotations

import queue
from collections.abc import Sequence
from typing import Any

import pytest

from phalanx.nodes import NodeManager, WorkerController
from phalanx.producer import Producer
from phalanx.run import Run
from phalanx.terminal import TerminalDistReporter

QUEUE_POLL_S = 0.2  # how long an event on `queue` may lie there


class Surface:
    run: Run

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.log = Producer("dsession", config)
        self.maxfail: int = config.getvalue("maxfail")
        self._queue: queue.Queue[tuple[str, dict[str, Any]]] | None = None

    # ---- to look at ----

    @property
    def nodemanager(self) -> NodeManager | None:
        return self.run.nodemanager

    @property
    def sched(self) -> Any:
        return self.run.sched

    @property
    def terminal(self) -> Any:
        return self.run.terminal

    @property
    def trdist(self) -> TerminalDistReporter | None:
        return self.run.trdist

    @property
    def shuttingdown(self) -> bool:
        return self.run.stopping

    @property
    def session_finished(self) -> bool:
        return self.run.is_over()

    @property
    def countfailures(self) -> int:
        session = self.run.session
        return session.testsfailed if session is not None else 0

    @property
    def _session(self) -> Any:
        return self.run.session

    @property
    def _active_nodes(self) -> set[WorkerController]:
        return {node for node in self.run.nodes if node.number not in self.run.gone}

    @property
    def _failed_nodes_count(self) -> int:
        return self.run.failed_nodes

    # ---- to stop the run ----

    @property
    def shouldstop(self) -> Any:
        session = self.run.session
        return session is not None and (session.shouldfail or session.shouldstop)

    @shouldstop.setter
    def shouldstop(self, reason: Any) -> None:
        self.run.session.shouldstop = reason

    def triggershutdown(self) -> None:
        """No worker gets another test."""
        if not self.run.stopping:
            self.run.stop()

    def report_line(self, line: str) -> None:
        self.run.report_line(line)

    # ---- events by name: `worker_NAME(**kwargs)` is called in the session's loop for (NAME, kwargs) ----

    @property
    def queue(self) -> queue.Queue[tuple[str, dict[str, Any]]]:
        """Any thread may put events here."""
        if self._queue is None:
            self._queue = queue.Queue()
        return self._queue

    def _serve_queue(self) -> None:
        while self._queue is not None:
            try:
                name, kwargs = self._queue.get_nowait()
            except queue.Empty:
                return
            getattr(self, f"worker_{name}")(**kwargs)

    def _patience(self, seconds: float) -> float:
        """How long the loop may wait for the engine; negative: for ever."""
        if self._queue is None:
            return seconds
        return QUEUE_POLL_S if seconds < 0 else min(seconds, QUEUE_POLL_S)

    # ---- events of the engine ----

    def worker_workerready(self, node: WorkerController, workerinfo: dict[str, Any]) -> None:
        gateway = node.gateway
        node.workerinfo = dict(workerinfo, id=gateway.id, spec=gateway.spec, cwd=gateway.cwd)
        self.config.hook.pytest_testnodeready(node=node)

    def worker_collectionfinish(self, node: WorkerController, ids: Sequence[str]) -> None:
        self.config.hook.pytest_xdist_node_collection_finished(node=node, ids=ids)

    def worker_workerfinished(self, node: WorkerController) -> None:
        self.config.hook.pytest_testnodedown(node=node, error=None)

    def worker_errordown(self, node: WorkerController, error: object | None) -> None:
        self.config.hook.pytest_testnodedown(node=node, error=error)
