"""The history on pytest's side: where it is, and how each test ended.

The engine keeps it (src/store): it reads what tests took before the plan is made, and writes the run at its
end. Nothing in here changes a result; what goes wrong is one line in the summary.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from phalanx import _engine, count
from phalanx.flakiness import percent
from phalanx.run import Run


class History:
    def __init__(self, run: Run) -> None:
        self._run = run
        self._asked_for = run.config.getoption("history")
        self._outcomes = _engine.Outcomes(0)
        self._read_report = self._outcomes.read
        self._warning: str | None = None
        self._flakiness = (0, 0, 0)  # runs, tests, flaky tests
        run.config.pluginmanager.register(self, "phalanx-history")

    def read(self) -> None:
        """Before the plan: from now on the engine knows what the history tells of the collected tests."""
        self._outcomes = _engine.Outcomes(len(self._run.ids))
        self._read_report = self._outcomes.read
        path = self._path()
        if path is not None:
            _, self._warning = self._run.engine.read_history(path)

    def outcomes(self) -> bytes:
        """What each test came to, in the order of the collection: letters of src/store/outcomes.h."""
        return self._outcomes.letters()

    def write(self, engine: _engine.Controller) -> None:
        """After the last worker's end."""
        path = self._path()
        if path is None or not self._run.is_planned:
            return
        try:
            self._make_folder(path)
        except OSError:
            if not self._asked_for:
                return  # no writable cache: no history, and no complaint
        complete = not (self._run.stopping or self._run.interrupted or self._run.internal_error)
        warning, runs, tests, flaky = engine.write_history(
            path,
            uuid.uuid4().hex,
            self.outcomes(),
            count.repetitions(self._run.config, len(self._run.ids)),
            complete,
            not self._asked_for,
        )
        self._flakiness = runs, tests, flaky
        self._warning = self._warning or warning

    def _path(self) -> Path | None:
        config = self._run.config
        if self._asked_for is False:
            return None
        if self._asked_for:
            return Path(config.invocation_params.dir, self._asked_for)
        folder = getattr(getattr(config, "cache", None), "_cachedir", None)
        return None if folder is None else Path(folder, "d", "phalanx", "history.sqlite")

    def _make_folder(self, path: Path) -> None:
        if self._asked_for:
            path.parent.mkdir(parents=True, exist_ok=True)
        else:
            cache: Any = self._run.config.cache
            cache.mkdir("phalanx")

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: Any) -> None:
        self._read_report(report)

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if terminalreporter.config.option.verbose < 0:
            return
        if self._warning:
            terminalreporter.write_line(f"phalanx: history: {self._warning}")
        runs, tests, flaky = self._flakiness
        if flaky:
            terminalreporter.write_line(
                f"flaky in the last {runs} run{'s' if runs > 1 else ''}: {flaky} of {tests} tests "
                f"({percent(flaky, tests)}); 'phalanx history flaky' shows them"
            )
