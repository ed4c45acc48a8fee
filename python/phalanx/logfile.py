"""--log-file with workers: one file as without them. It is emptied once, no line is lost, and the lines of a
test are together.

The controller's pytest opens the file as it was asked to, and empties it or not. All other processes of the
run append to it. While a worker runs tests its lines go to a file beside it, FILE.gw0, and from there to FILE
when the test has ended; the controller does that for a worker that died. Nothing is kept in memory: a test
that dies leaves its lines, and whoever waits for one that hangs can read them in FILE.gw0.

A worker that a hook gives a file of its own has that one as it would be without workers.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import stat
from typing import Any

import _pytest.logging
import pytest

_plain_handler: Any = _pytest.logging._FileHandler
_run_file: str | None = None  # in a zygote or a worker


def run_file(config: pytest.Config) -> str | None:
    """In the controller: the file of the whole run, if there is one."""
    handler = _handler(config)
    return handler.baseFilename if handler is not None else None


def append_only(path: str | None) -> None:
    """Before a zygote or a worker is configured: pytest's handler would empty the run's file once more. A
    relative path is meant from here, also by workers with a directory of their own."""
    global _run_file
    _run_file = path
    directory = os.getcwd()

    class AppendingHandler(_plain_handler):  # type: ignore[misc]
        def __init__(self, filename: str, mode: str = "a", **options: Any) -> None:
            if os.path.abspath(os.path.join(directory, filename)) == _run_file:
                filename, mode = _run_file, "a"
            super().__init__(filename, mode=mode, **options)

    _pytest.logging._FileHandler = AppendingHandler  # type: ignore[assignment, misc]


def configured() -> None:
    """What tests make of pytest's handler is their own affair."""
    _pytest.logging._FileHandler = _plain_handler  # type: ignore[misc]


def share(config: pytest.Config) -> None:
    """In the controller: from now on others write to its file too."""
    handler = _handler(config)
    if handler is not None and handler.stream is not None:
        fd = handler.stream.fileno()
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)


def rescue(config: pytest.Config, worker: str) -> None:
    """In the controller, when that worker is gone."""
    handler = _handler(config)
    if handler is not None:
        spool = _spool(handler, worker)
        if _move(spool, handler.baseFilename):
            _remove(spool)


class TestLines:
    """In a worker: where the lines of the running test are."""

    __test__ = False

    def __init__(self, config: pytest.Config, worker: str) -> None:
        self._handler: Any = _handler(config)
        self._spool = ""
        self._stream: Any = None
        self._outside: Any = None  # what the handler writes to while there is no test
        if self._handler is None or not _writes_to_run_file(self._handler):
            return
        self._spool = _spool(self._handler, worker)
        try:
            with open(self._spool, "wb"):
                pass
            self._stream = open(self._spool, "a", encoding="UTF-8")  # noqa: SIM115
        except OSError:  # there is no room beside the file: whole lines, of all workers mixed
            return
        self._outside = self._handler.stream
        self._handler.setStream(self._stream)

    def put(self) -> None:
        """The test has ended. By path, not by descriptor: tests close those, and open others instead."""
        if self._stream is not None:
            with _locked(self._handler):
                _move(self._spool, self._handler.baseFilename)

    def end(self) -> None:
        """There will be no test any more."""
        if self._stream is None:
            return
        self.put()
        if self._handler.stream is self._stream:
            self._handler.setStream(self._outside)
        else:  # a hook has given it a file of its own choice
            self._outside.close()
        with contextlib.suppress(OSError):
            self._stream.close()
        _remove(self._spool)
        self._stream = None


def _handler(config: pytest.Config) -> logging.FileHandler | None:
    """pytest's handler, if it writes to a file proper: not to /dev/null, a terminal, a pipe."""
    plugin = config.pluginmanager.getplugin("logging-plugin")
    handler = getattr(plugin, "log_file_handler", None)
    try:
        is_file = stat.S_ISREG(os.stat(handler.baseFilename).st_mode)  # type: ignore[union-attr]
    except (AttributeError, OSError):
        return None
    return handler if is_file else None


def _writes_to_run_file(handler: Any) -> bool:
    """Not to another, which a hook has given it when pytest was configured."""
    try:
        if handler.baseFilename != _run_file:
            return False
        return os.path.samestat(os.fstat(handler.stream.fileno()), os.stat(handler.baseFilename))
    except (AttributeError, OSError, ValueError):
        return False


def _spool(handler: logging.FileHandler, worker: str) -> str:
    return f"{handler.baseFilename}.{worker}"


@contextlib.contextmanager
def _locked(handler: logging.Handler) -> Any:
    handler.acquire()
    try:
        yield
    finally:
        handler.release()


def _move(spool: str, path: str) -> bool:
    """All lines of one file to the end of another, in one write, which the kernel does not mix with others'.
    A process that is killed in between leaves them in both: twice rather than never."""
    try:
        with open(spool, "rb") as file:
            lines = file.read()
        if lines:
            with open(path, "ab", buffering=0) as file:
                rest = memoryview(lines)
                while rest:
                    rest = rest[file.write(rest) :]
            os.truncate(spool, 0)
    except OSError:  # a full disk, for one: of which pytest's own handler says nothing either
        return False
    return True


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
