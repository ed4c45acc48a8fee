"""What processes must not share: threads, sockets, event loops, child processes, database files, temporary
directories, and names drawn at random.

While the zygote stands for all workers, the ways to take such a thing are trapped: the first one that a
plugin or the suite goes is where the zygote forks, before the constructor has done anything, so that each
worker takes one of its own. What no trap sees (C code) is looked for right before the fork; then there is no
fork, and workers start from scratch.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.machinery
import os
import random
import selectors
import shlex
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Sequence
from types import FrameType, ModuleType
from typing import Any

from phalanx import frames, harmless

# Read-only programs whose callers wait for them: nothing of them is left that could be shared.
SHARED_COMMANDS = (
    "git rev-parse",
    "git describe",
    "git status",
    "git log",
    "git show",
    "git ls-files",
    "uname",
    "ldconfig",
    "lscpu",
)
_WAITING_CALLS = frozenset(
    {"run", "call", "check_call", "check_output", "getoutput", "getstatusoutput"}
)

# Devices whose drivers keep state of the process that opened them.
_DEVICES = ("/dev/nvidia", "/dev/kfd", "/dev/dri/", "/dev/davinci", "/dev/accel")

_os_fork = os.fork


def taker(frame: FrameType | None) -> FrameType | None:
    """Whose code takes a resource: the nearest frame outside the standard library, if it is a plugin's or
    the suite's and not known to be harmless."""
    while frame is not None and frames.is_stdlib(frame):
        if harmless.is_short_lived(frame):
            return None
        frame = frame.f_back
    if frame is None or frames.is_core(frame) or harmless.is_harmless_taker(frame):
        return None
    return frame


class Watch:
    """The traps, from the zygote's start to its fork. `reach(what, frame)` is called before a resource is
    taken; it returns in a worker."""

    def __init__(
        self,
        reach: Callable[[str, FrameType | None], None],
        watched: dict[str, Callable[[Any], None]],
    ) -> None:
        """watched: what else wants to see a module right after its import."""
        self._reach = reach
        self._known = set(_descriptors().values())  # copies of these are made by pytest's capture
        self._undo: list[Callable[[], None]] = []
        self._depth = 0  # inside a constructor that was let through
        self._released = False
        self._last_thread_count = _thread_count()
        self._thread_culprit: str | None = None
        self._places: dict[str, str] = {}  # by what is done there
        self.shared_commands: Sequence[str] = SHARED_COMMANDS
        self.root: str | None = None
        self._finder = _ImportHook(
            {
                "sqlite3": self._trap_sqlite,
                "multiprocessing.process": self._trap_processes,
                "multiprocessing.synchronize": self._trap_semaphores,
                "concurrent.futures.thread": self._trap_pools,
                "fcntl": self._trap_file_locks,
                **watched,
            }
        )
        self.owned_children: set[str] = set()  # of shared fixtures, which end them

    def begin(self) -> None:
        self._wrap(subprocess.Popen, "__init__", self._describe_child)
        self._wrap(selectors.EpollSelector, "__init__", lambda args: "makes an event loop")
        self._wrap(socket.socket, "__init__", lambda args: "opens a socket")
        self._wrap(socket, "socketpair", lambda args: "opens a socket")
        self._wrap(threading.Thread, "start", lambda args: f"starts a thread ({args[0].name})")
        self._wrap(tempfile, "_sanitize_params", lambda args: "makes a temporary file or directory")
        for name in ("fork", "forkpty", "posix_spawn", "posix_spawnp"):
            self._wrap(os, name, lambda args: "starts a process")
        self._wrap_unique(os, "getpid", "reads its process number")
        self._wrap_unique(os, "urandom", "draws a unique name")
        self._wrap_unique(random, "_urandom", "draws a unique name")
        self._wrap_unique(uuid, "uuid1", "draws a unique name")
        self._finder.install()

    def release(self) -> None:
        """Nobody sees a trap in a test."""
        self._released = True
        self._finder.remove()
        while self._undo:
            self._undo.pop()()

    # ---- traps ----

    def _replace(self, owner: Any, name: str, new: Any) -> None:
        is_own = name in vars(owner)
        old = getattr(owner, name)
        setattr(owner, name, new)
        if is_own:
            self._undo.append(lambda: setattr(owner, name, old))
        else:
            self._undo.append(lambda: delattr(owner, name))

    def _wrap(self, owner: Any, name: str, describe: Callable[[Any], str | None]) -> None:
        original = getattr(owner, name, None)
        if original is None:
            return

        def trapped(*args: Any, **kwargs: Any) -> Any:
            if self._released or self._depth:
                return original(*args, **kwargs)
            frame = taker(sys._getframe(1))
            what = describe(args) if frame is not None else None
            if what is not None:
                self._reach(what, frame)
                self._places[what.partition(" (")[0]] = frames.place(frame)  # no fork: who it was
                return original(*args, **kwargs)
            self._depth += 1
            try:
                return original(*args, **kwargs)
            finally:
                self._depth -= 1

        self._replace(owner, name, trapped)

    def _wrap_unique(self, owner: Any, name: str, what: str) -> None:
        original = getattr(owner, name)

        def trapped(*args: Any, **kwargs: Any) -> Any:
            if not self._released:
                frame = self._names_something(sys._getframe(1))
                if frame is not None:
                    self._reach(what, frame)
            return original(*args, **kwargs)

        self._replace(owner, name, trapped)

    def _names_something(self, frame: FrameType | None) -> FrameType | None:
        """The frame of a conftest file or a plugin of the project that draws a name for itself, while it is
        imported or configured. Test files may draw what they like: to collect them once makes that safe."""
        while frame is not None and frames.module_of(frame) in ("uuid", "secrets", "random"):
            frame = frame.f_back
        if frame is None or frames.is_stdlib(frame) or frames.is_core(frame):
            return None
        path = os.path.realpath(frame.f_code.co_filename)
        root = os.path.realpath(self.root or os.getcwd()) + os.sep
        if not path.startswith(root) or "site-packages" in path:
            return None
        return frame if _is_import_of_plugin_or_configure(frame) else None

    def _describe_child(self, args: Any) -> str | None:
        """What starting this program is, or None if it is one of the harmless and waited for."""
        command = args[1] if len(args) > 1 else None
        words = _words(command)
        if words and self._is_shared(words) and _is_waited_for(sys._getframe(2)):
            return None
        return f"starts a process ({words[0]})" if words else "starts a process"

    def _is_shared(self, words: list[str]) -> bool:
        words = [os.path.basename(words[0]), *words[1:]]
        if words[0] == "git":  # its own options come before the command
            while len(words) > 1 and words[1].startswith("-"):
                del words[1 : 3 if words[1] in ("-C", "-c") else 2]
        return any(
            words[: len(wanted)] == wanted
            for wanted in (command.split() for command in self.shared_commands)
            if wanted
        )

    def _trap_sqlite(self, module: ModuleType) -> None:
        def describe(args: Any) -> str | None:
            return None if args and args[0] == ":memory:" else "opens a database file"

        self._wrap(module, "connect", describe)
        if hasattr(module, "dbapi2"):
            self._replace(module.dbapi2, "connect", module.connect)

    def _trap_processes(self, module: Any) -> None:
        # A process object belongs to the process that made it.
        self._wrap(module.BaseProcess, "__init__", lambda args: "makes a process")

    def _trap_semaphores(self, module: Any) -> None:
        # Shared with processes forked later: a worker that dies with it would stop the others.
        self._wrap(module.SemLock, "__init__", lambda args: "makes a lock of processes")

    def _trap_file_locks(self, module: Any) -> None:
        self._wrap(module, "lockf", lambda args: "locks a file")
        lock = module.flock

        def lock_own(file: Any, operation: int) -> None:
            frame = None if self._released else taker(sys._getframe(1))
            if frame is not None:
                self._reach("locks a file", frame)
                # The lock belongs to the opening of the file, which forked processes share.
                _open_again(file if isinstance(file, int) else file.fileno())
            lock(file, operation)

        self._replace(module, "flock", lock_own)

    def _trap_pools(self, module: Any) -> None:
        # Before it takes the lock that its own handler takes around every fork.
        self._wrap(module.ThreadPoolExecutor, "submit", lambda args: "starts a thread of a pool")

    # ---- the check before the fork ----

    def look(self, label: str) -> None:
        """Remembers after whose import the threads became more: C code starts them without a trace."""
        count = _thread_count()
        if count > self._last_thread_count and self._thread_culprit is None:
            self._thread_culprit = label
        self._last_thread_count = count

    def find(self, repaired: set[int]) -> str | None:
        """What is there now and cannot be forked, as a sentence without its end; None when all is well.
        repaired: descriptors that each worker gets anew."""
        return (
            self._find_thread()
            or self._find_descriptor(repaired, with_pipes=True)
            or _find_file_lock()
            or _find_child([pid for pid in self.children() if pid not in self.owned_children])
            or find_held_lock()
        )

    def find_bound_to_process(self, repaired: set[int]) -> str | None:
        """The same without child processes and pipes to them: the zygote may own some, if it ends them after
        the workers."""
        return self._find_thread() or self._find_descriptor(repaired, with_pipes=False)

    @staticmethod
    def children() -> list[str]:
        """Process numbers of this process's children."""
        try:
            with open(f"/proc/self/task/{os.getpid()}/children") as file:
                return file.read().split()
        except OSError:
            return []  # a kernel without CONFIG_PROC_CHILDREN

    def _find_thread(self) -> str | None:
        culprit = self._places.get("starts a thread") or self._thread_culprit or "something"
        for thread in threading.enumerate():
            if thread is not threading.main_thread():
                return f"{culprit} started a thread ({thread.name})"
        if _thread_count() > 1 and _threads_after_trial_fork() > 1:
            names = _thread_names()
            return f"{culprit} started a thread ({names[-1] if names else 'of a C library'})"
        return None

    def _find_descriptor(self, repaired: set[int], with_pipes: bool) -> str | None:
        for fd, target in _descriptors().items():
            if fd in repaired or target in self._known:
                continue
            if target == "anon_inode:[eventpoll]":
                return f"{self._places.get('makes an event loop', 'something')} made an event loop"
            if target.startswith("socket:"):
                return f"{self._places.get('opens a socket', 'something')} opened a socket"
            if target.startswith("pipe:") and with_pipes:
                return "something opened a pipe"
            if target.startswith(_DEVICES):
                return f"something opened the device {target}"
        return None


class _ImportHook:
    """Traps in modules that are not imported yet: set right after their import."""

    def __init__(self, waiting: dict[str, Callable[[Any], None]]) -> None:
        self._waiting = waiting

    def install(self) -> None:
        for name in list(self._waiting):
            if name in sys.modules:
                self._waiting.pop(name)(sys.modules[name])
        sys.meta_path.insert(0, self)

    def remove(self) -> None:
        self._waiting.clear()
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name not in self._waiting:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        loader: Any = spec.loader if spec is not None else None
        if loader is None:
            return None

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module
            loader.exec_module(module)
            trap = self._waiting.pop(name, None)
            if trap is not None:
                trap(module)

        loader.exec_module = exec_module
        return spec


def _is_import_of_plugin_or_configure(frame: FrameType) -> bool:
    """Whether pytest got to this frame by importing a plugin or conftest file, by configuring, or by starting
    the session; not by collecting a test file or making its parameters."""
    outer: FrameType | None = frame
    while outer is not None:
        module, function = frames.module_of(outer), outer.f_code.co_name
        if module == "_pytest.python" or (
            module == "_pytest.main" and function == "perform_collect"
        ):
            return False
        if module == "_pytest.config" and function in ("_importconftest", "import_plugin"):
            return True
        outer = outer.f_back
    return True


def _words(command: Any) -> list[str]:
    """A command as words; empty when it is more than one simple command."""
    if isinstance(command, (str, bytes, os.PathLike)):
        text = os.fsdecode(command)
        if any(character in text for character in "|;&$`<>()\n"):
            return []
        try:
            return shlex.split(text)
        except ValueError:
            return []
    try:
        return [os.fsdecode(word) for word in command]
    except TypeError:
        return []


def _is_waited_for(frame: FrameType | None) -> bool:
    """Whether Popen was called by a function of its module that waits for the child."""
    while frame is not None and frames.module_of(frame) in ("subprocess", __name__):
        if frames.module_of(frame) == "subprocess" and frame.f_code.co_name in _WAITING_CALLS:
            return True
        frame = frame.f_back
    return False


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


def _thread_names() -> list[str]:
    """Names that the kernel knows of the threads besides this one."""
    names = []
    for task in sorted(os.listdir("/proc/self/task"), key=int):
        if task != str(threading.get_native_id()):
            try:
                with open(f"/proc/self/task/{task}/comm") as file:
                    names.append(file.read().strip())
            except OSError:
                pass
    return names


def _threads_after_trial_fork() -> int:
    """A library that is fork-safe stops its threads in a handler before any fork (OpenBLAS): what is left
    after one is what would be lost."""
    pid = _os_fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return _thread_count()


def _find_file_lock() -> str | None:
    for fd, target in _descriptors().items():
        with contextlib.suppress(OSError), open(f"/proc/self/fdinfo/{fd}") as info:
            if any(line.startswith("lock:") and " FLOCK " in line for line in info):
                return f"something locked the file {target}"
    return None


def _open_again(fd: int) -> None:
    """A new opening of the file behind a descriptor takes its place."""
    with contextlib.suppress(OSError):
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        own = os.open(f"/proc/self/fd/{fd}", flags & (os.O_ACCMODE | os.O_APPEND | os.O_NONBLOCK))
        try:
            os.lseek(own, os.lseek(fd, 0, os.SEEK_CUR), os.SEEK_SET)
            os.dup2(own, fd, inheritable=os.get_inheritable(fd))
        finally:
            os.close(own)


def _find_child(found: list[str]) -> str | None:
    if not found:
        return None
    try:
        with open(f"/proc/{found[0]}/cmdline") as file:
            command = file.read().replace("\0", " ").strip()
    except OSError:
        command = ""
    return f"something started a process that still runs ({command or found[0]})"


def find_held_lock() -> str | None:
    """concurrent.futures takes this lock around every fork: whoever forks while it is held waits for ever."""
    pools: Any = sys.modules.get("concurrent.futures.thread")
    lock = getattr(pools, "_global_shutdown_lock", None)
    if lock is not None and lock.locked():
        return "something started a thread of a pool"
    return None
