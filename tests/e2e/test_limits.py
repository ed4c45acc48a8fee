"""phalanx_exclusive and phalanx_limit: what runs beside what, by the tests' own clocks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CONFTEST = """
import json, os, time, pytest

@pytest.fixture(scope="module", autouse=True)
def a_module_fixture():
    assert not os.path.exists("exclusive-is-running"), "set up beside an exclusive test"
    yield

@pytest.fixture
def note(request):
    begin = time.monotonic()
    slot = [-1]
    yield slot
    with open(f"{request.node.name}.json", "w") as out:
        json.dump([begin, time.monotonic(), slot[0], os.getpid()], out)
"""

SUITE = """
import os, time, pytest

@pytest.mark.parametrize("n", range(12))
def test_any(n, note):
    time.sleep(0.05)

@pytest.mark.parametrize("n", range(6))
@pytest.mark.phalanx_limit("database", 2)
def test_limited(n, note, phalanx_slot):
    note[0] = phalanx_slot
    time.sleep(0.05)

@pytest.mark.phalanx_exclusive
@pytest.mark.parametrize("n", range(2))
def test_alone(n, note):
    open("exclusive-is-running", "w").close()
    time.sleep(0.05)
    os.remove("exclusive-is-running")
"""


def run(path: Path, *args: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--strict-markers", *args]
    done = subprocess.run(command, cwd=path, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def times(path: Path, name: str) -> list[list[Any]]:
    return [json.loads(file.read_text()) for file in sorted(path.glob(f"test_{name}*.json"))]


def overlap(a: list[Any], b: list[Any]) -> bool:
    return bool(a[0] < b[1] and b[0] < a[1])


@pytest.mark.parametrize(
    "args", [("-n4",), ("-n4", "--dist=loadscope"), ("-n4", "--dist=loadfile"), ()]
)
def test_what_runs_beside_what(tmp_path: Path, args: tuple[str, ...]) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_a.py").write_text(SUITE)
    code, output = run(tmp_path, *args)
    assert code == 0, output
    assert "20 passed" in output
    assert "warning" not in output
    alone, limited, others = (times(tmp_path, name) for name in ("alone", "limited", "any"))
    assert (len(alone), len(limited), len(others)) == (2, 6, 12)
    for test in alone:
        assert not [
            other
            for other in alone + limited + others
            if other is not test and overlap(test, other)
        ]
    for test in limited:
        beside = [other for other in limited if other is not test and overlap(test, other)]
        assert len(beside) < 6
        assert all(other[2] != test[2] for other in beside), "two tests in one slot"
    assert {test[2] for test in limited} <= {0, 1}
    if args == ("-n4",):
        assert max(test[1] for test in alone) <= min(test[0] for test in limited + others)
        assert len({test[3] for test in alone}) == 1


def test_a_crash_frees_what_was_held(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(
        "import os, pytest\n"
        "@pytest.mark.phalanx_exclusive\n"
        "@pytest.mark.parametrize('n', range(3))\n"
        "def test_alone(n): n != 1 or os._exit(3)\n"
        "@pytest.mark.phalanx_limit('port', 1)\n"
        "@pytest.mark.parametrize('n', range(4))\n"
        "def test_port(n): n != 2 or os._exit(3)\n"
        "def test_other(): pass\n"
    )
    code, output = run(tmp_path, "-n3")
    assert code == 1, output
    assert "2 failed, 6 passed" in output


@pytest.mark.parametrize(
    ("marks", "sentence"),
    [
        ('"a"', 'phalanx_limit("database", 2)'),
        ('"a", 0', 'phalanx_limit("database", 2)'),
        ('2, "a"', 'phalanx_limit("database", 2)'),
        ('"a", 2, 3', 'phalanx_limit("database", 2)'),
        (
            '"b", 2',
            "test_b.py::test_two: phalanx_limit('b', 3), but test_b.py::test_one says phalanx_limit('b', 2)",
        ),
    ],
)
def test_a_wrong_mark_is_a_usage_error(tmp_path: Path, marks: str, sentence: str) -> None:
    (tmp_path / "test_b.py").write_text(
        "import pytest\n"
        f"@pytest.mark.phalanx_limit({marks})\n"
        "def test_one(): pass\n"
        "@pytest.mark.phalanx_limit('b', 3)\n"
        "def test_two(): pass\n"
    )
    code, output = run(tmp_path, "-n2")
    assert code == 4, output
    assert sentence in output
    assert "Traceback" not in output


def test_the_slot_is_for_limited_tests(tmp_path: Path) -> None:
    (tmp_path / "test_c.py").write_text("def test_it(phalanx_slot): pass\n")
    for args in [(), ("-n2",)]:
        code, output = run(tmp_path, *args)
        assert code == 1, output
        assert "phalanx_slot is for tests marked phalanx_limit: this one is not" in output
