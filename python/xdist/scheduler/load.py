"""Any test to whichever worker is about to run out of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from xdist.scheduler.protocol import AT_LEAST, _OneCollection
from xdist.workermanage import WorkerController

# A test that took so long makes a worker wait for its next order, rather than have it wait for the worker.
LONG_S = 0.1


class LoadScheduling(_OneCollection):
    _log_name = "loadsched"

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        self.maxschedchunk: int | None = config.getoption("maxschedchunk", None)

    def schedule(self) -> None:
        assert self.collection_is_completed
        if self.collection is not None:
            for node in self.nodes:
                self.check_schedule(node)
            return
        if not self._begin() or not self.collection:
            return
        if self.maxschedchunk is None:
            self.maxschedchunk = len(self.collection)
        if len(self.pending) < AT_LEAST * len(self.nodes):
            self._deal_one_by_one()
        else:
            # A quarter of a fair share to begin with: nobody knows yet how long the tests take.
            share = len(self.pending) // (4 * len(self.nodes))
            for node in self.nodes:
                self._send_tests(node, max(AT_LEAST, min(share, self.maxschedchunk)))
        if not self.pending:
            for node in self.nodes:
                node.shutdown()

    def _deal_one_by_one(self) -> None:
        nodes = self.nodes
        for turn in range(len(self.pending)):
            self._send_tests(nodes[turn % len(nodes)], 1)

    def check_schedule(self, node: WorkerController, duration: float = 0) -> None:
        """Tops up a worker that is running low; ends it when there is nothing left for it."""
        if node.shutting_down or self.collection is None:
            return
        if not self.pending:
            node.shutdown()
            return
        share = len(self.pending) // len(self.node2pending)
        has = len(self.node2pending[node])
        if has >= max(AT_LEAST, share // 4):
            return
        if duration >= LONG_S and has >= AT_LEAST:
            return
        wanted = max(AT_LEAST, share // 2) - has
        most = max(AT_LEAST - has, self.maxschedchunk or len(self.collection))
        self._send_tests(node, min(wanted, most))

    def mark_test_complete(
        self, node: WorkerController, item_index: int, duration: float = 0
    ) -> None:
        self.node2pending[node].remove(item_index)
        self.check_schedule(node, duration=duration)

    def mark_test_pending(self, item: str) -> None:
        assert self.collection is not None
        self.pending.insert(0, self.collection.index(item))
        for node in self.node2pending:
            self.check_schedule(node)

    def remove_pending_tests_from_node(
        self, node: WorkerController, indices: Sequence[int]
    ) -> None:
        raise NotImplementedError("this scheduler takes no tests back from a worker")

    def remove_node(self, node: WorkerController) -> str | None:
        pending = self.node2pending.pop(node)
        if not pending:
            return None
        assert self.collection is not None
        crashed = self.collection[pending.pop(0)]
        self.pending.extend(pending)
        for other in self.node2pending:
            self.check_schedule(other)
        return crashed
