"""Workers, zygote, guard and controller that die, and people who interrupt: nothing lost, nothing run twice,
nothing left behind."""

from __future__ import annotations

import fcntl
import os
import pty
import random
import re
import signal
import termios
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from expected import DIST_MODES
from runner import RECORDING, Project, Run, Running, marked_processes, states, wait_gone, wait_until

NOTE = """
import os, signal, subprocess, sys, threading, time
import pytest

def note(text, name="log"):
    fd = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, (text + "\\n").encode())
    os.close(fd)
"""

# What kills → the code, and what the report must say.
DEATHS = {
    "abort": ("os.abort()", "killed by signal 6 (SIGABRT"),
    "segv": (
        "os.kill(os.getpid(), signal.SIGSEGV); time.sleep(30)",
        "killed by signal 11 (SIGSEGV",
    ),
    "kill": ("os.kill(os.getpid(), signal.SIGKILL); time.sleep(30)", "killed by signal 9 (SIGKILL"),
    "term": (
        "os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)",
        "killed by signal 15 (SIGTERM",
    ),
    "exit0": ("os._exit(0)", "exited with status 0"),
    "exit3": ("os._exit(3)", "exited with status 3"),
    "thread": (
        "threading.Thread(target=lambda: os._exit(4)).start(); time.sleep(30)",
        "exited with status 4",
    ),
}
PHASES = ("setup", "call", "teardown")


def dying_module() -> str:
    lines = [NOTE]
    lines += ["class TestDying:"]
    for name, (code, _) in DEATHS.items():
        lines += [
            f"    def test_{name}(self):",
            f"        note('{name}')",
            f"        print('last words of {name}')",
            f"        {code}",
            f"    def test_after_{name}(self): note('after_{name}')",
        ]
    return "\n".join(lines) + "\n"


PHASES_MODULE = (
    NOTE
    + """
@pytest.fixture
def setup_dies():
    print("words in setup")
    os.abort()

@pytest.fixture
def teardown_dies():
    yield
    print("words in teardown")
    os._exit(5)

def test_setup(setup_dies): note("never")
def test_between(): note("between")
def test_teardown(teardown_dies): note("teardown")
def test_last(): note("last")
"""
)

ORDINARY_MODULE = (
    NOTE
    + """
@pytest.mark.parametrize("number", range(10))
def test_ordinary(number): note(f"ordinary{number}")

@pytest.mark.xdist_group("g")
class TestGroup:
    def test_a(self): note("a")
    def test_b(self): note("b")
"""
)

DYING = {
    "test_dying.py": dying_module(),
    "test_phases.py": PHASES_MODULE,
    "test_ordinary.py": ORDINARY_MODULE,
}
EXPECTED: dict[str, list[str]] = {
    **{f"test_dying.py::TestDying::test_{name}": ["failed"] for name in DEATHS},
    **{f"test_dying.py::TestDying::test_after_{name}": ["passed"] for name in DEATHS},
    "test_phases.py::test_setup": ["failed"],
    "test_phases.py::test_between": ["passed"],
    "test_phases.py::test_teardown": ["failed", "passed"],
    "test_phases.py::test_last": ["passed"],
    **{f"test_ordinary.py::test_ordinary[{number}]": ["passed"] for number in range(10)},
    "test_ordinary.py::TestGroup::test_a": ["passed"],
    "test_ordinary.py::TestGroup::test_b": ["passed"],
}
CALLED = sorted(
    [*DEATHS, *(f"after_{name}" for name in DEATHS), "between", "teardown", "last", "a", "b"]
    + [f"ordinary{number}" for number in range(10)]
)

FAULT_MODES = [("-n1", dist) for dist in DIST_MODES] + [("-n2", dist) for dist in DIST_MODES]
FAULT_MODES += [("-n4", "load")]


class Died:
    def __init__(self, run: Run, log: list[str]) -> None:
        self.run = run
        self.log = log


@pytest.fixture(scope="module", params=FAULT_MODES, ids=lambda mode: "".join(mode))
def died(request: pytest.FixtureRequest, new_project: Callable[..., Project]) -> Died:
    number, dist = request.param
    project = new_project(DYING)
    run = project.run(number, f"--dist={dist}", "--max-worker-restart=100")
    return Died(run, project.log())


def test_all_accounted(died: Died) -> None:
    assert died.run.outcomes == {k: sorted(v) for k, v in EXPECTED.items()}, str(died.run)
    assert died.run.code == 1


def test_nothing_runs_twice(died: Died) -> None:
    assert sorted(died.log) == CALLED


def test_replacements(died: Died) -> None:
    replaced = [line for line in died.run.lines if line.startswith("replacing crashed worker gw")]
    deaths = len(DEATHS) + 2
    # The last death may leave nothing to do.
    assert deaths - 4 <= len(replaced) <= deaths
    assert len(set(replaced)) == len(replaced)
    crashed = set(re.findall(r"\[(gw\d+)\] node down", died.run.out))
    assert len(crashed) == deaths and {line.split()[-1] for line in replaced} <= crashed


def crash_of(run: Run, nodeid: str) -> tuple[str, dict[str, str]]:
    report = run.report_of(nodeid, "???")
    return report["longrepr"], dict(report["sections"])


def test_cause_is_named(died: Died) -> None:
    for name, (_, cause) in DEATHS.items():
        nodeid = f"test_dying.py::TestDying::test_{name}"
        text, sections = crash_of(died.run, nodeid)
        assert cause in text, text
        assert "in its call phase" in text
        assert f"crashed while running '{nodeid}'" in text
        assert sections == {"Captured stdout call": f"last words of {name}\n"} or name in (
            "abort",
            "segv",
        )
        assert sections["Captured stdout call"] == f"last words of {name}\n"


@pytest.mark.parametrize(("name", "error"), [("abort", "Aborted"), ("segv", "Segmentation fault")])
def test_python_traceback(died: Died, name: str, error: str) -> None:
    text, _ = crash_of(died.run, f"test_dying.py::TestDying::test_{name}")
    assert f"Fatal Python error: {error}" in text
    assert 'test_dying.py", line' in text and f"in test_{name}" in text


def test_phase_is_named(died: Died) -> None:
    text, sections = crash_of(died.run, "test_phases.py::test_setup")
    assert "killed by signal 6" in text and "in its setup phase" in text
    assert sections["Captured stdout setup"] == "words in setup\n"
    text, sections = crash_of(died.run, "test_phases.py::test_teardown")
    assert "exited with status 5" in text and "in its teardown phase" in text
    assert sections["Captured stdout teardown"] == "words in teardown\n"


def test_node_down_line(died: Died) -> None:
    assert died.run.has_line(
        r"\[gw\d+\] node down: Not properly terminated: killed by signal 9 \(SIGKILL\)"
    )


def test_junit_has_every_test(died: Died) -> None:
    names = Counter(case[1] for case in died.run.junit())
    wanted = Counter(nodeid.rpartition("::")[2] for nodeid in EXPECTED)
    assert set(names) == set(wanted)


KILLS_SIBLING = (
    NOTE
    + """
def test_kills():
    while not os.path.exists("victim") or not open("victim").read():
        time.sleep(0.01)
    os.kill(int(open("victim").read()), signal.SIGKILL)

def test_after(): note("after")
"""
)
VICTIM = (
    NOTE
    + """
def test_victim():
    note(str(os.getpid()), "victim")
    time.sleep(60)

def test_behind(): note("behind")
"""
)


@pytest.mark.parametrize("dist", DIST_MODES)
def test_a_test_kills_the_worker_of_another(project: Project, dist: str) -> None:
    """The one that was killed is named, not the one that did it; all others run."""
    project.write({"test_kills.py": KILLS_SIBLING, "test_victim.py": VICTIM})
    run = project.run("-n2", f"--dist={dist}")
    assert run.outcomes == {
        "test_kills.py::test_kills": ["passed"],
        "test_kills.py::test_after": ["passed"],
        "test_victim.py::test_victim": ["failed"],
        "test_victim.py::test_behind": ["passed"],
    }, str(run)
    assert run.code == 1 and sorted(project.log()) == ["after", "behind"]
    assert "killed by signal 9" in crash_of(run, "test_victim.py::test_victim")[0]


@pytest.mark.parametrize(
    "options", [("-s",), ("--capture=sys",), ("-p", "no:faulthandler")], ids=" ".join
)
def test_crash_without_captured_text(project: Project, options: tuple[str, ...]) -> None:
    project.write({"test_a.py": NOTE + "def test_a(): os.abort()\ndef test_b(): note('b')\n"})
    run = project.run("-n1", *options)
    assert run.outcomes == {"test_a.py::test_a": ["failed"], "test_a.py::test_b": ["passed"]}, str(
        run
    )
    assert "killed by signal 6" in crash_of(run, "test_a.py::test_a")[0]


FIVE = (
    NOTE
    + """
@pytest.mark.parametrize("number", range(5))
def test_many(number):
    note(str(number))
    if number in {dying}:
        os._exit(1)
"""
)


def test_no_replacement_allowed(project: Project) -> None:
    project.write({"test_a.py": FIVE.format(dying=[1])})
    run = project.run("-n1", "--max-worker-restart=0")
    assert run.outcomes == {
        "test_a.py::test_many[0]": ["passed"],
        "test_a.py::test_many[1]": ["failed"],
    }
    assert project.log() == ["0", "1"]
    assert run.code == 1
    assert run.has_line("worker gw0 crashed and worker restarting disabled")
    assert run.has_line("3 not run, as no worker was left"), str(run)
    for number in (2, 3, 4):
        assert f"test_many[{number}]" in run.out


def test_others_do_the_rest(project: Project) -> None:
    project.write({"test_a.py": FIVE.format(dying=[1])})
    run = project.run("-n2", "--max-worker-restart=0")
    assert run.counts == {"passed": 4, "failed": 1}, str(run)
    assert sorted(project.log()) == list("01234") and run.code == 1


def test_one_replacement_allowed(project: Project) -> None:
    project.write({"test_a.py": FIVE.format(dying=[1, 3])})
    run = project.run("-n1", "--max-worker-restart=1")
    assert project.log() == ["0", "1", "2", "3"] and run.code == 1
    assert run.counts == {"passed": 2, "failed": 2}, str(run)
    assert run.has_line("maximum crashed workers reached: 1")
    assert run.has_line("1 not run, as no worker was left")


def test_every_test_dies(project: Project) -> None:
    project.write({"test_a.py": FIVE.format(dying=[0, 1, 2, 3, 4])})
    run = project.run("-n2", "--max-worker-restart=10")
    assert run.counts == {"failed": 5}, str(run)
    assert sorted(project.log()) == list("01234") and run.code == 1


def test_death_with_stop_at_first_failure(project: Project) -> None:
    project.write(
        {
            "test_a.py": NOTE
            + """
@pytest.mark.parametrize("number", range(30))
def test_many(number, until_told):
    if number == 0:
        os._exit(1)
    until_told()
"""
        }
    )
    run = project.tell_of_failures().run("-n2", "-x")
    assert run.code == 1 and run.counts["failed"] == 1, str(run)
    assert run.has_line("stopping after 1 failures") and not run.has_line("no worker was left")
    assert len(run.outcomes) < 30


def test_death_in_the_last_teardown(project: Project) -> None:
    project.write(
        {
            "test_a.py": NOTE
            + """
@pytest.fixture(scope="session")
def thing():
    yield
    os._exit(0)

def test_a(thing): note("a")
def test_b(thing): note("b")
"""
        }
    )
    run = project.run("-n1")
    assert run.outcomes == {
        "test_a.py::test_a": ["passed"],
        "test_a.py::test_b": ["failed", "passed"],
    }, str(run)
    assert "in its teardown phase" in crash_of(run, "test_a.py::test_b")[0]
    assert run.code == 1


def test_death_after_the_last_test(project: Project) -> None:
    """No test is to blame; but the worker's session did not end, and that is told."""
    project.write({"test_a.py": FIVE.format(dying=[])})
    project.write(
        {
            "conftest.py": """
                import os

                def pytest_sessionfinish(session):
                    if os.environ.get("PYTEST_XDIST_WORKER") == "gw0":
                        os._exit(9)
            """
        }
    )
    run = project.run("-n2")
    assert run.counts == {"passed": 5}, str(run)
    assert run.has_line(r"\[gw0\] node down: Not properly terminated: exited with status 9")
    assert run.code == 1, str(run)
    assert run.has_line("worker gw0 died outside a test: exited with status 9"), str(run)


def test_worker_that_does_not_leave(project: Project) -> None:
    """It has said all there is to say: no result is lost, and one line tells."""
    project.write(
        {"test_a.py": "import atexit, time\ndef test_a(): atexit.register(time.sleep, 600)\n"}
    )
    run = project.run("-n1", "--exit-grace=1")
    assert run.counts == {"passed": 1} and run.code == 0, str(run)
    assert run.has_line(r"\[gw0\] it did not leave after its session had ended"), str(run)


def test_exit_status_zero_is_not_success(project: Project) -> None:
    project.write({"test_a.py": "import os\ndef test_a(): os._exit(0)\n"})
    run = project.run("-n1")
    assert run.code == 1 and run.counts == {"failed": 1}


@pytest.mark.parametrize(
    ("child", "text"),
    [
        ("return", "returned from the test"),
        ("raise ValueError", ""),
        ("sys.exit(0)", ""),
        ("pytest.skip()", ""),
    ],
)
@pytest.mark.parametrize("number", ["-n1", "-n3"])
def test_child_returns_into_the_run(project: Project, child: str, text: str, number: str) -> None:
    project.write(
        {
            "test_a.py": NOTE
            + f"""
@pytest.fixture(scope="session", autouse=True)
def session(worker_id):
    yield
    note("session torn down in " + worker_id)

def test_fork():
    note("fork")
    pid = os.fork()
    if pid == 0:
        {child}
    os.waitpid(pid, 0)

@pytest.mark.parametrize("number", range(10))
def test_many(number): note(str(number))
"""
        }
    )
    run = project.run(number)
    assert run.counts == {"passed": 11}, str(run)
    ends = [f"session torn down in {worker}" for worker in run.workers]
    assert sorted(project.log()) == sorted(["fork", *map(str, range(10)), *ends])
    assert run.code == 0 and "Traceback" not in run.err
    everything = (
        run.out
        + run.err
        + "".join(section for report in run.reports for _, section in report["sections"])
    )
    if text:
        assert everything.count(text) == 1, str(run)
        assert "test_a.py::test_fork" in everything


# ---- zygote and guard ----

MANY = (
    NOTE
    + """
@pytest.mark.parametrize("number", range(30))
def test_many(number):
    note(str(number))
    time.sleep(0.02)
    if number == {killer}:
        {kill}
    if number == {dying}:
        os._exit(1)
"""
)
KILL_ZYGOTE = "os.kill(os.getppid(), 9)"
KILL_GUARD = (
    "os.kill(int(open(f'/proc/{os.getppid()}/stat').read().rpartition(')')[2].split()[1]), 9)"
)


def test_zygote_dies(project: Project) -> None:
    project.write({"test_a.py": MANY.format(killer=3, kill=KILL_ZYGOTE, dying=-1)})
    run = project.run("-n2", together=2)
    assert run.counts == {"passed": 30}, str(run)
    assert sorted(project.log()) == sorted(map(str, range(30))) and run.code == 0


def test_zygote_dies_then_a_worker(project: Project) -> None:
    """The replacement comes from a new zygote, which collects again."""
    project.write({"test_a.py": MANY.format(killer=1, kill=KILL_ZYGOTE, dying=4)})
    run = project.run("-n1")
    assert run.counts == {"passed": 29, "failed": 1}, str(run)
    assert sorted(project.log()) == sorted(map(str, range(30))) and run.code == 1


def test_guard_dies(project: Project) -> None:
    project.write({"test_a.py": MANY.format(killer=3, kill=KILL_GUARD, dying=-1)})
    run = project.run("-n2", together=2)
    assert run.counts == {"passed": 30}, str(run)
    assert run.has_line("the guard process died")
    assert sorted(project.log()) == sorted(map(str, range(30))) and run.code == 0


def test_guard_dies_then_a_worker(project: Project) -> None:
    project.write({"test_a.py": MANY.format(killer=1, kill=KILL_GUARD, dying=10)})
    run = project.run("-n2", together=2)
    assert run.code == 1, str(run)
    assert run.outcomes["test_a.py::test_many[10]"] == ["failed"]
    assert len(project.log()) == len(set(project.log()))
    assert sum(run.counts.values()) == len(run.outcomes) == len(project.log())


# ---- the controller dies ----

WITH_CHILDREN = (
    NOTE
    + """
@pytest.mark.parametrize("number", range(4))
def test_many(number):
    subprocess.Popen(["sleep", "300"])
    subprocess.Popen(["setsid", "sleep", "300"])
    subprocess.Popen([sys.executable, "-c", "import os, time; os.setsid(); os.fork(); time.sleep(300)"])
    note(str(number))
    time.sleep(300)
"""
)


@pytest.mark.parametrize("round", range(10))
def test_controller_is_killed(project: Project, round: int) -> None:
    project.write({"test_a.py": WITH_CHILDREN})
    running = project.start("-n2")
    if round < 4:  # somewhere between its start and the first test
        delay = random.uniform(0, 1)
        time.sleep(delay)
        when = f"after {delay:.3f} s"
    else:
        wait_until(lambda: len(project.log()) == 2, "two tests")
        time.sleep(random.uniform(0, 0.05))
        when = "while tests ran"
    os.kill(running.pid, signal.SIGKILL)
    running.process.wait()
    assert not wait_gone(running.mark), f"killed {when}: processes are left"


# ---- Ctrl-C ----

SLEEPING = (
    NOTE
    + """
@pytest.fixture(scope="module", autouse=True)
def module():
    yield
    note("module torn down")

@pytest.fixture
def thing():
    yield
    note("torn down")

@pytest.mark.parametrize("number", range(6))
def test_many(number, thing):
    note("started")
    time.sleep(60)
"""
)


def started(project: Project, count: int) -> None:
    wait_until(lambda: project.log().count("started") == count, f"{count} started tests")


# What ends a run from outside → its exit status, and what the summary says of it.
ENDINGS = {
    "SIGINT": (2, "KeyboardInterrupt"),
    "SIGTERM": (143, "ended by SIGTERM"),
    "SIGHUP": (129, "ended by SIGHUP"),
}
each_ending = pytest.mark.parametrize("name", ENDINGS)


def assert_ended(run: Run, name: str) -> None:
    code, line = ENDINGS[name]
    assert run.code == code, str(run)
    assert run.has_line(line), str(run)


#: To the controller alone or to its process group; with other numbers of workers to the controller alone.
SENDING = [(send, 2, dist) for send in (os.kill, os.killpg) for dist in DIST_MODES]
SENDING += [(os.kill, number, dist) for number in (1, 4) for dist in DIST_MODES]


@pytest.mark.parametrize(("send", "number", "dist"), SENDING)
@each_ending
def test_ended_by_a_signal(
    project: Project, name: str, send: Callable[[int, int], None], number: int, dist: str
) -> None:
    """Teardowns, a summary, a status that tells (B24, B25)."""
    project.write({f"test_{file}.py": SLEEPING for file in range(number)})
    running = project.start(f"-n{number}", f"--dist={dist}")
    started(project, number)
    send(running.pid, signal.Signals[name])
    run = running.wait()
    assert_ended(run, name)
    assert Counter(project.log()) == {
        "started": number,
        "torn down": number,
        "module torn down": number,
    }
    assert run.has_line("no tests ran in"), str(run)


ABOUT_TO_WAIT = """
import os, signal
import pytest

setups = []

def pytest_runtest_logreport(report):
    setups.append(report)

@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session):
    dsession = session.config.pluginmanager.getplugin("dsession")
    if dsession is None:
        return
    patience = dsession._patience
    rounds = iter(range(8))

    def signalled_just_before_the_wait(wanted):
        if len(setups) < 2:
            return patience(wanted)
        if next(rounds, 0) < 7:  # what is under way arrives
            return 0.05
        del dsession._patience
        os.kill(os.getpid(), signal.Signals[os.environ["SENT"]])
        return patience(wanted)

    dsession._patience = signalled_just_before_the_wait
"""


@each_ending
def test_ended_by_a_signal_just_before_the_loop_waits(project: Project, name: str) -> None:
    """Its handler runs after the loop has looked for a signal and before it waits for an event: none comes."""
    project.write({"conftest.py": ABOUT_TO_WAIT, "test_0.py": SLEEPING, "test_1.py": SLEEPING})
    run = project.run("-n2", env={"SENT": name})
    assert_ended(run, name)
    assert run.has_line("no tests ran in"), str(run)


def test_interrupt_reports_what_ended(project: Project) -> None:
    project.write(
        {"test_0.py": "def test_quick(): pass\ndef test_quick2(): pass\n", "test_a.py": SLEEPING}
    )
    running = project.start("-n4")
    started(project, 4)
    wait_until(lambda: running.output().count(".") >= 1, "progress")
    os.kill(running.pid, signal.SIGINT)
    run = running.wait()
    assert run.code == 2 and set(run.counts) <= {"passed", "failed"}
    assert run.has_line("KeyboardInterrupt")


STUBBORN = (
    NOTE
    + """
@pytest.mark.parametrize("number", range(6))
def test_stubborn(number):
    note("started")
    while True:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            note("no")
"""
)


@each_ending
def test_ended_by_a_signal_twice(project: Project, name: str) -> None:
    project.write({"test_a.py": STUBBORN})
    running = project.start("-n2")
    started(project, 2)
    os.kill(running.pid, signal.Signals[name])
    wait_until(lambda: project.log().count("no") == 2, "the first signal to arrive")
    assert running.process.poll() is None
    os.kill(running.pid, signal.Signals[name])
    assert_ended(running.wait(), name)


def test_interrupt_whose_traceback_cannot_be_written(project: Project) -> None:
    """A line of a frame may be None in CPython 3.11, of which pytest makes an error: not in a worker, where
    nobody reads that traceback (found by the storm)."""
    project.write(
        {
            "test_a.py": NOTE
            + """
def test_a():
    import _pytest._code.code as code
    code.TracebackEntry.lineno = property(lambda self: None - 1)
    note("started")
    time.sleep(60)
"""
        }
    )
    running = project.start("-n1")
    started(project, 1)
    os.kill(running.pid, signal.SIGINT)
    run = running.wait()
    assert run.code == 2 and "INTERNALERROR" not in run.out, str(run)


def test_interrupt_twice_quickly(project: Project) -> None:
    project.write({"test_a.py": SLEEPING})
    running = project.start("-n2")
    started(project, 2)
    os.kill(running.pid, signal.SIGINT)
    time.sleep(0.001)
    os.kill(running.pid, signal.SIGINT)
    run = running.wait()
    assert run.code == 2, str(run)


@each_ending
def test_ended_by_a_signal_during_collection(project: Project, name: str) -> None:
    project.write(
        {"test_a.py": NOTE + "note('started')\ntime.sleep(60)\ndef test_a(): note('ran')\n"}
    )
    running = project.start("-n2")
    started(project, 1)
    os.kill(running.pid, signal.Signals[name])
    assert_ended(running.wait(), name)
    assert project.log() == ["started"]


@pytest.mark.parametrize("delay", [0.03 * step for step in range(8)])
def test_interrupt_while_the_zygote_starts(project: Project, delay: float) -> None:
    """Whatever it imports just then: no traceback of its own. (pytest itself has one while it starts.)"""
    project.write({"test_a.py": "import time\ndef test_a(): time.sleep(60)\n"})
    running = project.start("-n2")
    wait_until(lambda: len(marked_processes(running.mark)) >= 3, "the zygote")
    time.sleep(delay)
    os.kill(running.pid, signal.SIGINT)
    run = running.wait()
    assert run.code != 0 and "phalanx/zygote.py" not in run.err, str(run)


def test_interrupt_while_the_zygote_is_no_interpreter_yet(project: Project) -> None:
    """It is held back until there is somebody who can take it."""
    project.write(
        {
            "early/sitecustomize.py": """
                import time
                if b"phalanx.zygote" in open("/proc/self/cmdline", "rb").read():
                    open("starting", "w").close()
                    time.sleep(3)
            """,
            "test_a.py": "import time\ndef test_a(): time.sleep(60)\n",
        }
    )
    path = os.pathsep.join([str(RECORDING), str(project.path / "early")])
    running = project.start("-n2", env={"PYTHONPATH": path})
    wait_until(project.path.joinpath("starting").exists, "the zygote")
    time.sleep(1)  # pytest itself has a traceback while it starts
    os.kill(running.pid, signal.SIGINT)
    run = running.wait()
    assert run.code != 0 and "sitecustomize" not in run.err, str(run)


def test_interrupt_at_the_end(project: Project) -> None:
    """While the processes that tests have left are waited for: a summary, and no traceback."""
    stubborn = """
        import os, signal, time
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: open("asked", "w").close())
        open("ready", "w").close()
        while True: time.sleep(60)
    """
    project.write(
        {
            "stubborn.py": stubborn,
            "test_a.py": NOTE
            + """
def test_a():
    subprocess.Popen([sys.executable, "stubborn.py"])
    while not os.path.exists("ready"):
        time.sleep(0.01)
""",
        }
    )
    running = project.start("-n1")
    wait_until((project.path / "asked").exists, "the process to be asked to end")
    os.kill(running.pid, signal.SIGINT)
    run = running.wait()
    assert "Traceback" not in run.err and run.counts == {"passed": 1}, str(run)
    assert run.code in (0, 2)


def test_a_signal_that_is_ignored_stays_ignored(project: Project) -> None:
    """As under nohup."""
    project.write({"test_a.py": NOTE + "def test_a():\n    note('started')\n    time.sleep(1)\n"})
    running = project.start("-n2", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    started(project, 1)
    os.kill(running.pid, signal.SIGHUP)
    run = running.wait()
    assert run.code == 0 and run.counts == {"passed": 1}, str(run)


def test_suspended_and_continued(project: Project) -> None:
    """Ctrl-Z: workers and zygote stop with the controller, and go on with it."""
    project.write(
        {
            "test_a.py": NOTE
            + """
@pytest.mark.parametrize("number", range(6))
def test_a(number):
    note("started")
    deadline = time.monotonic() + 120
    while not os.path.exists("continued"):
        note("on")
        time.sleep(0.02)
        assert time.monotonic() < deadline
"""
        }
    )
    # In a process group of its own, with a parent in the session: as a job of a shell.
    running = project.start("-n2", start_new_session=False, preexec_fn=os.setpgrp)
    wait_until(lambda: project.log().count("started") >= 2, "started tests")
    os.kill(running.pid, signal.SIGTSTP)
    wait_until(
        lambda: Counter(states(running.mark))["T"] == 4,
        "controller, zygote and two workers to stop",
    )
    before = project.log()
    time.sleep(0.3)
    assert project.log() == before
    os.kill(running.pid, signal.SIGCONT)
    (project.path / "continued").touch()
    run = running.wait()
    assert run.code == 0 and run.counts == {"passed": 6}, str(run)


def test_nothing_is_suspended_where_no_shell_could_continue_it(project: Project) -> None:
    """The leader of a session (`ssh -t host pytest`): the kernel ignores Ctrl-Z there, and so does the run."""
    project.write({"test_a.py": NOTE + "def test_a():\n    note('started')\n    time.sleep(1)\n"})
    running = project.start("-n2")
    started(project, 1)
    os.kill(running.pid, signal.SIGTSTP)
    run = running.wait()
    assert run.code == 0 and run.counts == {"passed": 1}, str(run)


def make_memory_group(limit: str) -> Path | None:
    """A control group, v1 or v2, that may use so much memory; None if none can be made here."""
    for mount, name in (
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        ("/sys/fs/cgroup", "memory.max"),
    ):
        group = Path(mount, f"phalanx-test-{os.getpid()}")
        try:
            group.mkdir()
            group.joinpath(name).write_text(limit)
        except OSError:
            if group.is_dir():
                group.rmdir()
        else:
            return group
    return None


@pytest.fixture
def memory_group() -> Iterator[Path]:
    group = make_memory_group("400M")
    if group is None:
        pytest.skip("no control group with a memory limit can be made here")
    yield group
    processes = group / "cgroup.procs"
    wait_until(lambda: not processes.read_text(), "the group to be empty")
    group.rmdir()


@pytest.mark.parametrize("dist", DIST_MODES)
@pytest.mark.parametrize("number", ["-n1", "-n2", "-n4"])
def test_out_of_memory(project: Project, memory_group: Path, number: str, dist: str) -> None:
    project.write(
        {
            "test_a.py": "def test_small(): pass\ndef test_large(): bytearray(1 << 30)\ndef test_other(): pass\n"
        }
    )
    procs = str(memory_group / "cgroup.procs")
    run = project.run(
        number,
        f"--dist={dist}",
        preexec_fn=lambda: Path(procs).write_text(str(os.getpid())),
    )
    assert run.code == 1 and run.counts == {"passed": 2, "failed": 1}, str(run)
    assert (
        "probably out of memory: the kernel's OOM killer"
        in run.report_of("test_a.py::test_large", "???")["longrepr"]
    )


class Terminal:
    """A run on a terminal of its own, as a person starts one."""

    def __init__(self, project: Project, *args: str) -> None:
        self.master, slave = pty.openpty()
        os.set_blocking(self.master, False)

        def take_terminal() -> None:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.running: Running = project.start(
            *args,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=False,
            preexec_fn=take_terminal,
        )
        os.close(slave)
        self.text = ""

    def read(self) -> str:
        try:
            while chunk := os.read(self.master, 65536):
                self.text += chunk.decode(errors="replace")
        except OSError:
            pass  # nothing more for now, or the end
        return self.text

    def wait_exit(self) -> int:
        def ended() -> bool:
            self.read()  # or a full terminal would block the run
            return self.running.process.poll() is not None

        wait_until(ended, "the end of the run")
        self.read()
        os.close(self.master)
        return self.running.wait().code


def test_control_c_at_a_terminal(project: Project) -> None:
    project.write({"test_a.py": SLEEPING})
    terminal = Terminal(project, "-n2")
    started(project, 2)
    os.write(terminal.master, b"\x03")
    assert terminal.wait_exit() == 2, terminal.text
    assert Counter(project.log()) == {"started": 2, "torn down": 2, "module torn down": 2}
    assert "KeyboardInterrupt" in terminal.text and "no tests ran" in terminal.text
    assert "2 workers [6 items]" in terminal.text


def test_control_c_at_a_terminal_kills_a_sleeping_child(project: Project) -> None:
    """subprocess.run waits for its child: the signal must reach the child as well, as it would without -n."""
    project.write(
        {
            "test_a.py": NOTE
            + """
@pytest.mark.parametrize("number", range(2))
def test_child(number):
    note("started")
    subprocess.run(["sleep", "60"])
"""
        }
    )
    terminal = Terminal(project, "-n2")
    started(project, 2)
    os.write(terminal.master, b"\x03")
    assert terminal.wait_exit() == 2, terminal.text


def test_ordinary_run_at_a_terminal(project: Project) -> None:
    project.write({"test_a.py": ORDINARY_MODULE})
    terminal = Terminal(project, "-n2", "--color=yes")
    assert terminal.wait_exit() == 0, terminal.text
    assert "12 passed" in terminal.text and "2 workers [12 items]" in terminal.text


def test_processes_left_at_the_end(project: Project) -> None:
    """Those of a worker's group are ended and named; one in a group of its own is named and left alone."""
    project.write(
        {
            "test_a.py": NOTE
            + """
def test_a():
    subprocess.Popen(["sleep", "301"])
    subprocess.Popen(["sleep", "302"], start_new_session=True)
"""
        }
    )
    running = project.start("-n2")
    running.process.wait(60)
    left = marked_processes(running.mark)
    commands = [Path("/proc", str(pid), "cmdline").read_bytes().split(b"\0")[:2] for pid in left]
    run = running.wait(may_leave=True)
    assert run.code == 0 and run.counts == {"passed": 1}, str(run)
    assert run.has_line(r"left process \d+ behind \(sleep 301\); ended it"), str(run)
    assert run.has_line(r"left process \d+ behind \(sleep 302\); left it alone"), str(run)
    assert commands == [[b"sleep", b"302"]]


def test_hung_up(project: Project) -> None:
    """Ended by SIGTERM or SIGHUP while tests wait for children of theirs: nothing is left."""
    project.write({"test_a.py": WITH_CHILDREN})
    for number in (signal.SIGTERM, signal.SIGHUP):
        running = project.start("-n2")
        count = len(project.log())
        wait_until(lambda count=count: len(project.log()) == count + 2, "two tests")  # type: ignore[misc]
        os.kill(running.pid, number)
        run: Any = running.wait()
        assert run.code != 0
