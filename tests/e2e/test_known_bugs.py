"""What other parallel runners are known to get wrong, one row a bug: in every mode, with one worker, two and
four, the outcomes, the exit status and the JUnit file of the run without workers. Where that run would die of
the suite, the row has its outcomes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from expected import DIST_MODES
from runner import Project, Run


@dataclasses.dataclass(frozen=True)
class Row:
    files: dict[str, str]
    args: tuple[str, ...] = ()
    #: node id → outcome, where there can be no run without workers
    outcomes: dict[str, str] = dataclasses.field(default_factory=dict)
    code: int = 0
    lines: int = 0  # so many have been written to the log
    says: str = ""
    check: Callable[[Project, Run], None] = lambda project, run: None


ODD = """
    import pytest

    class Odd:
        def __repr__(self): return "odd"

    @pytest.mark.parametrize("number", range({count}))
    def test_many(number, record_property):
        if number == {odd}:
            record_property("odd", Odd())
"""

DIES_ONCE = """
    import os, pathlib, pytest

    @pytest.mark.xdist_group("group")
    class TestGroup:
        def test_before(self): pass
        def test_dies(self):
            flag = pathlib.Path("died")
            if not flag.exists():
                flag.touch()
                os._exit(0)
        def test_after(self): pass
"""

WRITES_MUCH = """
    import logging, os, pytest

    @pytest.fixture(scope="session", autouse=True)
    def told(record_testsuite_property): record_testsuite_property("key", "value")

    @pytest.mark.parametrize("word", {"a", "b", "c", "d", "e"})
    def test_set(word): pass

    @pytest.mark.parametrize("number", [os.getpid(), os.urandom(8)], ids=["pid", "random"])
    @pytest.mark.xdist_group("g1")
    def test_odd(number): pass

    @pytest.mark.parametrize("number", range(4))
    def test_log(number):
        for part in "abc":
            logging.getLogger().error("line %d%s", number, part)
"""


def check_what_it_wrote(project: Project, run: Run) -> None:
    wanted = [[f"line {number}{part}" for part in "abc"] for number in range(4)]
    found = project.log("lines")
    assert sorted(found[start : start + 3] for start in range(0, len(found), 3)) == wanted
    assert run.xml.read_text().count('<property name="key" value="value"') == 1


ROWS = {
    "parameters from a set, properties of the suite, a log file": Row(
        {"test_a.py": WRITES_MUCH, "test_b.py": "def test_b(): pass\n"},
        args=("--log-file=lines", "--log-file-format=%(message)s"),
        check=check_what_it_wrote,
    ),
    "hangs in C until a timer kills it": Row(
        {
            "test_a.py": """
                import ctypes, signal

                def test_hangs():
                    signal.setitimer(signal.ITIMER_REAL, 0.2)
                    ctypes.PyDLL(None).sleep(60)  # and holds the interpreter's lock

                def test_after(): pass
            """,
            "test_b.py": "def test_b(): pass\n",
        },
        outcomes={
            "test_a.py::test_hangs": "failed",
            "test_a.py::test_after": "passed",
            "test_b.py::test_b": "passed",
        },
        code=1,
        says="killed by signal 14 (SIGALRM",
    ),
    "a thread outlives the tests": Row(
        {
            "test_a.py": """
                import threading, time

                def slow():
                    time.sleep(0.5)
                    with open("log", "a") as log:
                        log.write("ended\\n")

                def test_a(): threading.Thread(target=slow).start()
                def test_b(): pass
            """
        },
        lines=1,
    ),
    "last of 9 attaches an odd object": Row({"test_a.py": ODD.format(count=9, odd=8)}),
    "6th of 40 attaches an odd object": Row({"test_a.py": ODD.format(count=40, odd=5)}),
    "first file dies, second passes": Row(
        {
            "test_1.py": "import os\ndef test_a(): os._exit(1)\n",
            "test_2.py": "def test_b(): pass\n",
        },
        outcomes={"test_1.py::test_a": "failed", "test_2.py::test_b": "passed"},
        code=1,
    ),
    "dies at its first run only": Row(
        {"test_a.py": DIES_ONCE},
        outcomes={
            "test_a.py::TestGroup::test_before": "passed",
            "test_a.py::TestGroup::test_dies": "failed",
            "test_a.py::TestGroup::test_after": "passed",
        },
        code=1,
    ),
    "dies in the teardown of a module's fixture": Row(
        {
            "test_a.py": """
                import os, pytest

                @pytest.fixture(scope="module")
                def module():
                    yield
                    os._exit(0)

                def test_only(module): pass
            """,
            "test_b.py": "def test_b(): pass\n",
        },
        outcomes={"test_a.py::test_only": "failed passed", "test_b.py::test_b": "passed"},
        code=1,
    ),
    "the file changes, then its worker dies": Row(
        {
            "test_a.py": """
                import os

                def test_a():
                    with open(__file__, "a") as file:
                        file.write("\\ndef test_c(): assert 0\\n")
                    os._exit(1)

                def test_b(): pass
            """
        },
        outcomes={"test_a.py::test_a": "failed", "test_a.py::test_b": "passed"},
        code=1,
    ),
    "parameters with the same id": Row(
        {
            "test_a.py": """
                import pytest

                @pytest.mark.parametrize("value", [1, 2, 3], ids=["x", "x", "x"])
                def test_many(value): assert value != 2

                @pytest.mark.parametrize("value", [1, 2], ids=["a/b::c[d]", "\\u00fc \\x00"])
                def test_odd(value): pass
            """
        },
    ),
    "warnings while importing": Row(
        {
            "conftest.py": "import warnings\nwarnings.warn('of the conftest')\n",
            "test_a.py": "import warnings\nwarnings.warn('of the module')\ndef test_a(): pass\n",
            "test_b.py": "import warnings\ndef test_b(): warnings.warn('of the test')\n",
        },
    ),
    "the session's fixture is torn down once at the limit of failures": Row(
        {
            "conftest.py": """
                import pytest

                @pytest.fixture(scope="session", autouse=True)
                def session(worker_id):
                    yield
                    with open("log", "a") as log:
                        log.write(worker_id + "\\n")
            """,
            "test_a.py": "def test_a(): assert 0\n",
        },
        args=("--maxfail=1",),
        outcomes={"test_a.py::test_a": "failed"},
        code=1,
        lines=1,
    ),
    "segmentation fault while importing": Row(
        {
            "test_a.py": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
            "test_b.py": "def test_b(): pass\n",
        },
        code=2,
    ),
}

MODES = [(number, dist) for number in ("-n1", "-n2", "-n4") for dist in DIST_MODES]
RunRow = Callable[..., tuple[Run, "list[str]"]]


@pytest.fixture(scope="module")
def run_row(new_project: Callable[..., Project]) -> RunRow:
    def run(name: str, *mode: str) -> tuple[Run, list[str]]:
        project = new_project(ROWS[name].files)
        run = project.run(*mode, *ROWS[name].args)
        ROWS[name].check(project, run)
        return run, project.log()

    return run


@pytest.fixture(scope="module")
def references(run_row: RunRow) -> Callable[[str], Run]:
    known: dict[str, Run] = {}

    def reference(name: str) -> Run:
        if name not in known:
            known[name], _ = run_row(name)
        return known[name]

    return reference


@pytest.mark.parametrize(("number", "dist"), MODES)
@pytest.mark.parametrize("name", ROWS)
def test_known_bug(
    run_row: RunRow, references: Callable[[str], Run], name: str, number: str, dist: str
) -> None:
    row = ROWS[name]
    run, log = run_row(name, number, f"--dist={dist}")
    if row.outcomes or row.code:
        assert run.outcomes == {k: v.split() for k, v in row.outcomes.items()}, str(run)
        assert run.code == row.code, str(run)
    else:
        reference = references(name)
        assert run.outcomes == reference.outcomes, str(run)
        assert run.code == reference.code, str(run)
        assert run.junit() == reference.junit()
        own = [w for w in run.warnings if "arrive as their repr" not in w[1]]
        assert own == reference.warnings, str(run)
    assert len(log) == row.lines, log
    assert row.says in run.out, str(run)


@pytest.mark.parametrize(("number", "dist"), MODES)
def test_every_worker_dies(project: Project, number: str, dist: str) -> None:
    """Nobody may be replaced: what is left is named, and the run is no success."""
    project.write(
        {f"test_{i}.py": "import os, pytest\n"
         "@pytest.mark.parametrize('n', range(3))\ndef test(n): os._exit(0)\n" for i in range(5)}
    )  # fmt: skip
    run = project.run(number, f"--dist={dist}", "--max-worker-restart=0")
    workers = int(number[2:])
    assert run.code == 1 and run.counts == {"failed": workers}, str(run)
    assert run.has_line(f"{15 - workers} not run, as no worker was left"), str(run)


@pytest.mark.parametrize("dist", DIST_MODES)
def test_what_runs_at_a_stop_is_reported(project: Project, dist: str) -> None:
    project.write(
        {
            "test_a.py": """
                import pathlib, time

                def test_fails():
                    while not pathlib.Path("other").exists():
                        time.sleep(0.01)
                    assert 0

                def test_never(): pass
            """,
            "test_b.py": """
                import pathlib, time

                def test_runs():
                    pathlib.Path("other").touch()
                    time.sleep(0.5)
            """,
        }
    )
    run = project.run("-n2", f"--dist={dist}", "-x")
    assert run.code == 1, str(run)
    assert run.outcomes["test_a.py::test_fails"] == ["failed"]
    assert run.outcomes["test_b.py::test_runs"] == ["passed"], str(run)


#: A test that waits for all others of its run, and two that wait for each other.
WAITS_FOR_ALL = """
    import os, time

    def wait_for(*names):
        deadline = time.monotonic() + 60
        while not set(names) <= set(os.listdir("done")):
            assert time.monotonic() < deadline, os.listdir("done")
            time.sleep(0.01)

    def test_0(): wait_for(*map(str, range(12)))
"""
MEETING = """
    import test_0

    def test_{this}():
        open("done/{this}", "w").close()
        test_0.wait_for("{other}")
"""
INSTANT = """
    import pytest

    @pytest.mark.parametrize("number", range({first}, {first} + 6))
    def test_instant(number): open(f"done/{number}", "w").close()
"""


@pytest.mark.parametrize("dist", DIST_MODES)
@pytest.mark.parametrize("number", ["-n2", "-n4"])
def test_none_waits_behind_a_long_test(project: Project, number: str, dist: str) -> None:
    """Neither the tests behind a long one in the collection (B31), nor, with room for both, another long one
    (B32)."""
    project.write({"test_0.py": WAITS_FOR_ALL, "done/keep": ""})
    if number == "-n4":
        project.write(
            {
                "test_1.py": MEETING.format(this="left", other="right"),
                "test_2.py": MEETING.format(this="right", other="left"),
            }
        )
    project.write(
        {f"test_{first + 3}.py": INSTANT.replace("{first}", str(first)) for first in (0, 6)}
    )
    run = project.run(number, f"--dist={dist}", "--maxschedchunk=1")
    assert run.counts == {"passed": 13 + 2 * (number == "-n4")}, str(run)


@pytest.mark.parametrize("dist", DIST_MODES)
def test_many_workers_and_little_work(project: Project, dist: str) -> None:
    """Everybody steals from everybody, down to the last test (B13)."""
    project.write(
        {
            f"test_{number}.py": "import pytest\n"
            "@pytest.mark.parametrize('n', range(9))\ndef test(n): pass\n"
            for number in range(3)
        }
    )
    run = project.run("-n12", f"--dist={dist}")
    assert run.counts == {"passed": 27} and run.code == 0, str(run)


SLOW_TEARDOWN = """
    import time, pytest

    @pytest.fixture(scope="module")
    def slow():
        yield
        time.sleep(7)
        with open("log", "a") as log:
            log.write("torn down\\n")

    def test_a(slow): assert 0
    def test_b(slow): pass
"""


def test_a_slow_teardown_is_not_cut_short(new_project: Callable[..., Project]) -> None:
    """Of a module, after -x, in every mode at the same time (B29)."""
    projects = {mode: new_project({"test_a.py": SLOW_TEARDOWN}) for mode in MODES}
    running = {
        mode: project.start(mode[0], f"--dist={mode[1]}", "-x")
        for mode, project in projects.items()
    }
    for mode, project in projects.items():
        run = running[mode].wait()
        assert run.code == 1 and "failed" in run.counts, str(run)
        assert set(project.log()) == {"torn down"}, str(run)
