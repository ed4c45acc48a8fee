"""What a forked worker must do so that it cannot be told from a fresh process.

`Inherited.settle` runs in the zygote once, `prepare` before each fork, `repair` in the worker right after
it, before any user code goes on, `leave` when the worker's session is over. A worker that was not forked has
nothing to repair: it owns what it has.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import signal
import sys
import threading
import time
import weakref
from typing import Any, NoReturn

import pytest

from phalanx import _engine
from phalanx.garbage import flush_writers
from phalanx.randomness import Generators


class Texts:
    """The memfds of a worker: what it writes to descriptors 1 and 2 while pytest captures them, and what
    faulthandler writes. The controller reads them when the worker is dead."""

    def __init__(self, out: int, err: int, faults: int) -> None:
        self._streams = {"out": out, "err": err}
        self._faults: int | None = faults

    def give(self, config: pytest.Config) -> None:
        """Puts them in the place of what the plugins have, where they have something by now."""
        manager = config.pluginmanager.getplugin("capturemanager")
        capturing = getattr(manager, "_global_capturing", None)
        for stream, fd in list(self._streams.items()):
            if _give_capture_file(getattr(capturing, stream, None), fd):
                os.close(self._streams.pop(stream))
        if self._faults is not None and _give_fault_file(config, self._faults):
            os.close(self._faults)
            self._faults = None

    def close(self) -> None:
        for fd in (*self._streams.values(), self._faults):
            if fd is not None:
                os.close(fd)
        self._streams.clear()
        self._faults = None


class Inherited:
    """State of the zygote that the repairs in a worker need."""

    def __init__(self) -> None:
        self.texts: Texts | None = None  # of this worker
        self.generators = Generators()
        self._interrupt_handler = signal.getsignal(signal.SIGINT)

    def settle(self, config: pytest.Config | None) -> None:
        """Once, when all that the workers will share is there: garbage collected in a worker must not copy
        the pages of it, and nothing that is buffered in it may be written by every worker."""
        _flush_past_capture(config)
        gc.collect()
        gc.unfreeze()  # gc.get_objects() does not list what is frozen
        self.generators.settle()
        flush_writers()
        gc.freeze()

    def prepare(self, config: pytest.Config | None) -> None:
        """Before each fork: finalizers and handlers may have written since."""
        _flush_past_capture(config)
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            with contextlib.suppress(Exception):
                if stream is not None:
                    stream.flush()

    def serve_signals(self) -> None:
        """In the fork-server loop Ctrl-C is the controller's to act on."""
        self._interrupt_handler = signal.getsignal(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def release(self) -> None:
        self.generators.release()

    def repair(self, config: pytest.Config | None, name: str) -> None:
        """`config` is None while there is nothing of pytest's to repair."""
        if config is not None:
            give_basetemp(config, name)
        _forget_exit_handlers()
        self.release()
        self.generators.repair()
        _let_threads_start()
        signal.signal(signal.SIGINT, self._interrupt_handler)


def _flush_past_capture(config: pytest.Config | None) -> None:
    """What pytest's terminal reporter has written to the real standard output lies in the buffer of that. A
    flush while descriptor 1 is captured, in the middle of an import, would make it output of the suite."""
    manager = config and config.pluginmanager.getplugin("capturemanager")
    capturing = getattr(manager, "_global_capturing", None)
    captures: list[Any] = [getattr(capturing, name, None) for name in ("out", "err")]
    for stream, capture in zip((sys.__stdout__, sys.__stderr__), captures):
        if stream is None or getattr(capture, "_state", None) != "started":
            continue
        with contextlib.suppress(AttributeError, OSError, ValueError):  # captured in memory; closed
            own, past = capture.targetfd, capture.targetfd_save
            captured = os.dup(own)
            try:
                os.dup2(past, own)
                stream.flush()
            finally:
                os.dup2(captured, own)
                os.close(captured)


def forget_errors(config: pytest.Config) -> None:
    """Errors of finalizers and threads from before the fork, of which nobody has told, are the first worker's
    to tell, with its first test: here they are dropped."""
    for module, name in (
        ("_pytest.unraisableexception", "unraisable_exceptions"),
        ("_pytest.threadexception", "thread_exceptions"),
    ):
        key: Any = getattr(sys.modules.get(module), name, None)  # not in pytest before 8.4
        if key is not None and key in config.stash:
            config.stash[key].clear()


def _give_capture_file(capture: Any, fd: int) -> bool:
    """The temporary files behind pytest's capture have one offset for all who inherited them: each worker
    gets files of its own under the same descriptors, so every Python object stays valid."""
    file = getattr(capture, "tmpfile", None)
    try:
        target = file.fileno()  # type: ignore[union-attr]
    except (AttributeError, OSError, ValueError):
        return False  # --capture=sys keeps text in memory; -s captures nothing; or not yet
    os.write(fd, _read_all(target))
    os.dup2(fd, target, inheritable=False)
    if getattr(capture, "_state", None) == "started":
        os.dup2(fd, capture.targetfd)
    return True


def _read_all(fd: int) -> bytes:
    size = os.fstat(fd).st_size
    return os.pread(fd, size, 0) if size else b""


def _give_fault_file(config: pytest.Config, faults: int) -> bool:
    """The descriptor that pytest's faulthandler plugin writes to becomes a memfd, which the controller
    reads when this worker has died."""
    try:
        from _pytest.faulthandler import fault_handler_stderr_fd_key
    except ImportError:
        return False
    target = config.stash.get(fault_handler_stderr_fd_key, None)
    if target is None:
        return False
    os.dup2(faults, target, inheritable=False)
    return True


def give_basetemp(config: pytest.Config, name: str) -> None:
    """A directory of this worker, for the factory that is made of the option when pytest is configured, and
    in the factory if it is there by now: the same object, as plugins hold references to it."""
    if config.option.basetemp is None:
        return
    basetemp = os.path.join(os.path.dirname(config.option.basetemp), f"popen-{name}")
    config.option.basetemp = basetemp
    factory = getattr(config, "_tmp_path_factory", None)
    if factory is None:
        return
    given = type(factory._given_basetemp)(basetemp) if factory._given_basetemp else None
    factory._given_basetemp = given
    factory._basetemp = None


def _forget_exit_handlers() -> None:
    """What was registered before the fork is the zygote's to run, once. Handlers that flush this
    process's own data are kept."""
    atexit._clear()
    finalizers: Any = weakref.finalize
    for info in finalizers._registry.values():
        info.atexit = False
    if finalizers._registered_with_atexit:
        atexit.register(finalizers._exitfunc)
    logging = sys.modules.get("logging")
    if logging is not None:
        atexit.register(logging.shutdown)
    multiprocessing = sys.modules.get("multiprocessing.util")
    if multiprocessing is not None:
        atexit.register(multiprocessing._exit_function)
    coverage = sys.modules.get("coverage")
    for instance in getattr(getattr(coverage, "Coverage", None), "_instances", None) or []:
        atexit.register(instance._atexit)


def _let_threads_start() -> None:
    """CPython 3.13.0 takes threads that were made and not started before the fork for ended ones: each of
    them gets a new handle. (Later versions leave them as they are.)"""
    new_handle = getattr(threading, "_ThreadHandle", None)
    if new_handle is None:
        return
    for thread in list(threading._dangling):  # type: ignore[attr-defined]
        if thread.ident is None and thread._handle.is_done():
            thread._handle = new_handle()


def _join_threads(stderr: int, patience: float) -> None:
    """What threading's own shutdown does, with an end: executors are told to let their threads go, then
    the threads are waited for."""
    for callback in reversed(getattr(threading, "_threading_atexits", [])):
        callback()
    deadline = time.monotonic() + patience
    for thread in threading.enumerate():
        if thread is threading.current_thread() or thread.daemon:
            continue
        thread.join(max(0.0, deadline - time.monotonic()))
        if thread.is_alive():
            line = f"phalanx: a test left thread {thread.name!r} running; it is ended with its worker\n"
            os.write(stderr, line.encode())


def leave(status: int, stderr: int = 2, thread_patience: float = 9.0) -> NoReturn:
    """Ends this worker: waits for its threads as the interpreter would, runs what was registered here,
    flushes, and leaves without touching what the zygote owns."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # there is nothing left to interrupt
        _join_threads(stderr, thread_patience)
        atexit._run_exitfuncs()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(BaseException):
                stream.flush()
        _engine.leave(status)
