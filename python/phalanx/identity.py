"""What tells workers apart, while there are none yet.

Between its start and the fork the zygote stands for all workers. Asking "am I a worker?" has one answer;
reading *which* worker has none yet: this version refuses such a suite with a sentence that names the place,
because any value would be wrong for all workers but one.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

from phalanx import shared

WORKER_VARIABLE = "PYTEST_XDIST_WORKER"

# Modules whose reading does no harm: they ask for the truth only, or use the value as a label.
_HARMLESS_READERS = ("pytest_benchmark", "pytest_cov", "inline_snapshot")

STAND_IN = "gw?"  # what these get: there is a value, and it is nobody's

_STDLIB = os.path.realpath(sysconfig.get_path("stdlib")) + os.sep
_PLUMBING = frozenset({"os", "collections.abc", "_collections_abc", __name__})


def caller() -> FrameType | None:
    """The frame that asked: the nearest one that is not os, collections.abc or this module."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__") in _PLUMBING:
        frame = frame.f_back
    return frame


def user_frame(frame: FrameType | None) -> FrameType | None:
    """The nearest frame from here outwards that is not the standard library's."""
    while frame is not None and is_stdlib(frame):
        frame = frame.f_back
    return frame


def is_stdlib(frame: FrameType | None) -> bool:
    if frame is None:
        return True
    name = frame.f_code.co_filename
    if name.startswith("<frozen "):
        return True
    path = os.path.realpath(name)
    return path.startswith(_STDLIB) and "site-packages" not in path


def place(frame: FrameType | None) -> str:
    """Where a person finds it: file and line, the file relative to the working directory if below it."""
    frame = user_frame(frame)
    if frame is None:
        return "C code"
    path = frame.f_code.co_filename
    try:
        relative = os.path.relpath(path)
    except ValueError:
        relative = path
    return f"{path if relative.startswith('..') else relative}:{frame.f_lineno}"


def _is_harmless(frame: FrameType | None) -> bool:
    name = frame.f_globals.get("__name__", "") if frame else ""
    return name.partition(".")[0] in _HARMLESS_READERS


class Trap:
    """Decides about one read of a value that differs between workers."""

    def __init__(self, refuse: Callable[[str], NoReturn]) -> None:
        self._refuse = refuse

    def read(self, what: str, frame: FrameType | None) -> None:
        if not _is_harmless(frame):
            shared.check_identity(f"{place(frame)} reads {what}")
            self._refuse(
                f"{place(frame)} reads {what} before the tests are collected. This version of phalanx "
                "forks its workers after collection, and only then has each one its identity: "
                "read it in a fixture or a test"
            )


class WorkerInput(dict):  # type: ignore[type-arg]
    """config.workerinput: before the fork, reading a value that differs between workers is trapped; a copy
    takes the values, so a copy is a read. Overriding every way in also keeps C code from going around."""

    def __init__(self, values: dict[str, Any], varying: set[str], trap: Trap) -> None:
        super().__init__(values)
        self._varying = varying
        self._trap = trap

    def settle(self, values: dict[str, Any]) -> None:
        """In a worker: the real values, in place, as plugins keep references."""
        self._varying = set()
        super().update(values)

    def _check(self, *keys: str) -> None:
        for key in keys:
            if key in self._varying:
                self._trap.read(f'workerinput["{key}"]', caller())

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
_environ_trap: Trap | None = None
_Environ: Any = type(os.environ)


class _TrappedEnviron(_Environ):  # type: ignore[misc]
    """os.environ before the fork. The variables that will differ are "in" it; reading one is trapped.
    Iteration hides them from the standard library, which copies the environment for child processes."""

    def __getitem__(self, key: Any) -> Any:
        if key in _varying_variables and _environ_trap is not None:
            frame = caller()
            _environ_trap.read(os.fsdecode(key), frame)
            return STAND_IN if isinstance(key, str) else STAND_IN.encode()
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        return key in _varying_variables or super().__contains__(key)

    def __iter__(self) -> Iterator[Any]:
        yield from super().__iter__()
        frame = caller()
        if not is_stdlib(frame) and not _is_harmless(frame):
            kind = bytes if self is os.environb else str
            yield from (name for name in _varying_variables if isinstance(name, kind))

    def copy(self) -> Any:
        return dict(self)


def trap_environ(variables: set[str], trap: Trap) -> None:
    global _varying_variables, _environ_trap
    _varying_variables = frozenset(variables | {os.fsencode(name) for name in variables})
    _environ_trap = trap
    for environ in (os.environ, os.environb):
        environ.__class__ = _TrappedEnviron


def release_environ() -> None:
    """In a worker, before user code goes on: nobody sees a trap in a test."""
    global _varying_variables, _environ_trap
    _varying_variables, _environ_trap = frozenset(), None
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
