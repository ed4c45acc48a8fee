"""Tells where the controller is when it does not get on: a plugin's hook that waits for a lock or a network
keeps all results back, and the run looks as if a test hung."""

from __future__ import annotations

import faulthandler
import os
import threading
import time

_STDERR = 2


class Watchdog:
    """A thread that looks on from the start of the run's loop to its end. It ends nothing."""

    def __init__(self, patience: int) -> None:
        self.at: tuple[str, int] | None = None  # the event that is handled, and its worker's number
        self._patience = patience  # seconds; 0: never mind
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="phalanx-watchdog", daemon=True)

    def __enter__(self) -> Watchdog:
        if self._patience:
            self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._patience:
            self._over.set()
            self._thread.join()

    def _look_on(self) -> None:
        last, since, is_told = self.at, time.monotonic(), False
        while not self._over.wait(self._patience / 4):
            at = self.at
            if at is not last:
                last, since, is_told = at, time.monotonic(), False
            elif at is not None and not is_told and time.monotonic() - since >= self._patience:
                self._tell(*at)
                is_told = True

    def _tell(self, event: str, number: int) -> None:
        line = (
            f"\nphalanx: no progress for {self._patience} s: the controller is busy with an event "
            f"'{event}' of gw{number}, and results wait. Where it is (--watchdog=0 turns this off):\n"
        )
        os.write(_STDERR, line.encode())
        faulthandler.dump_traceback(_STDERR, all_threads=True)
