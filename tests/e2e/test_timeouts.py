"""Tests that take too long: --test-timeout, and pytest-timeout beside phalanx where it cannot strike (B14)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from runner import Project, Run

# In C, holding the interpreter's lock: until a signal comes, and whatever comes.
IN_C = "ctypes.PyDLL(None).sleep(600)"
LOOPS_IN_C = "any(itertools.repeat(False))"

#: One kind of hang for each of four workers, and tests behind them.
HANGS = f"""
    import ctypes, time
    import pytest

    def test_in_c(): {IN_C}
    def test_behind_c(): pass
"""
SLEEPS = """
    import threading, time

    def test_sleeps():
        print("last words")
        thread = threading.Thread(target=other_thread, daemon=True)
        thread.start()
        time.sleep(600)

    def other_thread(): time.sleep(600)
    def test_behind_sleep(): pass
"""
SET_UP = """
    import time
    import pytest

    @pytest.fixture(scope="module")
    def set_up(): time.sleep(600)

    def test_set_up(set_up): pass
    def test_behind_set_up(): pass
"""
TORN_DOWN = """
    import time
    import pytest

    @pytest.fixture
    def torn_down():
        yield
        time.sleep(600)

    def test_torn_down(torn_down): pass
    def test_behind_torn_down(): pass
"""


@pytest.fixture(scope="module")
def hung(new_project: Callable[..., Project]) -> Run:
    files = {"test_a.py": HANGS, "test_b.py": SLEEPS, "test_c.py": SET_UP, "test_d.py": TORN_DOWN}
    return new_project(files).run("-n4", "--dist=loadfile", "--test-timeout=5")


def test_the_run_goes_on(hung: Run) -> None:
    assert hung.code == 1, str(hung)
    assert hung.outcomes == {
        "test_a.py::test_in_c": ["failed"],
        "test_a.py::test_behind_c": ["passed"],
        "test_b.py::test_sleeps": ["failed"],
        "test_b.py::test_behind_sleep": ["passed"],
        "test_c.py::test_set_up": ["failed"],
        "test_c.py::test_behind_set_up": ["passed"],
        "test_d.py::test_torn_down": ["failed", "passed"],
        "test_d.py::test_behind_torn_down": ["passed"],
    }, str(hung)


@pytest.mark.parametrize(
    ("nodeid", "phase", "function"),
    [
        ("test_a.py::test_in_c", "call", "in test_in_c"),
        ("test_b.py::test_sleeps", "call", "in other_thread"),
        ("test_b.py::test_sleeps", "call", "in test_sleeps"),
        ("test_c.py::test_set_up", "setup", "in set_up"),
        ("test_d.py::test_torn_down", "teardown", "in torn_down"),
    ],
)
def test_the_test_that_hangs_is_named(hung: Run, nodeid: str, phase: str, function: str) -> None:
    """With where it is, in all threads."""
    text = hung.report_of(nodeid, "???")["longrepr"]
    assert f"crashed while running '{nodeid}'" in text
    assert f"timed out after 5 s in its {phase} phase, and its worker was ended" in text
    assert function in text, text


def test_what_it_printed_is_kept(hung: Run) -> None:
    assert hung.sections_of("test_b.py::test_sleeps")["Captured stdout call"] == "last words\n"


def test_the_junit_file_says_it(hung: Run) -> None:
    [case] = [case for case in hung.junit() if case[1] == "test_in_c"]
    assert "timed out after 5 s" in case[2]


ONCE = f"""
    import ctypes, os

    def test_hangs_once():
        if not os.path.exists("hung"):
            open("hung", "w").close()
            {IN_C}
"""


def test_tried_again(project: Project) -> None:
    project.write({"test_a.py": ONCE})
    run = project.run("-n1", "--test-timeout=5", "--retries=1")
    assert run.code == 0 and run.counts == {"flaky": 1, "rerun": 1}, str(run)


def test_by_a_scheduler_of_a_plugin(project: Project) -> None:
    project.write({"test_a.py": ONCE + "    def test_other(): pass\n"})
    run = project.run("-n2", "--dist=each", "--test-timeout=5")
    assert run.code == 1 and run.counts == {"passed": 3, "failed": 1}, str(run)


@pytest.mark.parametrize("options", [(), ("-p", "no:faulthandler"), ("-s",)])
def test_without_stacks(project: Project, options: tuple[str, ...]) -> None:
    project.write({"test_a.py": ONCE + "    def test_other(): pass\n"})
    run = project.run("-n1", "--test-timeout=5", *options)
    assert run.code == 1 and run.counts == {"passed": 1, "failed": 1}, str(run)
    text = run.report_of("test_a.py::test_hangs_once", "???")["longrepr"]
    assert "timed out after 5 s" in text
    assert ("in test_hangs_once" in text) == ("no:faulthandler" not in options)


@pytest.mark.parametrize("value", ["soon", "-1", "inf"])
def test_no_seconds(project: Project, value: str) -> None:
    project.write({"test_a.py": "def test_a(): pass\n"})
    run = project.run("-n1", f"--test-timeout={value}")
    assert run.code == 4 and f"takes seconds, not '{value}'" in run.err, str(run)


BESIDE = {
    "test_a.py": f"""
        import itertools
        import pytest

        @pytest.mark.timeout(1.5)
        def test_in_c(): {LOOPS_IN_C}
        def test_behind_c(): pass
    """,
    "test_b.py": f"""
        import itertools
        import pytest

        @pytest.mark.timeout(1.5, func_only=True)
        def test_in_c(): {LOOPS_IN_C}
        def test_behind_c(): pass
    """,
    "test_c.py": """
        import time
        import pytest

        @pytest.fixture
        def slow():
            yield
            time.sleep(7)
            open("torn down", "w").close()

        @pytest.mark.timeout(1.5)
        def test_sleeps(slow): time.sleep(600)
        def test_behind_sleep(): pass
    """,
    "test_d.py": """
        import time
        import pytest

        @pytest.mark.timeout(300)
        def test_in_time(): time.sleep(0.1)
        @pytest.mark.timeout(1.5, method="thread")
        def test_by_a_thread(): time.sleep(600)
        def test_behind(): pass
    """,
}


@pytest.mark.parametrize("name", ["timeout", "pytest_timeout"])
def test_beside_pytest_timeout(project: Project, name: str) -> None:
    """What it can end it ends, as ever; a test that it cannot reach is ended five seconds later."""
    pytest.importorskip("pytest_timeout")
    project.write(BESIDE)
    run = project.run("-n4", "--dist=loadfile", f"-p{name}")
    assert run.code == 1, str(run)
    assert run.outcomes == {
        "test_a.py::test_in_c": ["failed"],
        "test_a.py::test_behind_c": ["passed"],
        "test_b.py::test_in_c": ["failed"],
        "test_b.py::test_behind_c": ["passed"],
        "test_c.py::test_sleeps": ["failed"],
        "test_c.py::test_behind_sleep": ["passed"],
        "test_d.py::test_in_time": ["passed"],
        "test_d.py::test_by_a_thread": ["failed"],
        "test_d.py::test_behind": ["passed"],
    }, str(run)
    for nodeid in ("test_a.py::test_in_c", "test_b.py::test_in_c"):
        text = run.report_of(nodeid, "???")["longrepr"]
        assert "timed out after 1.5 s" in text and "in test_in_c" in text, text
    text = run.report_of("test_c.py::test_sleeps")["longrepr"]
    assert "Timeout (>1.5s) from pytest-timeout" in text and "phalanx" not in text, text
    assert (project.path / "torn down").exists()  # nobody cut its teardown short
    text = run.report_of("test_d.py::test_by_a_thread", "???")["longrepr"]
    assert "exited with status 1" in text and "timed out" not in text, text
