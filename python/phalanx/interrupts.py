"""Ctrl-C, SIGTERM, SIGHUP and Ctrl-Z while the controller's loop runs."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from phalanx import _engine


class Interrupts:
    """Ctrl-C, SIGTERM and SIGHUP while tests run: the first one is noted, so that no event is lost half-way
    through a hook, the second one is raised at once. Ctrl-Z stops the whole run, and what continues this
    process continues it."""

    def __init__(self, engine: _engine.Controller) -> None:
        self.count = 0
        self._engine = engine
        self.number = signal.SIGINT
        self._earlier: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        # Only the main thread may, and only in place of Python's own handlers: another one is somebody's.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                self._take(number, self._on_signal)
            self._take(signal.SIGTSTP, self._on_suspend)
        return self

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._earlier.items():
            signal.signal(number, handler)

    def exception(self) -> BaseException:
        """What ends pytest's session: exit status 2, or that of a process which the signal killed."""
        if self.number == signal.SIGINT:
            return KeyboardInterrupt()
        return pytest.exit.Exception(f"ended by {self.number.name}", 128 + self.number)

    def _take(
        self, number: signal.Signals, handler: Callable[[int, FrameType | None], None]
    ) -> None:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            self._earlier[number] = signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        self.number = signal.Signals(number)
        self._engine.wake()  # the loop may have looked at the count already, and be about to wait
        if self.count > 1:
            raise KeyboardInterrupt

    def _on_suspend(self, number: int, frame: FrameType | None) -> None:
        # By the default action, which the kernel leaves out where no shell could continue this process.
        signal.signal(number, signal.SIG_DFL)
        self._engine.suspend()
        os.kill(os.getpid(), number)
        self._engine.resume()
        signal.signal(number, self._on_suspend)
