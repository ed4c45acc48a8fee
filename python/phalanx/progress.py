"""The live line of a run on a terminal: how far it is, until when, what has failed, what runs for long.

It stands below the line that pytest is writing, and is gone before pytest writes anything. Only pytest's own
reporter is known well enough for that: with another one in its place there is no line.
"""

from __future__ import annotations

import os
import shutil
import time
from typing import Any

import pytest
from _pytest.terminal import TerminalReporter

from phalanx import _engine, late_options

INTERVAL_S = 0.2
FIRST_S = 1.0  # a run that is over by then needs no line
LONG_S = 1.0  # from that age on a running test is named
NAMED = 3

# Down to the line below (which scrolls at the bottom of the screen) and back, so that it is there; then save
# the place, go down, write, and return.
_MAKE_ROOM = "\x1bD\x1bM"
_BELOW = "\x1b7\x1bD\r"
_BACK = "\x1b[K\x1b8"


class _Screen:
    """In the place of the file that pytest's terminal writer writes to."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.flush = file.flush  # called for every test
        self.is_dirty = False

    def draw(self, text: str) -> None:
        self._file.write(f"{_MAKE_ROOM}{_BELOW}{text}{_BACK}")
        self._file.flush()
        self.is_dirty = True

    def clear(self) -> None:
        if self.is_dirty:
            self.is_dirty = False
            self._file.write(_BELOW + _BACK)

    def write(self, text: str) -> Any:
        self.clear()
        return self._file.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class Progress:
    """Used by the session's loop; does nothing where there is nobody to see it."""

    def __init__(self, config: pytest.Config) -> None:
        self._writer: Any = None
        self._screen: _Screen | None = None
        self._config = config
        self._began = time.monotonic()
        self._drawn = self._began + FIRST_S - INTERVAL_S

    def begin(self) -> None:
        reporter = self._config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None and _is_wanted(self._config, reporter):
            self._writer = reporter._tw
            self._screen = self._writer._file = _Screen(self._writer._file)

    def end(self) -> None:
        if self._screen is not None:
            self._screen.clear()
            self._writer._file = self._screen._file
            self._screen = None

    @property
    def patience_s(self) -> float:
        """How long the loop may wait for events."""
        return -1.0 if self._screen is None else INTERVAL_S

    def tick(self, engine: _engine.Controller, failed: int) -> None:
        now = time.monotonic()
        if self._screen is None or now - self._drawn < INTERVAL_S:
            return
        self._drawn = now
        ended, total, left_s, running = engine.progress()
        if total:
            text = line(ended, total, left_s, now - self._began, failed, running)
            self._screen.draw(text[: shutil.get_terminal_size().columns - 1])


def line(
    ended: int,
    total: int,
    left_s: float,
    elapsed_s: float,
    failed: int,
    running: list[tuple[int, str, float]],
) -> str:
    parts = [f"{ended}/{total} ({100 * ended // total} %)"]
    if left_s < 0 and ended:  # no history: as it went so far
        left_s = elapsed_s * (total - ended) / ended
    if left_s >= 0 and ended < total:
        parts.append(f"about {_clock(left_s)} left")
    if failed:
        parts.append(f"{failed} failed")
    long = [f"{_name(nodeid)} {age:.0f} s" for _, nodeid, age in running if age >= LONG_S]
    parts += long[:NAMED]
    if len(long) > NAMED:
        parts[-1] += ", …"
    return "  ".join(parts)


def _name(nodeid: str) -> str:
    path, bracket, parameters = nodeid.partition("[")
    name = path.rpartition("::")[2] + bracket + parameters
    return "".join(c if c.isprintable() else "?" for c in name[:60])


def _clock(seconds: float) -> str:
    whole = int(seconds + 0.5)
    return f"{whole // 60}:{whole % 60:02}"


def _is_wanted(config: pytest.Config, reporter: Any) -> bool:
    return (
        late_options.value(config, "--progress") == "auto"
        and type(reporter) is TerminalReporter
        and bool(getattr(reporter, "isatty", False))
        and bool(reporter.hasmarkup)
        and config.option.verbose == 0
        and config.getoption("capture") != "no"
        and os.environ.get("TERM", "dumb") != "dumb"
        and not any(os.environ.get(name) for name in ("CI", "BUILD_NUMBER"))
    )
