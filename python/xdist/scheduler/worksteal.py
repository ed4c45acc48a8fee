"""An even share for every worker; who runs out takes half of what the richest has left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

# A worker runs one test and must know the next: AT_LEAST are never taken from it.
from xdist.scheduler.protocol import AT_LEAST, _OneCollection
from xdist.workermanage import WorkerController


class WorkStealingScheduling(_OneCollection):
    _log_name = "workstealsched"

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        # The worker whose answer to a send_steal is awaited: one at a time.
        self.steal_requested: WorkerController | None = None

    @property
    def tests_finished(self) -> bool:
        return self.steal_requested is None and super().tests_finished

    def schedule(self) -> None:
        assert self.collection_is_completed
        if self.collection is not None:
            self.check_schedule()
            return
        if self._begin() and self.collection:
            self.check_schedule()

    def mark_test_complete(
        self, node: WorkerController, item_index: int, duration: float = 0
    ) -> None:
        self.node2pending[node].remove(item_index)
        self.check_schedule()

    def mark_test_pending(self, item: str) -> None:
        assert self.collection is not None
        self.pending.insert(0, self.collection.index(item))
        self.check_schedule()

    def remove_pending_tests_from_node(
        self, node: WorkerController, indices: Sequence[int]
    ) -> None:
        """The answer to a send_steal: these the worker gave up, perhaps fewer than it was asked for."""
        if node is self.steal_requested:
            self.steal_requested = None
        taken = set(indices)
        pending = self.node2pending.get(node)
        if pending is not None:
            pending[:] = [index for index in pending if index not in taken]
        self.pending.extend(indices)
        self.check_schedule()

    def remove_node(self, node: WorkerController) -> str | None:
        pending = self.node2pending.pop(node)
        if node is self.steal_requested:
            self.steal_requested = None
        crashed = None
        if pending:
            assert self.collection is not None
            crashed = self.collection[pending.pop(0)]
            self.pending.extend(pending)
        self.check_schedule()
        return crashed

    def check_schedule(self) -> None:
        """Deals what is pending to idle workers; lets them take from others, or ends them."""
        if self.collection is None:
            return
        idle = [
            node
            for node, pending in self.node2pending.items()
            if len(pending) < AT_LEAST and not node.shutting_down
        ]
        if not idle:
            return
        if self.pending:
            for at, node in enumerate(idle):
                self._send_tests(node, len(self.pending) // (len(idle) - at))
            idle = [node for node in idle if not self.node2pending[node]]
        if not idle or self.steal_requested is not None:
            return
        richest = max(self.node2pending, key=lambda node: len(self.node2pending[node]))
        spare = len(self.node2pending[richest]) - AT_LEAST
        number = min(len(self.node2pending[richest]) // 2, spare)
        if number > 0 and not richest.shutting_down:
            self.steal_requested = richest
            richest.send_steal(self.node2pending[richest][-number:])
            return
        for node in idle:  # nobody has anything to spare: run what is there, and end
            node.shutdown()
