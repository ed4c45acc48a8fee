"""Whose code is running: which frames belong to the standard library, to pytest and phalanx, and to nobody
but the suite and its plugins; and where that is, for a person."""

from __future__ import annotations

import functools
import os
import sysconfig
from types import FrameType

_STDLIB = os.path.realpath(sysconfig.get_path("stdlib")) + os.sep
_CORE = frozenset({"pytest", "_pytest", "pluggy", "phalanx", "xdist"})


@functools.cache
def _is_stdlib_file(name: str) -> bool:
    if name.startswith("<frozen "):
        return True
    path = os.path.realpath(name)
    return path.startswith(_STDLIB) and "site-packages" not in path


def is_stdlib(frame: FrameType | None) -> bool:
    return frame is None or _is_stdlib_file(frame.f_code.co_filename)


def module_of(frame: FrameType | None) -> str:
    return str(frame.f_globals.get("__name__", "")) if frame is not None else ""


def package_of(frame: FrameType | None) -> str:
    return module_of(frame).partition(".")[0]


def is_core(frame: FrameType | None) -> bool:
    return package_of(frame) in _CORE


def user_frame(frame: FrameType | None) -> FrameType | None:
    """The nearest frame from here outwards that is a plugin's or the suite's own."""
    while frame is not None and (is_stdlib(frame) or is_core(frame)):
        frame = frame.f_back
    return frame


def place(frame: FrameType | None) -> str:
    """Where a person finds it: file and line, the file relative to the working directory if below it."""
    frame = user_frame(frame)
    if frame is None:
        return "C code"
    return f"{relative_path(frame.f_code.co_filename)}:{frame.f_lineno}"


def relative_path(path: str) -> str:
    try:
        relative = os.path.relpath(path)
    except ValueError:
        return path
    return path if relative.startswith("..") else relative
