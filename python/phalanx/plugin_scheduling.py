"""A run whose scheduler is Python: one that a plugin brought, or `--dist each`.

It speaks pytest-xdist's protocol. The engine carries the letters (role/post.h); here its events become the
scheduler's calls, and the scheduler's calls on a node become letters.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from phalanx.joining import Numbering
from phalanx.nodes import WorkerController
from phalanx.run import Run

# With every worker waiting, a scheduler that has sent nothing for so many looks of POLL_S never will: it is
# only called when something has happened.
POLL_S = 1.0
PATIENCE = 5


class PluginScheduling:
    def __init__(self, run: Run, sched: Any) -> None:
        self._run = run
        self._sched = sched
        self._ids: list[str] = []
        self._groups: dict[int, str] = {}
        self.numbering = Numbering()
        self._stolen: deque[tuple[WorkerController, list[int]]] = deque()
        self._idle_looks = 0
        assert run.nodemanager is not None
        run.nodemanager.mailboxes = self

    # ---- what nodes ask for, on behalf of the scheduler ----

    def send(self, number: int, indices: Sequence[int]) -> None:
        self._run.engine.post(number, self.numbering.of_run(number, indices))

    def send_all(self, number: int) -> None:
        self._run.engine.post(number, list(self.numbering.tests(number, len(self._ids))))

    def steal(self, number: int, indices: Sequence[int]) -> None:
        # Told later: the scheduler is in the middle of something, and does not expect an answer.
        got = self._run.engine.steal(number, self.numbering.of_run(number, indices))
        self._stolen.append((self._run.nodes[number], self.numbering.of_node(number, got)))

    def shutdown(self, number: int) -> None:
        self._run.engine.shut(number)

    # ---- events ----

    def add_groups(self, first: int, groups: Sequence[str | None]) -> None:
        """Of the tests from index `first` on: with --dist=loadgroup schedulers see `nodeid@group`."""
        self._groups.update(
            (first + at, group) for at, group in enumerate(groups) if group is not None
        )

    def collected(self, nodes: Sequence[WorkerController], ids: Sequence[str]) -> None:
        self._ids = [
            f"{nodeid}@{self._groups[test]}" if test in self._groups else nodeid
            for test, nodeid in enumerate(ids)
        ]
        for node in nodes:
            self._sched.add_node(node)
        for node in nodes:
            self._sched.add_node_collection(node, self._ids_of(node))
        if self._sched.collection_is_completed:
            self._sched.schedule()
        self.settle()

    def _ids_of(self, node: WorkerController) -> list[str]:
        return [self._ids[test] for test in self.numbering.tests(node.number, len(self._ids))]

    def complete(self, node: WorkerController, test: int, duration: float) -> None:
        if node in self._sched.nodes:
            (index,) = self.numbering.of_node(node.number, [test])
            self._sched.mark_test_complete(node, index, duration)

    def name_of(self, test: int) -> str:
        return self._ids[test]

    def remove(self, node: WorkerController, running: int | None) -> None:
        """The worker is gone. A scheduler takes the first test that it had for the one that it ran, which
        is not so when it died between two tests."""
        if node not in self._sched.nodes:
            return
        crashed = self._sched.remove_node(node)
        if crashed is not None and running is None and not self._run.stopping:
            self.run_again(
                crashed
            )  # if not: the ledger knows that it was not run, and the run says so

    def run_again(self, name: str) -> bool:
        """Whether the scheduler can have a test run that a worker has had already."""
        try:
            self._sched.mark_test_pending(name)
        except NotImplementedError:
            return False
        return True

    def replaced(self, node: WorkerController, before: WorkerController) -> None:
        self.numbering.inherit(node.number, before.number)
        self._sched.add_node(node)
        self._sched.add_node_collection(node, self._ids_of(node))
        if self._sched.collection_is_completed:
            self._sched.schedule()

    def settle(self) -> None:
        """After each event: answers to steals, and the end once every test is done."""
        self._idle_looks = 0
        # Not those that the scheduler asks for on hearing these: it may ask for the same again, which its
        # worker has taken already and has only not reported yet.
        for _ in range(len(self._stolen)):
            node, indices = self._stolen.popleft()
            if node in self._sched.nodes:
                self._sched.remove_pending_tests_from_node(node, indices)
        if self._sched.tests_finished:
            for node in self._sched.nodes:
                node.shutdown()

    def look_whether_stalled(self) -> None:
        """Nothing has happened for a while. A defect of a scheduler must not be a run without an end."""
        if self._stolen:
            self.settle()
        self._idle_looks = self._idle_looks + 1 if self._run.engine.stalled() else 0
        if self._idle_looks < PATIENCE:
            return
        self._run.fail(
            f"the scheduler {type(self._sched).__name__} left every worker waiting and sent no more tests"
        )
        for node in self._run.nodes:
            self._run.engine.shut(node.number)
