"""An expensive class fixture, and a log that proves how often it was set up."""

import time
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def setup_log(tmp_path_factory, worker_id):
    """One log per run: the directory above a worker's own is the same for all workers."""
    directory = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        directory = directory.parent
    return directory / "setups.log"


@pytest.fixture(scope="class")
def report(request, setup_log, worker_id):
    """A report that takes a second to make; all tests of the class look at the same one."""
    time.sleep(1)
    with setup_log.open("a") as log:
        log.write(f"{request.cls.__name__} {worker_id}\n")
    return [request.cls.period, *range(request.cls.days), "total"]


@pytest.fixture(autouse=True)
def record_log(setup_log, record_property):
    record_property("setup_log", str(setup_log))


def pytest_terminal_summary(terminalreporter):
    """Shows the log of the run, which the reports name."""
    setups = []
    for report in terminalreporter.getreports("passed"):
        log = dict(report.user_properties).get("setup_log")
        if log:
            setups = [line.split() for line in Path(log).read_text().splitlines()]
    terminalreporter.section("set-ups of the class fixture")
    for name, worker in setups:
        terminalreporter.line(f"{name:16} on {worker}")
    classes = {name for name, _ in setups}
    terminalreporter.line(f"{len(classes)} classes, {len(setups)} set-ups")
