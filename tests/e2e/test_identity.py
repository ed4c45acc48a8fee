"""Who am I: fixtures, environment, workerinput and the hooks around them; and where the zygote forks for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from runner import Project, Run

TELLING = {
    "conftest.py": """
        import os

        def pytest_configure(config):
            config.is_worker_at_configure = hasattr(config, "workerinput")
            config.environ_at_configure = "PYTEST_XDIST_WORKER" in os.environ
            if hasattr(config, "workerinput"):
                config.workeroutput["at_configure"] = "kept"
                config.same_for_all = config.workerinput["same"]

        def pytest_configure_node(node):
            node.workerinput["same"] = (1, 2)
            node.workerinput["own"] = {"name": "input of " + node.gateway.id, "bytes": b"\\xff"}

        def pytest_xdist_setupnodes(config, specs):
            for number, spec in enumerate(specs):
                spec.env["OWN_PORT"] = str(8000 + number)
                spec.env["SAME_PORT"] = "80"

        def pytest_sessionfinish(session):
            if hasattr(session.config, "workerinput"):
                session.config.workeroutput["at_finish"] = session.config.workerinput["workerid"]

        def pytest_testnodedown(node, error):
            with open("down", "a") as file:
                output = getattr(node, "workeroutput", {})
                file.write(f"{node.gateway.id} {output.get('at_configure')} {output.get('at_finish')} {error}\\n")
    """,
    "test_tell.py": """
        import json, os
        import pytest
        from xdist import get_xdist_worker_id, is_xdist_controller, is_xdist_worker

        @pytest.mark.parametrize("number", range(8))
        def test_tell(number, worker_id, testrun_uid, request, record_property):
            config = request.config
            told = {
                "worker_id": worker_id,
                "testrun_uid": testrun_uid,
                "environ": {k: v for k, v in os.environ.items() if k.startswith("PYTEST_XDIST")},
                "child": os.popen("echo $PYTEST_XDIST_WORKER $OWN_PORT").read().split(),
                "helper": get_xdist_worker_id(request),
                "is_worker": is_xdist_worker(request),
                "is_controller": is_xdist_controller(request.session),
                "ports": [os.environ.get("OWN_PORT"), os.environ.get("SAME_PORT")],
                "at_configure": [config.is_worker_at_configure, config.environ_at_configure],
                "environ_type": type(os.environ).__name__,
                "dsession": config.pluginmanager.hasplugin("dsession"),
                "xdist": config.pluginmanager.hasplugin("xdist"),
                "options": [config.option.numprocesses, config.option.dist, config.option.tx],
            }
            if hasattr(config, "workerinput"):
                given = config.workerinput
                told["input"] = {k: given[k] for k in ("workerid", "workercount", "testrunuid")}
                told["same"] = repr(config.same_for_all)
                told["own"] = repr(given["own"])
                told["copy"] = dict(given)["workerid"], given.copy()["workerid"], {**os.environ}["PYTEST_XDIST_WORKER"]
                told["mainargv"] = given["mainargv"][1:]
            record_property("told", json.dumps(told))
    """,
}


def told(run: Run) -> list[dict[str, Any]]:
    found = [
        json.loads(dict(r["properties"])["told"])
        for r in run.reports
        if r["when"] == "call" and r["properties"]
    ]
    assert len(found) == 8, str(run)
    return found


@pytest.fixture(scope="module")
def telling(new_project: Callable[..., Project]) -> Project:
    return new_project(TELLING)


@pytest.fixture(scope="module")
def parallel(telling: Project) -> Run:
    return telling.run("-n2", "-p", "no:cacheprovider", together=2)


@pytest.fixture(scope="module")
def sequential(telling: Project) -> Run:
    return telling.run("-p", "no:cacheprovider")


def test_every_answer_names_the_same_worker(parallel: Run) -> None:
    assert {t["worker_id"] for t in told(parallel)} == {"gw0", "gw1"}
    for t in told(parallel):
        name = t["worker_id"]
        port = str(8000 + int(name[2:]))
        assert t["helper"] == t["environ"]["PYTEST_XDIST_WORKER"] == name
        assert t["input"]["workerid"] == name and t["copy"] == [name] * 3
        assert t["child"] == [name, port] and t["ports"] == [port, "80"]
        assert t["own"] == repr({"name": f"input of {name}", "bytes": b"\xff"})
        assert t["same"] == "(1, 2)"
    for report in parallel.reports:
        if report["properties"]:
            assert json.loads(dict(report["properties"])["told"])["worker_id"] == report["worker"]


def test_count_and_run_uid(parallel: Run) -> None:
    uids = {t["testrun_uid"] for t in told(parallel)}
    assert len(uids) == 1
    for t in told(parallel):
        assert t["environ"]["PYTEST_XDIST_WORKER_COUNT"] == "2"
        assert (
            t["environ"]["PYTEST_XDIST_TESTRUNUID"] == t["input"]["testrunuid"] == t["testrun_uid"]
        )
        assert t["input"]["workercount"] == 2


def test_a_worker_is_a_worker(parallel: Run) -> None:
    for t in told(parallel):
        assert t["is_worker"] and not t["is_controller"] and t["xdist"] and not t["dsession"]
        assert t["at_configure"] == [True, True]
        assert t["options"] == [None, "no", []]
        assert t["environ_type"] == "_Environ"
        assert "-n2" in t["mainargv"]


def test_sequential(sequential: Run) -> None:
    for t in told(sequential):
        assert t["worker_id"] == t["helper"] == "master"
        assert t["environ"] == {} and t["testrun_uid"]
        assert not t["is_worker"] and not t["is_controller"]
        assert t["at_configure"] == [False, False] and "input" not in t


def test_node_down_gets_the_output(telling: Project, parallel: Run) -> None:
    assert sorted(telling.log("down")) == [f"gw{n} kept gw{n} None" for n in (0, 1)]


def test_given_run_uid(telling: Project) -> None:
    run = telling.run("-n2", "--testrunuid=abc")
    assert {t["testrun_uid"] for t in told(run)} == {"abc"}


def test_number_of_workers_is_what_was_asked_for(telling: Project) -> None:
    run = telling.run("--tx=3*popen", "-d", "-k", "0 or 1")
    assert "3 workers [2 items]" in run.lines, str(run)


def test_a_worker_that_replaces_another_has_everything_anew(project: Project) -> None:
    """Not what the zygote gave the first one: identity, input, directory, random numbers."""
    project.write(
        {
            "conftest.py": """
                import random

                generator = random.Random()

                def pytest_configure_node(node):
                    node.workerinput["own"] = node.gateway.id
            """,
            "test_a.py": """
                import os, random
                import conftest, pytest

                @pytest.mark.parametrize("number", range(3))
                def test_it(number, request, worker_id, tmp_path):
                    own = request.config.workerinput["own"]
                    assert own == worker_id == os.environ["PYTEST_XDIST_WORKER"]
                    assert tmp_path.parent.name == f"popen-{worker_id}"
                    with open("log", "a") as log:
                        print(random.random(), conftest.generator.random(), file=log)
                    if worker_id != "gw2":
                        os._exit(1)
            """,
        }
    )
    run = project.run("-n1")
    assert run.counts == {"failed": 2, "passed": 1}, str(run)
    draws = [number for line in project.log() for number in line.split()]
    assert len(draws) == len(set(draws)) == 6, draws


# What makes the zygote fork before the end of collection: a conftest file, and what the header says.
FORKS = {
    "environment at import": (
        "import os\nX = 1\nNAME = os.environ.get('PYTEST_XDIST_WORKER', 'master')\n",
        "conftest.py:3, which reads PYTEST_XDIST_WORKER",
    ),
    "environment by index": (
        "import os\nif 'PYTEST_XDIST_WORKER' in os.environ:\n    NAME = os.environ['PYTEST_XDIST_WORKER']\n",
        "conftest.py:3, which reads PYTEST_XDIST_WORKER",
    ),
    "environment by getenv": (
        "import os\nNAME = os.getenv('PYTEST_XDIST_WORKER')\n",
        "conftest.py:2, which reads PYTEST_XDIST_WORKER",
    ),
    "a copy of the environment": (
        "import os\nCOPY = dict(os.environ)\n",
        "conftest.py:2, which reads PYTEST_XDIST_WORKER",
    ),
    "environment by copy()": (
        "import os\nCOPY = os.environ.copy()\n",
        "conftest.py:2, which reads PYTEST_XDIST_WORKER",
    ),
    "environment unpacked": (
        "import os\nTEXT = '{HOME}'.format(**os.environ)\n",
        "conftest.py:2, which reads PYTEST_XDIST_WORKER",
    ),
    "bytes of the environment": (
        "import os\nNAME = os.environb.get(b'PYTEST_XDIST_WORKER')\n",
        "conftest.py:2, which reads PYTEST_XDIST_WORKER",
    ),
    "workerinput at configure": (
        "def pytest_configure(config):\n"
        "    if hasattr(config, 'workerinput'):\n"
        "        config.name = config.workerinput['workerid']\n",
        'conftest.py:3, which reads workerinput["workerid"]',
    ),
    "workerinput as a whole": (
        "def pytest_configure(config):\n"
        "    if hasattr(config, 'workerinput'):\n"
        "        config.name = {**config.workerinput}\n",
        "conftest.py:3, which reads workerinput[",
    ),
    "workerinput as JSON": (
        "import json\n"
        "def pytest_configure(config):\n"
        "    if hasattr(config, 'workerinput'):\n"
        "        config.name = json.dumps(config.workerinput)\n",
        "conftest.py:4, which reads workerinput[",
    ),
    "helper function": (
        "from xdist import get_xdist_worker_id\n"
        "def pytest_collection_modifyitems(session):\n"
        "    session.name = get_xdist_worker_id(session)\n",
        'conftest.py:3, which reads workerinput["workerid"]',
    ),
    "a value of the run's own": (
        "def pytest_configure_node(node):\n"
        "    node.workerinput['db'] = 'db_' + node.gateway.id\n"
        "def pytest_configure(config):\n"
        "    if hasattr(config, 'workerinput'):\n"
        "        config.db = config.workerinput['db']\n",
        'conftest.py:5, which reads workerinput["db"]',
    ),
    "a variable of spec.env": (
        "import os\n"
        "def pytest_xdist_setupnodes(config, specs):\n"
        "    for number, spec in enumerate(specs): spec.env['OWN'] = str(number)\n"
        "def pytest_configure(config):\n"
        "    if hasattr(config, 'workerinput'):\n"
        "        config.own = os.environ['OWN']\n",
        "conftest.py:6, which reads OWN",
    ),
    "a thread": (
        "import threading, time\n"
        "thread = threading.Thread(target=time.sleep, args=(60,), daemon=True)\n"
        "thread.start()\n",
        "conftest.py:3, which starts a thread",
    ),
    "a thread of a pool": (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "pool = ThreadPoolExecutor(1)\n"
        "pool.submit(print).result()\n",
        "conftest.py:3, which starts a thread",
    ),
    "a socket": (
        "import socket\n\nserver = socket.socket()\n",
        "conftest.py:3, which opens a socket",
    ),
    "a listening socket": (
        "import socket\nserver = socket.create_server(('127.0.0.1', 0))\n",
        "conftest.py:2, which opens a socket",
    ),
    "a child process": (
        "import os, subprocess\n"
        "if 'PYTEST_XDIST_WORKER' in os.environ:\n"
        "    child = subprocess.Popen(['sleep', '60'])\n",
        "conftest.py:3, which starts a process (sleep)",
    ),
    "a fork": (
        "import os\npid = os.fork()\nif not pid: os._exit(0)\nos.waitpid(pid, 0)\n",
        "conftest.py:2, which starts a process",
    ),
    "a spawned process": (
        "import os\nos.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0)\n",
        "conftest.py:2, which starts a process",
    ),
    "a shell": ("import os\nos.popen('true').close()\n", "conftest.py:2, which starts a process"),
    "a temporary file": (
        "import tempfile\nfile = tempfile.NamedTemporaryFile()\n",
        "conftest.py:2, which makes a temporary file or directory",
    ),
    "a temporary directory": (
        "import tempfile\ndirectory = tempfile.TemporaryDirectory()\n",
        "conftest.py:2, which makes a temporary file or directory",
    ),
    "a lock by fcntl": (
        "import fcntl\nfile = open('lock', 'a')\n"
        "import os\nif 'PYTEST_XDIST_WORKER' in os.environ:\n"
        "    try: fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "    except OSError: pass\n",
        "conftest.py:5, which locks a file",
    ),
    "a secret": (
        "import secrets\nUSER = secrets.token_hex(4)\n",
        "conftest.py:2, which draws a unique name",
    ),
    "a unique name by time": (
        "import uuid\nUSER = uuid.uuid1()\n",
        "conftest.py:2, which draws a unique name",
    ),
    "a unique name at configure": (
        "from uuid import uuid4\ndef pytest_configure(config):\n    config.user = uuid4()\n",
        "conftest.py:3, which draws a unique name",
    ),
    "an event loop": (
        "import asyncio\nloop = asyncio.new_event_loop()\n",
        "conftest.py:2, which makes an event loop",
    ),
}


@pytest.mark.parametrize("case", FORKS)
def test_forks_where_workers_part(project: Project, case: str) -> None:
    conftest, sentence = FORKS[case]
    project.write(
        {
            "conftest.py": conftest,
            "test_a.py": """
                import os
                import pytest

                @pytest.mark.parametrize("number", range(4))
                def test_a(number, worker_id, request):
                    assert os.environ["PYTEST_XDIST_WORKER"] == worker_id
                    assert type(os.environ).__name__ == "_Environ"
                    import conftest
                    for name in (getattr(conftest, "NAME", None), getattr(request.config, "name", None)):
                        if isinstance(name, str) and name[0] != "{":
                            assert name == worker_id
            """,
        }
    )
    run = project.run("-n2", "-p", "no:cacheprovider", together=2)
    assert run.code == 0 and run.counts == {"passed": 4}, str(run)
    assert run.workers == {"gw0", "gw1"}
    lines = [line for line in run.lines if sentence in line]
    assert len(lines) == 1 and lines[0].startswith("forked at conftest.py:"), str(run)
    assert "Traceback" not in run.out + run.err


FINE = {
    "truth of the variable": "import os\nIS_WORKER = 'PYTEST_XDIST_WORKER' in os.environ\nassert IS_WORKER or True\n",
    "truth of workerinput": "def pytest_configure(config): config.is_worker = hasattr(config, 'workerinput')\n",
    "count and run": (
        "import os\nCOUNT = os.environ.get('PYTEST_XDIST_WORKER_COUNT')\nUID = os.environ.get('PYTEST_XDIST_TESTRUNUID')\n"
        "def pytest_configure(config):\n"
        "    if hasattr(config, 'workerinput'): assert config.workerinput['workercount'] == int(COUNT) == 2\n"
    ),
    "waited-for child": "import subprocess\nOUT = subprocess.check_output(['uname'])\n",
    "other variables": "import os\nHOME = os.environ['HOME']\nos.environ['SET_BY_CONFTEST'] = '1'\ndel os.environ['SET_BY_CONFTEST']\n",
    "names of workerinput": (
        "def pytest_configure(config):\n    if hasattr(config, 'workerinput'): assert 'workerid' in config.workerinput\n"
    ),
    "the standard library starts a program": (
        "import ctypes.util\nassert ctypes.util.find_library('c')\n"
        "import platform\nplatform.libc_ver(), platform.processor()\n"
    ),
    "the standard library copies it": "import os, subprocess\nsubprocess.run(['uname'], env=None)\nimport platform\nplatform.platform()\n",
}


@pytest.mark.parametrize("case", FINE)
def test_does_not_part_workers(project: Project, case: str) -> None:
    project.write(
        {
            "conftest.py": FINE[case],
            "test_a.py": "def test_a(worker_id): assert worker_id[:2] == 'gw'\n",
        }
    )
    run = project.run("-n2")
    assert run.code == 0 and run.counts == {"passed": 1}, str(run)
    assert "forked after collection" in run.lines, str(run)


def test_test_files_may_draw_names(project: Project) -> None:
    """They are collected once: what they draw there is the same for all workers."""
    project.write(
        {
            "test_a.py": """
                import os, secrets, uuid
                import pytest

                OWN = os.getpid(), secrets.token_hex()

                @pytest.mark.parametrize("name", [uuid.uuid4().hex for _ in range(4)])
                def test_it(name): pass
            """
        }
    )
    run = project.run("-n2")
    assert run.code == 0 and run.has_line("^forked after collection"), str(run)


def test_a_reader_that_asks_for_the_truth_only_gets_it(project: Project) -> None:
    """pytest-benchmark reads the variable when it is configured, to measure nothing in workers."""
    project.write(
        {
            "pytest_benchmark.py": """
                import os

                def pytest_configure(config):
                    config.is_worker = bool(os.environ.get("PYTEST_XDIST_WORKER"))
            """,
            "conftest.py": "import sys; sys.path.insert(0, '.'); pytest_plugins = ['pytest_benchmark']\n",
            "test_it.py": """
                def test_it(request):
                    assert request.config.is_worker
            """,
        }
    )
    run = project.run("-n2")
    assert run.code == 0 and run.has_line("^forked after collection"), run
