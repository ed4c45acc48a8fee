#!/usr/bin/env python3
"""Runs the suites of demo/ one test after the other and on four workers, and checks what they show.

    python scripts/demo.py             all of them, about a minute
    python scripts/demo.py sleep crash only these
    python scripts/demo.py browser     needs Chromium and selenium: `make demo-browser` installs them

Needs pytest and phalanx in the Python that runs it. Returns 1 if anything is not as it should be.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TIMELINES = ROOT / "build" / "demo"
WIDTH = 79
WORKERS = 4
TIMEOUT_S = 120  # far above what any suite needs: a hang must not stop the demo


@dataclass
class Test:
    """One test as junit.xml tells."""

    name: str
    outcome: str  # "passed", "failed" or "skipped"
    text: str  # of the failure
    properties: dict[str, str]


@dataclass
class Run:
    """One run of pytest."""

    status: int
    seconds: float
    tests: list[Test]
    summary: str  # pytest's last line

    def outcomes(self) -> Counter[str]:
        return Counter(test.outcome for test in self.tests)

    def by_worker(self, name: str) -> dict[str, list[str]]:
        """The values of a property, worker by worker, in the order of the reports."""
        values: dict[str, list[str]] = {}
        for test in self.tests:
            if name in test.properties and "worker" in test.properties:
                values.setdefault(test.properties["worker"], []).append(test.properties[name])
        return values

    def workers(self) -> set[str]:
        return set(self.by_worker("worker"))


@dataclass
class Check:
    """What is expected of a suite, and whether it is so."""

    text: str
    holds: bool


@dataclass
class Suite:
    name: str
    title: str
    see: str  # one sentence: what to look at
    check: Callable[[Run | None, Run], list[Check]]
    options: list[str] = field(default_factory=list)  # of the parallel run
    sequential: bool = True
    on_request: bool = False  # not among those that run when none is named


@dataclass
class Result:
    suite: Suite
    sequential: Run | None
    parallel: Run
    checks: list[Check]

    def speedup(self) -> str:
        if self.sequential is None:
            return "-"
        return f"{self.sequential.seconds / self.parallel.seconds:.1f}x"


# ---- what each suite has to show ----


def check_counts(runs: list[Run | None], **expected: int) -> list[Check]:
    """Every run has exactly these outcomes, and the exit status that goes with them."""
    status = 1 if expected.get("failed") else 0
    good = all(
        run is not None and run.outcomes() == expected and run.status == status for run in runs
    )
    counts = ", ".join(f"{count} {outcome}" for outcome, count in expected.items())
    both = " in both runs" if len(runs) > 1 else ""
    return [Check(f"{counts}, exit status {status}{both}", good)]


def check_workers(parallel: Run) -> list[Check]:
    expected = {f"gw{number}" for number in range(WORKERS)}
    return [Check(f"{WORKERS} workers took part", parallel.workers() == expected)]


def check_faster(sequential: Run | None, parallel: Run) -> list[Check]:
    # Four times would be ideal, and the table at the end says how much it was; a machine that is busy with
    # other things must not fail the demo.
    faster = sequential is not None and sequential.seconds > parallel.seconds
    return [Check("faster than one test after the other", faster)]


def check_sleep(sequential: Run | None, parallel: Run) -> list[Check]:
    return [
        *check_counts([sequential, parallel], passed=4),
        *check_workers(parallel),
        *check_faster(sequential, parallel),
    ]


def check_per_worker(sequential: Run | None, parallel: Run) -> list[Check]:
    def own(name: str, expected: Callable[[str], str] | None = None) -> bool:
        """Each worker has one value of its own, and it is the expected one."""
        values = {worker: set(seen) for worker, seen in parallel.by_worker(name).items()}
        one_each = all(len(seen) == 1 for seen in values.values())
        distinct = len(set().union(*values.values())) == len(values) == WORKERS
        right = expected is None or all(
            seen == {expected(worker)} for worker, seen in values.items()
        )
        return one_each and distinct and right

    first = int(os.environ["DEMO_PORT"])
    alone = set(sequential.by_worker("port").get("master", [])) if sequential else set()
    counters = parallel.by_worker("counter").values()
    return [
        *check_counts([sequential, parallel], passed=12),
        *check_workers(parallel),
        Check(
            f"ports {first + 1} to {first + WORKERS}, one per worker; {first} without workers",
            own("port", lambda worker: str(first + 1 + int(worker[2:]))) and alone == {str(first)},
        ),
        Check(
            "a database per worker, named after it",
            own("database", lambda worker: f"database_{worker}.json"),
        ),
        Check("a temporary directory per worker", own("directory")),
        Check("each worker counted its own tests: 12 in all", counted_by_all(counters, 12)),
        *check_faster(sequential, parallel),
    ]


def check_browser(sequential: Run | None, parallel: Run) -> list[Check]:
    browsers = {worker: set(seen) for worker, seen in parallel.by_worker("browser").items()}
    ports = {worker: set(seen) for worker, seen in parallel.by_worker("port").items()}
    first = int(os.environ["DEMO_PORT"])
    return [
        *check_counts([sequential, parallel], passed=16),
        *check_workers(parallel),
        Check(
            "one browser for each worker",
            all(len(seen) == 1 for seen in browsers.values())
            and len(set().union(*browsers.values())) == len(browsers),
        ),
        Check(
            f"one port for each worker, {first + 1} to {first + WORKERS}",
            all(seen == {str(first + 1 + int(worker[2:]))} for worker, seen in ports.items()),
        ),
        *check_faster(sequential, parallel),
    ]


def check_isolation(sequential: Run | None, parallel: Run) -> list[Check]:
    alone = list(sequential.by_worker("seen").values()) if sequential else []
    together = parallel.by_worker("seen").values()
    return [
        *check_counts([sequential, parallel], passed=12),
        Check("several workers took part", len(parallel.workers()) > 1),
        Check("one process counted from 1 to 12", len(alone) == 1 and counted_by_all(alone, 12)),
        Check("each worker counted from 1; the sum is 12", counted_by_all(together, 12)),
    ]


def counted_by_all(counts: Iterable[list[str]], total: int) -> bool:
    """Each list holds 1, 2, ... to its length in some order; together they have `total` values."""
    lists = [sorted(map(int, values)) for values in counts]
    gapless = all(values == list(range(1, len(values) + 1)) for values in lists)
    return gapless and sum(map(len, lists)) == total


def check_loadscope(sequential: Run | None, parallel: Run) -> list[Check]:
    def setups(run: Run | None) -> list[str]:
        """The classes in the log of a run's set-ups."""
        named = run.by_worker("setup_log").values() if run else []
        logs = {Path(log) for seen in named for log in seen}
        return [line.split()[0] for log in logs for line in log.read_text().splitlines()]

    once = [Counter(setups(run)) for run in (sequential, parallel)]
    return [
        *check_counts([sequential, parallel], passed=24),
        *check_workers(parallel),
        Check(
            "the fixture of each of the eight classes was set up once in both runs",
            all(len(times) == 8 and set(times.values()) == {1} for times in once),
        ),
        *check_faster(sequential, parallel),
    ]


def check_crash(_: Run | None, parallel: Run) -> list[Check]:
    checks = check_counts([parallel], failed=3, passed=9)
    failures = [test.text for test in parallel.tests if test.outcome == "failed"]
    for name, cause in {
        "test_abort": "SIGABRT",
        "test_segmentation_fault": "SIGSEGV",
        "test_exit": "exited with status 3",
    }.items():
        texts = [text for text in failures if f"test_crash.py::{name}" in text]
        named = len(texts) == 1 and cause in texts[0]
        checks.append(Check(f"one report says that {name} ended its worker: {cause}", named))
    return checks


SUITES = [
    Suite(
        "sleep",
        "four tests that wait two seconds each",
        "All four wait at the same time, so the run takes little more than two seconds.",
        check_sleep,
        ["-rP"],
    ),
    Suite(
        "per_worker",
        "a database, a port, a directory and a counter for each worker",
        "Twelve tests use a database and a port at the same time and never meet, because each "
        "worker has its own, named after its worker_id.",
        check_per_worker,
    ),
    Suite(
        "isolation",
        "tests that increment a module's global",
        "No worker sees what another one counted, although all tests ran the same code; their "
        "sums add up to the number of tests.",
        check_isolation,
    ),
    Suite(
        "loadscope",
        "an expensive fixture per class",
        "With --dist loadscope a class stays on one worker: eight classes cost eight set-ups of "
        "one second, on four workers at a time.",
        check_loadscope,
        ["--dist", "loadscope"],
    ),
    Suite(
        "crash",
        "three tests that end their process",
        "Each crash is the failure of one test, with its cause; a new worker takes over, and all "
        "other tests run.",
        check_crash,
        sequential=False,
    ),
    Suite(
        "browser",
        "a web shop, clicked through in Chromium",
        "Each worker has one headless browser and one shop at a port of its own; sixteen tests "
        "share them one after the other, and no browser ever sees another one's shop.",
        check_browser,
        on_request=True,
    ),
]


# ---- running pytest ----


def run_pytest(arguments: list[str], live: bool) -> Run:
    """Runs pytest from the root; `live` lets it write to the terminal itself."""
    with tempfile.TemporaryDirectory(prefix="demo_") as directory:
        junit = Path(directory, "junit.xml")
        command = [sys.executable, "-m", "pytest", *arguments, f"--junitxml={junit}"]
        print(f"$ pytest {' '.join(arguments)}", flush=True)
        begin = time.monotonic()
        process = subprocess.Popen(
            command, cwd=ROOT, text=True, stdout=None if live else subprocess.PIPE
        )
        try:
            output, _ = process.communicate(timeout=TIMEOUT_S)
        except BaseException as error:
            process.kill()
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                sys.exit(f"demo: no end after {TIMEOUT_S} s")
            raise
        seconds = time.monotonic() - begin
        tests = read_junit(junit) if junit.exists() else []
    lines = (output or "").strip().splitlines()
    if not live and process.returncode != 0:
        print(output)
    return Run(process.returncode, seconds, tests, lines[-1].strip("= ") if lines else "")


def read_junit(path: Path) -> list[Test]:
    tests = []
    for case in ElementTree.parse(path).iter("testcase"):
        failure = next((child for child in case if child.tag in ("failure", "error")), None)
        skipped = case.find("skipped") is not None
        text = f"{failure.get('message', '')}\n{failure.text or ''}" if failure is not None else ""
        outcome = "failed" if failure is not None else "skipped" if skipped else "passed"
        properties = {item.get("name", ""): item.get("value", "") for item in case.iter("property")}
        tests.append(Test(case.get("name", ""), outcome, text, properties))
    return tests


def find_ports(count: int) -> int:
    """The first of `count` free ports in a row, 8000 if possible."""
    for first in range(8000, 9000, 100):
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    stack.enter_context(socket.create_server(("127.0.0.1", port)))
                return first
            except OSError:
                continue
    sys.exit("demo: no free ports between 8000 and 9000")


# ---- telling about it ----


def heading(text: str, rule: str) -> None:
    line = f"{rule * 2} {text} ".ljust(WIDTH, rule)
    bold = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    print(f"\n\033[1m{line}\033[0m" if bold else f"\n{line}", flush=True)


def run_suite(suite: Suite) -> Result:
    heading(f"{suite.name}: {suite.title}", "=")
    sequential = None
    if suite.sequential:
        sequential = run_pytest([f"demo/{suite.name}"], live=False)
        print(f"{sequential.summary}\n")
    timeline = f"--timeline={timeline_of(suite)}"
    parallel = run_pytest(
        [f"demo/{suite.name}", "-n", str(WORKERS), *suite.options, timeline], live=True
    )
    result = Result(suite, sequential, parallel, suite.check(sequential, parallel))
    report(result)
    return result


def timeline_of(suite: Suite) -> Path:
    return (TIMELINES / f"{suite.name}.html").relative_to(ROOT)


def report(result: Result) -> None:
    print()
    if result.sequential is not None:
        print(
            f"sequential {result.sequential.seconds:.1f} s, on {WORKERS} workers "
            f"{result.parallel.seconds:.1f} s: speedup {result.speedup()}"
        )
    else:
        print(f"on {WORKERS} workers {result.parallel.seconds:.1f} s")
    print(textwrap.fill(result.suite.see, WIDTH))
    for check in result.checks:
        print(f"  {'ok    ' if check.holds else 'NOT SO'}  {check.text}", flush=True)


def report_all(results: list[Result]) -> None:
    heading("summary", "=")
    columns = ("sequential", f"{WORKERS} workers", "speedup")
    print(f"{'suite':12} {columns[0]:>12} {columns[1]:>12} {columns[2]:>9}   expectations")
    for result in results:
        alone = f"{result.sequential.seconds:.1f} s" if result.sequential else "-"
        together = f"{result.parallel.seconds:.1f} s"
        held = sum(check.holds for check in result.checks)
        print(
            f"{result.suite.name:12} {alone:>12} {together:>12} {result.speedup():>9}   "
            f"{held} of {len(result.checks)} hold"
        )


def report_next(results: list[Result]) -> None:
    """What to look at now."""
    shown = results[-1].suite
    for result in results:
        if result.suite.name == "loadscope":  # has the most to see
            shown = result.suite
    command = Path(sys.executable).with_name("phalanx")
    if command.is_relative_to(ROOT):
        command = command.relative_to(ROOT)
    print(
        f"\nEach run has left a timeline in {TIMELINES.relative_to(ROOT)}/, a page for any browser: "
        f"a lane for each\nworker, a block for each test. Open {timeline_of(shown)}\n"
        f"\nNext, ask whether workers give the same answer, and are as fast as they should be:\n"
        f"\n    {command} verify -n {WORKERS} demo/"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs the demo suites and checks what they show.")
    names = [suite.name for suite in SUITES]
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"some of: {', '.join(names)}")
    always = [suite.name for suite in SUITES if not suite.on_request]
    chosen = parser.parse_args().suites or always
    unknown = set(chosen) - set(names)
    if unknown:
        parser.error(f"no such suite: {', '.join(sorted(unknown))}")
    os.environ.pop("PYTEST_ADDOPTS", None)  # the figures are those of the commands shown
    os.environ["DEMO_PORT"] = str(find_ports(WORKERS + 1))
    results = [run_suite(suite) for suite in SUITES if suite.name in chosen]
    report_all(results)
    good = all(check.holds for result in results for check in result.checks)
    print("\nEverything is as it should be." if good else "\nNot everything is as it should be.")
    report_next(results)
    return 0 if good else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
