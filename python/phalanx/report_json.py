"""--report-json: the run as a program reads it. Written with workers and without, so that the two can be
compared; `phalanx verify` does."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from phalanx import _engine, figures, late_options

SCHEMA = 1


class JsonReport:
    def __init__(self, config: pytest.Config, path: str) -> None:
        self._config = config
        self._path = config.invocation_params.dir / path
        self._began = time.monotonic()
        self._tally = _engine.Tally()
        self._read_report = self._tally.read
        self._warnings: list[list[str]] = []
        self._collect_errors: list[str] = []

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: Any) -> None:
        self._read_report(report)

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._collect_errors.append(report.nodeid)

    @pytest.hookimpl
    def pytest_warning_recorded(self, warning_message: Any, nodeid: str) -> None:
        self._warnings.append(
            [warning_message.category.__name__, str(warning_message.message), nodeid]
        )

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Iterator[None]:
        yield
        durations = self._tally.durations()
        data: dict[str, Any] = {
            "schema": SCHEMA,
            "exit_code": int(session.exitstatus),
            "collected": session.testscollected,
            "wall_s": time.monotonic() - self._began,
            "test_s": sum(durations.values()),
            "tests": {n: sorted(words) for n, words in self._tally.outcomes().items()},
            "durations_s": durations,
            "warnings": sorted(self._warnings),
            "collect_errors": sorted(self._collect_errors),
            "workers": self._config.stash.get(figures.figures_key, None),
        }
        try:
            _write(self._path, data)
        except OSError as error:
            terminal = self._config.pluginmanager.getplugin("terminalreporter")
            if terminal:
                terminal.write_line(f"phalanx: cannot write {self._path}: {error.strerror}")


def _write(path: Path, data: dict[str, Any]) -> None:
    """Complete under its name, or not there. What is no file (/dev/stdout, a pipe) is written as it is."""
    if path.exists() and not path.is_file():
        path.write_text(json.dumps(data), encoding="utf-8")
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(json.dumps(data))  # json.dump would encode it in Python
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def install(config: pytest.Config) -> None:
    path = late_options.value(config, "--report-json")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(JsonReport(config, path), "phalanx-report-json")
