"""A pytest plugin of the runs under test: writes what the reporting process was told, one JSON object per
line, to the file named by PHALANX_E2E_RECORD. It speaks pytest's hooks only, so it records sequential and
distributed runs alike."""

from __future__ import annotations

import json
import os

import pytest


class Recorder:
    def __init__(self, config, path):
        self._config = config
        self._file = open(path, "a", encoding="utf-8", errors="backslashreplace")

    def _write(self, kind, **values):
        self._file.write(json.dumps({"kind": kind, **values}) + "\n")
        self._file.flush()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report):
        status = self._config.hook.pytest_report_teststatus(report=report, config=self._config)
        if status is None:  # -p no:terminal
            status = (report.outcome if report.when == "call" or report.failed else "",)
        self._write(
            "report",
            nodeid=report.nodeid,
            when=report.when,
            category=status[0],
            outcome=report.outcome,
            worker=getattr(report, "worker_id", None),
            sections=[list(section) for section in report.sections],
            longrepr=str(report.longrepr) if report.longrepr is not None else None,
            properties=[[name, str(value)] for name, value in report.user_properties],
            location=list(report.location),
        )

    def pytest_collectreport(self, report):
        if not report.passed:
            self._write("collect", nodeid=report.nodeid, outcome=report.outcome)

    def pytest_warning_recorded(self, warning_message, when, nodeid, location):
        self._write(
            "warning",
            message=str(warning_message.message),
            category=warning_message.category.__name__,
            when=when,
            nodeid=nodeid,
        )

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, exitstatus):
        self._write("finish", exitstatus=int(exitstatus))


def pytest_configure(config):
    path = os.environ.get("PHALANX_E2E_RECORD")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(config, path), "phalanx-e2e-recorder")
