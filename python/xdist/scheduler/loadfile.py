"""Tests of one file on one worker."""

from __future__ import annotations

from typing import Any

import pytest

from xdist.scheduler.loadscope import LoadScopeScheduling
from xdist.scheduler.protocol import make_log


class LoadFileScheduling(LoadScopeScheduling):
    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        self.log = make_log(log, "loadfilesched")

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.split("::", 1)[0]
