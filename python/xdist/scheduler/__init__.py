"""Schedulers in Python, for subclasses: what a plugin or conftest file may return from
pytest_xdist_make_scheduler. Without one of those phalanx's own engine schedules, and none of this runs.

A scheduler only decides: the engine carries its letters to the workers (node.send_runtest_some), takes
them back (node.send_steal), and tells it what has ended (mark_test_complete). A worker starts a test
when it knows the next one or that there is none, so schedulers keep two tests with every busy worker.
"""

from xdist.scheduler.each import EachScheduling
from xdist.scheduler.load import LoadScheduling
from xdist.scheduler.loadfile import LoadFileScheduling
from xdist.scheduler.loadgroup import LoadGroupScheduling
from xdist.scheduler.loadscope import LoadScopeScheduling
from xdist.scheduler.protocol import Scheduling
from xdist.scheduler.worksteal import WorkStealingScheduling

__all__ = [
    "EachScheduling",
    "LoadFileScheduling",
    "LoadGroupScheduling",
    "LoadScheduling",
    "LoadScopeScheduling",
    "Scheduling",
    "WorkStealingScheduling",
]
