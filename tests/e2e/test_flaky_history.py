"""Flakiness of the last runs: outcomes whose rates are known, what the summary and `phalanx history flaky` say."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from runner import Project

PHALANX = Path(sys.executable).parent / "phalanx"
PLACE = ".pytest_cache/d/phalanx/history.sqlite"

# Each run is told its number. What follows another test shares a module's global with it: under loadfile, in
# the order of collection, on one worker.
SUITE = {
    "test_a.py": """
        import os
        import pytest

        RUN = int(os.environ["RUN"])
        DIRTY = []

        def test_leaves_dirt():
            if RUN % 3 == 0:
                pytest.skip("no dirt today")
            DIRTY.append(1)
        def test_between(): pass
        def test_needs_order():
            assert not DIRTY
    """,
    "test_b.py": """
        import os, time
        RUN = int(os.environ["RUN"])

        def test_every_third_fails(): assert RUN % 3
        def test_slow_failure():
            if RUN % 4 == 0:
                time.sleep(0.3)
                assert 0
        def test_broken_for_good(): assert 0
        def test_repaired(): assert RUN > 4
        def test_good(): pass
    """,
}
RUNS = 8


def flaky(project: Project, *args: str) -> str:
    done = subprocess.run(
        [PHALANX, "history", "flaky", *args],
        cwd=project.path,
        text=True,
        capture_output=True,
        timeout=180,
    )
    assert done.returncode == 0, done
    return done.stdout


def below(text: str, name: str) -> list[str]:
    """The lines about one test."""
    blocks = [block.splitlines() for block in text.split("\n\n")]
    found = [block[1:] for block in blocks if block[0].endswith(f"::{name}")]
    assert len(found) == 1, text
    return found[0]


@pytest.fixture(scope="module")
def several(new_project: Callable[..., Project]) -> tuple[Project, list[str]]:
    """A project after eight runs, and the last one's lines."""
    project = new_project(SUITE)
    for number in range(1, RUNS + 1):
        run = project.run("-n1", "--order=collection", env={"RUN": str(number)})
        assert run.code == 1, run
    return project, run.lines


def test_the_rate_of_the_last_runs(several: tuple[Project, list[str]]) -> None:
    project, lines = several
    # 1/3, 1/4 of the runs; the one that needs an order passes in every third. Repaired and broken are not flaky.
    said = "flaky in the last 8 runs: 3 of 8 tests (38 %); 'phalanx history flaky' shows them"
    assert said in lines, lines
    listed = flaky(project)
    assert listed.startswith("3 of 8 tests were flaky in the last 8 runs (38 %)\n"), listed
    names = re.findall(r"^\S+::(\w+)$", listed, re.MULTILINE)
    assert names == ["test_needs_order", "test_every_third_fails", "test_slow_failure"], listed


def test_each_ones_rate_and_what_its_failures_have_in_common(
    several: tuple[Project, list[str]],
) -> None:
    listed = flaky(several[0])
    assert below(listed, "test_every_third_fails") == [
        "  failed in 2 of 8 runs, 2 of 6 trials",  # of runs 3 to 8: kept from the first failure on
        "    neither worker nor predecessor, duration or repetition tells its failures apart",
    ]
    slow = below(listed, "test_slow_failure")
    assert slow[0] == "  failed in 2 of 8 runs, 2 of 5 trials"


def test_another_machine_tells_the_same_from_what_was_exported(
    several: tuple[Project, list[str]], project: Project
) -> None:
    written = several[0].path / "history.json"
    for where, command in ((several[0], "export"), (project, "import")):
        subprocess.run(
            [PHALANX, "history", command, written], cwd=where.path, check=True, timeout=180
        )
    assert flaky(project) == flaky(several[0])


def test_fewer_runs_can_be_asked_for(several: tuple[Project, list[str]]) -> None:
    # Of runs 7 and 8 one failed.
    assert flaky(several[0], "--runs=2") == "0 of 8 tests were flaky in the last 2 runs (0 %)\n"


def test_a_predecessor_is_named(project: Project) -> None:
    """Half of the runs leave the guilty test out. That the report of a failure takes long, as on a busy
    machine, is nothing that the failures have in common."""
    project.write(
        {
            "conftest.py": """
                import time

                def pytest_runtest_makereport(call):
                    if call.excinfo:
                        time.sleep(0.2)
            """,
            "test_a.py": """
                DIRTY = []
                def test_guilty(): DIRTY.append(1)
                def test_innocent(): DIRTY.clear()
                def test_victim(): assert not DIRTY
            """,
        }
    )
    guilty, innocent, victim = (f"test_a.py::test_{n}" for n in ("guilty", "innocent", "victim"))
    for _ in range(4):
        assert project.run("-n1", "--order=collection", guilty, victim).code == 1
        assert project.run("-n1", "--order=collection", innocent, victim).code == 0
    assert below(flaky(project), "test_victim") == [
        "  failed in 4 of 8 runs, 4 of 8 trials",
        "    after test_a.py::test_guilty: 4 of 4 failed; else 0 of 4",
    ]


def test_retries_and_repetitions_count(project: Project) -> None:
    project.write(
        {
            "test_a.py": """
                import os
                from pathlib import Path
                def test_second_time(tmp_path_factory):
                    mark = Path(os.environ["MARK"])
                    seen, _ = mark.exists(), mark.touch()
                    assert seen
                def test_good(): pass
            """
        }
    )
    mark = {"MARK": str(project.path / "mark")}
    run = project.run("-n2", "--retries=1", env=mark)
    assert run.code == 0, run
    assert run.has_line(r"^flaky in the last 1 run: 1 of 2 tests \(50 %\)"), run
    (project.path / "mark").unlink()
    project.run("-n1", "--count=4", env=mark)
    assert below(flaky(project), "test_second_time") == [
        "  failed in 2 of 2 runs, 2 of 6 trials",
        "    neither worker nor predecessor, duration or repetition tells its failures apart",
    ]
    database = sqlite3.connect(project.path / PLACE)
    repeated = database.execute(
        "SELECT number, repetition, outcome FROM trial WHERE run = 2 ORDER BY number"
    ).fetchall()
    tests = database.execute("SELECT node_id, outcomes FROM test ORDER BY node_id").fetchall()
    database.close()
    assert repeated == [(1, 1, "F"), (2, 2, "."), (3, 3, "."), (4, 4, ".")]
    assert tests == [("test_a.py::test_good", ".2 .1"), ("test_a.py::test_second_time", "R2 R1")]


def test_without_flaky_tests_nothing_is_said(project: Project) -> None:
    project.write({"test_a.py": "def test_a(): pass\n"})
    for _ in range(2):
        run = project.run("-n1")
        assert not run.has_line("^flaky in"), run
    assert flaky(project) == "0 of 1 tests were flaky in the last 2 runs (0 %)\n"


def test_q_drops_the_rate(project: Project) -> None:
    project.write({"test_a.py": "import os\ndef test_a(): assert os.environ['RUN'] == '1'\n"})
    for number in "121":
        run = project.run("-n1", "-q", env={"RUN": number})
    assert not run.has_line("^flaky in"), run
    assert run.code == 0
