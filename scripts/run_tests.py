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


def run_c_tests() -> tuple[int, int]:
    """Passed and failed single tests (TAP lines, not programs)."""
    if not (BUILD / "build.ninja").exists():
        options = ["-Dtests=true", "-Dwerror=true", "-Db_sanitize=address,undefined"]
        # A shared object finds the sanitizer in the program that loads it.
        if run("meson", "setup", BUILD, *options, "-Db_lundef=false"):
            return 0, 1
    if run("meson", "compile", "-C", BUILD):
        return 0, 1
    status = run("meson", "test", "-C", BUILD, "--no-rebuild", "--print-errorlogs")
    passed = failed = 0
    for suite in ElementTree.parse(BUILD / "meson-logs" / "testlog.junit.xml").iter("testcase"):
        if suite.find("failure") is not None or suite.find("error") is not None:
            failed += 1
        else:
            passed += 1
    return passed, max(failed, 1 if status else 0)


def run_pytest(*paths: str) -> tuple[int, int]:
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
    for line in process.stdout:
        sys.stdout.write(line)
        sys.stdout.flush()
        last = line
    status = process.wait()
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|error)", last)}
    failed = counts.get("failed", 0) + counts.get("error", 0)
    return counts.get("passed", 0), max(failed, 1 if status else 0)


SUITES: dict[str, Callable[[], tuple[int, int]]] = {
    "c": run_c_tests,
    "plugin": lambda: run_pytest("tests/plugin"),
    # By phalanx itself; a file stays on one worker, as its tests share fixtures that cost seconds.
    "e2e": lambda: run_pytest("tests/e2e", "-n2", "--dist=loadfile"),
}


def main(names: list[str]) -> int:
    # For meson and ninja, which stand beside this Python.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    passed = failed = 0
    for name in names or SUITES:
        result = SUITES[name]()
        passed += result[0]
        failed += result[1]
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
