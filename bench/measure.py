"""One measured run of a command: its time, its CPU, its memory, and what other programs used meanwhile.

Everything a run starts is reaped by this process (it is a child sub-reaper), so that the CPU time of all
its processes is counted, orphans included; the rest of what the machine did was others.
"""

from __future__ import annotations

import ctypes
import os
import re
import resource
import select
import signal
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
SAMPLE_PAUSE_S = 0.02
STRAGGLER_PATIENCE_S = 10.0
TICK = os.sysconf("SC_CLK_TCK")
CPUS = os.cpu_count() or 1

_OUTCOMES = re.compile(
    r"(\d+) (passed|failed|skipped|errors?|xfailed|xpassed|warnings?|deselected|subtests passed)"
)


@dataclass
class Sample:
    """What one run took. PSS is in MB of 10^6 bytes."""

    seconds: float
    cpu_seconds: float  # of all its processes
    others: float  # share of the machine that other programs used, 0 to 1
    status: int
    peak_pss_mb: float = 0.0
    outcomes: dict[str, int] = field(default_factory=dict)
    setups: int = 0  # of the fixture that a case counts


def become_subreaper() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def clean_environment(**more: str) -> dict[str, str]:
    """Ours without what changes how Python or pytest run."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "PYTHON", "PHX_", "VIRTUAL_ENV", "COV_"))
    }
    return kept | more


def run(
    command: list[str],
    directory: Path,
    log: Path,
    timeout: float,
    environment: dict[str, str],
    with_memory: bool = False,
) -> Sample:
    """Runs `command` to the end of its last process. Its output goes to `log`."""
    machine, own = _machine_busy(), _own_cpu()
    children = _children_cpu()
    start = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    memory = _MemoryWatch(process.pid) if with_memory else None
    if not _has_ended(process, timeout):
        os.killpg(process.pid, signal.SIGKILL)
    status = process.wait()
    seconds = time.monotonic() - start
    reap_stragglers()
    peak = memory.stop() if memory else 0.0
    elapsed = time.monotonic() - start
    tree = _children_cpu() - children
    others = _machine_busy() - machine - tree - (_own_cpu() - own)
    return Sample(
        seconds=seconds,
        cpu_seconds=tree,
        others=max(0.0, others) / (elapsed * CPUS),
        status=status,
        peak_pss_mb=peak,
        outcomes=read_outcomes(log),
    )


def _has_ended(process: subprocess.Popen[bytes], timeout: float) -> bool:
    """Waits for it. Popen.wait with a timeout looks only every 50 ms."""
    pidfd = os.pidfd_open(process.pid)
    try:
        return bool(select.select([pidfd], [], [], timeout)[0])
    finally:
        os.close(pidfd)


def load_of_others(seconds: float) -> float:
    """What the machine does while this process does nothing."""
    busy, start = _machine_busy(), time.monotonic()
    time.sleep(seconds)
    return (_machine_busy() - busy) / ((time.monotonic() - start) * CPUS)


def read_outcomes(log: Path) -> dict[str, int]:
    """The counts of pytest's last line."""
    lines = log.read_text(errors="replace").splitlines()
    last = next((line for line in reversed(lines) if re.search(r" in [\d.]+s", line)), "")
    counts: Counter[str] = Counter()
    for number, name in _OUTCOMES.findall(last):
        if not name.startswith("warning"):
            counts[name.rstrip("s") if name.startswith("error") else name] += int(number)
    return dict(counts)


def _machine_busy() -> float:
    """CPU seconds that the machine has spent on anything but waiting, what the hypervisor took included."""
    with open("/proc/stat") as file:
        ticks = [int(word) for word in file.readline().split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = ticks
    return (user + nice + system + irq + softirq + steal) / TICK


def _own_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def reap_stragglers() -> None:
    """Waits for orphans of the run: they are our children now."""
    deadline = time.monotonic() + STRAGGLER_PATIENCE_S
    while time.monotonic() < deadline:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            time.sleep(0.005)
    for pid in descendants(os.getpid())[1:]:
        os.kill(pid, signal.SIGKILL)
    raise RuntimeError("the run left processes behind that did not end; they were killed")


class _MemoryWatch:
    """The peak of the sum of proportional set sizes over a process and all its descendants."""

    def __init__(self, pid: int) -> None:
        self._root = pid
        self._peak_kb = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def stop(self) -> float:
        self._ended.set()
        self._thread.join()
        return self._peak_kb * 1024 / 1e6

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_PAUSE_S):
            total = sum(_pss_kb(pid) for pid in descendants(self._root))
            self._peak_kb = max(self._peak_kb, total)


def descendants(root: int) -> list[int]:
    """`root`, and all processes that descend from it, found by their parents."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            parents.setdefault(_parent(int(name)), []).append(int(name))
    found, rest = [], [root]
    while rest:
        pid = rest.pop()
        found.append(pid)
        rest += parents.get(pid, [])
    return found


def _parent(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return -1


def _pss_kb(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            for line in file:
                if line.startswith("Pss:"):
                    return int(line.split()[1])
    except OSError:
        pass  # it has ended
    return 0
