"""--retries: a test that failed runs again, elsewhere if it can, and has one outcome in the end."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
from runner import Project, Run

# `tried` counts the calls of each test in all processes and says the how-many-th this is.
CONFTEST = """
    import os
    from pathlib import Path
    import pytest

    def _tried(name):
        with open("tries-" + name, "a") as file:
            file.write(os.environ.get("PYTEST_XDIST_WORKER", "main") + "\\n")
        return len(Path("tries-" + name).read_text().splitlines())

    @pytest.fixture
    def tried(request): return lambda: _tried(request.node.name)

    @pytest.fixture
    def bad_setup(): assert _tried("test_setup") > 1, "set-up"

    @pytest.fixture
    def bad_teardown():
        yield
        assert _tried("test_teardown") > 1, "tear-down"
"""

SUITE = """
    import unittest, time

    class TestA:
        def test_good(self, tried): tried()
        def test_flaky(self, tried):
            print("said")
            assert tried() > 1, "first try"
        def test_twice(self, tried): assert tried() > 2
        def test_bad(self, tried): assert tried() < 0
        def test_setup(self, bad_setup): pass
        def test_teardown(self, bad_teardown): pass

    class TestOld(unittest.TestCase):
        count = []
        def test_old(self):
            from conftest import _tried
            self.assertGreater(_tried("test_old"), 1)
"""

OUTCOMES = {
    "TestA::test_good": ["passed"],
    "TestA::test_flaky": ["flaky", "rerun"],
    "TestA::test_twice": ["flaky", "rerun", "rerun"],
    "TestA::test_bad": ["failed", "rerun", "rerun"],
    "TestA::test_setup": ["flaky", "rerun"],
    "TestA::test_teardown": ["flaky", "rerun"],
    "TestOld::test_old": ["flaky", "rerun"],
}

MODES = [
    (),
    ("-n1",),
    ("-n2",),
    ("-n2", "--dist=loadscope"),
    ("-n2", "--dist=loadfile"),
    ("-n2", "--dist=loadgroup"),
    ("-n3", "--dist=worksteal"),
]
FEW_MODES = [(), ("-n2",)]


def elements(run: Run) -> dict[str, list[str]]:
    cases: dict[str, list[str]] = {}
    for case in ElementTree.parse(run.xml).iter("testcase"):
        assert case.get("name") not in cases, f"two test cases of one test\n{run}"
        cases[case.get("name") or ""] = [child.tag for child in case]
    return cases


@pytest.mark.parametrize("mode", MODES, ids=" ".join)
def test_one_outcome_in_every_mode(project: Project, mode: tuple[str, ...]) -> None:
    project.write({"conftest.py": CONFTEST, "test_a.py": SUITE})
    run = project.run("--retries=2", *mode)
    assert run.outcomes == {f"test_a.py::{k}": v for k, v in OUTCOMES.items()}, str(run)
    assert run.code == 1
    assert run.counts == {"failed": 1, "passed": 1, "flaky": 5, "rerun": 8}
    assert run.has_line(r"^test_a.py::TestA::test_twice failed 2 times, then passed$"), str(run)
    assert run.has_line(r"^5 of 7 tests were flaky \(71 %\)$"), str(run)
    assert elements(run) == {
        "test_good": [],
        "test_flaky": ["flakyFailure"],
        "test_twice": ["flakyFailure"] * 2,
        "test_bad": ["failure", "rerunFailure", "rerunFailure"],
        "test_setup": ["flakyError"],
        "test_teardown": ["flakyError"],
        "test_old": ["flakyFailure"],
    }, str(run)
    assert run.junit_totals() == {"tests": "7", "failures": "1", "errors": "0", "skipped": "0"}
    case = next(
        c for c in ElementTree.parse(run.xml).iter("flakyFailure") if "first" in str(c.attrib)
    )
    assert "first try" in str(case.findtext("stackTrace"))
    assert case.findtext("system-out") == "said\n"


@pytest.mark.parametrize("mode", [*MODES[1:3], MODES[4]], ids=" ".join)
def test_a_crashed_test_is_tried_again(project: Project, mode: tuple[str, ...]) -> None:
    project.write(
        {
            "conftest.py": CONFTEST,
            "test_a.py": """
                import os
                def test_crash(tried): tried() > 1 or os.abort()
                def test_never(tried): tried() and os._exit(3)
                def test_good(): pass
            """,
        }
    )
    run = project.run("--retries=1", *mode)
    assert run.code == 1
    assert run.outcomes == {
        "test_a.py::test_crash": ["flaky", "rerun"],
        "test_a.py::test_never": ["failed", "rerun"],
        "test_a.py::test_good": ["passed"],
    }, str(run)
    assert elements(run)["test_crash"] == ["flakyError"], str(run)
    assert sorted(elements(run)["test_never"]) == ["error", "rerunError"], str(run)


def test_the_next_try_is_elsewhere(project: Project) -> None:
    """The other worker is busy until it is known that the test is to run again."""
    project.write(
        {
            "conftest.py": CONFTEST
            + """
    def pytest_runtest_logreport(report):
        if report.outcome == "rerun" and hasattr(report, "node"):
            open("known", "w").close()
""",
            "test_a.py": """
                import os, time
                def test_a(tried): assert tried() > 1
                def test_hold():
                    deadline = time.monotonic() + 120
                    while not os.path.exists("known") and time.monotonic() < deadline:
                        time.sleep(0.01)
            """,
        }
    )
    run = project.run("--retries=1", "-n2", together=2)
    assert run.code == 0, str(run)
    assert len(set(project.log("tries-test_a"))) == 2, project.log("tries-test_a")


def test_when_nobody_may_be_replaced_the_test_has_failed(project: Project) -> None:
    """Never green with a test missing: there is no second worker for the second try."""
    project.write(
        {
            "conftest.py": CONFTEST,
            "test_a.py": "import os\ndef test_a(tried): tried() > 1 or os.abort()",
        }
    )
    run = project.run("--retries=1", "-n1", "--max-worker-restart=0")
    assert run.code == 1
    assert run.outcomes == {"test_a.py::test_a": ["failed", "rerun"]}, str(run)


def test_the_last_test_is_tried_again_by_somebody_new(project: Project) -> None:
    """All workers may have ended before its failure is known."""
    project.write({"conftest.py": CONFTEST, "test_a.py": "def test_a(tried): assert tried() > 3"})
    run = project.run("--retries=3", "-n2")
    assert run.code == 0, str(run)
    assert run.outcomes == {"test_a.py::test_a": ["flaky", "rerun", "rerun", "rerun"]}


@pytest.mark.parametrize("mode", FEW_MODES, ids=" ".join)
@pytest.mark.parametrize(("flaky", "code"), [("pass", 0), ("fail", 1)])
def test_flaky_decides_the_exit_code(
    project: Project, mode: tuple[str, ...], flaky: str, code: int
) -> None:
    project.write({"conftest.py": CONFTEST, "test_a.py": "def test_a(tried): assert tried() > 1"})
    run = project.run("--retries=1", f"--flaky={flaky}", *mode)
    assert run.code == code, str(run)
    assert run.has_line("1 of 1 tests were flaky") and run.counts == {"flaky": 1, "rerun": 1}
    assert run.has_line("which --flaky=fail makes a failure") == (flaky == "fail")


@pytest.mark.parametrize("mode", MODES[:2], ids=" ".join)
def test_a_stop_before_the_second_try_leaves_a_failure(
    project: Project, mode: tuple[str, ...]
) -> None:
    project.write(
        {
            "conftest.py": CONFTEST,
            "test_a.py": """
                import pytest
                def test_early(tried): assert tried() > 1
                def test_exit():
                    pytest.exit("enough", 7)
            """,
        }
    )
    run = project.run("--retries=1", *mode)
    assert run.code == 7, str(run)
    assert run.outcomes["test_a.py::test_early"] == ["failed", "rerun"], str(run)


@pytest.mark.parametrize("mode", MODES[:3], ids=" ".join)
def test_x_stops_at_the_last_failure_not_at_the_first(
    project: Project, mode: tuple[str, ...]
) -> None:
    project.write(
        {
            "conftest.py": CONFTEST,
            "test_a.py": """
                def test_flaky(tried): assert tried() > 1
                def test_good(): pass
                def test_more(): pass
            """,
        }
    )
    run = project.run("--retries=1", "-x", *mode)
    assert run.code == 0 and run.counts == {"passed": 2, "flaky": 1, "rerun": 1}, str(run)
    project.write(
        {
            "test_a.py": "import pytest\n@pytest.mark.parametrize('p', range(200))\ndef test(p): assert 0"
        }
    )
    run = project.run("--retries=1", "-x", *mode)
    assert run.code == 1 and run.has_line("stopping after "), str(run)
    assert all(words[0] == "failed" for words in run.outcomes.values()), str(run)


@pytest.mark.parametrize("mode", FEW_MODES, ids=" ".join)
def test_a_skip_does_not_undo_a_failure(project: Project, mode: tuple[str, ...]) -> None:
    project.write(
        {
            "conftest.py": CONFTEST,
            "test_a.py": """
                import pytest
                def test_a(tried):
                    if tried() > 1: pytest.skip("not now")
                    assert 0, "this"
            """,
        }
    )
    run = project.run("--retries=1", *mode)
    assert run.code == 1
    assert run.outcomes == {"test_a.py::test_a": ["failed", "rerun"]}, str(run)


@pytest.mark.parametrize("mode", FEW_MODES, ids=" ".join)
@pytest.mark.parametrize("first", ["phalanx", "retry"])
def test_somebody_elses_retries_stay_theirs(
    project: Project, mode: tuple[str, ...], first: str
) -> None:
    """A plugin with pytest-retry's option, which reports tries as `retried`: they count as flaky."""
    project.write(
        {
            "retrying.py": """
                import pytest

                def pytest_addoption(parser):
                    parser.getgroup("pytest-retry").addoption("--retries", dest="retries", type=int)

                def pytest_report_teststatus(report):
                    if report.outcome == "retried": return "retried", "R", "RETRY"

                @pytest.hookimpl(hookwrapper=True, tryfirst=True)
                def pytest_runtest_makereport(item, call):
                    report = (yield).get_result()
                    if call.when == "call" and report.failed and item.config.option.retries:
                        report.outcome = "retried"
                        item.ihook.pytest_runtest_logreport(report=report)
                        report.outcome = "passed"
            """,
            "test_a.py": "def test_a(): assert 0\ndef test_b(): pass",
        }
    )
    plugins = ["-pretrying", "-pphalanx"]
    run = project.run("--retries=1", *plugins[:: 1 if first == "retry" else -1], *mode)
    assert run.code == 0, str(run)
    assert run.outcomes == {
        "test_a.py::test_a": ["passed", "retried"],
        "test_a.py::test_b": ["passed"],
    }
    assert run.has_line(r"^1 of 2 tests were flaky \(50 %\)$"), str(run)
