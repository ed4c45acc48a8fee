"""--ramp: workers begin one after the other."""

from __future__ import annotations

import json
import signal

import pytest
from runner import Project, wait_until

# Each test tells when it began, and goes on until every worker has begun one.
SUITE = """
    import json, os, time
    import pytest

    @pytest.mark.parametrize("number", range(12))
    def test_it(number, worker_id):
        with open("log", "a") as log:
            log.write(json.dumps([worker_id, time.monotonic()]) + "\\n")
        deadline = time.monotonic() + 120
        while len({json.loads(line)[0] for line in open("log") if line.endswith("\\n")}) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
"""
CONFTEST = """
    import time

    def pytest_xdist_node_collection_finished(node):
        with open("collected", "w") as file:
            file.write(str(time.monotonic()))
"""
SCHEDULER = """
    def pytest_xdist_make_scheduler(config, log):
        from xdist.scheduler import LoadScheduling
        return LoadScheduling(config, log)
"""


@pytest.mark.parametrize(
    ("args", "conftest"),
    [
        (("-n3",), ""),
        (("-n3", "--dist=loadscope"), ""),
        (("-n3", "--start-method=spawn"), ""),
        (("-n3",), SCHEDULER),
    ],
    ids=["load", "loadscope", "spawn", "scheduler"],
)
def test_workers_begin_one_after_the_other(
    project: Project, args: tuple[str, ...], conftest: str
) -> None:
    project.write({"conftest.py": CONFTEST + conftest, **{f"test_{n}.py": SUITE for n in range(3)}})
    run = project.run("--ramp=3s", *args)
    assert run.code == 0 and run.counts == {"passed": 36}, str(run)
    assert "ramping test start over 3s across 3 workers" in run.lines
    first: dict[str, float] = {}
    for name, at in map(json.loads, project.log()):
        first.setdefault(name, at)
    collected = float((project.path / "collected").read_text())
    for number in range(3):  # late on a busy machine, early never
        assert first[f"gw{number}"] - collected >= number, str(run)


def test_nobody_waits_for_a_time_without_work(project: Project) -> None:
    project.write({"test_a.py": "def test_a(): pass\ndef test_b(): pass\n"})
    run = project.run("-n2", "--ramp=1h")
    assert run.code == 0 and run.counts == {"passed": 2}, str(run)


def test_a_run_that_is_stopped_does_not_wait(project: Project) -> None:
    project.write(
        {
            f"test_{n}.py": "import time\ndef test_a():\n    open('begun', 'w').close(); time.sleep(100)\n"
            for n in range(2)
        }
    )
    running = project.start("-n2", "--dist=loadfile", "--ramp=1h")
    wait_until((project.path / "begun").exists, "the first test")
    running.process.send_signal(signal.SIGINT)
    assert running.wait().code == 2


@pytest.mark.parametrize("text", ["", "soon", "-1", "1d", "1e3", "99999999999h"])
def test_what_is_no_duration(project: Project, text: str) -> None:
    run = project.write({"test_a.py": "def test_a(): pass\n"}).run("-n1", f"--ramp={text}")
    assert run.code == 4, str(run)
    assert f"--ramp: takes a duration like 10s, 5m or 1h, not {text!r}" in run.err, str(run)
