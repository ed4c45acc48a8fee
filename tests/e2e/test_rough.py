"""Tests that treat their process badly, and command lines that are less common: no hang, nothing lost."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import pytest
from expected import SUITES
from runner import Project, Run

NEIGHBOURS = """
@pytest.mark.parametrize("number", range(12))
def test_neighbour(number): time.sleep(0.005)
"""
HEAD = "import os, resource, signal, socket, subprocess, sys, threading, time\nimport pytest\n"

# What a test does to its process → how it may end. A worker may die of it; then that is reported.
ROUGH = {
    "closes every descriptor": ("os.closerange(3, 1024)", {"passed", "failed"}),
    "closes standard output": ("os.close(1); os.close(2)", {"passed", "failed"}),
    "writes garbage to sockets": (
        "for fd in range(3, 256):\n"
        "        try:\n"
        "            if os.readlink(f'/proc/self/fd/{fd}').startswith('socket:'): os.write(fd, b'garbage ' * 100)\n"
        "        except OSError: pass",
        {"passed", "failed"},
    ),
    "shuts sockets down": (
        "for fd in range(3, 256):\n"
        "        try: socket.socket(fileno=os.dup(fd)).shutdown(socket.SHUT_RDWR)\n"
        "        except OSError: pass",
        {"passed", "failed"},
    ),
    "kills its group": ("os.killpg(0, 9); time.sleep(30)", {"failed"}),
    "raises SIGINT": ("os.kill(os.getpid(), signal.SIGINT); time.sleep(30)", {"interrupted"}),
    "ignores signals": (
        "signal.signal(signal.SIGINT, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN)",
        {"passed"},
    ),
    "clears the environment": ("os.environ.clear()", {"passed"}),
    "goes elsewhere": ("os.chdir('/')", {"passed"}),
    "has few descriptors": (
        "resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))",
        {"passed", "failed"},
    ),
    "reads where nothing is": ("import ctypes; ctypes.string_at(0)", {"failed"}),
    "never returns from a call": ("def f(): f()\n    f()", {"failed"}),
    "mocks time": (
        "import time\n    time.monotonic = time.time = lambda: 0.0\n    time.sleep = lambda s: None",
        {"passed"},
    ),
    "replaces the streams": ("sys.stdout = sys.stderr = None", {"passed"}),
    "forks a child that goes on": (
        "if os.fork() == 0:\n        time.sleep(60); os._exit(0)",
        {"passed"},
    ),
    "forks a child and dies": (
        "if os.fork() == 0:\n        time.sleep(60); os._exit(0)\n    os._exit(3)",
        {"failed"},
    ),
    "leaves a child with its descriptors": (
        "subprocess.Popen(['sleep', '60'], close_fds=False); os._exit(3)",
        {"failed"},
    ),
    "prints without end of line": ("os.write(1, b'x' * 5_000_000)", {"passed"}),
    "closes its sockets": (
        "for fd in range(3, 256):\n"
        "        try:\n"
        "            if os.readlink(f'/proc/self/fd/{fd}').startswith('socket:'): os.close(fd)\n"
        "        except OSError: pass",
        {"passed", "failed"},
    ),
    "aborts": ("os.abort()", {"failed"}),
    "asks for a session of its own": ("os.setsid()", {"failed"}),  # as without workers
    "is traced and profiled": (
        "sys.settrace(lambda *event: None); threading.settrace(lambda *event: None)\n"
        "    sys.setprofile(lambda *event: None)",
        {"passed"},
    ),
    "forgets where modules are": ("sys.path[:] = []; sys.meta_path[:] = []", {"passed"}),
    "kills the zygote": ("os.kill(os.getppid(), 9)", {"passed"}),
    "kills the guard": (
        "stat = open(f'/proc/{os.getppid()}/stat').read()\n"
        "    os.kill(int(stat.rpartition(')')[2].split()[1]), 9)",
        {"passed"},
    ),
    "raises SystemExit in a thread": ("threading.Thread(target=sys.exit).start()", {"passed"}),
    "raises BaseException": ("raise BaseException('x')", {"failed"}),
    "is a daemon by two forks": (
        "if os.fork() == 0:\n        os.setsid()\n        if os.fork() == 0: time.sleep(1)\n        os._exit(0)",
        {"passed"},
    ),
}


@pytest.mark.parametrize("case", ROUGH)
def test_rough(project: Project, case: str) -> None:
    code, ends = ROUGH[case]
    project.write({"test_a.py": HEAD + f"def test_rough():\n    {code}\n" + NEIGHBOURS})
    # What is killed there is to have made both workers.
    running = project.start("-n2", together=2 if "kills the" in case else 0)
    run = running.wait(may_leave="two forks" in case)
    if ends == {"interrupted"}:
        assert run.code == 2 and run.has_line("KeyboardInterrupt"), str(run)
        return
    assert set(run.outcomes) == {
        "test_a.py::test_rough",
        *(f"test_a.py::test_neighbour[{number}]" for number in range(12)),
    }, str(run)
    rough = set(run.outcomes.pop("test_a.py::test_rough"))
    assert rough & ends, str(run)
    failures = [
        nodeid for nodeid, words in run.outcomes.items() if "failed" in words or "error" in words
    ]
    # What the rough test did to its worker may hit the one that comes next there; never more.
    assert len(set(failures) - {"test_a.py::test_rough"}) <= 1, str(run)
    assert run.code == (1 if failures else 0), str(run)


GARBAGE = (
    HEAD
    + """
def garbage():
    for fd in range(3, 256):
        try:
            if os.readlink(f"/proc/self/fd/{fd}").startswith("socket:"):
                os.write(fd, b"garbage " * 100)
        except OSError:
            pass

@pytest.mark.parametrize("number", range(60))
def test_many(number):
    if number in (2, 32):
        garbage()
"""
)


@pytest.mark.parametrize("number", ["-n1", "-n2", "-n4"])
def test_what_garbage_hides_is_reported(project: Project, number: str) -> None:
    """Several workers write into their channels, and go on until they are found out: every test has one
    outcome; what nobody heard of has failed, and names its own worker."""
    project.write({"test_a.py": GARBAGE})
    run = project.run(number, "--max-worker-restart=9")
    assert run.code == 1 and sum(run.counts.values()) == 60, str(run)
    assert all(len(words) == 1 for words in run.outcomes.values()), str(run)
    for report in run.reports:
        if report["when"] == "???":
            assert f"worker '{report['worker']}'" in report["longrepr"], report
            assert "sent bytes that are not phalanx's protocol" in report["longrepr"], report
    assert "failed" in run.outcomes["test_a.py::test_many[2]"], str(run)
    assert "failed" in run.outcomes["test_a.py::test_many[32]"], str(run)


def test_many_tests(project: Project) -> None:
    project.write(
        {
            "test_a.py": "import pytest\n@pytest.mark.parametrize('n', range(2000))\ndef test_n(n): assert n % 100\n"
        }
    )
    run = project.run("-n4", "-q", "--tb=no")
    assert run.counts == {"passed": 1980, "failed": 20}
    assert len(run.outcomes) == 2000 and run.code == 1


def test_large_reports(project: Project) -> None:
    project.write(
        {
            "test_a.py": """
                import pytest
                @pytest.mark.parametrize("n", range(4))
                def test_n(n):
                    print(str(n) * 5_000_000)
                    assert False, "m" * 1_000_000
            """
        }
    )
    run = project.run("-n2", "--tb=no", "-q", "--show-capture=no")
    assert run.counts == {"failed": 4}, run.out[-2000:] + run.err[-2000:]
    for n in range(4):
        assert len(run.sections_of(f"test_a.py::test_n[{n}]")["Captured stdout call"]) == 5_000_001


def test_long_names(project: Project) -> None:
    project.write(
        {
            "test_a.py": """
                import pytest
                @pytest.mark.parametrize("n", range(3), ids=[letter * 100_000 for letter in "abc"])
                def test_n(n): assert n
            """
        }
    )
    run = project.run("-n2", "-q", "--tb=no")
    assert run.counts == {"passed": 2, "failed": 1}
    assert {len(nodeid) for nodeid in run.outcomes} == {100_000 + len("test_a.py::test_n[]")}


def test_parameters_in_no_order(project: Project) -> None:
    """Collected once: sets, pids and random numbers as parameters are the same for all (B18)."""
    project.write(
        {
            "test_a.py": """
                import os, random, pytest
                @pytest.mark.parametrize("word", {"a", "b", "c", "d", "e"})
                def test_set(word): pass
                @pytest.mark.parametrize("number", [os.getpid(), random.random()])
                def test_odd(number): pass
            """
        }
    )
    run = project.run("-n4")
    assert run.counts == {"passed": 7} and run.code == 0, str(run)


COMMAND_LINES = {
    "plugin by name": (("-p", "xdist", "-n2"), {}),
    "no autoload": (("-p", "xdist.plugin", "-n2"), {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}),
    "no autoload, by name": (("-p", "xdist", "-n2"), {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}),
    "no autoload, from the environment": (
        ("-n2",),
        {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "xdist.plugin"},
    ),
    "import mode": (("--import-mode=importlib", "-n2"), {}),
    "other configuration": (("-c", "other.ini"), {}),
    "assertions as they are": (("--assert=plain", "-n2"), {}),
    "debug": (("--debug=trace", "-n2"), {}),
    "set-up shown": (("--setup-show", "-n2"), {}),
    "no logging, no warnings": (("-p", "no:logging", "-p", "no:warnings", "-n2"), {}),
    "no temporary directories": (("-p", "no:tmpdir", "-p", "no:legacypath", "-n2"), {}),
    "strict": (("-W", "error", "--strict-markers", "-n2"), {}),
    "tx": (("--dist=load", "--tx=2*popen"), {}),
    "d": (("-d", "--tx", "popen", "--tx", "popen"), {}),
    "auto": (("-nauto",), {"PYTEST_XDIST_AUTO_NUM_WORKERS": "2"}),
    "chunks": (("-n2", "--maxschedchunk=1", "--no-loadscope-reorder"), {}),
    "developer mode": (("-n2", "-W", "error"), {"PYTHONDEVMODE": "1"}),
    "optimised": (("-n2",), {"PYTHONOPTIMIZE": "1"}),
    "no bytecode": (("-n2",), {"PYTHONDONTWRITEBYTECODE": "1"}),
    "fixed hash seed": (("-n2",), {"PYTHONHASHSEED": "0"}),
    "safe path": (("-n2",), {"PYTHONSAFEPATH": "1"}),
    "absolute path": (("-n2", "{here}/test_one.py", "{here}/test_two.py"), {}),
    "arguments from a file": (("-n2", "@args.txt"), {}),
}


@pytest.fixture(scope="module")
def green(new_project: Callable[..., Project]) -> Project:
    return new_project(SUITES["green"].files).write(
        {"other.ini": "[pytest]\naddopts = -n 2\n", "args.txt": "test_one.py\ntest_two.py\n"}
    )


@pytest.mark.parametrize("case", COMMAND_LINES)
def test_command_line(green: Project, case: str) -> None:
    args, env = COMMAND_LINES[case]
    run = green.run(*(arg.format(here=green.path) for arg in args), env=env)
    warnings = run.counts.get("warning", 0)
    assert warnings == (1 if case == "optimised" else 0), str(run)  # pytest's own, once
    assert {**run.counts, "warning": 0} == {"passed": 10, "warning": 0} and run.code == 0, str(run)
    assert run.has_line(r"^2 workers \[10 items\]$"), str(run)
    assert "rror" not in run.err, str(run)


def test_without_the_plugin(green: Project) -> None:
    run = green.run("-p", "no:xdist")
    assert run.counts == {"passed": 10} and run.code == 0, str(run)
    assert green.run("-p", "no:xdist", "-n2").code == 4


@pytest.mark.parametrize(
    "option", ["--version", "--help", "--fixtures", "--markers", "--cache-show"]
)
def test_questions_start_no_workers(green: Project, option: str) -> None:
    run = green.run("-n2", option)
    assert run.code == 0 and "workers [" not in run.out, str(run)


def test_options_are_in_the_help(green: Project) -> None:
    text = green.run("--help").out
    for option in (
        "--numprocesses",
        "--dist",
        "--tx",
        "--maxprocesses",
        "--max-worker-restart",
        "--testrunuid",
        "-d ",
    ):
        assert option in text


def test_relative_basetemp(project: Project) -> None:
    project.write(
        {"test_a.py": "def test_a(tmp_path, worker_id): (tmp_path / worker_id).touch()\n"}
    )
    run = project.run("-n2", "--basetemp=sub", basetemp=False)
    assert run.counts == {"passed": 1}, str(run)
    assert len(list((project.path / "sub").glob("popen-gw*/test_a0/gw*"))) == 1


def test_started_in_a_subdirectory(project: Project) -> None:
    project.write(
        {
            "pytest.ini": "[pytest]\n",
            "sub/inner/test_a.py": "def test_a(): pass\n",
            "test_b.py": "def test_b(): pass\n",
        }
    )
    here = project.path
    project.path = here / "sub"
    run = project.run("-n2")
    assert run.outcomes == {"sub/inner/test_a.py::test_a": ["passed"]}, str(run)
    run = project.run("-n2", "..")
    assert len(run.outcomes) == 2


def test_local_plugins(project: Project) -> None:
    project.write(
        {
            "own_plugin.py": "import pytest\n@pytest.fixture\ndef own(): return 1\n",
            "other_plugin.py": "import pytest\n@pytest.fixture\ndef other(): return 2\n",
            "conftest.py": "pytest_plugins = ['other_plugin']\n",
            "test_a.py": "def test_a(own, other): assert own + other == 3\n",
        }
    )
    run = project.run("-n2", "-p", "own_plugin")
    assert run.counts == {"passed": 1}, str(run)


def test_python_path_from_configuration(project: Project) -> None:
    project.write(
        {
            "pytest.ini": "[pytest]\npythonpath = lib\ntestpaths = tests\naddopts = -n2\n",
            "lib/own_library.py": "X = 1\n",
            "tests/test_a.py": "import own_library\ndef test_a(): assert own_library.X\n",
            "test_elsewhere.py": "raise RuntimeError\n",
        }
    )
    run = project.run()
    assert run.counts == {"passed": 1}, str(run)


def test_read_only_directory(project: Project) -> None:
    if os.getuid() == 0:
        pytest.skip("root writes everywhere")
    project.write(SUITES["green"].files)
    project.path.chmod(0o500)
    try:
        run: Run = project.run("-n2", env={"PYTHONDONTWRITEBYTECODE": "1"})
    finally:
        project.path.chmod(0o700)
    assert run.counts.get("passed") == 10 and run.code == 0


def test_standard_input_is_closed(project: Project) -> None:
    project.write(SUITES["green"].files)
    run = project.run("-n2", preexec_fn=lambda: os.close(0))
    assert run.counts == {"passed": 10}, str(run)


def test_controller_without_a_shell_path(project: Project) -> None:
    project.write(SUITES["green"].files)
    run = project.run("-n2", env={"PATH": ""}, python=sys.executable)
    assert run.counts == {"passed": 10}, str(run)
