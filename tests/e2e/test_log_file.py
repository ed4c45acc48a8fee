"""--log-file with workers: one file, emptied once, with every line, and those of a test together (B22)."""

from __future__ import annotations

import os
import signal
import sys

import pytest
from expected import DIST_MODES
from runner import Project, wait_until

ARGS = ("--log-file=logs/lines", "--log-file-format=%(message)s", "--log-file-level=INFO")
START = ("auto", "spawn")

#: Two tests that log in turn: neither goes on before the other has.
IN_TURN = """
    import logging, os, time

    def wait_for(name):
        deadline = time.monotonic() + 60
        while not os.path.exists(name):
            assert time.monotonic() < deadline, name
            time.sleep(0.01)

    def log_in_turn(me, other):
        for number in range(4):
            logging.info("%s %d", me, number)
            open(f"{me}{number}", "w").close()
            wait_for(f"{other}{number}")
"""


def lines(project: Project) -> list[str]:
    names = [path.name for path in (project.path / "logs").iterdir()]
    assert names == ["lines"], names  # nothing else is left there
    return project.log("logs/lines")


@pytest.mark.parametrize("start", START)
@pytest.mark.parametrize("dist", DIST_MODES)
def test_lines_of_a_test_are_together(project: Project, dist: str, start: str) -> None:
    project.write(
        {
            "turns.py": IN_TURN,
            "test_a.py": "import turns\ndef test_a(): turns.log_in_turn('a', 'b')\n",
            "test_b.py": "import turns\ndef test_b(): turns.log_in_turn('b', 'a')\n",
        }
    )
    run = project.run("-n2", f"--dist={dist}", f"--start-method={start}", *ARGS)
    assert run.counts == {"passed": 2}, str(run)
    found = lines(project)
    blocks = [[f"{me} {number}" for number in range(4)] for me in "ab"]
    assert found in (blocks[0] + blocks[1], blocks[1] + blocks[0]), found


CHATTY = {
    "conftest.py": """
        import logging, pytest

        def pytest_sessionstart(session):
            if not hasattr(session.config, "workerinput"):
                logging.info("controller begins")

        def pytest_sessionfinish(session):
            if not hasattr(session.config, "workerinput"):
                logging.info("controller ends")

        @pytest.fixture(scope="session", autouse=True)
        def session(worker_id):
            logging.info("session begins")
            yield
            logging.info("session ends")
    """,
    "test_a.py": """
        import logging, os, pytest, threading

        logging.info("collected")

        @pytest.mark.parametrize("number", range(6))
        def test_log(number):
            logging.info("test %d", number)
            logging.debug("not asked for")

        def test_long(): logging.info("x" * 1_000_000)

        def test_thread():
            thread = threading.Thread(target=logging.info, args=("of a thread",))
            thread.start()
            thread.join()

        def test_child():
            pid = os.fork()
            if pid == 0:
                logging.info("of a child")
                os._exit(0)
            os.waitpid(pid, 0)
    """,
}
SAID_BY_TESTS = [*(f"test {n}" for n in range(6)), "x" * 1_000_000, "of a thread", "of a child"]


@pytest.mark.parametrize("start", START)
@pytest.mark.parametrize("capture", ["fd", "no"])
def test_no_line_is_lost(project: Project, start: str, capture: str) -> None:
    project.write({**CHATTY, "logs/lines": "of another run\n"})
    run = project.run("-n3", f"--start-method={start}", f"--capture={capture}", *ARGS)
    assert run.counts == {"passed": 9}, str(run)
    found = lines(project)
    assert found[0] == "controller begins" and found[-1] == "controller ends", found
    begun, ended = found.count("session begins"), found.count("session ends")
    assert begun == ended == len(run.workers)
    assert found.count("collected") == (1 if start == "auto" else 3)
    rest = [line for line in found if not line.startswith(("controller", "session", "collected"))]
    assert sorted(rest) == sorted(SAID_BY_TESTS)


@pytest.mark.skipif(
    tuple(map(int, pytest.__version__.split(".")[:2])) < (8, 2), reason="no --log-file-mode before"
)
@pytest.mark.parametrize("start", START)
def test_lines_are_added_to_a_file_that_is_there(project: Project, start: str) -> None:
    project.write({**CHATTY, "logs/lines": "of another run\n"})
    run = project.run("-n2", f"--start-method={start}", "--log-file-mode=a", *ARGS)
    assert run.counts == {"passed": 9}, str(run)
    found = lines(project)
    assert found[:2] == ["of another run", "controller begins"]
    assert set(SAID_BY_TESTS) <= set(found)


@pytest.mark.parametrize("start", START)
def test_lines_of_a_test_that_dies_are_kept(project: Project, start: str) -> None:
    project.write(
        {
            "test_a.py": """
                import logging, os

                def test_before(): logging.info("before")
                def test_dies():
                    logging.info("dies")
                    os._exit(1)
                def test_after(): logging.info("after")
            """
        }
    )
    run = project.run("-n1", f"--start-method={start}", *ARGS)
    assert run.counts == {"failed": 1, "passed": 2}, str(run)
    assert sorted(lines(project)) == ["after", "before", "dies"]


def test_lines_can_be_read_while_a_test_hangs_and_are_kept_when_it_is_killed(
    project: Project,
) -> None:
    project.write(
        {
            "test_a.py": """
                import logging, signal, time

                def test_hangs():
                    signal.signal(signal.SIGINT, lambda number, frame: open("asked", "w").close())
                    logging.info("hangs")
                    while True:
                        time.sleep(1)
            """
        }
    )
    running = project.start("-n1", *ARGS)
    wait_until(lambda: project.log("logs/lines.gw0") == ["hangs"], "the line of the test")
    os.kill(running.pid, signal.SIGINT)
    wait_until((project.path / "asked").exists, "the first signal to arrive")
    os.kill(running.pid, signal.SIGINT)
    run = running.wait()
    assert run.code == 2, str(run)
    assert lines(project) == ["hangs"]


def test_a_file_for_each_test(project: Project) -> None:
    """As pytest's manual has it: a hook gives the logging plugin another path."""
    project.write(
        {
            "conftest.py": """
                import pytest

                @pytest.hookimpl(hookwrapper=True)
                def pytest_runtest_setup(item):
                    logging_plugin = item.config.pluginmanager.get_plugin("logging-plugin")
                    logging_plugin.set_log_path(f"own/{item.name}")
                    yield
            """,
            "test_a.py": """
                import logging, pytest

                @pytest.mark.parametrize("number", range(6))
                def test_log(number): logging.info("test %d", number)
            """,
        }
    )
    run = project.run("-n2", *ARGS)
    assert run.counts == {"passed": 6}, str(run)
    for number in range(6):
        assert project.log(f"own/test_log[{number}]") == [f"test {number}"]
    assert lines(project) == []


def test_a_file_for_each_worker(project: Project) -> None:
    """Which a conftest file names by the worker: emptied, and written as pytest does."""
    project.write(
        {
            "conftest.py": """
                import os

                def pytest_configure(config):
                    worker = os.environ.get("PYTEST_XDIST_WORKER")
                    if worker is not None:
                        config.option.log_file = f"own/{worker}"
            """,
            "test_a.py": """
                import logging, pytest

                @pytest.mark.parametrize("number", range(6))
                def test_log(number): logging.info("test %d", number)
            """,
            "own/gw0": "of another run\n",
            "own/gw1": "of another run\n",
        }
    )
    run = project.run("-n2", *ARGS)
    assert run.counts == {"passed": 6}, str(run)
    assert sorted(os.listdir(project.path / "own")) == ["gw0", "gw1"]
    assert sorted(project.log("own/gw0") + project.log("own/gw1")) == [
        f"test {number}" for number in range(6)
    ]
    assert lines(project) == []


def test_workers_in_directories_of_their_own(project: Project) -> None:
    project.write({"test_a.py": "import logging\ndef test_a(): logging.info('a')\n", "x/keep": ""})
    run = project.run(f"--tx=popen//chdir=x//python={sys.executable}", "-dload", "test_a.py", *ARGS)
    assert run.counts == {"passed": 1}, str(run)
    assert lines(project) == ["a"]


def test_a_file_that_is_none(project: Project) -> None:
    """A device, a pipe: what is written to it cannot be set in order, and nothing is put beside it."""
    project.write({"test_a.py": "import logging\ndef test_a(): logging.info('a line')\n"})
    run = project.run("-n1", "--log-file=/dev/stderr", *ARGS[1:])
    assert run.counts == {"passed": 1}, str(run)
    assert "a line" in run.err
