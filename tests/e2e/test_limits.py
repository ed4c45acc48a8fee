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
    # With --dist=each every environment runs its own, and sets up what that needs.
    assert "EACH" in os.environ or not os.path.exists("exclusive-is-running"), "set up beside one"
    yield

@pytest.fixture
def note(request):
    begin = time.monotonic()
    slot = [-1]
    yield slot
    with open(f"{request.node.name}-{os.getpid()}-{begin}.json", "w") as out:
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
    try:
        time.sleep(0.05)
    finally:
        os.remove("exclusive-is-running")
"""


def run(path: Path, *args: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--strict-markers", *args]
    done = subprocess.run(command, cwd=path, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr


def times(path: Path, name: str) -> list[list[Any]]:
    return [json.loads(file.read_text()) for file in sorted(path.glob(f"test_{name}*.json"))]


def overlap(a: list[Any], b: list[Any]) -> bool:
    return bool(a[0] < b[1] and b[0] < a[1])


SCHEDULER = """
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScheduling
    return LoadScheduling(config, log)
"""


@pytest.mark.parametrize(
    ("args", "conftest", "rounds"),
    [
        pytest.param(("-n4",), "", 1, id="load"),
        pytest.param(("-n4", "--dist=loadscope"), "", 1, id="loadscope"),
        pytest.param(("-n4", "--start-method=spawn"), "", 1, id="spawn"),
        pytest.param(("-n3",), SCHEDULER, 1, id="scheduler"),
        pytest.param(("--tx=3*popen", "--dist=each"), "import os; os.environ['EACH'] = '1'", 3, id="each"),
        pytest.param(("-n4", "--count=3"), "", 3, id="count"),
        pytest.param((), "", 1, id="sequential"),
    ],
)  # fmt: skip
def test_what_runs_beside_what(
    tmp_path: Path, args: tuple[str, ...], conftest: str, rounds: int
) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST + conftest)
    (tmp_path / "test_a.py").write_text(SUITE)
    code, output = run(tmp_path, *args)
    assert code == 0, output
    assert f"{20 * rounds} passed" in output
    assert "warning" not in output
    alone, limited, others = (times(tmp_path, name) for name in ("alone", "limited", "any"))
    assert (len(alone), len(limited), len(others)) == (2 * rounds, 6 * rounds, 12 * rounds)
    for test in alone:
        assert not [
            other
            for other in alone + limited + others
            if other is not test and overlap(test, other)
        ]
    for test in limited:
        beside = [other for other in limited if other is not test and overlap(test, other)]
        assert all(other[2] != test[2] for other in beside), "two tests in one slot"
    assert {test[2] for test in limited} <= ({0, 1} if args else {0})
    if args == ("-n4",):
        assert max(test[1] for test in alone) <= min(test[0] for test in limited + others)
        assert len({test[3] for test in alone}) == 1


def test_retries_keep_limits(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_a.py").write_text(
        SUITE.replace("time.sleep(0.05)", "time.sleep(0.02); fail_once(n, request)")
        .replace("(n, note", "(n, request, note")
        .replace(
            "import os, time, pytest",
            "import os, time, pytest\n"
            "def fail_once(n, request):\n"
            "    flag = 'failed-' + request.node.name\n"
            "    if n == 1 and not os.path.exists(flag):\n"
            "        open(flag, 'w').close()\n"
            "        assert not 'the first time'\n",
        )
    )
    code, output = run(tmp_path, "-n4", "--retries=1")
    assert code == 0, output
    assert "17 passed, 3 rerun, 3 flaky" in output
    every = times(tmp_path, "alone") + times(tmp_path, "limited") + times(tmp_path, "any")
    assert len(every) == 23
    for test in times(tmp_path, "alone"):
        assert not [other for other in every if other != test and overlap(test, other)]
    for test in times(tmp_path, "limited"):
        assert test[2] in (0, 1)
        for other in times(tmp_path, "limited"):
            assert other == test or other[2] != test[2] or not overlap(test, other)


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
    for args in [(), ("-n2",)]:
        code, output = run(tmp_path, *args)
        assert code == 4, output
        assert sentence in output
        assert "Traceback" not in output


@pytest.mark.parametrize("args", [("-n2",), ("-n2", "--start-method=spawn")])
@pytest.mark.parametrize(
    ("marks", "sentence"),
    [
        (
            "@pytest.mark.phalanx_exclusive(2)\n",
            "test_b.py::test_one: phalanx_exclusive takes no arguments",
        ),
        (
            "@pytest.mark.phalanx_limit('a', 1)\n@pytest.mark.phalanx_limit('b', 1)\n",
            "test_b.py::test_one: phalanx_limit('b', …) and phalanx_limit('a', …): a test belongs to one",
        ),
    ],
)
def test_marks_that_contradict(
    tmp_path: Path, args: tuple[str, ...], marks: str, sentence: str
) -> None:
    (tmp_path / "test_b.py").write_text(f"import pytest\n{marks}def test_one(): pass\n")
    code, output = run(tmp_path, *args)
    assert code == 4, output
    assert sentence in output
    assert "Traceback" not in output


def test_the_slot_is_for_limited_tests(tmp_path: Path) -> None:
    (tmp_path / "test_c.py").write_text("def test_it(phalanx_slot): pass\n")
    for args in [(), ("-n2",)]:
        code, output = run(tmp_path, *args)
        assert code == 1, output
        assert "phalanx_slot is for tests marked phalanx_limit: this one is not" in output
