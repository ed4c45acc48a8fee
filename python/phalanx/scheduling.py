"""Schedulers as hooks and plugins of the controller see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from phalanx.run import Run

if TYPE_CHECKING:
    from phalanx.nodes import WorkerController

SCHEDULER_NAMES = {
    "load": "LoadScheduling",
    "loadscope": "LoadScopeScheduling",
    "loadfile": "LoadFileScheduling",
    "loadgroup": "LoadGroupScheduling",
    "worksteal": "WorkStealingScheduling",
}


class Scheduling:
    """Stands for the engine's run queue where hooks pass a scheduler on."""

    def __init__(self, run: Run) -> None:
        self.config = run.config
        self.dist = run.dist
        self.name = SCHEDULER_NAMES[run.dist]
        self._run = run

    # ---- what plugins read of a scheduler ----

    @property
    def numnodes(self) -> int:
        return len(self._run.nodemanager.specs) if self._run.nodemanager is not None else 0

    @property
    def nodes(self) -> list[WorkerController]:
        return [node for node in self._run.nodes if node.number not in self._run.gone]

    @property
    def collection(self) -> list[str] | None:
        return self._run.ids if self._run.is_planned else None

    @property
    def collection_is_completed(self) -> bool:
        return self._run.is_planned

    @property
    def has_pending(self) -> bool:
        """Whether there are tests that have not ended."""
        if not self._run.is_planned or self._run.controller is None:
            return False
        account = self._run.controller.account()  # tests that run are not accounted for yet
        return account["not_run"] + account["unaccounted"] > 0

    @property
    def tests_finished(self) -> bool:
        return self._run.is_planned and not self.has_pending

    def mark_test_pending(self, item: str) -> None:
        """Runs a test once more: what pytest_handlecrashitem may ask for."""
        if self.dist not in ("load", "worksteal"):
            raise NotImplementedError(f"--dist {self.dist} cannot run a test again")
        self._run.engine.add_late(self._run.ids.index(item))
