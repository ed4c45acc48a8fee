"""Runs pytest the way a user does: a process of its own, in a directory of its own, with a hard limit.

What a run reported is read back from the recorder plugin and from JUnit XML, never guessed from the screen.
Every run carries a mark in its environment; afterwards no process with that mark may be alive.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import uuid
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

RECORDING = Path(__file__).resolve().parent / "recording"
MARK = "PHALANX_E2E_MARK"
# Limits for what is broken; a sound run may wait for a busy machine.
TIMEOUT_S = 180.0
LEFTOVER_PATIENCE_S = 30.0

# What would change how the run under test behaves or looks.
_UNWANTED = re.compile(
    r"PYTEST|PY_COLORS|PYTHON|PHALANX|PHX_|COV_|COVERAGE|XDIST|NO_COLOR|FORCE_COLOR|CI$|BUILD_NUMBER|TERM$|LC_|LANG"
)


def clean_environment(**extra: str) -> dict[str, str]:
    environment = {k: v for k, v in os.environ.items() if not _UNWANTED.match(k)}
    environment.update(COLUMNS="160", TERM="dumb", LC_ALL="C.UTF-8", PYTHONPATH=str(RECORDING))
    if "JITTER_LIBRARY" in os.environ:  # `make jitter`: the run under test has it, its test has not
        environment["LD_PRELOAD"] = os.environ["JITTER_LIBRARY"]
    environment.update(extra)
    return environment


def marked_processes(mark: str) -> list[int]:
    """The processes whose environment carries the mark; zombies have none."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if wanted in Path("/proc", name, "environ").read_bytes().split(b"\0"):
                    found.append(int(name))
            except OSError:
                pass  # gone meanwhile
    return found


def states(mark: str) -> list[str]:
    """The states of the marked processes, as `ps` shows them: R, S, T (stopped), …"""
    found = []
    for pid in marked_processes(mark):
        try:
            found.append(Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0])
        except OSError:
            pass  # gone meanwhile
    return found


def describe(pids: list[int]) -> str:
    lines = []
    for pid in pids:
        try:
            command = Path("/proc", str(pid), "cmdline").read_bytes().replace(b"\0", b" ")
            lines.append(f"{pid}: {command.decode(errors='replace')[:120]}")
        except OSError:
            pass
    return "; ".join(lines)


def wait_until(condition: Callable[[], Any], what: str, timeout: float = TIMEOUT_S) -> Any:
    """Polls; the limit is there for a broken run, not to measure one."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {timeout} s in vain for {what}"
        time.sleep(0.01)


def wait_gone(mark: str, timeout: float = LEFTOVER_PATIENCE_S) -> list[int]:
    """Waits for the end of a run's processes; returns those that are still there, after killing them."""
    deadline = time.monotonic() + timeout
    while True:
        pids = marked_processes(mark)
        if not pids or time.monotonic() > deadline:
            break
        time.sleep(0.01)
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    return pids


@dataclasses.dataclass
class Run:
    """What a finished run left."""

    args: tuple[str, ...]
    code: int
    out: str
    err: str
    records: list[dict[str, Any]]
    xml: Path
    basetemp: Path

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def reports(self) -> list[dict[str, Any]]:
        return [record for record in self.records if record["kind"] == "report"]

    @property
    def outcomes(self) -> dict[str, list[str]]:
        """Per node id what pytest counts for it: 'passed', 'failed', 'error', 'skipped', 'xfailed', …"""
        found: dict[str, list[str]] = {}
        for report in self.reports:
            if report["category"]:
                found.setdefault(report["nodeid"], []).append(report["category"])
        return {nodeid: sorted(categories) for nodeid, categories in found.items()}

    @property
    def collect_reports(self) -> list[tuple[str, str]]:
        return sorted(
            (record["nodeid"], record["outcome"])
            for record in self.records
            if record["kind"] == "collect"
        )

    @property
    def warnings(self) -> list[tuple[str, str, str]]:
        return sorted(
            (record["category"], record["message"], record["nodeid"])
            for record in self.records
            if record["kind"] == "warning"
        )

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of pytest's last line."""
        for line in reversed(self.lines):
            if re.search(r" in \d+\.\d+s", line):
                words = re.findall(r"(\d+) (\w+)", line.partition(" in ")[0])
                return {word.rstrip("s"): int(number) for number, word in words}
        return {}

    @property
    def workers(self) -> set[str]:
        return {report["worker"] for report in self.reports if report["worker"]}

    def report_of(self, nodeid: str, when: str = "call") -> dict[str, Any]:
        found = [r for r in self.reports if r["nodeid"] == nodeid and r["when"] == when]
        assert len(found) == 1, f"{len(found)} reports of {nodeid} in {when}\n{self}"
        return found[0]

    def sections_of(self, nodeid: str) -> dict[str, str]:
        """The captured text of all phases of a test."""
        sections: dict[str, str] = {}
        for report in self.reports:
            if report["nodeid"] == nodeid:
                sections.update(dict(report["sections"]))
        return sections

    def junit(self) -> Counter[tuple[str, ...]]:
        """The cases of --junitxml as (class, name, kinds and messages of what went wrong)."""
        cases: Counter[tuple[str, ...]] = Counter()
        for case in ElementTree.parse(self.xml).iter("testcase"):
            troubles = [f"{child.tag}: {child.get('message')}" for child in case]
            cases[(case.get("classname", ""), case.get("name", ""), *troubles)] += 1
        return cases

    def junit_totals(self) -> dict[str, str]:
        suite = next(ElementTree.parse(self.xml).iter("testsuite"))
        return {name: suite.get(name, "") for name in ("tests", "failures", "errors", "skipped")}

    def has_line(self, pattern: str) -> bool:
        return any(re.search(pattern, line) for line in self.lines)

    def __str__(self) -> str:
        return f"pytest {' '.join(self.args)} → {self.code}\n{self.out}\n--- stderr ---\n{self.err}"


class Running:
    """A run that has been started."""

    def __init__(self, process: subprocess.Popen[bytes], mark: str, run: Run) -> None:
        self.process = process
        self.pid = process.pid
        self.mark = mark
        self._run = run
        self._home = run.xml.parent

    def output(self) -> str:
        return (self._home / "out").read_text(errors="replace")

    def wait(self, timeout: float = TIMEOUT_S, may_leave: bool = False) -> Run:
        """Waits for the end. Fails if the run takes too long, or if one of its processes is alive when it
        is over (`may_leave`: kills those silently)."""
        run = self._run
        late = False
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            late = True
            alive = describe(marked_processes(self.mark))
            self.process.kill()
            self.process.wait()
        left = wait_gone(self.mark, 0 if late or may_leave else LEFTOVER_PATIENCE_S)
        run.code = self.process.returncode
        run.out = self.output()
        run.err = (self._home / "err").read_text(errors="replace")
        record = self._home / "record"
        if record.exists():
            whole = record.read_text().rpartition("\n")[0]  # a killed run may end in half a line
            run.records = [json.loads(line) for line in whole.splitlines()]
        assert not late, f"no end after {timeout} s; alive: {alive}\n{run}"
        assert may_leave or not left, f"still alive after the run: {left}\n{run}"
        return run


def processes(running: Running) -> dict[str, list[int]]:
    """The processes of the run by role: the guard by its name, the rest by who started whom. A test's own
    children count as nobody."""
    parents, names = {}, {}
    for pid in marked_processes(running.mark):
        try:
            head, _, rest = Path("/proc", str(pid), "stat").read_text().rpartition(")")
        except OSError:
            continue
        names[pid] = head.partition("(")[2]
        parents[pid] = int(rest.split()[1])
    guards = [pid for pid in parents if parents[pid] == running.pid]
    pythons = [
        pid
        for pid in parents
        if pid != running.pid and pid not in guards and "python" in names[pid]
    ]
    zygotes = [pid for pid in pythons if parents[pid] in guards]
    return {
        "controller": [running.pid],
        "guard": guards,
        "zygote": zygotes,
        "worker": [pid for pid in pythons if parents[pid] in zygotes],
    }


UNTIL_TOLD = """
    import os, time
    import pytest

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(report):
        if report.failed and hasattr(report, "node"):
            open("told", "w").close()

    @pytest.fixture
    def until_told():
        def wait():
            deadline = time.monotonic() + 120
            while not os.path.exists("told"):
                assert time.monotonic() < deadline, "the controller knows of no failure"
                time.sleep(0.01)
            time.sleep(0.3)
        return wait
"""


class Project:
    """A directory with a suite in it."""

    # They are there for single tests, and slow to load.
    options: tuple[str, ...] = tuple(
        f"-pno:{name}" for name in ("hypothesispytest", "pytest_cov", "timeout")
    )

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = home / "project"
        self.path.mkdir(parents=True)
        self._runs = itertools.count(1)  # several threads may start runs

    def write(self, files: dict[str, str]) -> Project:
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            # In one step: who watches the file, or reads it just then, never sees half of it.
            partial = path.with_name(f".{path.name}.partial")
            partial.write_text(textwrap.dedent(text), encoding="utf-8")
            partial.replace(path)
        return self

    def tell_of_failures(self) -> Project:
        """A fixture `until_told`, for tests that a failure shall stop: it waits until the controller knows of
        one, and then for a moment, in which the controller stops the run. Without it the others may all have
        run by then."""
        return self.write({"conftest.py": UNTIL_TOLD})

    def log(self, name: str = "log") -> list[str]:
        """The lines that tests appended to a file of the project."""
        path = self.path / name
        return path.read_text().splitlines() if path.exists() else []

    def start(
        self,
        *args: str,
        env: dict[str, str] | None = None,
        basetemp: bool = True,
        python: str = sys.executable,
        together: int = 0,
        **popen: Any,
    ) -> Running:
        """`together`: no test goes on before so many workers have begun one."""
        home = self.home / f"run{next(self._runs)}"
        home.mkdir()
        mark = uuid.uuid4().hex
        run = Run(args, -1, "", "", [], home / "junit.xml", home / "base")
        command = [python, "-m", "pytest", "-p", "phalanx_recorder", f"--junitxml={run.xml}"]
        command += self.options
        if basetemp:
            command.append(f"--basetemp={run.basetemp}")
        env = dict(env or {})
        if together:
            (home / "together").mkdir()
            command += ["-p", "phalanx_together"]
            env["PHALANX_E2E_TOGETHER"] = f"{home / 'together'}:{together}"
        environment = clean_environment(
            PHALANX_E2E_RECORD=str(home / "record"), **{MARK: mark}, **env
        )
        with open(home / "out", "wb") as out, open(home / "err", "wb") as err:
            options: dict[str, Any] = dict(
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
            )
            options.update(popen)
            process = subprocess.Popen([*command, *args], cwd=self.path, env=environment, **options)
        return Running(process, mark, run)

    def run(self, *args: str, timeout: float = TIMEOUT_S, **options: Any) -> Run:
        return self.start(*args, **options).wait(timeout)
