"""What the controller asks of any scheduler, and what schedulers have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pytest

from xdist.remote import Producer
from xdist.report import report_collection_diff
from xdist.workermanage import WorkerController, parse_tx_spec_config

# A worker runs one test and must know the next.
AT_LEAST = 2


class Scheduling(Protocol):
    """`nodes` are workers that it knows; `collection_is_completed` once as many as were asked for have
    said what they collected; `tests_finished` when no worker has more than the one test that it holds
    until it is told of another or of the end; `has_pending` while there is anything to hand out or run."""

    @property
    def nodes(self) -> list[WorkerController]: ...

    @property
    def collection_is_completed(self) -> bool: ...

    @property
    def tests_finished(self) -> bool: ...

    @property
    def has_pending(self) -> bool: ...

    def add_node(self, node: WorkerController) -> None: ...

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None: ...

    def schedule(self) -> None: ...

    def mark_test_complete(
        self, node: WorkerController, item_index: int, duration: float = 0
    ) -> None: ...

    def mark_test_pending(self, item: str) -> None: ...

    def remove_pending_tests_from_node(
        self, node: WorkerController, indices: Sequence[int]
    ) -> None: ...

    def remove_node(self, node: WorkerController) -> str | None: ...


def make_log(log: Any, name: str) -> Any:
    """A child of the controller's log, or one of its own."""
    return Producer(name) if log is None else getattr(log, name)


def same_collections(
    collections: Mapping[WorkerController, Sequence[str]], config: pytest.Config | None, log: Any
) -> bool:
    """Whether all workers collected the same; each that did not is reported as a collection error."""
    pairs = list(collections.items())
    first, expected = pairs[0]
    same = True
    for node, collection in pairs[1:]:
        text = report_collection_diff(expected, collection, first.gateway.id, node.gateway.id)
        if text is None:
            continue
        same = False
        log(text)
        if config is not None:
            report = pytest.CollectReport(node.gateway.id, "failed", longrepr=text, result=[])
            config.hook.pytest_collectreport(report=report)
    return same


class _Pending:
    """Workers, what each of them collected, and the tests that were sent to it and have not ended."""

    _log_name: str

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        self.config = config
        self.log = make_log(log, self._log_name)
        self.numnodes = len(parse_tx_spec_config(config))
        self.node2collection: dict[WorkerController, list[str]] = {}
        self.node2pending: dict[WorkerController, list[int]] = {}

    def _is_holding(self) -> bool:
        """Whether there are tests that no worker has."""
        raise NotImplementedError

    @property
    def nodes(self) -> list[WorkerController]:
        return list(self.node2pending)

    @property
    def collection_is_completed(self) -> bool:
        return len(self.node2collection) >= self.numnodes

    @property
    def tests_finished(self) -> bool:
        if not self.collection_is_completed or self._is_holding():
            return False
        return all(len(pending) < AT_LEAST for pending in self.node2pending.values())

    @property
    def has_pending(self) -> bool:
        return self._is_holding() or any(self.node2pending.values())

    def add_node(self, node: WorkerController) -> None:
        assert node not in self.node2pending
        self.node2pending[node] = []


class _OneCollection(_Pending):
    """All workers must have collected the same tests: a test is an index, for whichever of them."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        self.pending: list[int] = []  # indices that no worker has
        self.collection: list[str] | None = None

    def _is_holding(self) -> bool:
        return bool(self.pending)

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        assert node in self.node2pending
        if self.collection is not None and list(collection) != self.collection:
            # Of a replacement: it is never given a test.
            first = next(iter(self.node2collection))
            same_collections({first: self.collection, node: collection}, None, self.log)
            return
        self.node2collection[node] = list(collection)

    def _begin(self) -> bool:
        """Takes the collection that all workers have in common. Whether they have."""
        if not self._check_nodes_have_same_collection():
            self.log("**Different tests collected, aborting run**")
            return False
        self.collection = next(iter(self.node2collection.values()))
        self.pending[:] = range(len(self.collection))
        return True

    def _send_tests(self, node: WorkerController, num: int) -> None:
        tests = self.pending[:num]
        if tests:
            del self.pending[:num]
            self.node2pending[node].extend(tests)
            node.send_runtest_some(tests)

    def _check_nodes_have_same_collection(self) -> bool:
        return same_collections(self.node2collection, self.config, self.log)
