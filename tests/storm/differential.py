"""Random suites with random options, without workers and with them: both runs must tell the same.

    python tests/storm/differential.py --runs 200      seeds 0 to 199
    python tests/storm/differential.py --seed 4711     that one, with both runs' output; its suite is kept

Compared are the outcome of every test with its sections, properties and traceback, collection reports,
warnings, JUnit cases and totals, the counts of the last line, and the exit code. Where a run is told to stop at
a failure, the one with workers may have run other tests: then the exit code is compared, and that each test it
ran has the outcome of a run that was not stopped. Ends with `N runs, N failed`, and 1 if any did.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))

import pytest
from runner import Project, Run
from suites import Maker

HAS_SUBTESTS = int(pytest.__version__.split(".")[0]) >= 9
STOPPING = ("-x", "--maxfail=2")
OPTIONS = [
    "-v",
    "-q",
    "-ra",
    "--tb=short",
    "--tb=line",
    "--tb=native",
    "--tb=no",
    "--capture=sys",
    "--import-mode=importlib",
    "--strict-markers",
    "-Werror::UserWarning",
    "-ojunit_family=xunit1",
    "-ojunit_logging=all",
    "--junit-prefix=some",
    "--durations=3",
    "--show-capture=no",
    "--continue-on-collection-errors",
    "--doctest-modules",
    "--doctest-glob=*.txt",
    "-k=not test_7",
    "-k=test_1 or test_2",
    "-m=slow",
    "-m=not slow",
    "--deselect=test_m0.py",
    "--ignore=package",
    "--setup-show",
    "-rA",
    "-pno:cacheprovider",
    "-pno:logging",
    "-oxfail_strict=true",
    "-lvv",
    "--count=2",
    *STOPPING,
]
# For a second run, which knows from pytest's cache how the first one ended.
AGAIN = ["--lf", "--ff", "--nf", "--ff --nf", "--lf --lfnf=none", "--sw"]
MODES = ["load", "load", "worksteal", "loadscope", "loadfile", "loadgroup"]


@dataclass
class Case:
    options: list[str]
    parallel: list[str]
    again: list[str]  # the second run's, or none
    files: dict[str, str]


def make_case(seed: int) -> Case:
    rng = random.Random(seed)
    files = Maker(rng, HAS_SUBTESTS).files()
    options = rng.sample(OPTIONS, rng.choice([0, 1, 2, 3]))
    if rng.random() < 0.1:
        options += [name for name in files if name.endswith(".py") and "test_m" in name][:2] * 2
    parallel = [f"-n{rng.choice([1, 2, 3, 5])}", f"--dist={rng.choice(MODES)}"]
    if rng.random() < 0.1:
        parallel.append("--start-method=spawn")
    again = rng.choice(AGAIN).split() if rng.random() < 0.25 else []
    return Case(options, parallel, again, files)


INNER_FRAME = re.compile(
    r' *File "[^"]*/(?:phalanx|_pytest|pluggy)/\w+\.py", line.*\n(?:    +.*\n)*'
)


def neutral(value: Any) -> Any:
    """Without what differs from run to run: addresses, how long something took, and, in the one style of
    traceback that hides nothing, inner frames (a fixture's exception has fewer when it is raised again)."""
    if isinstance(value, str):
        value = INNER_FRAME.sub("", value)
        value = re.sub(r"\bgw\d+/", "", value.replace("popen-", ""))
        return re.sub(r"0x[0-9a-f]{6,}|/run\d+/base|\d+\.\d+s", "…", value)
    if isinstance(value, list):
        return [neutral(part) for part in value]
    return value


FIELDS = ("when", "category", "outcome", "sections", "longrepr", "properties", "location")


def told(run: Run, fields: tuple[str, ...] = FIELDS) -> Counter[str]:
    """All reports of a run, each as one line."""
    return Counter(
        f"{report['nodeid']}: " + ", ".join(f"{name} {neutral(report[name])}" for name in fields)
        for report in run.reports
    )


def junit(run: Run) -> Counter[str]:
    return Counter(
        {str([neutral(part) for part in case]): count for case, count in run.junit().items()}
    )


def difference(what: str, ours: Counter[Any], wanted: Counter[Any]) -> list[str]:
    lines = [f"{what}: missing: {entry}" for entry in (wanted - ours)]
    return lines + [f"{what}: not expected: {entry}" for entry in (ours - wanted)]


def compare(wanted: Run, ours: Run, whole: Run | None) -> list[str]:
    """What is wrong. `whole`: the run without workers and without its option to stop, if it has one."""
    wrong = []
    if ours.code != wanted.code:
        wrong.append(f"exit code {ours.code}, not {wanted.code}")
    if ours.err != wanted.err and "Traceback" in ours.err:
        wrong.append(f"stderr: {ours.err[-300:]}")
    if whole is not None:
        # A subtest's failure is told otherwise when it stops the run.
        extra = told(ours, FIELDS[:3]) - told(whole, FIELDS[:3])
        return wrong + [f"report not expected: {entry}" for entry in extra]
    wrong += difference("report", told(ours), told(wanted))
    wrong += difference(
        "collect report", Counter(ours.collect_reports), Counter(wanted.collect_reports)
    )
    wrong += difference("warning", Counter(ours.warnings), Counter(wanted.warnings))
    wrong += difference("counts", Counter(ours.counts), Counter(wanted.counts))
    if wanted.xml.exists() and ours.xml.exists():
        wrong += difference("JUnit", junit(ours), junit(wanted))
        if ours.junit_totals() != wanted.junit_totals():
            wrong.append(f"JUnit totals {ours.junit_totals()}, not {wanted.junit_totals()}")
    elif wanted.xml.exists() != ours.xml.exists():
        wrong.append("a JUnit file in one run only")
    return wrong


def run_seed(seed: int, home: Path, at_length: bool) -> list[str]:
    case = make_case(seed)
    project = Project(home / f"seed{seed}")
    project.options = ("-p", "no:hypothesispytest", "-p", "no:randomly")
    project.write(case.files)
    full = [option for option in case.options if option not in STOPPING]
    alone, beside = ["-ocache_dir=.alone"], ["-ocache_dir=.beside", *case.parallel]
    wanted = project.run(*case.options, *alone)
    whole = project.run(*full, "-pno:cacheprovider") if full != case.options else None
    try:
        ours = project.run(*case.options, *beside)
        wrong = compare(wanted, ours, whole)
        if case.again and whole is None and "-pno:cacheprovider" not in case.options and not wrong:
            wanted = project.run(*case.options, *case.again, *alone)
            ours = project.run(*case.options, *case.again, *beside)
            if "--sw" in case.again:
                whole = project.run(*case.options, "-pno:cacheprovider")
            wrong = compare(wanted, ours, whole)
    except AssertionError as error:
        return [str(error)[-2000:]]
    if wrong or at_length:
        print(f"seed {seed}: {' '.join(case.options + case.parallel + case.again)}", flush=True)
    if at_length:
        print(wanted, ours, sep="\n\n")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=100, help="default: %(default)s")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="only this one; its suite is kept")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        home = Path(tempfile.mkdtemp(prefix="phalanx-differential-"))
        wrong = run_seed(arguments.seed, home, at_length=True)
        print(*wrong, f"the suite is in {home}", sep="\n")
        return 1 if wrong else 0
    failed = 0
    for seed in range(arguments.first, arguments.first + arguments.runs):
        with tempfile.TemporaryDirectory(prefix="phalanx-differential-") as name:
            wrong = run_seed(seed, Path(name), at_length=False)
        failed += bool(wrong)
        for sentence in wrong[:6]:
            print(f"  {sentence[:600]}", flush=True)
    print(f"{arguments.runs} runs, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
