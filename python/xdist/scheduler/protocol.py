"""What the controller asks of any scheduler, and what schedulers have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pytest

from xdist.remote import Producer
from xdist.report import report_collection_diff
from xdist.workermanage import WorkerController


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
