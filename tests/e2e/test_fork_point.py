"""Where workers part before the end of collection: the conftest files that real projects have, what is told
once although every worker collects, and when interpreters are started instead. tests/e2e/test_identity.py has
the places that fork."""

from __future__ import annotations

import json

import pytest
from expected import DIST_MODES
from runner import Project

READS = "import os\nWORKER = os.environ.get('PYTEST_XDIST_WORKER', 'master')\n"

# ---- conftest files as they are out there ----

PROBES = {
    "a database named by the worker at import": (
        "import os\nDB = 'db_' + os.environ.get('PYTEST_XDIST_WORKER', 'master')\n",
        "conftest.DB == 'db_' + worker_id",
        "forked at conftest.py:2, which reads PYTEST_XDIST_WORKER",
    ),
    "a log file for each worker, as pytest-xdist's manual has it": (
        "import logging, os\n"
        "def pytest_configure(config):\n"
        "    worker_id = os.environ.get('PYTEST_XDIST_WORKER')\n"
        "    if worker_id is not None:\n"
        "        logging.basicConfig(filename=f'tests_{worker_id}.log', level=logging.INFO)\n"
        "        logging.getLogger().info('of ' + worker_id)\n",
        "open(f'tests_{worker_id}.log').read() == f'INFO:root:of {worker_id}\\n'",
        "forked at conftest.py:3, which reads PYTEST_XDIST_WORKER",
    ),
    "a temporary directory at configure": (
        "import os, tempfile\n"
        "def pytest_configure(config):\n"
        "    config.place = tempfile.mkdtemp(dir='.')\n"
        "def pytest_unconfigure(config):\n"
        "    os.rmdir(config.place)\n",
        "len(os.listdir('.')) and os.path.isdir(request.config.place) "
        "and not os.listdir(request.config.place)",
        "forked at conftest.py:3, which makes a temporary file or directory",
    ),
    "a server from configure to unconfigure": (
        "import subprocess\n"
        "def pytest_configure(config):\n"
        "    config.server = subprocess.Popen(['sleep', '60'])\n"
        "def pytest_unconfigure(config):\n"
        "    config.server.kill()\n"
        "    assert config.server.wait() == -9\n",
        "request.config.server.poll() is None",
        "forked at conftest.py:3, which starts a process (sleep)",
    ),
    "a unique name at import": (
        "import uuid\nNAME = uuid.uuid4().hex\n",
        "len(conftest.NAME) == 32",
        "forked at conftest.py:2, which draws a unique name",
    ),
    "a name with the process number": (
        "import os\nNAME = f'db_{os.getpid()}'\n",
        "conftest.NAME == f'db_{os.getpid()}'",
        "forked at conftest.py:2, which reads its process number",
    ),
    "a database file": (
        "import sqlite3\nDB = sqlite3.connect('some.db')\n",
        "conftest.DB.execute('select 1').fetchone() == (1,)",
        "forked at conftest.py:2, which opens a database file",
    ),
    "a database in memory": (
        "import sqlite3\nDB = sqlite3.connect(':memory:')\n",
        "conftest.DB.execute('select 1').fetchone() == (1,)",
        "forked after collection",
    ),
    "a process of multiprocessing": (
        "import multiprocessing\n"
        "multiprocessing.get_context('fork').Process(target=print, daemon=True).start()\n",
        "True",
        "forked at conftest.py:2, which makes a process",
    ),
    "a short-lived program that only reads": (
        "import subprocess\nNAME = subprocess.check_output(['uname'], text=True).strip()\n",
        "conftest.NAME == 'Linux'",
        "forked after collection",
    ),
    "a program of the ini file": (
        "import subprocess\nNAME = subprocess.check_output(['echo', 'some', 'words'], text=True)\n",
        "conftest.NAME == 'some words\\n'",
        "forked after collection",
    ),
}


@pytest.mark.parametrize("probe", PROBES)
def test_conftest_files_that_people_have(project: Project, probe: str) -> None:
    conftest, holds, line = PROBES[probe]
    project.write(
        {
            "pytest.ini": "[pytest]\nphalanx_shared_commands = echo some\n",
            "conftest.py": conftest,
            "test_it.py": f"""
                import os
                import conftest, pytest

                @pytest.mark.parametrize("number", range(4))
                def test_it(number, worker_id, request):
                    assert {holds}
            """,
        }
    )
    run = project.run("-n2", together=2)
    assert run.code == 0 and run.counts == {"passed": 4} and run.workers == {"gw0", "gw1"}, str(run)
    assert any(text.startswith(line) for text in run.lines), str(run)


@pytest.mark.parametrize("when", ["import", "configure", "collection"])
def test_each_worker_has_its_temporary_directory(project: Project, when: str) -> None:
    """Wherever they part, before pytest makes its factory or after it."""
    read = "    os.environ.get('PYTEST_XDIST_WORKER')\n"
    hook = {
        "import": "if True:\n",
        "configure": "def pytest_configure():\n",
        "collection": "def pytest_collection_modifyitems():\n",
    }[when]
    project.write(
        {
            "conftest.py": f"import os\n{hook}{read}",
            **{
                f"test_{number}.py": """
                    import pathlib

                    def test_it(tmp_path, tmp_path_factory, request, worker_id):
                        base = tmp_path_factory.getbasetemp()
                        assert base.name == f"popen-{worker_id}" and tmp_path.parent == base
                        assert pathlib.Path(request.config.option.basetemp) == base
                """
                for number in range(6)
            },
        }
    )
    run = project.run("-n3", "--dist=loadfile")
    assert run.code == 0 and run.counts == {"passed": 6}, str(run)
    assert run.has_line("^forked at conftest.py:3, which reads PYTEST_XDIST_WORKER"), str(run)


# ---- collections of the workers' own ----


def test_collections_that_differ(project: Project) -> None:
    project.write(
        {
            "conftest.py": READS,
            "test_it.py": """
                import conftest, pytest

                @pytest.mark.parametrize("name", [conftest.WORKER, "same"])
                def test_it(name):
                    open("ran", "w").close()
            """,
        }
    )
    run = project.run("-n2")
    assert run.code == 1 and not project.path.joinpath("ran").exists(), str(run)
    # Whoever has collected first has the run's list.
    first, other = ("gw0", "gw1") if "+test_it.py::test_it[gw1]" in run.lines else ("gw1", "gw0")
    assert (
        f"Different tests were collected between {first} and {other}. The difference is:"
        in run.lines
    )
    expected = {f"-test_it.py::test_it[{first}]", f"+test_it.py::test_it[{other}]"}
    assert expected <= set(run.lines), str(run)
    assert run.has_line("^Each worker collected .* forked at conftest.py:2, which reads"), str(run)


def test_the_same_tests_in_another_order(project: Project) -> None:
    """Each worker runs what the run's list says, found by node id, and equal ids by their occurrence."""
    project.write(
        {
            "conftest.py": READS
            + "def pytest_collection_modifyitems(items):\n"
            + "    if WORKER == 'gw1': items.reverse()\n",
            "test_it.py": """
                import pytest

                @pytest.mark.parametrize("number", [0, 1, 2, 2, 2, 5, 6, 7], ids="a b c c c d e f".split())
                def test_it(number, request):
                    with open("log", "a") as file:
                        file.write(f"{request.node.callspec.id} {number}\\n")
            """,
        }
    )
    run = project.run("-n2")
    assert run.code == 0 and run.counts == {"passed": 8}, str(run)
    ran = sorted(project.log())
    assert len(ran) == len(set(ran)) == 8 and [line.split()[-1] for line in ran].count("2") == 3


def test_what_all_workers_collect_is_told_once(project: Project) -> None:
    project.write(
        {
            "conftest.py": READS,
            "test_broken.py": "import nothing_of_this_name\n",
            "test_it.py": "import warnings\nwarnings.warn('of the import')\ndef test_it(): pass\n",
        }
    )
    sequential, run = project.run("-p", "no:phalanx", "-p", "no:xdist"), project.run("-n3")
    assert run.code == sequential.code == 2 and run.counts == sequential.counts, str(run)
    assert run.collect_reports == sequential.collect_reports
    assert run.warnings == sequential.warnings


def test_a_file_that_kills_who_collects_it(project: Project) -> None:
    project.write(
        {
            "conftest.py": READS,
            "test_a.py": "def test_a(): pass\n",
            "test_dies.py": "import os\nos.abort()\n",
        }
    )
    run = project.run("-n2")
    assert run.code == 2 and "ERROR test_dies.py" in str(run) and "SIGABRT" in str(run), str(run)


@pytest.mark.parametrize("start", ["auto", "spawn"])
@pytest.mark.parametrize("dist", DIST_MODES)
def test_one_worker_dies_while_it_collects(project: Project, dist: str, start: str) -> None:
    """The others run all tests, and the run is no success (B8)."""
    project.write(
        {
            "conftest.py": READS,
            "test_it.py": """
                import os
                import conftest, pytest

                if conftest.WORKER == "gw1":
                    os._exit(3)

                @pytest.mark.parametrize("number", range(6))
                def test_it(number): pass
            """,
        }
    )
    run = project.run("-n3", f"--dist={dist}", f"--start-method={start}")
    assert run.code == 1 and run.counts == {"passed": 6}, str(run)
    assert "maximum crashed workers" not in str(run)
    assert run.has_line("gw1 died while it collected test_it.py: exited with status 3"), str(run)


# ---- interpreters of their own ----

IN_C = """
import _thread, time
_thread.start_new_thread(time.sleep, (60,))
"""
TESTS = """
import pytest

@pytest.mark.parametrize("number", range(4))
def test_it(number, worker_id):
    assert number != 3
"""


def test_what_cannot_be_forked_is_spawned_and_remembered(project: Project) -> None:
    project.options = ()  # with the cache
    project.write({"conftest.py": IN_C, "test_it.py": TESTS})
    first, second = project.run("-n2", together=2), project.run("-n2", together=2)
    for run in (first, second):
        assert run.code == 1 and run.counts == {"passed": 3, "failed": 1}, str(run)
        assert run.workers == {"gw0", "gw1"}
        assert run.has_line("^spawned: conftest.py started a thread"), str(run)
    assert not first.has_line("as in an earlier run$") and second.has_line("as in an earlier run$")
    project.write({"conftest.py": "\n"})
    assert project.run("-n2").has_line("^forked after collection"), "the file has changed"


def test_spawned_workers_are_replaced(project: Project) -> None:
    project.write(
        {
            "test_it.py": """
                import os, time
                import pytest

                @pytest.mark.parametrize("number", range(8))
                def test_it(number, worker_id):
                    time.sleep(0.02)
                    assert os.environ["PYTEST_XDIST_WORKER"] == worker_id
                    if number == 2:
                        os.abort()
            """
        }
    )
    run = project.run("-n2", "--start-method=spawn")
    assert run.code == 1 and run.counts == {"passed": 7, "failed": 1}, str(run)
    assert run.has_line("^spawned: --start-method=spawn")
    assert "replacing crashed worker" in str(run)


@pytest.mark.parametrize("dist", ["load", "worksteal", "loadscope", "loadfile", "loadgroup"])
def test_spawned_workers_answer_as_forked_ones(project: Project, dist: str) -> None:
    project.write({"test_a.py": TESTS, "test_b.py": TESTS})
    runs = [
        project.run("-n2", f"--dist={dist}", f"--start-method={how}") for how in ("fork", "spawn")
    ]
    assert runs[0].code == runs[1].code == 1
    assert runs[0].outcomes == runs[1].outcomes and runs[0].junit() == runs[1].junit()


def test_a_start_method_that_is_none(project: Project) -> None:
    project.write({"pytest.ini": "[pytest]\nphalanx_start_method = magic\n", "test_it.py": TESTS})
    run = project.run("-n2")
    assert run.code == 4 and "phalanx_start_method = magic: it is one of auto, fork, spawn" in str(
        run
    )


def test_traps_are_gone_in_tests(project: Project) -> None:
    """Nobody sees a wrapped constructor, after whichever kind of start."""
    project.write(
        {
            "test_it.py": """
                import json, os, socket, subprocess, tempfile, threading, uuid

                def test_it(worker_id):
                    found = {
                        "Popen": subprocess.Popen.__init__.__module__,
                        "start": threading.Thread.start.__module__,
                        "socket": socket.socket.__init__.__module__,
                        "params": tempfile._sanitize_params.__module__,
                        "environ": type(os.environ).__module__,
                        "getpid": type(os.getpid).__name__,
                    }
                    with open("found", "w") as file:
                        json.dump(found, file)
            """
        }
    )
    expected = {
        "Popen": "subprocess",
        "start": "threading",
        "socket": "socket",
        "params": "tempfile",
        "environ": "os",
        "getpid": "builtin_function_or_method",
    }
    for conftest, method in (("", "auto"), (READS, "auto"), (IN_C, "auto"), ("", "spawn")):
        project.write({"conftest.py": conftest or "\n"})
        run = project.run("-n2", f"--start-method={method}")
        assert run.code == 0, str(run)
        assert json.loads(project.path.joinpath("found").read_text()) == expected
