"""Every test on every worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from xdist.scheduler.protocol import _Pending
from xdist.workermanage import WorkerController


class EachScheduling(_Pending):
    _log_name = "eachsched"

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        self._started: list[WorkerController] = []
        # What a dead worker had left, for one of the same spec that replaces it.
        self._removed2pending: dict[WorkerController, list[int]] = {}

    def _is_holding(self) -> bool:
        return bool(self._removed2pending)

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        assert node in self.node2pending
        self.node2collection[node] = list(collection)
        if not self._started:
            return
        for dead in self._removed2pending:
            if dead.gateway.spec == node.gateway.spec:
                self.node2pending[node] = self._removed2pending.pop(dead)
                return
        self._started.append(node)  # it replaces one that had nothing left
        node.shutdown()

    def schedule(self) -> None:
        assert self.collection_is_completed
        for node, pending in self.node2pending.items():
            if node in self._started:
                continue
            if pending:  # of a worker that it replaces
                node.send_runtest_some(pending)
            else:
                pending[:] = range(len(self.node2collection[node]))
                node.send_runtest_all()
            node.shutdown()
            self._started.append(node)

    def mark_test_complete(
        self, node: WorkerController, item_index: int, duration: float = 0
    ) -> None:
        self.node2pending[node].remove(item_index)

    def mark_test_pending(self, item: str) -> None:
        raise NotImplementedError("--dist each does not say on which worker to run it again")

    def remove_pending_tests_from_node(
        self, node: WorkerController, indices: Sequence[int]
    ) -> None:
        raise NotImplementedError("every worker runs every test")

    def remove_node(self, node: WorkerController) -> str | None:
        pending = self.node2pending.pop(node)
        if not pending:
            return None
        crashed = self.node2collection[node][pending.pop(0)]
        if pending:
            self._removed2pending[node] = pending
        return crashed
