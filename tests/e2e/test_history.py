"""The history: what runs leave behind, what the next plan makes of it, and `phalanx history`."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from runner import Project, Run, wait_until

PHALANX = Path(sys.executable).parent / "phalanx"
PLACE = ".pytest_cache/d/phalanx/history.sqlite"

SUITE = {
    "test_all.py": """
        import os, time
        import pytest

        def test_good(): time.sleep(0.05)
        def test_bad(): assert os.environ.get("SECOND")
        def test_skipped(): pytest.skip("not here")
        @pytest.mark.xfail
        def test_xfailed(): assert 0
        @pytest.mark.xfail
        def test_xpassed(): pass
        @pytest.fixture
        def broken(): raise ValueError
        def test_error(broken): pass
        @pytest.fixture
        def broken_end():
            yield
            raise ValueError
        def test_error_at_the_end(broken_end): pass
        def test_crash():
            if not os.environ.get("SECOND"):
                os.kill(os.getpid(), 9)

        class TestA:
            @pytest.mark.parametrize("x", ["a.b::c", "[", "'*?\\u00e4", "/"])
            def test_p(self, x): pass
    """,
    "deep/er/test_deep.py": "class TestB:\n    class TestC:\n        def test_d(self): pass\n",
    "deep/check_it.py": "def test_named_otherwise(): pass\n",
}


def phalanx(*args: str, cwd: Path, code: int = 0) -> str:
    done = subprocess.run([PHALANX, *args], cwd=cwd, text=True, capture_output=True, timeout=180)
    assert done.returncode == code, done
    return done.stdout + done.stderr


def outcomes(project: Project) -> dict[str, str]:
    """Per test the letters of its last runs, the last one first."""
    database = sqlite3.connect(project.path / PLACE)
    rows = database.execute("SELECT node_id, outcomes FROM test").fetchall()
    database.close()
    return {node_id: "".join(word[0] for word in text.split()) for node_id, text in rows}


@pytest.fixture(scope="module")
def twice(new_project: Callable[..., Project]) -> tuple[Project, Run]:
    project = new_project(SUITE)
    project.run("-n2", "-o", "python_files=test_*.py check_*.py")
    return project, project.run(
        "-n2", "-o", "python_files=test_*.py check_*.py", env={"SECOND": "1"}
    )


def test_how_tests_ended_is_kept(twice: tuple[Project, Run]) -> None:
    project, _ = twice
    found = outcomes(project)
    assert {name.rpartition("::")[2]: letters for name, letters in found.items()} == {
        "test_good": "..",
        "test_bad": ".F",
        "test_skipped": "ss",
        "test_xfailed": "xx",
        "test_xpassed": "XX",
        "test_error": "EE",
        "test_error_at_the_end": "EE",
        "test_crash": ".C",
        "c]": "..",
        "test_p[[]": "..",
        "test_p['*?\\xe4]": "..",
        "test_p[/]": "..",
        "test_d": "..",
        "test_named_otherwise": "..",
    }


def test_how_long_they_take_is_kept(twice: tuple[Project, Run]) -> None:
    project, _ = twice
    database = sqlite3.connect(project.path / PLACE)
    took = {
        row[0].partition("::")[2]: row[1:]
        for row in database.execute("SELECT node_id, measured, setup_us, call_us FROM test")
    }
    runs = database.execute("SELECT workers, tests, complete FROM run").fetchall()
    database.close()
    measured, setup_us, call_us = took["test_good"]
    assert measured == 2
    assert call_us >= 50_000  # it sleeps so long
    assert setup_us > 0
    assert took["test_crash"][0] == 1  # the crash taught nothing
    assert runs == [(2, 14, 1), (2, 14, 1)]


def test_it_is_shown(twice: tuple[Project, Run]) -> None:
    project, _ = twice
    below = project.path / "deep"  # it is found from below
    listed = phalanx("history", "list", "--limit=3", cwd=below).splitlines()
    assert len(listed) == 4
    assert listed[0].split() == ["takes", "give/take", "ended,", "last", "first", "test"]
    assert len(phalanx("history", "list", "--limit=0", cwd=below).splitlines()) == 15
    assert "test_p[[]" in phalanx("history", "list", "test_p[[", cwd=below)
    shown = phalanx("history", "show", "test_bad", cwd=below)
    assert "run 2     passed\n  run 1     failed" in shown
    assert phalanx("history", "list", "--runs", cwd=below).count("\n") == 3
    assert "no test" in phalanx("history", "show", "test_nowhere", cwd=below, code=1)


def test_it_travels(twice: tuple[Project, Run], tmp_path: Path) -> None:
    project, _ = twice
    phalanx("history", "export", str(tmp_path / "one.json"), cwd=project.path)
    assert len(json.loads((tmp_path / "one.json").read_text())["tests"]) == 14
    said = phalanx("history", "import", "one.json", cwd=tmp_path)
    assert "14 tests are new" in said and "2 new runs" in said
    assert (tmp_path / ".pytest_cache/.gitignore").exists()
    assert "0 tests are new, 0 are known better" in phalanx(
        "history", "import", "one.json", cwd=tmp_path
    )
    one, two = (
        json.loads(phalanx("history", "export", cwd=where)) for where in (project.path, tmp_path)
    )
    assert one["tests"] == two["tests"]


def test_junit_names_become_the_same_node_ids(twice: tuple[Project, Run], tmp_path: Path) -> None:
    project, run = twice
    history = f"--history={tmp_path / 'h.sqlite'}"
    said = phalanx("history", "import", history, str(run.xml), cwd=project.path)
    assert "13 tests are new" in said  # one was skipped
    text = phalanx("history", "export", history, cwd=project.path)
    found = {test["id"] for test in json.loads(text)["tests"]}
    assert found == set(outcomes(project)) - {"test_all.py::test_skipped"}


def test_durations_of_pytest_split(tmp_path: Path) -> None:
    (tmp_path / ".test_durations").write_text('{"a.py::test_a": 1.5, "a.py::test_b": 0.25}')
    assert "2 tests are new" in phalanx("history", "import", ".test_durations", cwd=tmp_path)
    listed = phalanx("history", "list", cwd=tmp_path).splitlines()
    assert [line.split()[0] for line in listed[1:]] == ["1.50", "0.25"]
    (tmp_path / "bad.json").write_text('{"a.py::test_a": 1.5,\n "b": }')
    said = phalanx("history", "import", "bad.json", "none.json", cwd=tmp_path, code=1)
    assert "bad.json: line 2" in said and "none.json" in said


def test_the_command_explains_itself(tmp_path: Path) -> None:
    assert "pytest -n auto" in phalanx("--help", cwd=tmp_path)
    assert phalanx("--version", cwd=tmp_path).startswith("phalanx ")
    assert "phalanx history list" in phalanx("history", "--help", cwd=tmp_path)
    for command in ("list", "show", "prune", "export", "import"):
        assert "--history=PATH" in phalanx("history", command, "--help", cwd=tmp_path)
        assert "--wrong" in phalanx("history", command, "--wrong", cwd=tmp_path, code=2)
    assert "no history here" in phalanx("history", "list", cwd=tmp_path, code=1)
    assert "there is no 'nothing'" in phalanx("nothing", cwd=tmp_path, code=2)


WRONG = {
    "list --limit=many": "--limit takes a number, not 'many'",
    "list --limit": "requires an argument",
    "list -r -l": "requires an argument",
    "list one two": "what is 'two'? See --help",
    "list --fast": "unrecognized option '--fast'",
    "flaky --runs=-1": "--runs takes a number, not '-1'",
    "flaky one": "what is 'one'? See --help",
    "prune --days=1e3": "--days takes a number, not '1e3'",
    "show": "takes one PATTERN",
    "export one two": "takes one FILE",
    "import --overwrite": "takes at least one FILE",
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_command_line_is_told(line: str, tmp_path: Path) -> None:
    command = f"phalanx history {line.split()[0]}: "
    said = phalanx("history", *line.split(), cwd=tmp_path, code=2)
    assert said.startswith(command) and WRONG[line] in said and said.count("\n") == 1


def test_the_next_plan_knows_what_is_slow(project: Project) -> None:
    project.write(
        {
            "test_many.py": "".join(f"def test_{i}(): pass\n" for i in range(5)),
            "test_slow.py": "import time\ndef test_slow(): time.sleep(1)\n",
        }
    )

    def first() -> str:
        run = project.run("-n1", "--dist=loadfile")
        assert run.code == 0, run
        return str(run.reports[0]["nodeid"]).partition("::")[0]

    assert [first(), first()] == ["test_many.py", "test_slow.py"]


GOOD = {"test_a.py": "def test_a(): pass\n"}
NO_HISTORY = {
    "by option": ("--no-history",),
    "no cache": ("-p", "no:cacheprovider"),
    "no directory": ("-o", "cache_dir=/dev/null/cache"),
}


@pytest.mark.parametrize("args", NO_HISTORY.values(), ids=NO_HISTORY)
def test_without_a_history_nothing_is_said(project: Project, args: tuple[str, ...]) -> None:
    run = project.write(GOOD).run("-n1", *args)
    assert run.code == 0, run
    assert not run.has_line(r"^phalanx: ") and not run.err, run
    assert not (project.path / PLACE).exists()


@pytest.mark.parametrize("path", ["/dev/full", "/dev/null/history", "."])
def test_what_cannot_be_written_is_one_line(project: Project, path: str) -> None:
    run = project.write(GOOD).run("-n1", f"--history={path}")
    assert run.code == 0, run
    assert len([line for line in run.lines if line.startswith("phalanx: history: ")]) == 1, run
    assert not run.err, run


def test_a_damaged_history_is_set_aside(project: Project) -> None:
    path = project.write(GOOD).path / PLACE
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a database at all" * 50)
    run = project.run("-n1")
    assert run.code == 0, run
    assert run.has_line(r"^phalanx: history: .*history\.sqlite is now .*\.damaged"), run
    assert outcomes(project) == {"test_a.py::test_a": "."}
    assert path.with_name("history.sqlite.damaged").exists()


def test_a_newer_history_is_left_alone(project: Project) -> None:
    project.write(GOOD).run("-n1")
    database = sqlite3.connect(project.path / PLACE)
    database.execute("PRAGMA user_version = 99")
    database.close()
    before = (project.path / PLACE).read_bytes()
    run = project.run("-n1")
    assert run.code == 0, run
    assert run.has_line(r"^phalanx: history: .*a newer version of phalanx wrote it$"), run
    assert (project.path / PLACE).read_bytes() == before


def test_an_interrupted_run_keeps_what_ended(project: Project) -> None:
    project.write(
        {
            "test_a.py": """
                import time
                from pathlib import Path
                def test_first(): pass
                def test_cut_short():
                    Path("here").touch()
                    time.sleep(60)
                def test_never(): pass
            """
        }
    )
    running = project.start("-n1")
    wait_until((project.path / "here").exists, "the second test")
    running.process.send_signal(signal.SIGINT)
    assert running.wait().code == 2
    assert outcomes(project) == {"test_a.py::test_first": "."}
    database = sqlite3.connect(project.path / PLACE)
    assert database.execute("SELECT complete FROM run").fetchall() == [(0,)]
    database.close()
