"""A controller that is stuck in somebody's hook says where; one that waits for a long test says nothing."""

from __future__ import annotations

import pytest
from runner import Project

STUCK = """
    import time

    def pytest_runtest_logreport(report):
        if hasattr(report, "node") and report.when == "call" and "test[2]" in report.nodeid:
            time.sleep(2.5)
"""
TESTS = "import pytest\n@pytest.mark.parametrize('number', range(6))\ndef test(number): pass\n"


def test_stuck_controller(project: Project) -> None:
    project.write({"conftest.py": STUCK, "test_a.py": TESTS})
    run = project.run("-n2", "--watchdog=1")
    assert run.code == 0 and run.counts == {"passed": 6}, str(run)
    assert run.err.count("phalanx: no progress for 1 s") == 1, str(run)
    assert "'report' of gw" in run.err
    assert 'conftest.py", line 6 in pytest_runtest_logreport' in run.err


@pytest.mark.parametrize("seconds", ["0", "60"])
def test_in_time(project: Project, seconds: str) -> None:
    project.write({"conftest.py": STUCK, "test_a.py": TESTS})
    run = project.run("-n2", f"--watchdog={seconds}")
    assert run.code == 0 and "no progress" not in run.err, str(run)


def test_a_long_test_is_progress(project: Project) -> None:
    project.write({"test_a.py": "import time\ndef test_a(): time.sleep(2.5)\n"})
    run = project.run("-n1", "--watchdog=1")
    assert run.code == 0 and "no progress" not in run.err, str(run)


def test_not_a_number(project: Project) -> None:
    project.write({"test_a.py": TESTS})
    run = project.run("-n1", "--watchdog=soon")
    assert run.code == 4 and "takes a number, not 'soon'" in run.err, str(run)
