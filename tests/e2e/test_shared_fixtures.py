"""`phalanx.shared_fixture`: set up once for the run, whatever happens to those who share it."""

from __future__ import annotations

import signal
import textwrap

import pytest
from runner import Project, wait_until

MODES = {
    "sequential": [],
    "n0": ["-n0"],
    "n1": ["-n1"],
    "n3": ["-n3"],
    "loadfile": ["-n3", "--dist=loadfile"],
}

# `note` appends a line to ./log, whoever calls it.
CONFTEST = """
    import os, pathlib, threading, time
    import pytest
    import phalanx

    LOG = pathlib.Path(__file__).parent / "log"

    def note(text):
        with LOG.open("a") as file:
            file.write(text + "\\n")

    @phalanx.shared_fixture
    def catalogue():
        note("set up")
        # Not to be pickled, and of one process.
        yield {"pid": os.getpid(), "lock": threading.Lock(), "call": lambda: "called"}
        note("torn down")
"""

TESTS = """
    import os
    import pytest

    @pytest.mark.parametrize("number", range(6))
    def test_it(catalogue, number, request):
        with catalogue["lock"]:
            assert catalogue["call"]() == "called"
        is_worker = hasattr(request.config, "workerinput")
        assert (catalogue["pid"] == os.getpid()) is not is_worker
        assert (catalogue["pid"] == os.getppid()) is is_worker

    def test_without():
        pass
"""


def suite(project: Project, tests: str = TESTS, more: str = "", **files: str) -> Project:
    names = {f"{name}.py": text for name, text in files.items()}
    project.write({"conftest.py": CONFTEST, "test_it.py": tests, **names})
    with (project.path / "conftest.py").open("a") as file:
        file.write(textwrap.dedent(more))
    return project


@pytest.mark.parametrize("args", MODES.values(), ids=MODES)
def test_set_up_and_torn_down_once(project: Project, args: list[str]) -> None:
    run = suite(project, test_more=TESTS).run(*args)
    assert run.code == 0 and run.counts == {"passed": 14}, run
    assert project.log() == ["set up", "torn down"]


def test_it_is_named_where_the_workers_are_forked(project: Project) -> None:
    run = suite(project).run("-n2")
    assert run.has_line(r"^forked after collection and the shared fixtures catalogue$"), run


def test_only_what_the_chosen_tests_need(project: Project) -> None:
    run = suite(project).run("-n2", "-k", "without")
    assert run.code == 0 and run.counts["passed"] == 1, run
    assert project.log() == []


FAMILY = """
    @pytest.fixture(scope="session")
    def ordinary():
        note(f"ordinary set up")
        yield "ordinary"
        note(f"ordinary torn down")

    @phalanx.shared_fixture(name="renamed", autouse=True)
    def _renamed(catalogue, ordinary, request, tmp_path_factory):
        note("renamed set up")
        (tmp_path_factory.mktemp("shared") / "file").write_text("text")
        request.addfinalizer(lambda: note("renamed torn down"))
        return [catalogue, ordinary]
"""


@pytest.mark.parametrize("args", [[], ["-n1"]], ids=["sequential", "n1"])
def test_shared_ones_may_need_others(project: Project, args: list[str]) -> None:
    tests = """
        def test_renamed(renamed, catalogue):
            assert renamed[0] is catalogue and renamed[1] == "ordinary"

        def test_nothing_asked_for():
            pass
    """
    run = suite(project, tests, FAMILY).run(*args)
    assert run.code == 0 and run.counts == {"passed": 2}, run
    log = [line for line in project.log() if not line.startswith("ordinary")]
    assert log == ["set up", "renamed set up", "renamed torn down", "torn down"]
    ordinary = [line for line in project.log() if line.startswith("ordinary")]
    # For the shared one, and for the one worker.
    assert ordinary == ["ordinary set up", "ordinary torn down"] * (2 if args else 1) or sorted(
        ordinary
    ) == sorted(["ordinary set up", "ordinary torn down"] * 2)


BROKEN = """
    @phalanx.shared_fixture
    def broken(catalogue):
        print("said by the set-up")
        note("broken set up")
        raise OSError("no such catalogue")

    @phalanx.shared_fixture
    def skipping():
        note("skipping set up")
        pytest.skip("not on this machine")
"""
BROKEN_TESTS = """
    import pytest

    @pytest.mark.parametrize("number", range(5))
    def test_broken(broken, number):
        pass

    @pytest.mark.parametrize("number", range(3))
    def test_skipped(skipping, number):
        pass

    def test_good(catalogue):
        pass
"""


def test_a_set_up_that_fails(project: Project) -> None:
    suite(project, BROKEN_TESTS, BROKEN)
    expected = project.run()
    wanted = project.log()
    (project.path / "log").unlink()
    run = project.run("-n3")
    assert run.code == expected.code == 1
    assert run.outcomes == expected.outcomes and run.counts == expected.counts, run
    assert run.junit() == expected.junit()
    assert sorted(project.log()) == sorted(wanted)
    assert wanted.count("broken set up") == 1
    error = run.report_of("test_it.py::test_broken[0]", "setup")
    assert "no such catalogue" in error["longrepr"]
    assert ["Captured stdout setup", "said by the set-up\n"] in error["sections"]


@pytest.mark.parametrize("args", [[], ["-n3"]], ids=["sequential", "n3"])
def test_a_teardown_that_fails(project: Project, args: list[str]) -> None:
    more = """
        @phalanx.shared_fixture
        def heavy():
            yield
            print("said by the teardown")
            raise OSError("cannot be torn down")
    """
    tests = """
        import pytest

        @pytest.mark.parametrize("number", range(4))
        def test_it(heavy, catalogue, number):
            pass
    """
    run = suite(project, tests, more).run(*args)
    assert run.code == 1 and run.counts == {"passed": 4, "error": 1}, run
    error = (
        run.report_of("test_it.py::test_it[3]", "teardown")
        if not args
        else next(report for report in run.reports if report["outcome"] == "failed")
    )
    assert error["nodeid"] == "test_it.py::test_it[3]"
    assert "cannot be torn down" in error["longrepr"]
    assert ["Captured stdout teardown", "said by the teardown\n"] in error["sections"]
    assert project.log() == ["set up", "torn down"]


def test_a_worker_that_dies_is_replaced_by_one_that_inherits(project: Project) -> None:
    tests = """
        import os, pytest

        @pytest.mark.parametrize("number", range(6))
        def test_it(catalogue, number):
            if number in (1, 3):
                os._exit(5)
            assert catalogue["pid"] == os.getppid()
    """
    run = suite(project, tests).run("-n2")
    assert run.counts == {"passed": 4, "failed": 2}, run
    assert project.log() == ["set up", "torn down"]


@pytest.mark.parametrize("workers", ["1", "3"])
def test_the_last_worker_tears_down_when_the_zygote_is_dead(project: Project, workers: str) -> None:
    tests = """
        import os, signal, time, pytest

        @pytest.mark.parametrize("number", range(9))
        def test_it(catalogue, number, tmp_path_factory):
            if number == 0:
                os.kill(catalogue["pid"], signal.SIGKILL)
                while os.getppid() == catalogue["pid"]:
                    time.sleep(0.01)
    """
    run = suite(project, tests).run("-n", workers, together=int(workers))
    assert run.counts == {"passed": 9}, run
    assert project.log() == ["set up", "torn down"]


def test_x(project: Project) -> None:
    tests = """
        import pytest

        @pytest.mark.parametrize("number", range(20))
        def test_it(catalogue, number):
            assert number != 2
    """
    run = suite(project, tests).run("-n2", "-x")
    assert run.code == 1 and run.counts["failed"] == 1, run
    assert project.log() == ["set up", "torn down"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended(project: Project, number: signal.Signals) -> None:
    tests = """
        import time, pytest
        from conftest import note

        @pytest.mark.parametrize("number", range(4))
        def test_it(catalogue, number):
            note("runs")
            time.sleep(60)
    """
    running = suite(project, tests).start("-n2")
    wait_until(lambda: project.log().count("runs") == 2, "two tests")
    running.process.send_signal(number)
    run = running.wait()
    assert run.code == (2 if number == signal.SIGINT else 128 + number), run
    assert project.log() == ["set up", "runs", "runs", "torn down"]


def test_ctrl_c_while_it_is_set_up(project: Project) -> None:
    more = """
        @phalanx.shared_fixture
        def slow(catalogue):
            note("slow")
            time.sleep(60)
    """
    running = suite(project, "def test_it(slow): pass", more).start("-n2")
    wait_until(lambda: "slow" in project.log(), "the set-up")
    running.process.send_signal(signal.SIGINT)
    run = running.wait()
    assert run.code == 2, run
    assert "Traceback" not in run.err
    assert project.log() == ["set up", "slow", "torn down"]


TAKEN = {
    "thread": (
        "threading.Thread(target=ended.wait, daemon=True).start()",
        "started a thread",
    ),
    "loop": (
        "import select; request.config.kept = select.epoll()",
        "made an event loop",
    ),
    "socket": ("import socket; request.config.kept = socket.socket()", "opened a socket"),
    "identity": ("os.environ['PYTEST_XDIST_WORKER']", "reads PYTEST_XDIST_WORKER"),
    "worker_id": ("request.getfixturevalue('worker_id')", 'reads workerinput["workerid"]'),
}


@pytest.mark.parametrize("what", ["identity", "worker_id"])
def test_an_identity_is_not_to_be_had(project: Project, what: str) -> None:
    statement, says = TAKEN[what]
    more = f"""
        @phalanx.shared_fixture
        def heavy(request):
            {statement}
    """
    tests = "def test_first(heavy): pass\ndef test_second(heavy): pass\ndef test_third(catalogue): pass\n"
    run = suite(project, tests, more).run("-n2")
    assert run.code == 1 and run.counts == {"passed": 1, "error": 2}, run
    error = run.report_of("test_it.py::test_first", "setup")["longrepr"]
    assert says in error and "in the shared fixture 'heavy'" in error
    assert "Read it in an ordinary fixture" in error


@pytest.mark.parametrize("what", ["thread", "loop", "socket"])
def test_what_processes_cannot_share(project: Project, what: str) -> None:
    statement, says = TAKEN[what]
    more = f"""
        ended = threading.Event()

        @phalanx.shared_fixture
        def heavy(request):
            {statement}
            yield
            ended.set()
            if hasattr(request.config, "kept"):
                request.config.kept.close()
            for thread in threading.enumerate()[1:]:
                thread.join()
            note("heavy torn down")
    """
    tests = "def test_first(heavy): pass\ndef test_second(heavy): pass\ndef test_third(catalogue): pass\n"
    run = suite(project, tests, more).run("-n2")
    assert run.code == 1 and run.counts == {"passed": 1, "error": 2}, run
    error = run.report_of("test_it.py::test_second", "setup")["longrepr"]
    who = "something" if what == "loop" else "conftest.py:23"  # by code in C
    assert f"{who} {says}" in error and "in the shared fixture 'heavy'" in error
    assert "make this an ordinary session fixture" in error
    assert project.log() == ["heavy torn down", "set up", "torn down"]


def test_a_server_of_its_own(project: Project) -> None:
    """A child process is the zygote's to end, and no obstacle."""
    more = """
        import subprocess, sys

        @phalanx.shared_fixture
        def server():
            code = "import sys; sys.stdout.write('ready'); sys.stdout.flush(); sys.stdin.read()"
            with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1) as child:
                assert child.stdout.read(5) == b"ready"
                yield child.pid
                child.stdin.close()
                note(f"ended {child.wait()}")
    """
    tests = """
        import os, pytest

        @pytest.mark.parametrize("number", range(4))
        def test_it(server, number):
            os.kill(server, 0)
    """
    run = suite(project, tests, more).run("-n2")
    assert run.code == 0 and run.counts == {"passed": 4}, run
    assert project.log() == ["ended 0"]


def test_getfixturevalue_comes_too_late(project: Project) -> None:
    tests = """
        def test_it(request):
            assert request.getfixturevalue("catalogue")["call"]() == "called"
    """
    run = suite(project, tests).run("-n2")
    assert run.code == 0 and run.counts == {"passed": 1, "warning": 1}, run
    assert any("'catalogue' is set up in each worker" in message for _, message, _ in run.warnings)
    assert project.log() == ["set up", "torn down"]


def test_its_warnings_are_told_once(project: Project) -> None:
    more = """
        import warnings

        @phalanx.shared_fixture
        def heavy():
            warnings.warn("of the set-up", UserWarning)
    """
    tests = "def test_first(heavy): pass\ndef test_second(heavy): pass\n"
    run = suite(project, tests, more).run("-n2")
    assert [message for _, message, _ in run.warnings] == ["of the set-up"], run


def test_exit_while_it_is_set_up(project: Project) -> None:
    more = """
        @phalanx.shared_fixture
        def heavy(catalogue):
            pytest.exit("no use", returncode=9)
    """
    run = suite(project, "def test_it(heavy): pass", more).run("-n2")
    assert run.code == 9 and run.has_line("no use"), run
    assert project.log() == ["set up", "torn down"]


@pytest.mark.parametrize("what", ["'module'", "scope='module'", "params=[1, 2]"])
def test_what_it_cannot_be(project: Project, what: str) -> None:
    more = f"""
        @phalanx.shared_fixture({what})
        def heavy():
            pass
    """
    run = suite(project, "def test_it(heavy): pass", more).run()
    assert run.code != 0 and (
        f"shared_fixture takes the name and autouse arguments of pytest.fixture, not {what}: its scope is "
        "the session, and it has no params" in run.out + run.err
    ), run
