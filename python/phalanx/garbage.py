"""The garbage collector of a process that makes objects which it will keep: tests, reports. Every full
collection walks them all and finds nothing, so there are few of them then, and none of what is set aside.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
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
    """What lives now is never walked again, by the interpreter's exit neither, which collects several
    times. Files that only a cycle of such objects holds are flushed all the same."""
    global _is_set_aside
    _is_set_aside = True
    gc.freeze()


def flush_writers() -> None:
    """Flushes every file object that there is and that the collector knows of."""
    things = gc.get_objects()
    # By type(), as isinstance would ask a mock or proxy for its __class__; types first, as there are
    # few of them and a million objects.
    kinds = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
    writers = {kind for kind in set(map(type, things)) if issubclass(kind, kinds)}
    for thing in things:
        if type(thing) in writers:
            _flush(thing)


def _flush(writer: Any) -> None:
    with contextlib.suppress(Exception):
        if not writer.closed and writer.writable():
            writer.flush()


@atexit.register  # on import, so that it comes after the handlers of nearly everybody else
def _flush_set_aside() -> None:
    if _is_set_aside:
        gc.unfreeze()  # gc.get_objects() does not list what is frozen
        flush_writers()
        gc.freeze()
