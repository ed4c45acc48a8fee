"""What processes must not share: threads, sockets, event loops and child processes that were there before
the fork. Entry points are wrapped so that the check at the fork can name the place."""

from __future__ import annotations

import os
import socket
import threading
from types import FrameType
from typing import Any

from phalanx import identity


class Watch:
    """Notes who starts threads and opens sockets, from the zygote's start to the fork."""

    def __init__(self) -> None:
        self._threads: dict[int, str] = {}
        self._sockets: dict[int, str] = {}
        self._known = set(_descriptors())
        self.owned_children: set[str] = set()  # of shared fixtures, which end them
        self._thread_start = threading.Thread.start
        self._socket_init = socket.socket.__init__
        watch = self

        def start(self: threading.Thread) -> None:
            watch._threads[id(self)] = watch._place()
            watch._thread_start(self)

        def init(self: socket.socket, *args: Any, **kwargs: Any) -> None:
            watch._socket_init(self, *args, **kwargs)
            watch._sockets[self.fileno()] = watch._place()

        threading.Thread.start = start  # type: ignore[method-assign]
        socket.socket.__init__ = init  # type: ignore[method-assign]

    def release(self) -> None:
        threading.Thread.start = self._thread_start  # type: ignore[method-assign]
        socket.socket.__init__ = self._socket_init  # type: ignore[method-assign]

    @staticmethod
    def _place() -> str:
        frame: FrameType | None = identity.caller()
        while frame is not None and frame.f_globals.get("__name__") == __name__:
            frame = frame.f_back
        return identity.place(frame)

    def find(self, repaired: set[int]) -> str | None:
        """What is there now and cannot be forked, as the middle of a sentence; None when all is well.
        repaired: descriptors that each worker gets anew."""
        return self.find_bound_to_process(repaired) or _find_child(
            [pid for pid in self.children() if pid not in self.owned_children]
        )

    def find_bound_to_process(self, repaired: set[int]) -> str | None:
        """The same without child processes: the zygote may own some, if it ends them after the workers."""
        return self._find_thread() or self._find_descriptor(repaired)

    @staticmethod
    def children() -> list[str]:
        """Process numbers of this process's children."""
        try:
            with open(f"/proc/self/task/{os.getpid()}/children") as file:
                return file.read().split()
        except OSError:
            return []  # a kernel without CONFIG_PROC_CHILDREN

    def _find_thread(self) -> str | None:
        for thread in threading.enumerate():
            if thread is not threading.main_thread():
                where = self._threads.get(id(thread), "something")
                return f"{where} started a thread ({thread.name})"
        if _thread_count() > 1 and _threads_after_trial_fork() > 1:
            return "a C library runs threads of its own"
        return None

    def _find_descriptor(self, repaired: set[int]) -> str | None:
        new = {
            fd: target for fd, target in _descriptors().items() if fd not in self._known | repaired
        }
        sockets = [fd for fd, target in new.items() if target.startswith("socket:")]
        where = next((self._sockets[fd] for fd in sockets if fd in self._sockets), "something")
        if "anon_inode:[eventpoll]" in new.values():
            return f"{where} made an event loop"
        return f"{where} opened a socket" if sockets else None


def _descriptors() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass  # the descriptor of the listing itself
    return found


def _thread_count() -> int:
    return len(os.listdir("/proc/self/task"))


def _threads_after_trial_fork() -> int:
    """A library that is fork-safe stops its threads in a handler before any fork (OpenBLAS): what is left
    after one is what would be lost."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return _thread_count()


def _find_child(found: list[str]) -> str | None:
    if not found:
        return None
    try:
        with open(f"/proc/{found[0]}/cmdline") as file:
            command = file.read().replace("\0", " ").strip()
    except OSError:
        command = ""
    return f"a process was started that still runs ({command or found[0]})"
