"""Tells where the controller is when it does not get on: a plugin's hook that waits for a lock or a network
keeps all results back, and the run looks as if a test hung.

The engine's thread looks on (src/role/watchdog.h); the stacks are written by faulthandler's signal handler,
which needs no lock of the interpreter either.
"""

from __future__ import annotations

import contextlib
import faulthandler
import signal

from phalanx import _engine

_STDERR = 2


class Watchdog:
    """Looks on from the start of the run's loop to its end. It ends nothing."""

    def __init__(self, patience: int) -> None:
        self._patience = patience  # seconds; 0: never mind
        self._dog: _engine.Watchdog | None = None
        self._signal = 0

    def __enter__(self) -> Watchdog:
        if self._patience:
            number = _free_signal()
            with contextlib.suppress(
                _engine.EngineError
            ):  # no thread to be had: it is only a comfort
                self._dog = _engine.Watchdog(self._patience, number, _STDERR)
            if number and self._dog is not None:
                self._signal = number
                faulthandler.register(number, _STDERR, all_threads=True)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._dog is not None:
            self._dog.stop()
        if self._signal:
            faulthandler.unregister(self._signal)

    @property
    def watches(self) -> bool:
        return self._dog is not None

    def busy(self, event: str, number: int) -> None:
        """The controller handles this from now on."""
        if self._dog is not None:
            self._dog.busy(event, number)

    def idle(self) -> None:
        if self._dog is not None:
            self._dog.idle()


def _free_signal() -> int:
    """A real-time signal that nobody has a use for; 0 if there is none: then there is the line alone."""
    for number in range(signal.SIGRTMAX - 1, signal.SIGRTMIN, -1):
        if signal.getsignal(number) is signal.SIG_DFL:
            return int(number)
    return 0
