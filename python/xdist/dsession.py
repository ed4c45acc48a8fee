"""The controller's session, and what else plugins import from here."""

from phalanx.options import max_worker_restart as get_default_max_worker_restart
from phalanx.session import DSession
from phalanx.terminal import TerminalDistReporter, WorkerStatus
from phalanx.terminal import status_line as get_workers_status_line
from xdist.scheduler import (
    EachScheduling,
    LoadFileScheduling,
    LoadGroupScheduling,
    LoadScheduling,
    LoadScopeScheduling,
    WorkStealingScheduling,
)

__all__ = [
    "DSession",
    "EachScheduling",
    "LoadFileScheduling",
    "LoadGroupScheduling",
    "LoadScheduling",
    "LoadScopeScheduling",
    "TerminalDistReporter",
    "WorkStealingScheduling",
    "WorkerStatus",
    "get_default_max_worker_restart",
    "get_workers_status_line",
]
