"""The synthetic suites that are measured: written into a directory, the same every time."""

from __future__ import annotations

import subprocess
from pathlib import Path

IMPORT_FILES = 40
IMPORT_SECONDS = 12.5
ROWS = 1_100_000  # about 200 MB of tuples, floats, integers and strings

_TRIVIAL = "def test_{number}():\n    pass\n"

_CALIBRATE = """
import time
def burn(rounds):
    x = 0
    for i in range(rounds):
        x ^= i
    return x
best = 1e9
for _ in range(7):
    start = time.perf_counter()
    burn(1_000_000)
    best = min(best, time.perf_counter() - start)
print(best)
"""

_IMPORT_HEAVY = """\
def burn(rounds):
    x = 0
    for i in range(rounds):
        x ^= i
    return x


burn({rounds})


"""

_SLEEPING = """\
import os
import time

SECONDS = float(os.environ.get("BENCH_SLEEP", "2"))


"""

_ROWS = f"""\
# About 200 MB of small objects, as a table that was read from a file has.
ROWS = [(i, i + 0.5, f"row {{i}}") for i in range({ROWS})]
"""

_UNTOUCHED = "import rows\n\n\n"
_ITERATING = """\
import pytest

import rows


@pytest.fixture(autouse=True)
def iterate():
    for number, value, name in rows.ROWS:
        pass


"""


def _trivial(count: int) -> str:
    return "\n\n".join(_TRIVIAL.format(number=number) for number in range(count))


def new(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "pytest.ini").write_text("[pytest]\n")
    return directory


def trivial(directory: Path, files: int, per_file: int) -> None:
    new(directory)
    for number in range(files):
        (directory / f"test_{number:03}.py").write_text(_trivial(per_file))


def import_heavy(directory: Path, python: Path, scale: float) -> None:
    """Files whose import computes; together IMPORT_SECONDS on this machine when it has nothing else to do."""
    new(directory)
    output = subprocess.run([python, "-c", _CALIBRATE], check=True, capture_output=True, text=True)
    seconds_per_round = float(output.stdout) / 1_000_000
    rounds = int(IMPORT_SECONDS * scale / IMPORT_FILES / seconds_per_round)
    text = _IMPORT_HEAVY.format(rounds=rounds) + _trivial(5)
    for number in range(IMPORT_FILES):
        (directory / f"test_{number:03}.py").write_text(text)


def sleeping(directory: Path, count: int) -> None:
    """Tests that sleep two seconds each, or $BENCH_SLEEP."""
    new(directory)
    tests = [f"def test_{number}():\n    time.sleep(SECONDS)\n" for number in range(count)]
    (directory / "test_sleep.py").write_text(_SLEEPING + "\n\n".join(tests))


def memory(directory: Path, iterating: bool) -> None:
    """Eight files of eight tests; one module of ROWS, loaded when they are collected."""
    new(directory)
    (directory / "rows.py").write_text(_ROWS)
    head = _ITERATING if iterating else _UNTOUCHED
    for number in range(8):
        (directory / f"test_{number:03}.py").write_text(head + _trivial(8))
