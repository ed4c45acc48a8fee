"""What tells workers apart, while there are none yet.

Between its start and the fork the zygote stands for all workers. Asking "am I a worker?" has one answer;
reading *which* worker has none yet: such a read is where the zygote forks, and each worker goes on from
there with its own answer (`forkpoint`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from phalanx import frames, harmless, shared

WORKER_VARIABLE = "PYTEST_XDIST_WORKER"

# Called with what is read and the frame that reads it; returns in a worker, which has its identity by then.
Reach = Callable[[str, "FrameType | None"], None]

STAND_IN = "gw?"  # what harmless readers get: there is a value, and it is nobody's

_PLUMBING = frozenset({"os", "collections.abc", "_collections_abc", __name__})


def _caller() -> FrameType | None:
    """The frame that asked: the nearest one that is not os, collections.abc or this module."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__") in _PLUMBING:
        frame = frame.f_back
    return frame


class WorkerInput(dict):  # type: ignore[type-arg]
    """config.workerinput: before the fork, reading a value that differs between workers is where they part;
    a copy takes the values, so a copy is a read. Overriding every way in also keeps C code from going
    around."""

    def __init__(self, values: dict[str, Any], varying: set[str], reach: Reach) -> None:
        super().__init__(values)
        self._varying = varying
        self._reach = reach

    def settle(self, values: dict[str, Any]) -> None:
        """In a worker: the real values, in place, as plugins keep references."""
        self._varying = set()
        super().update(values)

    def _check(self, *keys: str) -> None:
        for key in keys:
            if key in self._varying:
                frame = _caller()
                if not harmless.is_harmless_reader(frame):
                    shared.check_identity(f'{frames.place(frame)} reads workerinput["{key}"]')
                    self._reach(f'reads workerinput["{key}"]', frame)

    def __getitem__(self, key: str) -> Any:
        self._check(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self._check(key)
        return super().get(key, default)

    def pop(self, key: str, *default: Any) -> Any:
        self._check(key)
        return super().pop(key, *default)

    def setdefault(self, key: str, default: Any = None) -> Any:
        self._check(key)
        return super().setdefault(key, default)

    def __iter__(self) -> Iterator[Any]:
        return super().__iter__()

    def keys(self) -> Any:
        return super().keys()

    def items(self) -> Any:
        self._check(*self._varying)
        return super().items()

    def values(self) -> Any:
        self._check(*self._varying)
        return super().values()

    def copy(self) -> dict[str, Any]:
        self._check(*self._varying)
        return super().copy()

    def __eq__(self, other: object) -> bool:
        self._check(*self._varying)
        return super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None

    def __repr__(self) -> str:
        return f"<workerinput of {len(self)} keys>" if self._varying else super().__repr__()


_varying_variables: frozenset[Any] = frozenset()  # as str and as bytes
_reach: Reach | None = None
_Environ: Any = type(os.environ)


class _TrappedEnviron(_Environ):  # type: ignore[misc]
    """os.environ before the fork. The variables that will differ are "in" it; reading one forks.
    Iteration hides them from the standard library, which copies the environment for child processes."""

    def __getitem__(self, key: Any) -> Any:
        if key in _varying_variables and _reach is not None:
            frame = _caller()
            if not harmless.is_harmless_reader(frame):
                shared.check_identity(f"{frames.place(frame)} reads {os.fsdecode(key)}")
                _reach(f"reads {os.fsdecode(key)}", frame)
            if key in _varying_variables:  # still: nobody has one yet
                return STAND_IN if isinstance(key, str) else STAND_IN.encode()
        return _Environ.__getitem__(self, key)  # the class may be another one by now

    def __contains__(self, key: object) -> bool:
        return key in _varying_variables or super().__contains__(key)

    def __iter__(self) -> Iterator[Any]:
        yield from super().__iter__()
        frame = _caller()
        if not (
            frames.is_stdlib(frame) or frames.is_core(frame) or harmless.is_harmless_reader(frame)
        ):
            kind = bytes if self is os.environb else str
            yield from (name for name in _varying_variables if isinstance(name, kind))

    def copy(self) -> Any:
        return dict(self)


def trap_environ(variables: set[str], reach: Reach) -> None:
    global _varying_variables, _reach
    _varying_variables = frozenset(variables | {os.fsencode(name) for name in variables})
    _reach = reach
    for environ in (os.environ, os.environb):
        environ.__class__ = _TrappedEnviron


def release_environ() -> None:
    """In a worker, before user code goes on: nobody sees a trap in a test."""
    global _varying_variables, _reach
    _varying_variables, _reach = frozenset(), None
    for environ in (os.environ, os.environb):
        environ.__class__ = _Environ


def varying_keys(dicts: list[dict[str, Any]]) -> set[str]:
    """Keys that are missing from some of the dicts or differ between them."""
    first = dicts[0]
    keys = {key for values in dicts for key in values}
    missing = object()
    return {
        key
        for key in keys
        if any(values.get(key, missing) != first.get(key, missing) for values in dicts)
    }
