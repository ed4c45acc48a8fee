"""Runs every test of the project and closes with one line: `N passed, N failed`.

The C tests run under AddressSanitizer and UndefinedBehaviorSanitizer, built with -Werror; then the
plugin and end-to-end tests run against the installed package. Called by `make test`.

    python scripts/run_tests.py            all of them
    python scripts/run_tests.py c plugin   only these
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build-asan"


def run(*command: str | Path) -> int:
    print("+", *command, flush=True)
    return subprocess.call([str(part) for part in command], cwd=ROOT)


def run_c_tests() -> tuple[int, list[str]]:
    """How many single tests passed (TAP lines, not programs), and the names of those that did not."""
    if not (BUILD / "build.ninja").exists():
        options = ["-Dtests=true", "-Dwerror=true", "-Db_sanitize=address,undefined"]
        # A shared object finds the sanitizer in the program that loads it.
        if run("meson", "setup", BUILD, *options, "-Db_lundef=false"):
            return 0, ["C tests: meson setup"]
    if run("meson", "compile", "-C", BUILD):
        return 0, ["C tests: meson compile"]
    status = run("meson", "test", "-C", BUILD, "--no-rebuild", "--print-errorlogs")
    passed = 0
    failed = []
    for suite in ElementTree.parse(BUILD / "meson-logs" / "testlog.junit.xml").iter("testsuite"):
        for case in suite.iter("testcase"):
            if case.find("failure") is not None or case.find("error") is not None:
                failed.append(f"{suite.get('name')}: {case.get('name')}")
            else:
                passed += 1
    if status and not failed:
        failed = [f"C tests: exit status {status}"]
    return passed, failed


def run_pytest(*paths: str) -> tuple[int, list[str]]:
    print("+ pytest", *paths, flush=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *paths],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    last = ""
    failed = []
    for line in process.stdout:
        sys.stdout.write(line)
        sys.stdout.flush()
        if line.startswith(("FAILED ", "ERROR ")):
            failed.append(line.split(" ", 1)[1].rstrip())
        last = line
    status = process.wait()
    if status and not failed:
        failed = [f"pytest {' '.join(paths)}: exit status {status}"]
    found = re.search(r"(\d+) passed", last)
    return int(found[1]) if found else 0, failed


SUITES: dict[str, Callable[[], tuple[int, list[str]]]] = {
    "c": run_c_tests,
    "plugin": lambda: run_pytest("tests/plugin"),
    # By phalanx itself; a file stays on one worker, as its tests share fixtures that cost seconds.
    "e2e": lambda: run_pytest("tests/e2e", "-n2", "--dist=loadfile"),
}


def main(names: list[str]) -> int:
    # For meson and ninja, which stand beside this Python.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    passed = 0
    failed: list[str] = []
    for name in names or SUITES:
        passed_here, failed_here = SUITES[name]()
        passed += passed_here
        failed += failed_here
    for name in failed:
        print("failed:", name)
    print(f"{passed} passed, {len(failed)} failed", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
