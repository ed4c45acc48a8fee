"""What conftest files of real projects do around a distributed run, beside reading who they are: settings that
they change, what the controller makes for its workers, what is made once for all of them."""

from __future__ import annotations

import pytest
from runner import RECORDING, Project

SUITE = """
    import pytest

    @pytest.mark.parametrize("number", range(8))
    def test_it(number, worker_id, request):
        assert worker_id in ("gw0", "gw1")
"""

# How a conftest file asks for workers, where the command line does not.
ASKS = {
    "numprocesses in cmdline_main": (
        "@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_cmdline_main(config):\n"
        "    config.option.numprocesses = 2\n"
        "def pytest_collection_finish(session):\n"
        "    if hasattr(session.config, 'workerinput'):\n"
        "        assert session.config.option.dist == 'no'\n"
    ),
    "dist and tx in cmdline_main": (
        "def pytest_cmdline_main(config):\n"
        "    config.option.dist, config.option.tx = 'load', ['popen', 'popen']\n"
    ),
    "dist and tx in configure": (
        "def pytest_configure(config):\n"
        "    if not hasattr(config, 'workerinput'):\n"
        "        config.option.dist, config.option.tx = 'load', ['popen'] * 2\n"
    ),
    "the hook for auto": "def pytest_xdist_auto_num_workers(config): return 2\n",
}


@pytest.mark.parametrize("how", ASKS)
def test_a_conftest_asks_for_workers(project: Project, how: str) -> None:
    project.write({"conftest.py": "import pytest\n" + ASKS[how], "test_a.py": SUITE})
    run = project.run(*(["-nauto"] if "auto" in how else []))
    assert run.code == 0 and run.counts == {"passed": 8}, str(run)
    assert "2 workers [8 items]" in run.lines, str(run)


def test_a_conftest_wants_no_workers(project: Project) -> None:
    project.write(
        {
            "conftest.py": """
                import pytest

                @pytest.hookimpl(tryfirst=True)
                def pytest_cmdline_main(config):
                    config.option.numprocesses = 0
            """,
            "test_a.py": "def test_a(worker_id): assert worker_id == 'master'\n",
        }
    )
    run = project.run("-n2")
    assert run.code == 0 and run.counts == {"passed": 1} and not run.workers, str(run)


@pytest.mark.parametrize("start", ["auto", "spawn"])
def test_the_controller_makes_something_for_its_workers(project: Project, start: str) -> None:
    """In the hooks before there are workers: each of them finds it, and none does it again."""
    project.write(
        {
            "conftest.py": """
                import os
                import pytest

                is_worker = "PYTEST_XDIST_WORKER" in os.environ

                @pytest.hookimpl(trylast=True)
                def pytest_configure(config):
                    assert hasattr(config, "workerinput") == is_worker
                    assert config.pluginmanager.hasplugin("dsession") != is_worker
                    if not is_worker:
                        os.environ["MADE_AT_CONFIGURE"] = "1"

                def pytest_sessionstart(session):
                    if not is_worker:
                        os.mkdir("made")
                        os.environ["MADE_AT_START"] = os.path.abspath("made")

                def pytest_xdist_setupnodes(config, specs):
                    os.environ["MADE_AT_SETUPNODES"] = "1"

                def pytest_configure_node(node):
                    node.workerinput["made"] = os.environ["MADE_AT_START"]

                def pytest_unconfigure(config):
                    if not is_worker:
                        os.rmdir("made")
            """,
            "test_a.py": """
                import os
                import pytest

                @pytest.mark.parametrize("number", range(4))
                def test_it(number, request):
                    made = request.config.workerinput["made"]
                    assert os.environ["MADE_AT_START"] == made and os.path.isdir(made)
                    assert os.environ["MADE_AT_CONFIGURE"] == os.environ["MADE_AT_SETUPNODES"] == "1"
            """,
        }
    )
    run = project.run("-n2", f"--start-method={start}")
    assert run.code == 0 and run.counts == {"passed": 4}, str(run)
    assert not (project.path / "made").exists()


def test_once_for_all_workers_by_a_lock(project: Project) -> None:
    """The recipe of pytest-xdist's manual: the directory above that of each worker is everybody's."""
    project.write(
        {
            "test_a.py": """
                import fcntl, os
                import pytest

                @pytest.fixture(scope="session")
                def data(tmp_path_factory, worker_id):
                    shared = tmp_path_factory.getbasetemp().parent
                    with open(shared / "lock", "w") as lock:
                        fcntl.flock(lock, fcntl.LOCK_EX)
                        if not (shared / "data").exists():
                            with open("log", "a") as log:
                                print("made", file=log)
                            (shared / "data").write_text("some")
                    return (shared / "data").read_text()

                @pytest.mark.parametrize("number", range(8))
                def test_it(number, data):
                    assert data == "some"
            """
        }
    )
    run = project.run("-n2")
    assert run.code == 0 and project.log() == ["made"], str(run)


def test_a_start_method_of_multiprocessing(project: Project) -> None:
    """phalanx itself starts no helper of multiprocessing: a conftest file may choose how it starts its own."""
    project.write(
        {
            "conftest.py": """
                import multiprocessing

                def pytest_configure(config):
                    multiprocessing.set_start_method("forkserver", force=True)
            """,
            "test_a.py": """
                import multiprocessing
                import pytest

                @pytest.mark.parametrize("number", range(2))
                def test_it(number):
                    assert multiprocessing.get_start_method() == "forkserver"
                    with multiprocessing.Pool(1) as pool:
                        assert pool.map(abs, [-number]) == [number]
            """,
        }
    )
    run = project.run("-n2")
    assert run.code == 0 and run.has_line("^forked after collection"), str(run)


def test_titles_of_workers(project: Project) -> None:
    """With setproctitle: `ps` shows what a worker does."""
    project.write(
        {
            "setproctitle.py": """
                def setproctitle(title):
                    with open("titles", "a") as file:
                        print(title, file=file)
            """,
            "test_a.py": "def test_a(): pass\ndef test_b(): pass\n",
        }
    )
    run = project.run("-n1", env={"PYTHONPATH": f"{RECORDING}:{project.path}"})
    assert run.code == 0, str(run)
    assert project.log("titles") == [
        "[pytest-xdist running] test_a.py::test_a",
        "[pytest-xdist idle]",
        "[pytest-xdist running] test_a.py::test_b",
        "[pytest-xdist idle]",
    ]


def test_output_from_before_the_fork_is_in_its_report(project: Project) -> None:
    """What was captured when the workers part, in the middle of an import that then fails."""
    project.write(
        {
            "test_a.py": """
                import os

                print("before")
                os.environ.get("PYTEST_XDIST_WORKER")
                print("after")
                raise OSError("of the import")
            """
        }
    )
    run = project.run("-n2")
    assert run.code == 2 and run.counts == {"error": 1}, str(run)
    captured = run.lines[run.lines.index("before") - 1 :][:3]
    assert "Captured stdout" in captured[0] and captured[1:] == ["before", "after"], str(run)
    assert run.lines.count("before") == 1
