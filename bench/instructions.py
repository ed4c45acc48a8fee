"""Instructions per test, counted by callgrind: a measure without noise of what a test costs.

The same suite is run with SMALL and with LARGE tests; the difference divided by the number of tests
between them is free of starts and ends. A forked process's count begins with that of its parent, so a
worker's own share is its count less the zygote's.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import suites
from environments import BUILD, PHALANX, python_of
from measure import clean_environment

SMALL, LARGE, PER_FILE = 100, 300, 20
TIMEOUT_S = 900
HELPER = f"phalanx-bench-{os.getpid()}"
SHIM = BUILD / "pidfd_shim.so"
SHIM_SOURCE = Path(__file__).with_name("pidfd_shim.c")
PIDFD_OPEN = 434

PLAIN = ["-p", "no:phalanx", "-p", "no:xdist"]
COMMANDS = {
    "collect": (PHALANX, [*PLAIN, "--collect-only", "-qq"]),
    "sequential": (PHALANX, PLAIN),
    "phalanx": (PHALANX, ["-n", "1"]),
}

Counts = dict[str, int]  # role: instructions


class PidfdHelper:
    """Makes the system calls for processes under a valgrind that does not know them (pidfd_shim.c)."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind("\0" + HELPER)
        self._socket.listen(64)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            peer, _ = self._socket.accept()
            with peer:
                request, passed, _, _ = socket.recv_fds(peer, 8, 1)
                try:
                    number, argument = struct.unpack("ii", request)
                    self._answer(peer, number, argument, passed)
                finally:
                    for fd in passed:
                        os.close(fd)

    @staticmethod
    def _answer(peer: socket.socket, number: int, argument: int, passed: list[int]) -> None:
        try:
            if number == PIDFD_OPEN:
                pidfd = os.pidfd_open(argument)
                socket.send_fds(peer, [struct.pack("i", 0)], [pidfd])
                os.close(pidfd)
            else:
                signal.pidfd_send_signal(passed[0], argument)
                peer.send(struct.pack("i", 0))
        except OSError as error:
            peer.send(struct.pack("i", error.errno))


def missing() -> str | None:
    """What this machine lacks for the measurement."""
    if sys.version_info < (3, 9) or not hasattr(socket, "send_fds"):
        return "CPython 3.9 or later"
    for program in ("valgrind", "cc"):
        if not shutil.which(program):
            return program
    return None


def measure(directory: Path) -> dict[str, dict[str, float]]:
    """Command -> role -> instructions per test."""
    subprocess.run(["cc", "-std=gnu17", "-O2", "-shared", "-fPIC", "-o", str(SHIM), str(SHIM_SOURCE)],
                   check=True)  # fmt: skip
    helper = PidfdHelper()
    for tests in (SMALL, LARGE):
        suites.trivial(directory / str(tests), tests // PER_FILE, PER_FILE)
    keys = [(name, tests) for name in COMMANDS for tests in (SMALL, LARGE)]
    # Not one after the other: nothing here is timed.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counts = dict(zip(keys, pool.map(lambda key: _count(directory, *key), keys)))
    del helper
    per_test = {}
    for name in COMMANDS:
        small, large = counts[name, SMALL], counts[name, LARGE]
        if small.keys() != large.keys():
            raise RuntimeError(f"{name}: processes {sorted(small)} and {sorted(large)}")
        per_test[name] = {role: (large[role] - small[role]) / (LARGE - SMALL) for role in large}
    return per_test


def _count(directory: Path, name: str, tests: int) -> Counts:
    environment, args = COMMANDS[name]
    suite = directory / str(tests)
    output = directory / f"callgrind-{name}-{tests}"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir()
    python = str(python_of(environment))
    # A first run without valgrind: it writes the .pyc files.
    variables = clean_environment(PYTHONHASHSEED="0", PHX_PIDFD_HELPER=HELPER, LD_PRELOAD=str(SHIM))
    subprocess.run([python, "-m", "pytest", *args], cwd=suite, capture_output=True,
                   env=clean_environment(), timeout=TIMEOUT_S)  # fmt: skip
    with (output / "log").open("wb") as log:
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", "--trace-children=yes",
             f"--callgrind-out-file={output}/out.%p", python, "-m", "pytest",
             "-p", "no:cacheprovider", *args],
            cwd=suite, env=variables, stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, timeout=TIMEOUT_S,
        )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(f"{name} failed under valgrind: see {output}/log")
    return _by_role(output)


def _by_role(output: Path) -> Counts:
    counts: Counts = {}
    zygotes: list[int] = []  # the zygote and its worker, whose count goes on from there
    for path in output.glob("out.*"):
        text = path.read_text(errors="replace")
        total = re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)
        command = re.search(r"^cmd: (.*)$", text, re.MULTILINE)
        if not total or not command:
            continue
        number = int(total.group(1))
        if "phalanx.zygote" in command.group(1):
            zygotes.append(number)
            continue
        role = _role(command.group(1))
        counts[role] = counts.get(role, 0) + number
    if zygotes:
        counts["zygote"] = min(zygotes)
        counts["worker"] = max(zygotes) - min(zygotes)
    return counts


def _role(command: str) -> str:
    if "phalanx-guard" in command:
        return "guard"
    return "controller" if "-m pytest" in command else "worker"
