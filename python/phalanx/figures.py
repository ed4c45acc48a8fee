"""What is said of a run with workers at its end: the summary, and the files that picture it.

A figure never changes a result: what cannot be written is one line on the terminal."""

from __future__ import annotations

from typing import Any

import pytest

from phalanx import _engine, late_options

figures_key = pytest.StashKey[dict[str, Any]]()


class Figures:
    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._timeline: str | None = late_options.value(config, "--timeline")
        self._trace: str | None = late_options.value(config, "--chrome-trace")
        self._json: str | None = late_options.value(config, "--report-json")
        self._schedule: str | None = late_options.value(config, "--schedule-report")
        self._lines: list[str] = []
        self._schedule_lines: list[str] = []

    def gather(self, engine: _engine.Controller, outcomes: bytes) -> None:
        """While the engine is still there, and no worker any more; `outcomes`: what each test came to."""
        line, advice, table = engine.summary()
        if self._config.getoption("verbose", 0) > 0:  # there is none with -p no:terminal
            self._lines += table.splitlines()
        self._lines.append(line)
        if advice:
            self._lines.append(advice)
        if self._json:
            self._config.stash[figures_key] = engine.figures(outcomes)
        if self._timeline:
            args = (str(arg) for arg in self._config.invocation_params.args)
            title = " ".join(["pytest", *args])
            self._write(
                "timeline",
                self._timeline,
                lambda path: engine.write_timeline(path, title, outcomes),
            )
        if self._schedule == "-":
            self._schedule_lines = (engine.explain() or "").splitlines()
        elif self._schedule:
            self._write("schedule report", self._schedule, engine.explain)
        if self._trace:
            self._write("trace", self._trace, lambda path: engine.write_trace(path, outcomes))

    def _write(self, what: str, path: str, write: Any) -> None:
        path = str(self._config.invocation_params.dir / path)
        try:
            write(path)
        except (_engine.EngineError, OSError, ValueError) as error:
            self._lines.append(f"phalanx: no {what}: {error}")
        else:
            self._lines.append(f"{what}: {path}")

    def show_schedule(self, terminal: Any) -> None:
        """Asked for by name, so with -q too."""
        if self._schedule_lines:
            terminal.write_sep("=", "schedule")
        for line in self._schedule_lines:
            terminal.write_line(line)

    def show(self, terminal: Any) -> None:
        for line in self._lines:
            terminal.write_line(line)
