"""Runs whose time is decided by who runs what when: tests that sleep, on four workers.

The time beyond a sequential run's start-up is what counts: the same tests that sleep no time. Phalanx runs
without its history (`--no-history`), unless a case says otherwise.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
from pathlib import Path

import suites
from cases import SUITES, Case, Command, Results, Target, commands, good, seconds
from environments import PHALANX, python_of
from measure import clean_environment

WORKERS = 4
SETUPS = "set-ups.log"  # a line for each

_HEAD = """\
import os
import time

import pytest

SCALE = float(os.environ.get("BENCH_SLEEP", "1"))


"""

_FIXTURE = f"""\
@pytest.fixture(scope="module", autouse=True)
def costly():
    time.sleep(0.5 * SCALE)
    with open(os.path.join(os.path.dirname(__file__), "{SETUPS}"), "a") as log:
        log.write("one\\n")


"""


def _tests(sleeps: list[float]) -> str:
    return "\n\n".join(
        f"def test_{number:02}():\n    time.sleep({seconds} * SCALE)\n"
        for number, seconds in enumerate(sleeps)
    )


def _write(directory: Path, files: dict[str, str]) -> None:
    shutil.rmtree(directory, ignore_errors=True)  # and with it what an earlier history tells
    suites.new(directory)
    for name, text in files.items():
        (directory / name).write_text(_HEAD + text)


def beyond(results: Results, label: str) -> float:
    return seconds(results, label) - seconds(results, "sequential")


def setups(results: Results, label: str) -> float:
    return statistics.median(sample.setups for sample in good(results, label))


def _case(key: str, title: str, files: dict[str, str], limit: float, *options: str) -> Case:
    directory = SUITES / key
    case = Case(
        key=key,
        title=title,
        directory=directory,
        commands=commands([WORKERS]),
        value=beyond,
        unit="s",
        note="The sequential run is of the same tests with sleeps of 0 s: its time is the start-up, the "
        "last column the time beyond it.",
        write=lambda: _write(directory, files),
    )
    case.commands[0].environment = {"BENCH_SLEEP": "0"}
    for command in case.commands:
        if command.label.startswith("phalanx"):
            command.argv += options
    case.target(f"phalanx -n {WORKERS}", limit)
    return case


def _long_last() -> Case:
    files = {"test_sleep.py": _tests([0.25] * 60 + [5])}
    title = "60 tests of 0.25 s, then one of 5 s, second run, -n 4"
    case = _case("long-last", title, files, 5.4)
    write = case.write

    def write_and_learn() -> None:
        write()
        learn = [str(python_of(PHALANX)), "-m", "pytest", "-q", "-n", str(WORKERS)]
        subprocess.run(
            learn, cwd=case.directory, env=clean_environment(), check=True, capture_output=True
        )

    case.write = write_and_learn
    case.note += " Phalanx has its history of one run before."
    return case


def _module_fixtures() -> Case:
    files = {f"test_{number:02}.py": _FIXTURE + _tests([0.05] * 10) for number in range(20)}
    title = "20 modules, each with a fixture of 0.5 s and ten tests of 0.05 s, -n 4"
    case = _case("module-fixtures", title, files, 5.6, "--no-history")
    case.setups_log = case.directory / SETUPS
    last = case.commands[-1]
    case.commands.append(
        Command(f"{last.label} --dist loadscope", [*last.argv, "--dist", "loadscope"])
    )
    case.targets.append(Target(f"phalanx -n {WORKERS}", 23, setups, "set-ups"))
    return case


def _long_first() -> Case:
    files = {"test_sleep.py": _tests([2, 2] + [0.05] * 6)}
    title = "two tests of 2 s, then six of 0.05 s, -n 4"
    return _case("long-first", title, files, 2.2, "--no-history")


def cases() -> list[Case]:
    return [_long_last(), _module_fixtures(), _long_first()]
