"""The garbage collector of a process that makes objects which it will keep: tests, reports. Every full
collection walks them all and finds nothing, so there are few of them then, and none of what is set aside.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import sys
from types import FrameType
from typing import Any

_RARE = (1_000, 1_000, 1_000)  # the young ones, while they are in the cache

_is_set_aside = False


class RareCollections:
    """Raises the thresholds, unless somebody has chosen others."""

    def __init__(self, default: tuple[int, int, int]) -> None:
        self._default = default  # those of a fresh interpreter

    def begin(self) -> None:
        if gc.isenabled() and gc.get_threshold() == self._default:
            gc.set_threshold(*_RARE)

    def end(self) -> None:
        if gc.get_threshold() == _RARE:
            gc.set_threshold(*self._default)


def set_aside() -> None:
    """What lives now is walked no more, nor by the interpreter's exit, which collects several times. Only
    where pytest's own program will end the process, as no cycle of such objects is freed before. It is worth
    it for the smallest run: pytest's end and the exit walk all of pytest."""
    global _is_set_aside
    if _is_pytests_process():
        _is_set_aside = True
        gc.freeze()


def _is_pytests_process() -> bool:
    """Whether pytest's own program will end this process, and no other run goes on in it: one inside of a
    test has objects of its host around it, which are none of ours."""
    names = []
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    is_program = "console_main" in names or "_console_main" in names
    return is_program and names.count("wrap_session") == 1


_WRITERS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
# Their finalizers do nothing that a flush has not done, or nothing that outlives the process.
_FINALIZED_IN_VAIN = (*_WRITERS, io.FileIO, io.BufferedReader, io.StringIO, io.BytesIO)


def flush_writers() -> set[type]:
    """Flushes every file object that the collector knows of. Returns the types of all that it knows of."""
    things = gc.get_objects()
    # By type(), as isinstance would ask a mock or proxy for its __class__; types first, as there are
    # few of them and a million objects.
    kinds = set(map(type, things))
    writers = {kind for kind in kinds if issubclass(kind, _WRITERS)}
    for thing in things:
        if type(thing) in writers:
            _flush(thing)
    return kinds


def _flush(writer: Any) -> None:
    with contextlib.suppress(Exception):
        if not writer.closed and writer.writable():
            writer.flush()


def _finalizers_count(kinds: set[type]) -> bool:
    """Whether the exit has to find what only cycles hold: an archive that nobody closed gets its end from
    its finalizer."""
    return any(
        hasattr(kind, "__del__") and not issubclass(kind, _FINALIZED_IN_VAIN) for kind in kinds
    )


@atexit.register  # on import, so that it comes after the handlers of nearly everybody else
def _leave_set_aside() -> None:
    if _is_set_aside:
        gc.unfreeze()
        if not _finalizers_count(flush_writers()):
            gc.freeze()
