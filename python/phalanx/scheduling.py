"""Schedulers as hooks and plugins of the controller see them."""

from __future__ import annotations

from phalanx.run import Run

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

    def mark_test_pending(self, item: str) -> None:
        """Runs a test once more: what pytest_handlecrashitem may ask for."""
        if self.dist not in ("load", "worksteal"):
            raise NotImplementedError(f"--dist {self.dist} cannot run a test again")
        self._run.engine.add_late(self._run.ids.index(item))
