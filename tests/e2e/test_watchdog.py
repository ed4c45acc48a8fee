"""A controller that is stuck in somebody's hook says where; one that waits for a long test says nothing."""

from __future__ import annotations

import os
import signal
import time

import pytest
from runner import Project, wait_until

STUCK = """
    import time

    def pytest_runtest_logreport(report):
        if hasattr(report, "node") and report.when == "call" and "test[2]" in report.nodeid:
            time.sleep(4)
"""
TESTS = "import pytest\n@pytest.mark.parametrize('number', range(6))\ndef test(number): pass\n"


@pytest.mark.parametrize("number", ["-n1", "-n2", "-n4"])
def test_stuck_controller(project: Project, number: str) -> None:
    project.write({"conftest.py": STUCK, "test_a.py": TESTS})
    run = project.run(number, "--watchdog=2")
    assert run.code == 0 and run.counts == {"passed": 6}, str(run)
    assert run.err.count("phalanx: no progress for 2 s") == 1, str(run)
    assert "'report' of gw" in run.err
    assert 'conftest.py", line 6 in pytest_runtest_logreport' in run.err


def test_hook_that_holds_the_interpreter_lock(project: Project) -> None:
    """Stuck in C, where no other thread of Python's gets on: the engine's own thread does."""
    stuck = STUCK.replace("time.sleep(4)", "ctypes.PyDLL(None).sleep(4)").replace("time", "ctypes")
    project.write({"conftest.py": stuck, "test_a.py": TESTS})
    run = project.run("-n2", "--watchdog=2")
    assert run.code == 0 and run.counts == {"passed": 6}, str(run)
    assert run.err.count("phalanx: no progress for 2 s") == 1, str(run)
    assert 'conftest.py", line 6 in pytest_runtest_logreport' in run.err


def test_stopped_is_not_stuck(project: Project) -> None:
    project.write({"test_a.py": "import time\ndef test_a(): time.sleep(3)\n"})
    running = project.start("-n1", "--watchdog=1")
    wait_until(lambda: "[1 item]" in running.output(), "the test")
    os.kill(running.pid, signal.SIGSTOP)
    time.sleep(1.5)
    os.kill(running.pid, signal.SIGCONT)
    run = running.wait()
    assert run.code == 0 and "no progress" not in run.err, str(run)


@pytest.mark.parametrize("seconds", ["0", "60"])
def test_in_time(project: Project, seconds: str) -> None:
    project.write({"conftest.py": STUCK, "test_a.py": TESTS})
    run = project.run("-n2", f"--watchdog={seconds}")
    assert run.code == 0 and "no progress" not in run.err, str(run)


def test_a_long_test_is_progress(project: Project) -> None:
    project.write({"test_a.py": "import time\ndef test_a(): time.sleep(3.5)\n"})
    run = project.run("-n1", "--watchdog=2")
    assert run.code == 0 and "no progress" not in run.err, str(run)


def test_not_a_number(project: Project) -> None:
    project.write({"test_a.py": TESTS})
    run = project.run("-n1", "--watchdog=soon")
    assert run.code == 4 and "takes a number, not 'soon'" in run.err, str(run)
