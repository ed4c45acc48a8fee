"""An early fork, or no fork at all, together with what else decides who runs what: --dist each, a scheduler from a
plugin, shared fixtures."""

from __future__ import annotations

from collections import Counter

import pytest
from runner import Project, Run

READS = "import os\nWORKER = os.environ.get('PYTEST_XDIST_WORKER', 'master')\n"
IN_C = "import _thread, time\n_thread.start_new_thread(time.sleep, (60,))\n"

STARTS = {
    "forked early": (READS, (), "forked at conftest.py:2, which reads PYTEST_XDIST_WORKER"),
    "spawned": ("\n", ("--start-method=spawn",), "spawned: --start-method=spawn"),
    "one became a worker": (IN_C, (), "spawned: conftest.py started a thread"),
}

SCHEDULER = """
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadFileScheduling

    class Own(LoadFileScheduling):
        pass

    return Own(config, log)
"""

TESTS = """
import pytest

@pytest.mark.parametrize("number", range(5))
def test_it(number, worker_id):
    with open("log", "a") as file:
        file.write(f"{worker_id} {number}\\n")
    assert number != 4
"""


@pytest.mark.parametrize("start", STARTS)
def test_each(project: Project, start: str) -> None:
    conftest, options, line = STARTS[start]
    project.write({"conftest.py": conftest, "test_it.py": TESTS})
    run = project.run("-n2", "--dist=each", *options)
    assert run.code == 1 and run.counts == {"passed": 8, "failed": 2}, str(run)
    assert any(text.startswith(line) for text in run.lines), str(run)
    assert Counter(project.log()) == {f"gw{w} {n}": 1 for w in (0, 1) for n in range(5)}


@pytest.mark.parametrize("start", STARTS)
def test_a_scheduler_of_a_plugin(project: Project, start: str) -> None:
    conftest, options, line = STARTS[start]
    project.write(
        {"conftest.py": conftest + SCHEDULER, **{f"test_{n}.py": TESTS for n in range(3)}}
    )
    run = project.run("-n2", *options)
    assert run.code == 1 and run.counts == {"passed": 12, "failed": 3}, str(run)
    assert any(text.startswith(line) for text in run.lines), str(run)
    assert sorted(text.split()[1] for text in project.log()) == sorted("01234" * 3)


@pytest.mark.parametrize("start", STARTS)
def test_a_shared_fixture(project: Project, start: str) -> None:
    """Workers that collect for themselves set it up for themselves, and each tears down its own."""
    conftest, options, line = STARTS[start]
    project.write(
        {
            "conftest.py": conftest
            + """
import os
import pytest, phalanx

def note(text):
    with open("log", "a") as file:
        file.write(f"{text} {os.getpid()}\\n")

@phalanx.shared_fixture
def thing():
    note("up")
    yield os.getpid()
    note("down")
""",
            **{
                f"test_{n}.py": "import os\ndef test_it(thing): assert thing == os.getpid()\n"
                for n in range(4)
            },
        }
    )
    run = project.run("-n2", "--dist=loadfile", *options)
    assert run.code == 0 and run.counts["passed"] == 4, str(run)
    assert any(text.startswith(line) for text in run.lines), str(run)
    assert "the shared fixture 'thing' is set up in each worker" in run.out, str(run)
    notes = [text.split() for text in project.log()]
    processes = {pid for _, pid in notes}
    assert len(processes) == 2
    assert Counter(map(tuple, notes)) == {(k, pid): 1 for k in ("up", "down") for pid in processes}


# ---- --dist each, with other tests on each worker ----

COLLECTS = """
import os

WORKER = os.environ.get("PYTEST_XDIST_WORKER")
LETTERS = {lists}

def pytest_collection_modifyitems(items):
    if WORKER is not None:
        of = {{item.name[-2]: item for item in items}}
        items[:] = [of[letter] for letter in LETTERS[WORKER]]
"""
LETTERS = """
import os, pytest

@pytest.mark.parametrize("letter", "abcdef")
def test_it(letter, worker_id):
    with open("log", "a") as file:
        file.write(f"{worker_id}{letter}\\n")
    if letter == "f" and worker_id == "gw1":
        os._exit(7)
"""


def each(project: Project, *options: str, **lists: str) -> Run:
    project.write({"conftest.py": COLLECTS.format(lists=lists), "test_it.py": LETTERS})
    return project.run("-n2", "--dist=each", *options)


@pytest.mark.parametrize("method", ["auto", "spawn"])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("abc", "cbd"),
        ("abc", "cab"),
        ("ab", "cde"),
        ("abcd", "c"),
        ("", "ab"),
        ("ab", ""),
    ],
)
def test_each_has_tests_of_its_own(project: Project, first: str, second: str, method: str) -> None:
    run = each(project, f"--start-method={method}", gw0=first, gw1=second)
    assert run.code == 0 and run.counts == {"passed": len(first + second)}, str(run)
    log = project.log()
    for worker, letters in (("gw0", first), ("gw1", second)):
        assert [text[-1] for text in log if text.startswith(worker)] == list(letters), str(run)


def test_who_replaces_one_of_them_has_its_tests(project: Project) -> None:
    run = each(project, gw0="abc", gw1="cfbd", gw2="dbfc")
    assert run.code == 1 and run.counts == {"passed": 6, "failed": 1}, str(run)
    log = project.log()
    assert [text for text in log if text.startswith("gw0")] == ["gw0a", "gw0b", "gw0c"]
    assert [text for text in log if text.startswith("gw1")] == ["gw1c", "gw1f"]
    assert [text for text in log if text.startswith("gw2")] == ["gw2b", "gw2d"]


@pytest.mark.parametrize("third", ["abc", "cfb", "cfbda", "cfbde"])
def test_who_replaces_one_of_them_and_has_others(project: Project, third: str) -> None:
    run = each(project, "--max-worker-restart=1", gw0="abc", gw1="cfbd", gw2=third)
    assert run.code == 1 and run.counts == {"passed": 4, "failed": 1}, str(run)
    assert run.has_line("the tests it collected are not those that this run began with"), str(run)
    assert run.has_line("2 not run, as no worker was left"), str(run)
