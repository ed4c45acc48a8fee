"""--looponfail: run, wait for a change, run what failed; when it passes, run everything.

Every run is a process of its own, so that changed code is imported anew. The next one is started as soon as
the last one is over, imports the standard library and pytest, and waits: what remains after a change is the
run.

Runs in the process that the user started, which runs no tests itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from _pytest.config import create_terminal_writer

from phalanx import _engine, launch, loop_run

LOOK_S = 0.5  # a signal is served at the latest after so long
QUIET_S = 0.1  # without a change: whoever saves files has saved them all
GONE = (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED)


def wanted(config: pytest.Config) -> bool:
    return bool(config.option.looponfail) and not loop_run.is_run


def main(config: pytest.Config) -> int:
    """Returns when somebody ends it: the exit code of an interrupted run, or of the signal."""
    if config.getoption("usepdb", False):
        raise pytest.UsageError(
            "--pdb is incompatible with --looponfail: run what fails with --pdb alone"
        )
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is not None:
        capture.stop_global_capturing()  # the runs have the real standard input
    roots = [str(root) for root in config.getini("looponfailroots")] or [os.getcwd()]
    try:
        watch = _engine.TreeWatch(roots)
    except _engine.EngineError as error:
        raise pytest.UsageError(f"--looponfail: {error}") from None
    with tempfile.TemporaryDirectory(prefix="phalanx-loop-") as home, Signals() as signals:
        loop = Loop(config, roots, watch, signals, Path(home) / "failed")
        try:
            loop.turn()
        finally:
            loop.end()
    return signals.status


class Signals:
    """Ctrl-C reaches a run as well, from the terminal, and it ends itself; others are passed on to it."""

    ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self.number = 0
        self.process: subprocess.Popen[bytes] | None = None  # the run, while there is one
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Signals:
        for number in self.ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: object) -> None:
        self.number = self.number or number
        if number != signal.SIGINT and self.process is not None:
            self.process.send_signal(number)

    @property
    def heeds_interrupts(self) -> bool:
        return signal.SIGINT in self._before

    @property
    def status(self) -> int:
        if self.number in (0, signal.SIGINT):
            return int(pytest.ExitCode.INTERRUPTED)
        return 128 + self.number


class Loop:
    def __init__(
        self,
        config: pytest.Config,
        roots: Sequence[str],
        watch: _engine.TreeWatch,
        signals: Signals,
        told: Path,
    ) -> None:
        self._args = [str(arg) for arg in config.invocation_params.args]
        self._tell = create_terminal_writer(config, sys.stdout)
        self._roots = roots
        self._watch = watch
        self._signals = signals
        self._told = told  # where a run writes what failed
        self._next = Standby()

    def turn(self) -> None:
        failed: list[str] = []
        while True:
            before, (status, failed) = failed, self._run(failed)
            if self._signals.number:
                return
            if before and (status == 0 or (status in GONE and not failed)):
                failed = []
                continue  # what failed passes, or is there no more: now everything
            self._describe(failed)
            if not self._wait():
                return

    def end(self) -> None:
        self._next.end()

    def _run(self, only: list[str]) -> tuple[int, list[str]]:
        """One run, of these tests or of all. Returns its exit status and what failed."""
        self._told.unlink(missing_ok=True)
        process = self._signals.process = self._next.begin(
            {
                "argv": sys.argv,
                "args": self._args,
                "only": only,
                "told": str(self._told),
                "heeds_interrupts": self._signals.heeds_interrupts,
            }
        )
        try:
            status = process.wait()
        finally:
            self._signals.process = None
        self._next = Standby()
        self._skip_what_the_run_did()
        try:
            failed: list[str] = json.loads(self._told.read_text())
        except (OSError, ValueError):  # it died
            failed = only
        return status, failed

    def _describe(self, failed: list[str]) -> None:
        if failed:
            self._tell.sep("#", "LOOPONFAILING", bold=True)
            for nodeid in failed:
                self._tell.line(nodeid, red=True)
        self._tell.sep("#", "waiting for changes")
        for root in self._roots:
            self._tell.line(f"### Watching:   {root}", bold=True)
        self._tell.flush()

    def _skip_what_the_run_did(self) -> None:
        """Reports and logs that it wrote are no reason for another run; a module saved meanwhile is."""
        self._changed = False
        while (path := self._watch.next(0)) is not None:
            self._changed = self._changed or path.endswith(".py")

    def _wait(self) -> bool:
        """Whether something has changed; if not, somebody wants an end."""
        while not self._changed and not self._signals.number:
            self._changed = self._watch.next(LOOK_S) is not None
        until = time.monotonic() + QUIET_S
        while not self._signals.number and (left := until - time.monotonic()) > 0:
            if self._watch.next(left) is not None:
                until = time.monotonic() + QUIET_S
        return not self._signals.number


def _ignore_interrupts() -> None:
    """Ctrl-C is for the run that is on, not for the one that waits, from its first instruction on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Standby:
    """An interpreter that has imported pytest and waits for its orders. It ends when this process does."""

    def __init__(self) -> None:
        read, self._write = os.pipe()
        try:
            self._process = subprocess.Popen(
                launch.argv(None, f"from phalanx.loop_run import main; main({read})"),
                pass_fds=[read],
                preexec_fn=_ignore_interrupts,
            )
        finally:
            os.close(read)

    def begin(self, order: dict[str, Any]) -> subprocess.Popen[bytes]:
        write, self._write = self._write, -1
        # An interpreter that has died meanwhile has an exit status, as one that dies later.
        with (
            contextlib.suppress(BrokenPipeError),
            open(write, "w", encoding="utf-8", errors="surrogateescape") as file,
        ):
            json.dump(order, file)
        return self._process

    def end(self) -> None:
        if self._write >= 0:
            os.close(self._write)
            self._write = -1
            self._process.wait()
