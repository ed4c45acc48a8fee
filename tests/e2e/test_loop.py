"""--looponfail: runs again when files change, what failed first."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from runner import Project, Running, marked_processes, wait_until

WAITING = "waiting for changes"

SUITE = {
    "conftest.py": """
        import json, os

        def pytest_runtest_logreport(report):
            if report.when == "call" and not hasattr(report, "told"):
                with open(os.environ["TOLD"], "a") as told:
                    told.write(json.dumps([report.nodeid, report.outcome]) + "\\n")
    """,
    "test_a.py": "def test_good(): pass\ndef test_bad(): assert False",
    "test_b.py": "def test_other(): pass",
}

both = pytest.mark.parametrize("how", [(), ("-n2",)], ids=["alone", "n2"])


class Looping:
    def __init__(self, project: Project, *arguments: str) -> None:
        self.project = project
        self._told = project.home / "told"
        self._seen = 0
        self.running: Running = project.start(
            "-f", *arguments, env={"TOLD": str(self._told)}, basetemp=False
        )
        self._runs = 0

    def ran(self) -> dict[str, str]:
        """What has run since the last time, when it waits again."""
        self._runs += 1
        wait_until(
            lambda: (
                self.running.output().count(WAITING) >= self._runs
                or self.running.process.poll() is not None
            ),
            f"run {self._runs}: {self.running.output()}",
        )
        lines = self._told.read_text().splitlines() if self._told.exists() else []
        new, self._seen = lines[self._seen :], len(lines)
        return dict(map(json.loads, new))

    def end(self, number: int = signal.SIGINT, group: bool = True) -> int:
        if group:
            os.killpg(self.running.pid, number)
        else:
            os.kill(self.running.pid, number)
        run = self.running.wait()
        assert "Traceback" not in run.err, str(run)
        return run.code


@both
def test_what_failed_runs_first_then_everything(project: Project, how: tuple[str, ...]) -> None:
    looping = Looping(project.write(SUITE), *how)
    assert looping.ran() == {
        "test_a.py::test_good": "passed",
        "test_a.py::test_bad": "failed",
        "test_b.py::test_other": "passed",
    }
    assert "LOOPONFAILING" in looping.running.output()
    project.write({"test_a.py": "def test_good(): pass\ndef test_bad(): assert 'still' == 'bad'"})
    assert looping.ran() == {"test_a.py::test_bad": "failed"}
    project.write({"test_a.py": "def test_good(): pass\ndef test_bad(): pass"})
    assert looping.ran() == {  # test_bad alone, and then all, without another change
        "test_a.py::test_good": "passed",
        "test_a.py::test_bad": "passed",
        "test_b.py::test_other": "passed",
    }
    project.write({"test_b.py": "def test_another(): pass\ndef test_one_more(): pass"})
    assert set(looping.ran()) >= {"test_b.py::test_another", "test_a.py::test_good"}
    assert looping.end() == 2


@both
def test_a_module_that_cannot_be_imported(project: Project, how: tuple[str, ...]) -> None:
    looping = Looping(project.write({**SUITE, "test_a.py": "import nowhere_to_be_found"}), *how)
    assert looping.ran() == {}
    project.write({"test_a.py": "def test_good_again(): pass"})
    assert looping.ran() == {
        "test_a.py::test_good_again": "passed",
        "test_b.py::test_other": "passed",
    }
    assert looping.end() == 2


@both
def test_what_failed_is_gone(project: Project, how: tuple[str, ...]) -> None:
    looping = Looping(project.write(SUITE), *how)
    looping.ran()
    project.write({"test_a.py": "def test_with_another_name(): pass"})
    assert looping.ran() == {
        "test_a.py::test_with_another_name": "passed",
        "test_b.py::test_other": "passed",
    }
    assert looping.end() == 2


def test_files_that_a_run_writes_are_no_change(project: Project) -> None:
    project.write({"test_a.py": "def test_it(): open('report.txt', 'w').close()"})
    looping = Looping(project, "--junitxml=junit.xml")
    looping.ran()
    project.write({"test_a.py": "def test_it():\n    open('report.txt', 'w').close()  # again"})
    looping.ran()
    assert looping.end() == 2
    assert looping.running.output().count(WAITING) == 2


def test_roots_from_the_ini_file(project: Project) -> None:
    project.write({**SUITE, "pytest.ini": "[pytest]\nlooponfailroots = src\n", "src/x.py": ""})
    looping = Looping(project)
    looping.ran()
    line = f"### Watching:   {project.path}/src\n"
    wait_until(lambda: line in looping.running.output(), "the line that names the folder")
    project.write({"src/x.py": "changed = True"})
    looping.ran()
    assert looping.end() == 2


def test_ctrl_c_in_a_run(project: Project) -> None:
    project.write(
        {"test_a.py": "import time\ndef test_it():\n    open('begun', 'w').close(); time.sleep(60)"}
    )
    looping = Looping(project, "-n1")
    wait_until((project.path / "begun").exists, "the test")
    assert looping.end() == 2
    assert "KeyboardInterrupt" in looping.running.output()
    assert WAITING not in looping.running.output()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_while_it_waits(project: Project, number: int) -> None:
    looping = Looping(project.write(SUITE), "-n1")
    looping.ran()
    assert looping.end(number, group=False) == 128 + number


def test_nothing_is_left_when_it_is_killed(project: Project) -> None:
    looping = Looping(project.write(SUITE), "-n1")
    looping.ran()
    os.kill(looping.running.pid, signal.SIGKILL)
    looping.running.process.wait()
    wait_until(lambda: not marked_processes(looping.running.mark), "the end of all processes")


def test_with_pdb(project: Project) -> None:
    run = project.write(SUITE).run("-f", "--pdb", env={"TOLD": str(Path(os.devnull))})
    assert run.code == 4 and "--pdb is incompatible with --looponfail" in run.err, str(run)


def test_a_root_that_is_not_there(project: Project) -> None:
    project.write({"pytest.ini": "[pytest]\nlooponfailroots = nowhere\n"})
    run = project.run("-f")
    assert run.code == 4, str(run)
    assert "--looponfail: cannot watch" in run.err and "Traceback" not in run.err, str(run)
