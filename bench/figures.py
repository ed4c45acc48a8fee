"""What it costs to have everything on: history, timeline, trace, JSON report and live line.

    python bench/figures.py [--pairs 9] [--tests 10000] [-n 2]

Runs of one suite of trivial tests, with all of it and with none, one after the other and each pair in turn
about; compared is the CPU time of all processes of a run, which other programs on the machine hardly change.
Each runs on a terminal of its own, so that the live line is drawn. Wants a Python with phalanx and pytest.
"""

from __future__ import annotations

import argparse
import os
import pty
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import measure
import suites

NONE = ["--no-history", "--progress=never"]
EVERYTHING = ["--timeline=run.html", "--chrome-trace=trace.json", "--report-json=report.json"]
ALONE = {
    "history": ["--progress=never"],
    "timeline": [*NONE, "--timeline=run.html"],
    "chrome trace": [*NONE, "--chrome-trace=trace.json"],
    "report json": [*NONE, "--report-json=report.json"],
    "live line": ["--no-history"],
}
ROWS, COLUMNS = 40, 120


def _swallow(terminal: int) -> None:
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:  # the last process of the run has closed it
        pass


def cpu_seconds(directory: Path, arguments: list[str]) -> float:
    """Of one run with these arguments, all its processes together."""
    ours, theirs = pty.openpty()
    environment = measure.clean_environment(TERM="xterm", LINES=str(ROWS), COLUMNS=str(COLUMNS))
    environment.pop("CI", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=directory,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    reader = threading.Thread(target=_swallow, args=(ours,))
    reader.start()
    status = process.wait()
    reader.join()
    os.close(ours)
    measure.reap_stragglers()
    if status != 0:
        sys.exit(f"pytest {' '.join(arguments)} ended with {status}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(directory: Path, base: list[str], more: list[str], pairs: int) -> tuple[float, float]:
    """The median of the pairs' ratios, and the median time of a run with none of it."""
    ratios, plain = [], []
    for pair in range(pairs):
        order = [base, more] if pair % 2 == 0 else [more, base]
        seconds = {str(arguments): cpu_seconds(directory, arguments) for arguments in order}
        ratios.append(seconds[str(more)] / seconds[str(base)])
        plain.append(seconds[str(base)])
    return statistics.median(ratios), statistics.median(plain)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--tests", type=int, default=10_000)
    parser.add_argument("-n", type=int, default=2)
    parser.add_argument("--each", action="store_true", help="each of them alone, too")
    options = parser.parse_args()
    measure.become_subreaper()
    directory = Path(tempfile.mkdtemp(prefix="bench_figures_"))
    try:
        suites.trivial(directory, max(1, options.tests // 100), min(100, options.tests))
        workers = [f"-n{options.n}"]
        base = [*workers, *NONE]
        cpu_seconds(
            directory, workers
        )  # compiles the test files, and gives the history a first run
        wanted = {"everything": EVERYTHING} | (ALONE if options.each else {})
        for name, more in wanted.items():
            ratio, plain = compare(directory, base, [*workers, *more], options.pairs)
            print(
                f"{name:12}  {100 * (ratio - 1):+5.1f} %  (median of {options.pairs} pairs; "
                f"without: {plain:.2f} s of CPU, {options.tests} tests, -n {options.n})",
                flush=True,
            )
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
