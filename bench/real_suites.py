#!/usr/bin/env python3
"""Suites of popular projects, unchanged: does phalanx give the same answer as pytest, and what does it cost?

    python bench/real_suites.py                 all of them, one after the other: an hour or more
    python bench/real_suites.py attrs flask     only these
    python bench/real_suites.py --docs          writes docs/real-suites.md of what is known by now
    python bench/real_suites.py --list          their names

Called by `make real-suites`. Each suite runs without workers, with pytest-xdist and with phalanx: -n 2 and
-n 4, --dist load and loadscope. Every node id with what pytest counts for it, and the exit code, are
compared with the run without workers. If any test differs, the suite runs once more without workers: what is
not the same there either is told as unstable, and not held against anybody. Results are kept in
build-bench/real/results, one file for each suite. Returns 1 if phalanx differs.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import environments
import measure
import real
import real_suites_page
from real_suites_list import SUITES, Suite

RESULTS = real.DIRECTORY / "results"
RUNS = real.DIRECTORY / "runs"
RECORDING = environments.ROOT / "tests" / "e2e" / "recording"
TIMEOUT_S = 300

SEQUENTIAL = "sequential"
MODES = {
    f"{tool} -n{number} {dist}": (environment, ["-n", str(number), "--dist", dist])
    for tool, environment in (
        ("pytest-xdist", environments.XDIST),
        ("phalanx", environments.PHALANX),
    )
    for number in (2, 4)
    for dist in ("load", "loadscope")
}

_FORKED = re.compile(r"^(?:forked|spawned)[ :].+$", re.MULTILINE)


def run(suite: Suite, environment: Path, mode: str, arguments: list[str]) -> dict[str, Any]:
    """One run of a suite: what it reported, and what it took."""
    home = RUNS / suite.name
    home.mkdir(parents=True, exist_ok=True)
    record, log = home / "record", home / f"{mode.replace(' ', '')}.log"
    record.unlink(missing_ok=True)
    paths = [*(suite.source / path for path in suite.paths), suite.site, RECORDING]
    variables = measure.clean_environment(
        PHALANX_E2E_RECORD=str(record),
        PYTHONPATH=":".join(map(str, paths)),
        **dict(suite.environment),
    )
    command = [str(environments.python_of(environment)), "-m", "pytest", "-p", "phalanx_recorder"]
    command += [f"--basetemp={home / 'base'}", *suite.arguments, *arguments]
    sample = measure.run(command, suite.source, log, TIMEOUT_S, variables)
    text = log.read_text(errors="replace")
    forked = _FORKED.search(text)
    return {
        "outcomes": outcomes(record, suite.varying),
        "status": sample.status,
        "seconds": sample.seconds,
        "cpu": sample.cpu_seconds,
        "others": sample.others,
        "forked": forked[0] if forked else "",
        "last": text.rstrip().rpartition("\n")[2],
    }


def outcomes(record: Path, varying: str) -> dict[str, list[str]]:
    """Per node id what pytest counts for it, as in tests/e2e/runner.py."""
    found: dict[str, list[str]] = {}
    lines = record.read_text().splitlines() if record.exists() else []
    for line in lines:
        entry = json.loads(line)
        if entry["kind"] == "report" and entry["category"]:
            nodeid = re.sub(varying, "*", entry["nodeid"]) if varying else entry["nodeid"]
            found.setdefault(nodeid, []).append(entry["category"])
    return {nodeid: sorted(categories) for nodeid, categories in found.items()}


def differing(expected: dict[str, Any], seen: dict[str, Any]) -> dict[str, list[str]]:
    """The tests whose outcomes are not the same: what they were, and what they became."""
    before, after = expected["outcomes"], seen["outcomes"]
    return {
        nodeid: [
            ", ".join(before.get(nodeid, [])) or "absent",
            ", ".join(after.get(nodeid, [])) or "absent",
        ]
        for nodeid in {**before, **after}
        if before.get(nodeid) != after.get(nodeid)
    }


def run_suite(suite: Suite) -> dict[str, Any]:
    shutil.rmtree(RUNS / suite.name, ignore_errors=True)
    shutil.rmtree(suite.source / ".pytest_cache", ignore_errors=True)
    plain = ["-n", "0"]
    first = run(suite, environments.XDIST, SEQUENTIAL, plain)
    if not first["outcomes"]:
        sys.exit(f"{suite.name}: no test ran without workers: {first['last']}")
    runs = {SEQUENTIAL: first}
    for mode, (environment, arguments) in MODES.items():
        runs[mode] = run(suite, environment, mode, arguments)
        say(suite, mode, runs[mode])
    suspects = {mode: differing(first, seen) for mode, seen in runs.items()}
    unstable: set[str] = set()
    if any(suspects.values()):
        again = run(suite, environments.XDIST, f"{SEQUENTIAL} again", plain)
        unstable = set(differing(first, again))
    result: dict[str, Any] = {
        "version": suite.version,
        "tests": len(first["outcomes"]),
        "unstable": sorted(unstable),
        "runs": {},
    }
    for mode, seen in runs.items():
        found = {test: what for test, what in suspects[mode].items() if test not in unstable}
        if seen["status"] != first["status"] and not suspects[mode]:  # else it follows from them
            found["exit code"] = [str(first["status"]), f"{seen['status']} ({seen['last']})"]
        kept = {key: seen[key] for key in ("seconds", "cpu", "others", "status", "forked", "last")}
        result["runs"][mode] = {**kept, "differences": found}
    return result


def say(suite: Suite, mode: str, seen: dict[str, Any]) -> None:
    print(
        f"{suite.name:16} {mode:28} exit {seen['status']}, {len(seen['outcomes'])} tests, "
        f"{seen['seconds']:.1f} s, CPU {seen['cpu']:.1f} s  {seen['forked']}",
        flush=True,
    )


def troubles(name: str, result: dict[str, Any], known: dict[str, str]) -> list[str]:
    """What phalanx did otherwise, and no reason is known for."""
    return [
        f"{name}: {mode}: {what}: {before} became {after}"
        for mode, seen in result["runs"].items()
        if mode.startswith("phalanx")
        for what, (before, after) in seen["differences"].items()
        if not any(re.search(pattern, what) for pattern in known)
    ]


def main() -> int:
    by_name = {suite.name: suite for suite in SUITES}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("suites", nargs="*", metavar="SUITE")
    parser.add_argument("--docs", action="store_true", help="write docs/real-suites.md")
    parser.add_argument("--list", action="store_true", help="only print the names")
    options = parser.parse_args()
    unknown = set(options.suites) - set(by_name)
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: not among {', '.join(by_name)}")
    if options.list:
        print(" ".join(by_name))
        return 0
    RESULTS.mkdir(parents=True, exist_ok=True)
    failed = []
    wanted = options.suites or ([] if options.docs else list(by_name))
    if wanted:
        measure.become_subreaper()
        versions = environments.prepare(environments.ROOT)
    for name in wanted:
        by_name[name].prepare()
        result = run_suite(by_name[name])
        result["made"] = {
            "date": time.strftime("%Y-%m-%d"),
            "python": versions.python,
            "pytest": versions.pytest,
            "xdist": versions.xdist,
            "commit": versions.commit,
            "machine": versions.machine,
        }
        (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1))
        found = troubles(name, result, by_name[name].known)
        failed += [name] if found else []
        for line in found[:20]:
            print(f"    {line}")
        print(f"{name}: {'DIFFERS' if found else 'same'}", flush=True)
    if options.docs:
        results = {
            name: json.loads((RESULTS / f"{name}.json").read_text())
            for name in by_name
            if (RESULTS / f"{name}.json").exists()
        }
        real_suites_page.write(SUITES, results)
    if wanted:
        print(f"{len(wanted) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
