"""Tests with the same xdist_group mark on one worker; each other test is a group of its own."""

from __future__ import annotations

from typing import Any

import pytest

from xdist.scheduler.loadscope import LoadScopeScheduling
from xdist.scheduler.protocol import make_log


class LoadGroupScheduling(LoadScopeScheduling):
    """With `--dist=loadgroup` a scheduler sees `nodeid@group` for tests that have the mark, as with
    pytest-xdist. (Reports and all else have plain node ids.)"""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        self.log = make_log(log, "loadgroupsched")

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.rfind("@") > nodeid.rfind("]"):
            return nodeid.rpartition("@")[2]
        return nodeid
