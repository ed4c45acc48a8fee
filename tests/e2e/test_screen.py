"""What users see and type: the lines of a run, selection, stopping, configuration."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from expected import SUITES
from runner import Project, Run

MIXED = {
    "test_a.py": """
        import pytest

        @pytest.mark.parametrize("number", range(6))
        def test_many(number): pass

        def test_fail(): assert 0
    """,
    "sub/test_b.py": """
        import pytest

        @pytest.mark.slow
        def test_slow(): pass

        @pytest.mark.skip(reason="not today")
        def test_skipped(): pass

        @pytest.fixture
        def broken(): raise RuntimeError("no set-up")

        def test_error(broken): pass
    """,
    "pytest.ini": "[pytest]\nmarkers = slow: takes long\n",
}
COUNTS = {"failed": 1, "passed": 7, "skipped": 1, "error": 1}


@pytest.fixture(scope="module")
def mixed(new_project: Callable[..., Project]) -> Project:
    return new_project(MIXED)


@pytest.fixture(scope="module")
def plain(mixed: Project) -> Run:
    return mixed.run("-n2")


@pytest.fixture(scope="module")
def verbose(mixed: Project) -> Run:
    return mixed.run("-n2", "-v", "--durations=3", "--durations-min=0", "-rA")


def test_start_lines(plain: Run) -> None:
    assert "created: 2/2 workers" in plain.lines
    assert "2 workers [10 items]" in plain.lines
    assert plain.has_line("^forked after collection$")
    assert not plain.has_line("scheduling tests via")


def test_percentage(plain: Run) -> None:
    progress = [line for line in plain.lines if line.endswith("%]")]
    assert len(progress) == 1 and progress[0].endswith("[100%]"), str(plain)
    assert sorted(progress[0].split()[0]) == sorted("." * 7 + "FsE")


def test_one_worker_is_singular(mixed: Project) -> None:
    run = mixed.run("-n1", "-k", "test_fail")
    assert "1 worker [1 item]" in run.lines, str(run)


@pytest.mark.parametrize(
    ("dist", "name"),
    [
        ("load", "LoadScheduling"),
        ("loadscope", "LoadScopeScheduling"),
        ("loadfile", "LoadFileScheduling"),
        ("loadgroup", "LoadGroupScheduling"),
        ("worksteal", "WorkStealingScheduling"),
    ],
)
def test_scheduling_line(mixed: Project, dist: str, name: str) -> None:
    run = mixed.run("-n2", "-v", f"--dist={dist}", "-k", "slow")
    assert f"scheduling tests via {name}" in run.lines


def test_verbose_lines(verbose: Run) -> None:
    pattern = re.compile(r"\[(gw[01])\] \[ *(\d+)%\] (PASSED|FAILED|SKIPPED|ERROR) (\S+)")
    found = [match.groups() for line in verbose.lines if (match := pattern.match(line))]
    assert {nodeid: word for _, _, word, nodeid in found} == {
        **{f"test_a.py::test_many[{number}]": "PASSED" for number in range(6)},
        "test_a.py::test_fail": "FAILED",
        "sub/test_b.py::test_slow": "PASSED",
        "sub/test_b.py::test_skipped": "SKIPPED",
        "sub/test_b.py::test_error": "ERROR",
    }
    assert [int(percent) for _, percent, _, _ in found] == list(range(10, 101, 10))


def test_durations(verbose: Run) -> None:
    start = next(n for n, line in enumerate(verbose.lines) if "slowest 3 durations" in line)
    for line in verbose.lines[start + 1 : start + 4]:
        assert re.fullmatch(r"\d+\.\d+s (call|setup|teardown) +\S+ *", line), str(verbose)


def test_summary_of_all(verbose: Run) -> None:
    for word, nodeid in [
        ("PASSED", "test_a.py::test_many[0]"),
        ("FAILED", "test_a.py::test_fail - assert 0"),
        ("ERROR", "sub/test_b.py::test_error - RuntimeError: no set-up"),
    ]:
        assert f"{word} {nodeid}" in verbose.lines
    assert verbose.has_line(r"^SKIPPED \[1\] sub/test_b.py:\d+: not today$")


def test_figures_line(plain: Run) -> None:
    figures = [line for line in plain.lines if re.search(r"\d+ workers?, \d+ tests", line)]
    assert len(figures) == 1, str(plain)


def test_quiet(mixed: Project) -> None:
    run = mixed.run("-n2", "-q")
    assert run.counts == COUNTS
    assert not run.has_line("forked after|scheduling|workers,")


def test_very_quiet(mixed: Project) -> None:
    run = mixed.run("-n2", "-qq")
    assert run.code == 1 and not run.has_line("workers")


def test_no_terminal(mixed: Project) -> None:
    run = mixed.run("-n2", "-p", "no:terminal")
    assert run.code == 1 and len(run.reports) >= 28, str(run)
    assert run.out == "" and "Traceback" not in run.err, str(run)


def test_no_terminal_and_all_is_well(project: Project) -> None:
    project.write({"test_a.py": "def test_passes(): pass\n"})
    run = project.run("-n2", "-p", "no:terminal")
    assert (run.code, run.out, run.err) == (0, "", ""), str(run)


@pytest.mark.parametrize(
    "selection",
    [
        ("-k", "many and not 3"),
        ("-m", "slow"),
        ("-m", "not slow", "-k", "not fail"),
        ("test_a.py",),
        ("test_a.py::test_many[4]", "sub/test_b.py::test_slow"),
        ("sub", "--deselect", "sub/test_b.py::test_error"),
        ("--ignore", "sub"),
        ("--rootdir", "sub", "sub"),
    ],
    ids=" ".join,
)
def test_selection_as_sequential(mixed: Project, selection: tuple[str, ...]) -> None:
    sequential, parallel = mixed.run(*selection), mixed.run("-n2", *selection)
    assert sequential.outcomes, str(sequential)
    assert parallel.outcomes == sequential.outcomes
    assert parallel.code == sequential.code
    assert parallel.junit() == sequential.junit()
    assert parallel.counts == sequential.counts


def test_statistics_of_the_terminal_as_sequential(project: Project) -> None:
    """Plugins (hypothesis) go through them at the end, the deselected ones included."""
    project.write(
        {
            "conftest.py": """
                def pytest_terminal_summary(terminalreporter):
                    for kind, entries in sorted(terminalreporter.stats.items()):
                        for entry in entries:
                            assert isinstance(entry.__dict__, dict)
                            terminalreporter.write_line(f"stats {kind!r} {entry.nodeid}")
            """,
            "test_a.py": """
                import pytest

                @pytest.mark.parametrize("number", range(3))
                def test_yes(number): pass

                @pytest.mark.parametrize("number", range(3))
                def test_no(number): assert False
            """,
        }
    )
    sequential, parallel = project.run("-k", "yes or 1"), project.run("-n2", "-k", "yes or 1")
    told = [
        sorted(line for line in run.lines if line[:5] == "stats") for run in (sequential, parallel)
    ]
    assert told[0] == told[1] and len(told[0]) == 14, str(parallel)
    assert parallel.counts == sequential.counts


def without_time(run: Run) -> list[str]:
    return [re.sub(r"\d+\.\d+s", "?s", line) for line in run.lines if "junit.xml" not in line]


@pytest.mark.parametrize("options", [("--collect-only",), ("--collect-only", "-q"), ("--markers",)])
def test_listings_as_sequential(mixed: Project, options: tuple[str, ...]) -> None:
    sequential, parallel = mixed.run(*options), mixed.run("-n2", *options)
    assert without_time(parallel) == without_time(sequential)
    assert parallel.code == sequential.code == 0


def test_last_failed(project: Project) -> None:
    project.write(
        {
            "test_a.py": """
                import pytest

                @pytest.mark.parametrize("number", range(6))
                def test_many(number): assert number not in (1, 4)

                @pytest.mark.xdist_group("g")
                def test_group(): assert 0
            """
        }
    )
    failing = {
        nodeid: ["failed"]
        for nodeid in (
            "test_a.py::test_many[1]",
            "test_a.py::test_many[4]",
            "test_a.py::test_group",
        )
    }
    assert project.run("-n2", "--dist=loadgroup").counts == {"failed": 3, "passed": 4}
    assert project.run("-n2", "--lf").outcomes == failing
    assert project.run("--lf").outcomes == failing


def test_without_cache(project: Project) -> None:
    project.write(SUITES["green"].files)
    run = project.run("-n2", "-p", "no:cacheprovider")
    assert run.code == 0 and run.counts == {"passed": 10}
    assert not (project.path / ".pytest_cache").exists()


CONFIGURED = {
    "pytest.ini": "[pytest]\naddopts = -n 2\n",
    "tox.ini": "[pytest]\naddopts = -n 2\n",
    "setup.cfg": "[tool:pytest]\naddopts = -n 2\n",
    "pyproject.toml": '[tool.pytest.ini_options]\naddopts = "-n 2"\n',
}


@pytest.mark.parametrize("name", [*CONFIGURED, "PYTEST_ADDOPTS"])
def test_addopts(project: Project, name: str) -> None:
    project.write(SUITES["green"].files)
    env = {}
    if name in CONFIGURED:
        project.write({name: CONFIGURED[name]})
    else:
        env[name] = "-n 2"
    run = project.run(env=env)
    assert "2 workers [10 items]" in run.lines, str(run)
    assert run.counts == {"passed": 10} and run.code == 0


def test_zero_on_the_command_line_beats_addopts(project: Project) -> None:
    project.write({**SUITES["green"].files, "pytest.ini": CONFIGURED["pytest.ini"]})
    run = project.run("-n0")
    assert run.counts == {"passed": 10} and not run.workers


def test_missing_path(mixed: Project) -> None:
    run = mixed.run("-n2", "no_such_file.py")
    assert run.code == 4
    assert "ERROR: file or directory not found: no_such_file.py" in run.err + run.out, str(run)
    assert "Traceback" not in run.err + run.out


def test_broken_conftest(project: Project) -> None:
    project.write({"conftest.py": "raise ValueError('broken conftest')", **SUITES["green"].files})
    sequential, parallel = project.run(), project.run("-n2")
    assert parallel.code == sequential.code == 4
    assert "broken conftest" in parallel.err + parallel.out


def test_broken_conftest_of_a_subdirectory(project: Project) -> None:
    """The controller never imports it: the zygote does, and tells."""
    project.write(
        {
            "sub/conftest.py": "raise ValueError('broken conftest')",
            "sub/test_a.py": "def test_a(): pass",
        }
    )
    sequential, parallel = project.run(), project.run("-n2")
    assert parallel.code == sequential.code
    assert "broken conftest" in parallel.err + parallel.out, str(parallel)
    assert parallel.counts == sequential.counts


STOPPING = """
    import pytest

    def test_0(): assert 0

    @pytest.mark.parametrize("number", range(60))
    def test_many(number, until_told): {many}
"""
FIRST = "until_told()"
SECOND = "until_told() if number > 10 else None; assert number not in (10, 50)"


@pytest.fixture(scope="module")
def stopping(new_project: Callable[..., Project]) -> Project:
    return new_project({"test_a.py": STOPPING.format(many=FIRST)}).tell_of_failures()


@pytest.mark.parametrize("dist", ["load", "loadfile", "worksteal"])
def test_stop_at_first_failure(stopping: Project, dist: str) -> None:
    (stopping.path / "told").unlink(missing_ok=True)
    run = stopping.run("-x", "-n2", f"--dist={dist}")
    assert run.code == 1
    assert run.has_line("stopping after 1 failures"), str(run)  # pytest's own plural
    # The other worker goes on until the failure is known; 58 tests would pass if nothing stopped it.
    assert run.counts["failed"] == 1 and run.counts.get("passed", 0) <= 30, str(run)
    assert sum(run.counts.values()) == len(run.outcomes)


def test_stop_at_first_failure_with_one_worker(stopping: Project) -> None:
    run = stopping.run("-x", "-n1")
    assert run.outcomes == {"test_a.py::test_0": ["failed"]} and run.code == 1


def test_maxfail(project: Project) -> None:
    project.write({"test_a.py": STOPPING.format(many=SECOND)}).tell_of_failures()
    run = project.run("--maxfail=2", "-n1")
    assert run.code == 1 and run.counts == {"failed": 2, "passed": 10}, str(run)
    assert run.has_line("stopping after 2 failures")
    (project.path / "told").unlink()
    run = project.run("--maxfail=2", "-n4")
    assert run.code == 1 and 2 <= run.counts["failed"] <= 3, str(run)
    assert len(run.outcomes) < 61


EXITING = """
    import os, pytest, time

    @pytest.fixture(scope="module", autouse=True)
    def left():
        yield
        with open("log", "a") as log: log.write("torn down\\n")

    def test_first(): {how}

    @pytest.mark.parametrize("number", range(40))
    def test_many(number):
        deadline = time.monotonic() + 120
        while not os.path.exists("told") and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)  # in which the run is stopped
"""


def test_exit_in_a_test(project: Project) -> None:
    project.write(
        {"test_a.py": EXITING.format(how="open('told', 'w'); pytest.exit('enough', returncode=7)")}
    )
    sequential = project.run()
    (project.path / "told").unlink()
    parallel = project.run("-n2")
    assert parallel.code == sequential.code == 7, str(parallel)
    assert parallel.has_line("Exit: enough"), str(parallel)
    assert not parallel.has_line("INTERNALERROR")
    assert len(parallel.outcomes) < 41


@pytest.mark.parametrize("word", ["shouldstop", "shouldfail"])
def test_stop_by_the_session(project: Project, word: str) -> None:
    project.write({"test_a.py": EXITING.format(how="pass")})
    project.write(
        {
            "conftest.py": f"""
                def pytest_runtest_logreport(report):
                    if report.when == "call" and report.nodeid.endswith("test_first"):
                        session.{word} = "somebody wants it"
                        open("told", "w").close()

                def pytest_sessionstart(session):
                    globals()["session"] = session
            """
        }
    )
    sequential = project.run()
    (project.path / "told").unlink()
    parallel = project.run("-n2")
    assert parallel.code == sequential.code, str(parallel)
    assert parallel.has_line("somebody wants it")
    assert len(parallel.outcomes) <= 20, str(parallel)
    project.write(
        {
            "conftest.py": f"""
                import pytest

                @pytest.fixture(autouse=True)
                def stop(request):
                    yield
                    if request.node.name == "test_first":
                        request.session.{word} = "somebody wants it"
            """
        }
    )
    inside = project.run("-n2")
    assert inside.code == sequential.code, str(inside)
    assert inside.has_line("somebody wants it")


@pytest.mark.parametrize(
    "hook",
    [
        "pytest_runtest_protocol(item, nextitem)",
        "pytest_runtest_logreport(report)",
        "pytest_runtest_makereport(item, call)",
    ],
)
def test_internal_error_in_a_worker(project: Project, hook: str) -> None:
    project.write(SUITES["green"].files)
    project.write(
        {
            "conftest.py": f"""
                import os

                def {hook}:
                    if "PYTEST_XDIST_WORKER" in os.environ:
                        raise RuntimeError("a hook is broken")
            """
        }
    )
    run = project.run("-n2")
    assert run.code == 3, str(run)
    assert "RuntimeError: a hook is broken" in run.out + run.err


def test_internal_error_in_the_controller(project: Project) -> None:
    project.write(SUITES["green"].files)
    project.write(
        {
            "conftest.py": """
                def pytest_runtest_logreport(report):
                    if hasattr(report, "node"):
                        raise RuntimeError("a hook is broken")
            """
        }
    )
    run = project.run("-n2")
    assert run.code == 3, str(run)
    assert "RuntimeError: a hook is broken" in run.out + run.err


@pytest.mark.parametrize(
    "where", ["pytest_collection_modifyitems", "pytest_configure", "pytest_sessionstart"]
)
def test_internal_error_before_the_fork(project: Project, where: str) -> None:
    argument = "config" if where == "pytest_configure" else "session"
    project.write(SUITES["green"].files)
    project.write(
        {
            "conftest.py": f"""
                import os

                def {where}({argument}):
                    if "PYTEST_XDIST_WORKER" in os.environ:
                        raise RuntimeError("a hook is broken")
            """
        }
    )
    run = project.run("-n2")
    assert run.code in (1, 3), str(run)
    assert "RuntimeError: a hook is broken" in run.out + run.err


def test_an_internal_error_is_no_success_whatever_a_plugin_says(project: Project) -> None:
    """pytest-testmon turns "no tests collected" into a success when it has deselected some."""
    project.write(SUITES["green"].files)
    project.write(
        {
            "conftest.py": """
                import os, pytest

                def pytest_collection_modifyitems(session):
                    raise RuntimeError("a hook is broken")

                @pytest.hookimpl(trylast=True)
                def pytest_sessionfinish(session, exitstatus):
                    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
                        session.exitstatus = pytest.ExitCode.OK
            """
        }
    )
    run = project.run("-n2")
    assert run.code == 3, str(run)


def test_deselected_stand_ins_without_a_node_id(project: Project) -> None:
    """pytest-testmon's."""
    project.write(SUITES["green"].files)
    project.write(
        {
            "conftest.py": """
                class StandIn:
                    def __init__(self, config):
                        self.config = config

                def pytest_collection_modifyitems(config, items):
                    config.hook.pytest_deselected(items=[StandIn(config)] * len(items[1:]))
                    del items[1:]
            """
        }
    )
    run = project.run("-n2")
    assert run.code == 0 and run.counts["passed"] == 1 and run.counts["deselected"] > 0, str(run)


def test_usage_error_of_a_hook(project: Project) -> None:
    project.write(SUITES["green"].files)
    project.write(
        {
            "conftest.py": """
                import pytest

                def pytest_collection_modifyitems(config):
                    raise pytest.UsageError("not like this")
            """
        }
    )
    sequential, parallel = project.run(), project.run("-n2")
    assert parallel.code == sequential.code == 4
    assert "ERROR: not like this" in parallel.out + parallel.err


def test_crash_while_importing(project: Project) -> None:
    project.write(SUITES["green"].files)
    project.write({"test_three.py": "import os; os.kill(os.getpid(), 11)"})
    run = project.run("-n2")
    assert run.code == 2, str(run)
    assert run.has_line("ERROR test_three.py")
    assert "SIGSEGV" in run.out
    assert run.counts == {"error": 1}


def test_crash_while_importing_for_a_list_of_tests(project: Project) -> None:
    """`--collect-only` starts no workers: pytest dies of the module, and faulthandler names it, as without
    -n."""
    project.write(SUITES["green"].files)
    project.write({"test_three.py": "import os; os.kill(os.getpid(), 11)"})
    sequential, run = project.run("--collect-only"), project.run("-n2", "--collect-only")
    assert run.code == sequential.code == -11, str(run)
    assert "test_three.py" in sequential.err and "test_three.py" in run.err
