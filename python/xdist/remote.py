"""What plugins import from pytest-xdist's worker module: mostly the type of a scheduler's `log`."""

from phalanx.producer import Producer
from phalanx.serialize import warning_to_data as serialize_warning_message
from phalanx.worker import WorkerInteractor

__all__ = ["Producer", "WorkerInteractor", "serialize_warning_message"]
