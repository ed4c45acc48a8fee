"""Any test to whichever worker is about to run out of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from xdist.scheduler.protocol import make_log, same_collections
from xdist.workermanage import WorkerController, parse_tx_spec_config

# A worker runs one test and must know the next.
AT_LEAST = 2
# A test that took so long makes a worker wait for its next order, rather than have it wait for the worker.
LONG_S = 0.1


class LoadScheduling:
    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        self.config = config
        self.log = make_log(log, "loadsched")
        self.numnodes = len(parse_tx_spec_config(config))
        self.node2collection: dict[WorkerController, list[str]] = {}
        # Indices handed to a worker and not known to have ended.
        self.node2pending: dict[WorkerController, list[int]] = {}
        # Indices that no worker has.
        self.pending: list[int] = []
        self.collection: list[str] | None = None
        self.maxschedchunk: int | None = config.getoption("maxschedchunk", None)

    @property
    def nodes(self) -> list[WorkerController]:
        return list(self.node2pending)

    @property
    def collection_is_completed(self) -> bool:
        return len(self.node2collection) >= self.numnodes

    @property
    def tests_finished(self) -> bool:
        if not self.collection_is_completed or self.pending:
            return False
        return all(len(pending) < AT_LEAST for pending in self.node2pending.values())

    @property
    def has_pending(self) -> bool:
        return bool(self.pending) or any(self.node2pending.values())

    def add_node(self, node: WorkerController) -> None:
        assert node not in self.node2pending
        self.node2pending[node] = []

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        assert node in self.node2pending
        if self.collection is not None and list(collection) != self.collection:
            # Of a replacement: it is never given a test.
            first = next(iter(self.node2collection))
            same_collections({first: self.collection, node: collection}, None, self.log)
            return
        self.node2collection[node] = list(collection)

    def schedule(self) -> None:
        assert self.collection_is_completed
        if self.collection is not None:
            for node in self.nodes:
                self.check_schedule(node)
            return
        if not self._check_nodes_have_same_collection():
            self.log("**Different tests collected, aborting run**")
            return
        self.collection = next(iter(self.node2collection.values()))
        self.pending[:] = range(len(self.collection))
        if not self.collection:
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

    def _send_tests(self, node: WorkerController, num: int) -> None:
        tests = self.pending[:num]
        if tests:
            del self.pending[:num]
            self.node2pending[node].extend(tests)
            node.send_runtest_some(tests)

    def _check_nodes_have_same_collection(self) -> bool:
        return same_collections(self.node2collection, self.config, self.log)
