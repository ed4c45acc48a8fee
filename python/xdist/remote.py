"""What plugins import from pytest-xdist's worker module: mostly the type of a scheduler's `log`."""

from __future__ import annotations

from typing import Any, TypedDict

from phalanx.producer import Producer
from phalanx.serialize import warning_to_data as serialize_warning_message
from phalanx.worker import WorkerInteractor

__all__ = ["Producer", "WorkerInfo", "WorkerInteractor", "serialize_warning_message"]


class WorkerInfo(TypedDict):
    """`node.workerinfo`."""

    version: str
    version_info: tuple[int, int, int, str, int]
    sysplatform: str
    platform: str
    executable: str
    cwd: str
    id: str
    spec: Any
