"""Runs phalanx's tests with every Python found here, and every pytest that goes with it.

    python scripts/matrix.py                          all pairs
    python scripts/matrix.py 3.9 pytest7.2            pairs of these Pythons or pytests: 3.9 × 7.2
    MATRIX_TESTS="tests/plugin" python scripts/matrix.py
    python scripts/matrix.py --docs                   no run: docs/versions.md from what was run

Called by `make matrix`. Pythons come from PATH and from pyenv. phalanx is built from source once for
each of them; each pair has an environment of its own in build-matrix/. A pair exists when pip finds
that pytest for that Python, and that pytest itself passes a test there. Each result is kept in
build-matrix/results.json until the pair runs again. Closes with a table; returns 1 if a pair fails, or
if there is none.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build-matrix"
RESULTS = BUILD / "results.json"
DOCS = ROOT / "docs" / "versions.md"
PYTHONS = ["3.9", "3.10", "3.11", "3.12", "3.13", "3.14"]
PYTESTS = {
    "pytest7.2": "pytest==7.2.*",
    "pytest7.4": "pytest==7.4.*",
    "pytest8": "pytest==8.*",
    "pytest9": "pytest==9.*",
}
TESTS = os.environ.get("MATRIX_TESTS", "tests/plugin tests/e2e")
TIMEOUT_S = 3600


@dataclass
class Result:
    python: str
    pytest: str
    word: str  # "passed", "FAILED" or "-", for a pair that does not exist
    detail: str
    seconds: float = 0.0
    versions: str = ""  # the two exact ones
    commit: str = ""
    date: str = ""
    tests: str = TESTS


def call(*command: str | Path, log: Path, timeout: float = TIMEOUT_S) -> int:
    """Both outputs go to the log; 124 when it took too long."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "PYTHON"))}
    # For meson and ninja, which stand beside the Python.
    environment["PATH"] = f"{Path(command[0]).parent}{os.pathsep}{environment['PATH']}"
    with log.open("a") as out:
        print("+", shlex.join(map(str, command)), file=out, flush=True)
        try:
            return subprocess.run(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=timeout,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            print(f"ended after {timeout:.0f} s", file=out)
            return 124


def find_pythons() -> dict[str, str]:
    """Version to program: the first in PATH that runs, else pyenv's newest."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"

    def patch(path: Path) -> int:
        match = re.fullmatch(r"\d+\.\d+\.(\d+)", path.name)
        return int(match.group(1)) if match else -1

    found = {}
    for version in PYTHONS:
        installed = sorted(pyenv.glob(f"{version}.*"), key=patch, reverse=True)
        candidates = [
            shutil.which(f"python{version}"),
            *(path / "bin/python" for path in installed),
        ]
        # A program of that name may be pyenv's stand-in, or want the headers that it does not have.
        question = (
            "import ensurepip, os, sys, sysconfig; "
            f"ok = sys.version_info[:2] == {tuple(map(int, version.split('.')))} "
            "and os.path.exists(os.path.join(sysconfig.get_path('include'), 'Python.h')); "
            "sys.exit(not ok)"
        )
        for candidate in candidates:
            if (
                candidate
                and not subprocess.run(
                    [str(candidate), "-c", question], capture_output=True, check=False
                ).returncode
            ):
                found[version] = str(candidate)
                break
    return found


def build(version: str, program: str) -> Path | None:
    """The wheel of phalanx for this Python."""
    folder = BUILD / f"py{version}"
    log = folder / "build.log"
    python = folder / "venv/bin/python"
    shutil.rmtree(folder / "wheel", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    tools = ["pip>=23.1", "meson-python", "meson", "ninja"]
    if not python.exists() and (
        call(program, "-m", "venv", folder / "venv", log=log)
        or call(python, "-m", "pip", "install", "-q", *tools, log=log)
    ):
        shutil.rmtree(folder / "venv", ignore_errors=True)
        return None
    options = ["--quiet", "--no-deps", "--no-build-isolation", f"-Cbuild-dir={folder / 'meson'}"]
    if call(python, "-m", "pip", "wheel", *options, "-w", folder / "wheel", ".", log=log):
        return None
    return next((folder / "wheel").glob("phalanx-*.whl"))


def run_pair(version: str, program: str, name: str, wheel: Path) -> Result:
    folder = BUILD / f"py{version}-{name}"
    python = folder / "bin/python"
    log = BUILD / f"py{version}-{name}.log"
    log.unlink(missing_ok=True)
    if not python.exists():
        if call(program, "-m", "venv", folder, log=log):
            return Result(version, name, "FAILED", f"no environment, see {log}")
        if call(python, "-m", "pip", "install", "-q", PYTESTS[name], "hypothesis", log=log):
            shutil.rmtree(folder)
            return Result(version, name, "-", "pip finds none for this Python")
    probe = folder / "test_probe.py"
    probe.write_text("def test_it():\n    assert 1 == 1\n")
    plain = ["-q", "-p", "no:phalanx", "-p", "no:xdist", "-c", os.devnull, f"--rootdir={folder}"]
    if call(python, "-m", "pytest", *plain, probe, log=log, timeout=60):
        return Result(version, name, "-", "this pytest does not run there")
    options = ["-q", "--no-deps", "--force-reinstall"]
    if call(python, "-m", "pip", "install", *options, wheel, log=log):
        return Result(version, name, "FAILED", f"not installed, see {log}")
    begin = time.monotonic()
    status = call(
        python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *shlex.split(TESTS), log=log
    )
    seconds = time.monotonic() - begin
    counts = re.findall(
        r"\d+ (?:passed|failed|error|skipped).*(?= in )", log.read_text(errors="replace")
    )
    detail = counts[-1] if counts else f"exit status {status}"
    return Result(
        version, name, "FAILED" if status else "passed", detail, seconds, versions_of(python)
    )


def output_of(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    return done.stdout.strip()


def versions_of(python: Path) -> str:
    code = "import platform, pytest; print(platform.python_version(), pytest.__version__)"
    return output_of(python, "-c", code)


def kept() -> dict[str, dict[str, str]]:
    """What earlier runs found: "3.9 pytest7.2" to the fields of a Result."""
    return dict(json.loads(RESULTS.read_text())) if RESULTS.exists() else {}


def keep(result: Result) -> None:
    result.commit = output_of("git", "rev-parse", "--short", "HEAD")
    result.date = datetime.date.today().isoformat()
    RESULTS.write_text(
        json.dumps({**kept(), f"{result.python} {result.pytest}": asdict(result)}, indent=1)
    )


def write_docs() -> None:
    """docs/versions.md: a row for each Python, a column for each pytest, and what each pair ran."""
    results = kept()
    lines = [
        "# Versions",
        "",
        "Which CPython and pytest the tests of phalanx were run with. This page is written by",
        "`python scripts/matrix.py --docs` from the results of `make matrix`. `–`: no such pair.",
        "",
        "| CPython | " + " | ".join(name.replace("pytest", "pytest ") for name in PYTESTS) + " |",
        "| --- |" + " ---: |" * len(PYTESTS),
    ]
    for version in PYTHONS:
        found = [results.get(f"{version} {name}") for name in PYTESTS]
        if any(found):
            words = [("–" if r["word"] == "-" else r["detail"]) if r else "not run" for r in found]
            lines.append(f"| {version} | " + " | ".join(words) + " |")
    lines += [
        "",
        "| CPython | pytest | date | commit | minutes | tests |",
        "| --- |" + " --- |" * 5,
    ]
    for result in results.values():
        if result["versions"]:
            python, pytest = result["versions"].split()
            minutes = f"{float(result['seconds']) / 60:.0f}"
            row = [
                python,
                pytest,
                result["date"],
                result["commit"],
                minutes,
                f"`{result['tests']}`",
            ]
            lines.append("| " + " | ".join(row) + " |")
    DOCS.write_text("\n".join(lines) + "\n")
    print(f"{DOCS} is written")


def print_table(pythons: list[str], pytests: list[str], results: list[Result]) -> None:
    print(f"\n{TESTS}\n{'':8}" + "".join(f"{name:>12}" for name in pytests))
    for version in pythons:
        words = [r.word for r in results if r.python == version] or ["no Python"]
        print(f"{version:8}" + "".join(f"{word:>12}" for word in words))


def main(arguments: list[str]) -> int:
    if arguments == ["--docs"]:
        write_docs()
        return 0
    unknown = set(arguments) - {*PYTHONS, *PYTESTS}
    if unknown:
        sys.exit(f"matrix: {', '.join(sorted(unknown))}: not among {PYTHONS} and {[*PYTESTS]}")
    pythons = [version for version in PYTHONS if version in arguments] or PYTHONS
    pytests = [name for name in PYTESTS if name in arguments] or [*PYTESTS]
    found = find_pythons()
    results = []
    for version in pythons:
        if version not in found:
            continue
        print(f"Python {version}: {found[version]}", flush=True)
        wheel = build(version, found[version])
        for name in pytests:
            if wheel is None:
                log = BUILD / f"py{version}" / "build.log"
                result = Result(version, name, "FAILED", f"phalanx was not built, see {log}")
            else:
                result = run_pair(version, found[version], name, wheel)
            print(f"  {name:10} {result.word:7} {result.detail}", flush=True)
            results.append(result)
            keep(result)

    print_table(pythons, pytests, results)
    lacking = [version for version in pythons if version not in found]
    if lacking:
        print(f"not found here: Python {', '.join(lacking)}")
    failed = [result for result in results if result.word == "FAILED"]
    for result in failed:
        name = f"py{result.python}-{result.pytest}.log"
        print(f"FAILED {result.python} {result.pytest}: {BUILD.name}/{name}")
    return 1 if failed or not any(result.word == "passed" for result in results) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
