"""--schedule-report, and with it what decides where tests run: the history, --dist, --order, --maxschedchunk,
--loadscope-reorder. What the plan must be follows from the suite; who ran what is known from the reports."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from runner import Project, Run

PHALANX = Path(sys.executable).parent / "phalanx"

FILES = {
    "test_a.py": "import pytest\n@pytest.mark.parametrize('n', range(8))\ndef test_a(n): pass\n",
    "test_b.py": "def test_b0(): pass\ndef test_b1(): pass\ndef test_b2(): pass\n",
    "test_c.py": "def test_c0(): pass\n",
}
A = [f"test_a.py::test_a[{n}]" for n in range(8)]
B = [f"test_b.py::test_b{n}" for n in range(3)]
C = ["test_c.py::test_c0"]
# Of pytest-split's kind, in seconds: the last test of all is the long one; B's third and C's are unknown.
KNOWN = {**dict.fromkeys(A, 0.1), B[0]: 0.1, B[1]: 3.0}

_LINE = re.compile(
    r" *(?P<start>[\d.]+ m?s)  (?P<worker>gw\d+) +(?P<took>[\d.]+ m?s)  +(?P<estimate>-|[\d.]+ m?s)  "
    r"(?P<known>history|its file|the suite|-) +(?P<test>\S+)  (?P<why>.+)"
)


@dataclass
class Line:
    worker: str
    estimate: str
    known: str
    test: str
    why: str

    @property
    def planned(self) -> str:
        found = re.search(r"planned for (gw\d+)", self.why)
        return found[1] if found else ""


def read(text: str) -> list[Line]:
    lines = text.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.endswith("test  why there"))
    found = []
    for line in lines[begin + 1 :]:
        match = _LINE.fullmatch(line)
        if not match:
            break
        found.append(
            Line(*(match[name] for name in ("worker", "estimate", "known", "test", "why")))
        )
    return found


def learn(project: Project, durations: dict[str, float] = KNOWN) -> None:
    """Makes them the history."""
    (project.path / "durations").write_text(json.dumps(durations))
    command = [PHALANX, "history", "import", "--overwrite", "durations"]
    subprocess.run(command, cwd=project.path, check=True, capture_output=True, timeout=60)


def report(
    project: Project, *args: str, code: int = 0, together: int = 0
) -> tuple[Run, list[Line]]:
    run = project.run("--schedule-report=out/why.txt", *args, together=together)
    assert run.code == code, str(run)
    assert run.has_line(r"^schedule report: .*/out/why\.txt$")
    lines = read((project.path / "out/why.txt").read_text())
    ran = {(r["nodeid"], r["worker"]) for r in run.reports}  # of a try that failed, too
    assert sorted((line.test, line.worker) for line in lines) == sorted(ran), str(run)
    for line in lines:
        is_stolen = f"stolen by {line.worker}" in line.why
        assert is_stolen == (line.planned not in ("", line.worker)), line
    return run, lines


def planned(lines: list[Line]) -> dict[str, set[str]]:
    """By worker."""
    found: dict[str, set[str]] = {}
    for line in lines:
        found.setdefault(line.planned, set()).add(line.test)
    return found


def test_without_history_every_worker_gets_a_piece_of_the_collection(project: Project) -> None:
    project.write(FILES)
    _, lines = report(project, "-n2", "--no-history")
    assert planned(lines) == {"gw0": set(A[:6]), "gw1": {*A[6:], *B, *C}}
    for line in lines:
        assert (line.estimate, line.known) == ("-", "-")
        assert line.why.startswith("in collection order; planned for gw")


def test_with_a_history_long_tests_come_first_and_the_unknown_are_estimated(
    project: Project,
) -> None:
    project.write(FILES)
    learn(project)
    _, lines = report(project, "-n2", together=2)
    by_test = {line.test: line for line in lines}
    known = {test: (by_test[test].estimate, by_test[test].known) for test in by_test}
    assert {known.pop(test) for test in A} == {("100 ms", "history")}
    assert known == {
        B[0]: ("100 ms", "history"),
        B[1]: ("3.0 s", "history"),
        B[2]: ("1.6 s", "its file"),  # the mean of the other two
        C[0]: ("390 ms", "the suite"),  # of 3.9 s and 10 tests
    }
    long = {
        line.test for line in lines if line.why.startswith("long: the dearest tests come first")
    }
    assert long == {B[1], B[2]}
    for worker in ("gw0", "gw1"):
        own = [line.test for line in lines if line.worker == line.planned == worker]
        assert long.intersection(own[1:]) == set(), "something ran before a long test"
    # 6.0 s in all (a fixture of no test): one worker has the longest alone, the other all else.
    alone = by_test[B[1]].planned
    assert planned(lines)[alone] == {B[1]}


def test_a_plugin_that_means_an_order_or_order_collection_leaves_long_tests_where_they_are(
    project: Project,
) -> None:
    project.write(FILES)
    learn(project)
    _, lines = report(project, "-n2", "--order=collection")
    assert not [line for line in lines if line.why.startswith("long")]
    # Each has a piece of the collection (who runs what when, and steals it back, is up to the run).
    cut = len(planned(lines)["gw0"])
    collected = [*A, *B, *C]
    assert planned(lines) == {"gw0": set(collected[:cut]), "gw1": set(collected[cut:])}
    assert by_file(lines, "test_b.py")[B[1]].known == "history"  # it is known all the same


def by_file(lines: list[Line], name: str) -> dict[str, Line]:
    return {line.test: line for line in lines if line.test.startswith(name)}


def test_the_ini_option_is_the_default_of_order(project: Project) -> None:
    project.write({**FILES, "pytest.ini": "[pytest]\nphalanx_order = collection\n"})
    learn(project)
    _, lines = report(project, "-n2")
    assert not [line for line in lines if line.why.startswith("long")]
    learn(project)
    _, lines = report(project, "-n2", "--order=cost")
    assert [line for line in lines if line.why.startswith("long")]


def test_maxschedchunk_deals_rows_of_so_many_neighbours(project: Project) -> None:
    project.write(FILES)
    for chunk in (1, 3):
        _, lines = report(project, "-n2", "--no-history", f"--maxschedchunk={chunk}")
        rows = [[*A, *B, *C][at : at + chunk] for at in range(0, 12, chunk)]
        assert planned(lines) == {
            "gw0": {test for row in rows[::2] for test in row},
            "gw1": {test for row in rows[1::2] for test in row},
        }
        assert all("in a row of neighbours (--maxschedchunk)" in line.why for line in lines)


def test_scopes_start_dearest_first_or_as_collected(project: Project) -> None:
    project.write(FILES)
    (project.path / "test_a.py").rename(project.path / "test_z.py")
    z = [test.replace("test_a.py", "test_z.py") for test in A]
    as_collected = [*B, *C, *z]
    dearest = ": the dearest units come first; planned for gw0"
    collected = ": units in collection order; planned for gw0"
    # One worker: what it meets first is what was dealt first.
    for args, order, why in (
        ((), [*z, *B, *C], dearest),
        (("--loadscope-reorder",), [*z, *B, *C], dearest),
        (("--no-loadscope-reorder",), as_collected, collected),
        (("--order=collection",), as_collected, collected),
    ):
        _, lines = report(project, "-n1", "--dist=loadfile", "--no-history", *args)
        assert [line.test for line in lines] == order
        assert lines[order.index(B[0])].why == f"test_b.py (3 tests) stays together{why}"
    learn(project, {**dict.fromkeys(z, 0.1), B[0]: 0.1, B[1]: 3.0})
    _, lines = report(project, "-n1", "--dist=loadscope")
    assert [line.test for line in lines] == [*B, *z, *C]
    assert (
        by_file(lines, "test_b.py")[B[0]].why
        == f"test_b.py (3 tests, 4.7 s) stays together{dearest}"
    )


STOLEN = """
    import os, time

    def wait_for(name):
        while not os.path.exists(name):
            time.sleep(0.01)

    def test_0(): wait_for("the-last-of-my-worker")
    def test_1(): pass
    def test_2(): open("the-last-of-my-worker", "w").close()
    def test_3(): pass
    def test_4(): pass
    def test_5(): pass
"""


def test_who_stole_what(project: Project) -> None:
    """gw0 cannot go on before gw1 has run what was planned for gw0."""
    project.write({"test_a.py": STOLEN})
    _, lines = report(project, "-n2", "--no-history", together=2)
    by_test = {line.test.partition("::")[2]: line for line in lines}
    assert planned(lines)["gw0"] == {f"test_a.py::test_{n}" for n in range(3)}
    assert by_test["test_2"].why == (
        "in collection order; planned for gw0, stolen by gw1, which had nothing left"
    )
    assert by_test["test_0"].why == "in collection order; planned for gw0"


LIMITED = """
    import pytest

    @pytest.fixture(scope="module")
    def dear(): pass

    def test_any(dear): pass
    @pytest.mark.phalanx_limit("database", 1)
    def test_limited(): pass
    @pytest.mark.phalanx_exclusive
    def test_alone(): pass
"""


def test_limits_groups_and_retries(project: Project) -> None:
    retried = "import os\ndef test_r():\n    if not os.path.exists('x'): open('x', 'w'); assert 0\n"
    project.write({"test_a.py": LIMITED, "test_b.py": retried})
    _, lines = report(project, "-n2", "--no-history", "--retries=1")
    why = {line.test.partition("::")[2]: line.why for line in lines if "test_r" not in line.test}
    assert why.pop("test_any").startswith("few tests: in turn, in collection order; planned for gw")
    assert why == {
        "test_limited": "of the limited group database, 1 at a time: tried before all others",
        "test_alone": "exclusive: before all others, in one worker",
    }
    assert lines[0].test == "test_a.py::test_alone"
    tries = [line.why for line in lines if line.test == "test_b.py::test_r"]
    assert len(tries) == 2 and tries[1] == "once more, for whoever asked first"

    _, lines = report(project, "-n2", "--no-history", "--dist=loadfile")
    assert by_file(lines, "test_a.py")["test_a.py::test_any"].why == (
        "stays with tests whose limits let nothing run beside it: before all others, in one worker"
    )


def test_a_scheduler_of_a_plugin_and_repetitions(project: Project) -> None:
    scheduler = """
        def pytest_xdist_make_scheduler(config, log):
            from xdist.scheduler import LoadScheduling
            return LoadScheduling(config, log)
    """
    project.write({"test_c.py": FILES["test_c.py"]})
    _, lines = report(project, "-n2", "--no-history", "--count=4")
    assert len(lines) == 4 and {line.planned for line in lines} == {"gw0", "gw1"}
    assert all(line.why.startswith("a repetition: away from the others; ") for line in lines)
    project.write({"conftest.py": scheduler})
    _, lines = report(project, "-n2", "--no-history")
    assert [line.why for line in lines] == ["sent there by a scheduler that is not phalanx's"]


def test_on_the_terminal_and_where_it_cannot_be_written(project: Project) -> None:
    project.write(FILES)
    for quiet in ((), ("-q",)):
        run = project.run("-n2", "--no-history", "--schedule-report=-", *quiet)
        assert run.code == 0 and len(read(run.out)) == 12, str(run)
        assert run.has_line("^=+ schedule =+$")
    run = project.run("-n2", "--no-history", "--schedule-report=/dev/full")
    assert run.code == 0 and run.counts == {"passed": 12}
    assert run.has_line("^phalanx: no schedule report: cannot write /dev/full: "), str(run)
    run = project.run("--schedule-report=why.txt")  # without workers nothing is scheduled
    assert run.code == 0 and not (project.path / "why.txt").exists()


def test_few_tests_of_which_nothing_is_known_are_dealt_in_turn(project: Project) -> None:
    project.write({"test_c.py": "".join(f"def test_{n}(): pass\n" for n in range(8))})
    _, lines = report(project, "-n4", "--no-history")
    assert planned(lines) == {
        f"gw{n}": {f"test_c.py::test_{n}", f"test_c.py::test_{n + 4}"} for n in range(4)
    }
    assert {line.why.partition(";")[0] for line in lines} == {
        "few tests: in turn, in collection order"
    }
