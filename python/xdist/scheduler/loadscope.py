"""Tests of one scope on one worker: by default of one class, or of one module outside of classes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import pytest

from xdist.scheduler.protocol import make_log, same_collections
from xdist.workermanage import WorkerController, parse_tx_spec_config

WorkUnit = dict[str, bool]  # node id: has it ended?

# A worker with no more than so many tests left gets another unit.
FEW = 2


class LoadScopeScheduling:
    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        self.config = config
        self.log = make_log(log, "loadscopesched")
        self.numnodes = len(parse_tx_spec_config(config))
        self.collection: list[str] | None = None
        self.workqueue: OrderedDict[str, WorkUnit] = OrderedDict()
        self.assigned_work: OrderedDict[WorkerController, OrderedDict[str, WorkUnit]] = (
            OrderedDict()
        )
        self.registered_collections: OrderedDict[WorkerController, list[str]] = OrderedDict()
        self._positions: dict[WorkerController, dict[str, int]] = {}

    @property
    def nodes(self) -> list[WorkerController]:
        return list(self.assigned_work)

    @property
    def collection_is_completed(self) -> bool:
        return len(self.registered_collections) >= self.numnodes

    @property
    def tests_finished(self) -> bool:
        if not self.collection_is_completed or self.workqueue:
            return False
        return all(self._pending_of(load) < 2 for load in self.assigned_work.values())

    @property
    def has_pending(self) -> bool:
        return bool(self.workqueue) or any(
            self._pending_of(load) > 0 for load in self.assigned_work.values()
        )

    def add_node(self, node: WorkerController) -> None:
        assert node not in self.assigned_work
        self.assigned_work[node] = OrderedDict()

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        assert node in self.assigned_work
        if self.collection is not None and list(collection) != self.collection:
            # Of a replacement: it is never given a test.
            first = next(iter(self.registered_collections))
            same_collections({first: self.collection, node: collection}, None, self.log)
            return
        self.registered_collections[node] = list(collection)

    def schedule(self) -> None:
        assert self.collection_is_completed
        if self.collection is not None:
            for node in self.nodes:
                self._reschedule(node)
            return
        if not self._check_nodes_have_same_collection():
            self.log("**Different tests collected, aborting run**")
            return
        self.collection = list(next(iter(self.registered_collections.values())))
        if not self.collection:
            return
        units: OrderedDict[str, WorkUnit] = OrderedDict()
        for nodeid in self.collection:
            units.setdefault(self._split_scope(nodeid), {})[nodeid] = False
        order = list(units.items())
        if self.config.getoption("loadscopereorder", True):
            order.sort(key=lambda unit: -len(unit[1]))
        self.workqueue.update(order)
        # Workers for whom there is no unit end at once; the last ones, so that numbers stay compact.
        for _ in range(len(self.nodes) - len(self.workqueue)):
            node, _ = self.assigned_work.popitem(last=True)
            node.shutdown()
        for node in self.nodes:
            self._assign_work_unit(node)
        for node in self.nodes:
            self._reschedule(node)

    def mark_test_complete(
        self, node: WorkerController, item_index: int, duration: float = 0
    ) -> None:
        nodeid = self.registered_collections[node][item_index]
        unit = self.assigned_work[node].get(self._split_scope(nodeid))
        if unit is not None:
            unit[nodeid] = True
        self._reschedule(node)

    def mark_test_pending(self, item: str) -> None:
        raise NotImplementedError("a scope cannot be run again in part")

    def remove_pending_tests_from_node(
        self, node: WorkerController, indices: Sequence[int]
    ) -> None:
        raise NotImplementedError("a scope stays on its worker")

    def remove_node(self, node: WorkerController) -> str | None:
        workload = self.assigned_work.pop(node)
        crashed = None
        for scope, unit in workload.items():
            for nodeid, ended in unit.items():
                if not ended and crashed is None:
                    crashed = nodeid
                    unit[nodeid] = True  # it is reported as failed, and not run again
            if self._pending_of({scope: unit}) > 0:
                self.workqueue[scope] = unit
        if crashed is not None:
            for other in self.nodes:
                self._reschedule(other)
        return crashed

    # What subclasses call and replace.

    def _split_scope(self, nodeid: str) -> str:
        """The scope of a test. A parameter may hold "::" too."""
        path, _, _ = nodeid.partition("[")
        return path.rpartition("::")[0] if "::" in path else path

    def _assign_work_unit(self, node: WorkerController) -> None:
        """Gives a worker the first unit of the queue."""
        scope, unit = self.workqueue.popitem(last=False)
        self.assigned_work.setdefault(node, OrderedDict())[scope] = unit
        positions = self._positions.get(node)
        if positions is None:
            collection = self.registered_collections[node]
            positions = self._positions[node] = {
                nodeid: position for position, nodeid in reversed(list(enumerate(collection)))
            }
        tests = [positions[nodeid] for nodeid, ended in unit.items() if not ended]
        node.send_runtest_some(tests)

    def _pending_of(self, workload: Any) -> int:
        """How many tests of these units have not ended."""
        return sum(not ended for unit in workload.values() for ended in unit.values())

    def _reschedule(self, node: WorkerController) -> None:
        """Gives a worker that is running low another unit, or ends it."""
        if node.shutting_down or node not in self.registered_collections:
            return
        if not self.workqueue:
            node.shutdown()
            return
        if self._pending_of(self.assigned_work[node]) > FEW:
            return
        self._assign_work_unit(node)
        # A worker does not begin its only test before it knows the next one, or that there is none.
        if self._pending_of(self.assigned_work[node]) < FEW:
            if self.workqueue:
                self._assign_work_unit(node)
            else:
                node.shutdown()

    def _check_nodes_have_same_collection(self) -> bool:
        return same_collections(self.registered_collections, self.config, self.log)
