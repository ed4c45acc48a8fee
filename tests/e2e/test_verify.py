"""`phalanx verify` on suites of which every answer is known."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from runner import Project, clean_environment

COMMAND = Path(sys.executable).with_name("phalanx")

GOOD = """
    import time
    import pytest

    @pytest.mark.parametrize("p", range(12))
    def test_sleep(p): time.sleep(0.4)
"""

# test_order needs test_first in its own process, which waits for it with workers; test_clock changes from
# call to call.
BAD = """
    import os, time
    from pathlib import Path
    seen = []

    def test_first():
        seen.append(1)
        deadline = time.monotonic() + 60
        while "PYTEST_XDIST_WORKER" in os.environ and time.monotonic() < deadline:
            if Path("second").exists(): break
            time.sleep(0.01)
    def test_order():
        if "PYTEST_XDIST_WORKER" in os.environ: Path("second").touch()
        assert seen
    def test_clock():
        path = Path("clock")
        count = int(path.read_text()) + 1 if path.exists() else 1
        path.write_text(str(count))
        assert count % 2
"""


def verify(project: Project, *args: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [COMMAND, "verify", *args],
        cwd=project.path,
        env=clean_environment(TMPDIR=str(project.home)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout, done.stderr


def checks(project: Project) -> dict[str, Any]:
    data = json.loads((project.path / "out.json").read_text())
    assert data["good"] == all(check["good"] for check in data["checks"])
    return {check["check"]: check for check in data["checks"]}


def test_a_good_suite(project: Project) -> None:
    project.write({"test_a.py": GOOD})
    code, out, err = verify(project, "-n2", "--count=2", "--json=out.json", "test_a.py")
    found = checks(project)
    assert list(found) == [
        "outcomes",
        "exit code",
        "JUnit",
        "warnings",
        "speedup",
        "balance",
        "flakiness",
    ], err
    # How fast a busy machine is, and to whom it gives its time, nobody knows; all else is certain.
    certain = found.keys() - {"speedup", "balance"}
    assert all(found[name]["good"] for name in certain), out
    assert "✓ outcomes    12 of 12 tests have the same outcome" in out
    assert "0.00 %, target below 0.1 %: 0 of 12 tests disagreed in 2 repetitions" in out
    assert code == (0 if found["speedup"]["good"] and found["balance"]["good"] else 1)


def test_an_uneven_load_says_how_to_look_at_it(project: Project) -> None:
    files = {
        "test_a.py": "import time\ndef test_a(): time.sleep(0.9)\ndef test_b(): time.sleep(0.9)\n"
    }
    project.write({**files, "test_b.py": "def test_c(): pass"})
    code, out, _ = verify(project, "-n2", "--count=0", "--json=out.json", "--dist=loadfile")
    assert code == 1 and not checks(project)["balance"]["good"], out
    assert "pytest -n 2 --schedule-report=- says who ran what, and why" in out


def test_what_depends_on_order_or_time_is_named(project: Project) -> None:
    project.write({"test_a.py": BAD})
    code, out, _ = verify(project, "-n3", "--count=4", "--json=out.json")
    found = checks(project)
    assert code == 1 and not found["outcomes"]["good"], out
    named = {text.partition(":")[0]: text for text in _tests(found["outcomes"])}
    assert "depends on tests before it" in named["test_order"], out
    assert "depends on time or chance" in named["test_clock"], out
    assert "test_first" not in named
    assert not found["JUnit"]["good"] and not found["flakiness"]["good"]
    assert "✗ outcomes    1 of 3 tests have the same outcome" in out


def _tests(check: dict[str, Any]) -> list[str]:
    return [text.replace("test_a.py::", "", 1) for text in check["tests"]]


def test_a_run_without_tests_says_so(project: Project) -> None:
    project.write({"test_a.py": "def test_a(): pass"})
    code, out, err = verify(project, "-n2", "--no-such-option")
    assert code == 1 and out == ""
    assert "the sequential run ended with exit code 4 and ran no tests; its output is in" in err


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["-n", "many"], "-n takes a number of workers or 'auto', not 'many'"),
        (["--count=x"], "--count takes a number, not 'x'"),
    ],
)
def test_a_wrong_command_line(project: Project, args: list[str], says: str) -> None:
    code, _, err = verify(project, *args)
    assert code == 2 and says in err


def test_help(project: Project) -> None:
    code, out, _ = verify(project, "--help")
    assert code == 0 and "usage: phalanx verify" in out


def test_json_on_standard_output_stands_alone(project: Project) -> None:
    project.write({"test_a.py": "def test_a(): pass"})
    _, out, err = verify(project, "-n1", "--count=0", "--json", "-")
    assert json.loads(out)["workers"] == 1 and "✓ outcomes" in err


def test_a_json_file_that_cannot_be_written(project: Project) -> None:
    project.write({"test_a.py": "def test_a(): pass"})
    code, _, err = verify(project, "-n1", "--count=0", "--json=/proc/nowhere/out.json")
    assert code == 1 and "cannot write /proc/nowhere/out.json: " in err
    assert os.path.exists(project.path)


def test_a_crash_of_sequential_pytest_is_outlived(project: Project) -> None:
    project.write({"test_a.py": "import os\ndef test_a(): pass\ndef test_crash(): os._exit(7)\n"})
    _, out, err = verify(project, "-n2", "--count=0", "--json=out.json")
    found = checks(project)
    assert "pytest itself was ended in the middle (exit code 7)" in err
    assert "on one worker instead" in err
    assert found["outcomes"]["good"] and found["exit code"]["good"], out
    assert "2 of 2 tests have the same outcome" in out
    assert "1 on one worker, 1 in parallel" in out


def test_what_behaves_otherwise_in_a_worker_is_named(project: Project) -> None:
    project.write(
        {
            "test_a.py": """
                import os
                def test_good(): pass
                def test_alone(): assert "PYTEST_XDIST_WORKER" not in os.environ
            """
        }
    )
    code, out, _ = verify(project, "-n2", "--count=0", "--json=out.json")
    assert code == 1
    (text,) = _tests(checks(project)["outcomes"])
    assert text.startswith("test_alone: passed, in parallel failed"), out
    assert "it behaves otherwise in a worker" in text
    failed = [name for name, check in checks(project).items() if not check["good"]]
    assert f"{len(failed)} of 6 checks failed: {', '.join(failed)}.\n" in out
    assert "Output and reports of the runs: " in out
