"""--tx with interpreters and directories of their own."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from runner import Project, Run

TELLING = {
    "conftest.py": """
        import os

        DIRECTORY_OF_IMPORT = os.getcwd()
    """,
    "test_a.py": """
        import json, os, sys
        import helper_beside_the_tests
        import pytest

        @pytest.mark.parametrize("number", range(6))
        def test_it(number, worker_id):
            it = [worker_id, os.getcwd(), os.environ.get("WRAPPED", "no"), sys.executable]
            with open(os.environ["TOLD"], "a") as told:
                told.write(json.dumps(it) + "\\n")
    """,
    "helper_beside_the_tests.py": "",
}


def wrapper(project: Project, name: str, command: str) -> Path:
    """A program that runs Python, for python=."""
    path = project.home / name
    path.write_text(f'#!/bin/sh\nWRAPPED={name} exec {command} "$@"\n')
    path.chmod(0o755)
    return path


def run(project: Project, *arguments: str) -> tuple[Run, set[tuple[str, ...]]]:
    project.write(TELLING)
    told = project.home / "told"
    done = project.run(*arguments, env={"TOLD": str(told)})
    lines = told.read_text().splitlines() if told.exists() else []
    return done, {tuple(json.loads(line)) for line in lines}


def test_one_interpreter_for_all_is_forked(project: Project) -> None:
    other = wrapper(project, "other", sys.executable)
    done, seen = run(project, "-d", f"--tx=2*popen//python={other}")
    assert done.code == 0 and done.counts == {"passed": 6}, str(done)
    assert done.has_line("^forked after collection$"), str(done)
    assert {entry[2] for entry in seen} == {"other"}


def test_each_has_its_own(project: Project) -> None:
    other = wrapper(project, "other", sys.executable)
    third = wrapper(project, "third", f"{sys.executable} -X utf8")
    done, seen = run(
        project,
        "--dist=each",
        "--tx=popen",
        f"--tx=popen//python={other}//id=left",
        f"--tx=popen//python={third} -B",
    )
    assert done.code == 0 and done.counts == {"passed": 18}, str(done)
    assert {(name, wrapped) for name, _, wrapped, _ in seen} == {
        ("gw0", "no"),
        ("left", "other"),
        ("gw1", "third"),
    }
    assert done.has_line("^spawned: --tx names several interpreters$"), str(done)


def test_a_crash_is_replaced_by_one_of_its_kind(project: Project) -> None:
    project.write(
        {
            "test_b.py": """
                import os

                def test_crash(worker_id):
                    if worker_id == "gw1":
                        os.kill(os.getpid(), 9)
            """
        }
    )
    other = wrapper(project, "other", sys.executable)
    done, seen = run(project, "--dist=each", "--tx=popen", f"--tx=popen//python={other}")
    assert done.code == 1, str(done)
    assert done.outcomes["test_b.py::test_crash"] == ["failed", "passed"], str(done)
    assert {wrapped for name, _, wrapped, _ in seen if name != "gw0"} == {"other"}


def test_a_directory_of_its_own(project: Project) -> None:
    """Arguments mean what they mean in pytest's own directory; tests run in that of their worker."""
    there = project.home / "made" / "for it"
    done, seen = run(
        project, "--dist=each", "--tx=popen", f"--tx=popen//chdir={there}", "test_a.py", "-v"
    )
    assert done.code == 0 and done.counts == {"passed": 12}, str(done)
    assert {(name, directory) for name, directory, *_ in seen} == {
        ("gw0", str(project.path)),
        ("gw1", str(there)),
    }
    assert set(done.outcomes) == {f"test_a.py::test_it[{number}]" for number in range(6)}
    assert done.has_line(f"\\[gw1\\] linux .* cwd: {there}"), str(done)


def test_a_directory_where_workers_are_spawned(project: Project) -> None:
    there = project.home / "there"
    done, seen = run(
        project, "-d", f"--tx=2*popen//chdir={there}", "--start-method=spawn", "test_a.py"
    )
    assert done.code == 0 and done.counts == {"passed": 6}, str(done)
    assert {directory for _, directory, *_ in seen} == {str(there)}


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (
            f"{sys.executable} -S -E -s",
            "lacks phalanx and lacks pytest, and its workers need the same",
        ),
        ("/bin/echo", "is no Python interpreter that works"),
    ],
)
def test_one_that_cannot_work(project: Project, command: str, says: str) -> None:
    other = wrapper(project, "other", command)
    done, _ = run(project, "-d", f"--tx=popen//python={other}")
    assert done.code == 4, str(done)
    errors = [line for line in done.err.splitlines() if line.startswith("ERROR")]
    assert len(errors) == 1 and f"--tx popen//python={other}: " in errors[0], str(done)
    assert says in errors[0] and "Traceback" not in done.err, str(done)


def test_a_program_that_is_not_there(project: Project) -> None:
    done, _ = run(project, "-d", "--tx=popen//python=no-such-python")
    assert done.code == 4 and "python=no-such-python: there is no such program" in done.err, str(
        done
    )


def test_nodes_tell_of_their_workers(project: Project) -> None:
    there = project.home / "there"
    project.write(
        {
            "conftest.py": """
                import json, os

                def pytest_testnodedown(node, error):
                    rinfo = node.gateway._rinfo()
                    with open("nodes", "a") as file:
                        file.write(json.dumps([node.gateway.id, node.workerinfo["cwd"], rinfo.cwd,
                            node.workerinfo["executable"], rinfo.executable,
                            node.gateway.spec.python, node.gateway.spec.chdir]) + "\\n")
            """,
            "test_a.py": "def test_a(): pass",
        }
    )
    other = wrapper(project, "other", sys.executable)
    done = project.run("--dist=each", "--tx=popen", f"--tx=popen//python={other}//chdir={there}")
    assert done.code == 0, str(done)
    lines = project.path.joinpath("nodes").read_text().splitlines()
    seen: dict[str, list[Any]] = {entry[0]: entry[1:] for entry in map(json.loads, lines)}
    here = os.path.realpath(sys.executable)
    for name, directory, python in (("gw0", project.path, None), ("gw1", there, str(other))):
        cwd, rcwd, executable, rexecutable, spec_python, spec_chdir = seen[name]
        assert cwd == rcwd == str(directory)
        assert executable == rexecutable and os.path.realpath(executable) == here
        assert spec_python == python
        assert spec_chdir == (str(there) if name == "gw1" else None)
