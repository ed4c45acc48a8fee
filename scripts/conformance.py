"""Runs pytest-xdist's own tests, unchanged, against phalanx.

    python scripts/conformance.py                               all files
    python scripts/conformance.py acceptance_test.py            these files, or node ids
    python scripts/conformance.py -k crash acceptance_test.py   of them those that pytest's -k takes
    python scripts/conformance.py --runs 20 acceptance_test.py  twenty times in a row
    python scripts/conformance.py --docs                        and write docs/conformance.md
    python scripts/conformance.py --reference                   against pytest-xdist itself: what fails there?

Called by `make conformance`. The tests come from the source archive of pytest-xdist's newest release,
downloaded by pip and never committed; environment and archive live in build-conformance/. A test that
asserts what phalanx does otherwise on purpose is in tests/conformance/differences.txt with the reason:
it must be there and fail (with a question mark before it: it may). test_workermanage.py and
test_looponfail.py are left out: they drive execnet's gateways, rsync and a watcher of files from within.
Closes with `N passed, N failed`; returns 1 if a test fails that is not in the list, or if one that is
listed passes or is gone.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import conformance_page

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build-conformance"
DIFFERENCES = ROOT / "tests" / "conformance" / "differences.txt"
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")
FILES = (
    "acceptance_test.py",
    "test_dsession.py",
    "test_newhooks.py",
    "test_plugin.py",
    "test_remote.py",
)
TIMEOUT_S = 1800


def call(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], cwd=ROOT, check=True)


def fetch_tests() -> Path:
    """The folder with the tests of the newest release, and what configures them."""
    tests = BUILD / "pytest-xdist"
    if tests.exists():
        return tests
    archives = BUILD / "archive"
    shutil.rmtree(archives, ignore_errors=True)
    source: list[str | Path] = [
        "--no-deps",
        "--no-binary",
        "pytest-xdist",
        "--dest",
        archives,
        "pytest-xdist",
    ]
    call(sys.executable, *PIP, "download", *source)
    archive = next(archives.glob("pytest_xdist-*.tar.gz"))
    with tarfile.open(archive) as tar:
        tar.extractall(archives)
    unpacked = archives / archive.name.removesuffix(".tar.gz")
    partial = BUILD / "pytest-xdist.partial"
    shutil.rmtree(partial, ignore_errors=True)
    # Without its sources: the tests must not find the package that they were written for.
    shutil.copytree(unpacked / "testing", partial / "testing")
    shutil.copy(unpacked / "pyproject.toml", partial)
    (partial / "version").write_text(unpacked.name + "\n")
    partial.rename(tests)
    return tests


def make_environment(name: str, requirements: list[str]) -> Path:
    """Its Python. execnet and filelock are what the tests themselves import."""
    folder = BUILD / name
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        call(sys.executable, "-m", "venv", folder)
        call(python, *PIP, "install", "pytest", "execnet", "filelock", "pexpect", *requirements)
        (folder / "ready").touch()
    return python


def install_phalanx(python: Path) -> None:
    """The package as it is in this tree now."""
    wheels = BUILD / "wheel"
    shutil.rmtree(wheels, ignore_errors=True)
    options: list[str | Path] = ["--no-deps", "--no-build-isolation", "-Cbuild-dir=build"]
    options += ["--wheel-dir", wheels]
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    call(sys.executable, *PIP, "wheel", *options, ".")
    wheel = next(wheels.glob("phalanx-*.whl"))
    call(python, *PIP, "install", "--no-deps", "--force-reinstall", wheel)


def read_differences() -> dict[str, str]:
    """Test to reason. A reason is the comment above its tests."""
    found: dict[str, str] = {}
    reason: list[str] = []
    is_reason = False
    for line in DIFFERENCES.read_text().splitlines():
        text = line.strip()
        if not text:
            is_reason = False  # what comes next is another comment
        elif text.startswith("#"):
            if not is_reason:
                reason = []
            reason.append(text.lstrip("# "))
            is_reason = True
        else:
            is_reason = False
            racy = text.startswith("? ")
            text = text.removeprefix("? ")
            if text in found or not reason:
                sys.exit(f"{DIFFERENCES}: {text}: listed twice, or without a reason")
            found[text] = ("?" if racy else "") + " ".join(reason)
    return found


def run(python: Path, tests: Path, arguments: list[str]) -> dict[str, str]:
    """Test to outcome: passed, failed, skipped."""
    results = BUILD / "results.xml"
    results.unlink(missing_ok=True)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    options = ["-p", "no:cacheprovider", "-q", f"--junitxml={results}", "-o", "junit_family=xunit1"]
    # Not among the numbered directories of all other runs on this machine, which remove each other's; and
    # not in this tree, whose pytest.ini would be theirs.
    home = tempfile.TemporaryDirectory(prefix="phalanx-conformance-")
    options.append(f"--basetemp={Path(home.name) / 'base'}")
    try:
        subprocess.run(
            [str(python), "-m", "pytest", *options, *arguments],
            cwd=tests / "testing",
            env=environment,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            check=False,
            # Some tests send Ctrl-C: a shell that runs this in the background has it ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    except subprocess.TimeoutExpired:
        sys.exit(f"conformance: no end after {TIMEOUT_S} s")
    finally:
        home.cleanup()
    if not results.exists():
        sys.exit("conformance: pytest did not come to its end")
    outcomes: dict[str, str] = {}
    for case in ElementTree.parse(results).iter("testcase"):
        test = _node_id(case.get("file", ""), case.get("classname", ""), case.get("name", ""))
        words = {child.tag for child in case}
        word = "failed" if words & {"failure", "error"} else "skipped" if words else "passed"
        if outcomes.get(test) != "failed":  # a test can fail, and its teardown not
            outcomes[test] = word
    return outcomes


def _node_id(file: str, classname: str, name: str) -> str:
    module = re.sub(r"\.py$", "", file).replace("/", ".")
    within = classname.removeprefix(module).strip(".")
    file = file.removeprefix("testing/")
    if not within:
        return f"{file}::{name}" if name else file
    return f"{file}::{within.replace('.', '::')}::{name}"


def judge(outcomes: dict[str, str], differences: dict[str, str], is_whole: bool) -> tuple[int, int]:
    """Prints what is not as it should be; passed and failed, a listed difference being neither."""
    failed = 0
    passed = sum(1 for word in outcomes.values() if word == "passed")
    listed = 0
    for test, word in outcomes.items():
        if test in differences:
            listed += 1
            if word == "passed" and not differences[test].startswith("?"):
                print(f"listed as a difference, but passes: {test}")
                failed += 1
                passed -= 1
        elif word == "failed":
            print(f"FAILED {test}")
            failed += 1
    if is_whole:
        for test in differences.keys() - outcomes.keys():
            print(f"listed as a difference, but there is no such test: {test}")
            failed += 1
    skipped = sum(1 for word in outcomes.values() if word == "skipped")
    print(
        f"{listed} differ on purpose ({DIFFERENCES.relative_to(ROOT)}), {skipped} skipped or xfailed"
    )
    return passed, failed


def versions(python: Path, tests: Path) -> str:
    """Of all that decides how it goes, for a person."""
    told = subprocess.run(
        [
            str(python),
            "-c",
            "import platform, pytest; print(platform.python_version(), pytest.__version__)",
        ],
        stdout=subprocess.PIPE,
        check=True,
    )
    cpython, pytest = told.stdout.decode().split()
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    release = (tests / "version").read_text().strip().replace("_", "-").replace("xdist-", "xdist ")
    return (
        f"{release}, CPython {cpython}, pytest {pytest}, phalanx {commit.stdout.decode().strip()}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="pytest-xdist's own tests against phalanx")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--reference", action="store_true", help="against pytest-xdist itself")
    parser.add_argument("--no-install", action="store_true", help="as installed last time")
    parser.add_argument("-k", dest="keyword")
    parser.add_argument("--docs", action="store_true", help="write docs/conformance.md")
    parser.add_argument("tests", nargs="*")
    options = parser.parse_args()
    if options.docs and (options.keyword or options.reference or options.no_install):
        parser.error("--docs tells of whole files, run against phalanx as it is in this tree")
    if options.docs and any("::" in test for test in options.tests):
        parser.error("--docs tells of whole files")
    BUILD.mkdir(exist_ok=True)
    tests = fetch_tests()
    if options.reference:
        python = make_environment("reference", ["pytest-xdist"])
    else:
        python = make_environment("phalanx", [])
        if not options.no_install:
            install_phalanx(python)
    differences = {} if options.reference else read_differences()
    arguments = [*(options.tests or FILES), *(["-k", options.keyword] if options.keyword else [])]
    print((tests / "version").read_text().strip(), flush=True)
    passed = failed = 0
    seen: list[dict[str, str]] = []
    what = versions(python, tests)
    for _ in range(options.runs):
        outcomes = run(python, tests, arguments)
        seen.append(outcomes)
        result = judge(outcomes, differences, is_whole=not options.tests and not options.keyword)
        passed += result[0]
        failed += result[1]
        if options.docs:
            conformance_page.write(seen, differences, what)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
