"""A long run with many crashes: are the counts exact, and what does a test cost the controller in memory?

    python tests/storm/soak.py                                 100,000 tests, 1 % of them die, -n 8
    python tests/storm/soak.py --tests 20000 --workers 4

Memory of a test is the growth of the peak between a tenth of the tests and all of them, of the controller and
of sequential pytest on the same suite (where nobody dies). Exit status 1 if a count is wrong, or if a test costs
the controller over 300 bytes more than it costs sequential pytest.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))

from runner import clean_environment

ALLOWED_BYTES = 300
FILES = 100

SUITE = """
import os
import pytest

@pytest.mark.parametrize("number", range({count}))
def test_many(number):
    if number % 100 == 7 and "SOAK_DIES" in os.environ:
        os._exit(3)
"""

# Counts in the process that reports: a test has one outcome, of one kind.
CONFTEST = """
import collections

seen = collections.Counter()
wrong = []

def pytest_runtest_logreport(report):
    if report.when in ("call", "???"):
        number = int(report.nodeid.partition("[")[2].rstrip("]"))
        file = int(report.nodeid.partition(".py")[0].rpartition("_")[2])
        key = file * 100_000 + number
        seen[key] += 1
        if seen[key] > 1 or (report.when == "???") != (number % 100 == 7 and DIES):
            wrong.append(report.nodeid)

def pytest_sessionfinish(session):
    if seen:
        print(f"\\nsoak: {len(seen)} tests, {len(wrong)} wrong: {wrong[:5]}")
"""


def run(directory: Path, args: list[str], dies: bool) -> tuple[int, str, int, float]:
    """Exit status, output, peak memory in bytes of the process that reports, and seconds."""
    environment = clean_environment(**({"SOAK_DIES": "1"} if dies else {}))
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider", "-rN"]
    begun = time.monotonic()
    with open(directory / "out", "wb") as out:
        process = subprocess.Popen([*command, *args], cwd=directory, env=environment, stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    text = (directory / "out").read_text(errors="replace")
    return process.returncode, text, usage.ru_maxrss * 1024, time.monotonic() - begun


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tests", type=int, default=100_000, help="default: %(default)s")
    parser.add_argument("--workers", type=int, default=8, help="default: %(default)s")
    arguments = parser.parse_args()
    distributed = [f"-n{arguments.workers}", "--max-worker-restart=4000"]
    peaks: dict[str, list[int]] = {"controller": [], "sequential": []}
    failed = False
    for tests in (arguments.tests // 10, arguments.tests):
        with tempfile.TemporaryDirectory(prefix="phalanx-soak-") as name:
            directory, count = Path(name), tests // FILES
            for file in range(FILES):
                (directory / f"test_{file}.py").write_text(SUITE.format(count=count))
            for kind, args, dies in (
                ("controller", distributed, True),
                ("sequential", ["-p", "no:xdist"], False),
            ):
                conftest = CONFTEST.replace("DIES", str(dies))
                (directory / "conftest.py").write_text(conftest)
                code, text, peak, seconds = run(directory, args, dies)
                crashes = FILES * len(range(7, count, 100)) if dies else 0
                passed = re.search(r"(\d+) passed", text)
                failures = re.search(r"(\d+) failed", text)
                counted = re.search(r"soak: (\d+) tests, (\d+) wrong.*", text)
                good = (
                    code == (1 if crashes else 0)
                    and passed is not None
                    and int(passed.group(1)) == count * FILES - crashes
                    and int(failures.group(1) if failures else 0) == crashes
                    and counted is not None
                    and counted.groups() == (str(count * FILES), "0")
                )
                failed |= not good
                peaks[kind].append(peak)
                print(
                    f"{kind}: {count * FILES} tests, {crashes} crashes: "
                    f"{'exact' if good else 'WRONG'}, exit {code}, {seconds:.0f} s, "
                    f"peak {peak / 1e6:.1f} MB",
                    flush=True,
                )
                if not good:
                    print(text[-3000:])
    step = arguments.tests - arguments.tests // 10
    cost = {kind: (large - small) / step for kind, (small, large) in peaks.items()}
    print(", ".join(f"{kind}: {value:.0f} bytes a test" for kind, value in cost.items()))
    return 1 if failed or cost["controller"] > cost["sequential"] + ALLOWED_BYTES else 0


if __name__ == "__main__":
    sys.exit(main())
