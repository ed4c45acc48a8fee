"""The plugin matrix: suites that use popular plugins, without workers, with pytest-xdist and with phalanx.

    python scripts/compat.py                  all cases, five minutes or more
    python scripts/compat.py cov django       only these: folders below tests/compat
    python scripts/compat.py --docs           and write docs/compatibility.md
    python scripts/compat.py --docs cov       of this one, and of what was run before
    python scripts/compat.py --keep cov       leaves the runs in build-compat/runs

Called by `make compat`. Two virtual environments below build-compat/ have the same plugins in the same
versions; one has phalanx, the other pytest-xdist. Of each run these are compared: node ids with their
outcomes, the counts of pytest's last line, the cases of --junitxml, the exit code, and what the plugin
wrote. Returns 1 if phalanx differs from the reference and the case does not say why.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SUITES = ROOT / "tests" / "compat"
BUILD = ROOT / "build-compat"
REQUIREMENTS = SUITES / "requirements.txt"
sys.path[:0] = [str(ROOT / "tests" / "e2e"), str(SUITES)]

import compat_page  # noqa: E402
from runner import Project, Run  # noqa: E402

WORKERS = "3"
TIMEOUT_S = 180.0
SEQUENTIAL, XDIST = "sequential", "pytest-xdist"


@dataclass
class Mode:
    """One way to run a suite."""

    name: str
    environment: str  # the virtual environment below build-compat/
    plugins: list[str]  # those that distribute
    arguments: list[str] = field(default_factory=list)
    reference: str = ""  # the run of pytest-xdist with the same --dist


def phalanx(name: str, *arguments: str) -> Mode:
    reference = f"{XDIST} {name}" if name in ("loadscope", "loadfile") else XDIST
    return Mode(name, "phalanx", ["xdist", "phalanx"], ["-n", WORKERS, *arguments], reference)


def xdist(name: str, *arguments: str) -> Mode:
    return Mode(name, "xdist", ["xdist"], ["-n", WORKERS, *arguments], name)


MODES = [
    Mode(SEQUENTIAL, "phalanx", []),
    xdist(XDIST),
    xdist(f"{XDIST} loadscope", "--dist=loadscope"),
    xdist(f"{XDIST} loadfile", "--dist=loadfile"),
    phalanx("load"),
    phalanx("loadscope", "--dist=loadscope"),
    phalanx("loadfile", "--dist=loadfile"),
    phalanx("spawn", "--start-method=spawn"),
]


KEPT = BUILD / "results"
KEPT_FIELDS = ("differences", "parted", "skipped", "tests", "commit")


def is_ours(mode: str) -> bool:
    return mode != SEQUENTIAL and not mode.startswith(XDIST)


SHOWN = [XDIST, *(mode.name for mode in MODES if is_ours(mode.name))]


@dataclass
class Result:
    """What a case's runs had to say, by mode."""

    name: str
    case: Any
    seen: dict[str, dict[str, Any]] = field(default_factory=dict)
    differences: dict[str, dict[str, str]] = field(default_factory=dict)  # mode: what: text
    parted: dict[str, list[str]] = field(default_factory=dict)  # mode: lines on the fork point
    skipped: str = ""
    tests: int = 0
    commit: str = ""  # of phalanx

    def count(self) -> None:
        found = self.seen.get(self.case.reference, {})
        self.tests = len(found.get("outcomes") or found.get("run 1: outcomes") or {})

    # What the page tells is kept, as all cases together take long: they may be run in pieces.

    def save(self) -> None:
        KEPT.mkdir(exist_ok=True)
        kept = {name: getattr(self, name) for name in KEPT_FIELDS}
        (KEPT / f"{self.name}.json").write_text(json.dumps(kept, indent=1))

    @classmethod
    def load(cls, name: str) -> Result | None:
        path = KEPT / f"{name}.json"
        return cls(name, load_case(name), **json.loads(path.read_text())) if path.exists() else None

    def unexplained(self) -> list[str]:
        found = self.seen.get(self.case.reference, {})
        broken = [
            f"{self.case.reference}: {what}: {text}: a suite that does not run shows nothing"
            for what, text in found.items()
            if isinstance(text, str) and (what.endswith("exit code") or "ImportError" in text)
        ]
        return (
            broken
            + [
                f"{mode}: {what}: {text}"
                for mode, found in self.differences.items()
                for what, text in found.items()
                if is_ours(mode) and not is_known(self.case, what)
            ]
            + [
                f"{mode}: fork point: {line}, expected: {self.case.parts}"
                for mode, lines in self.parted.items()
                for line in lines
                if mode != "spawn" and not re.match(self.case.parts, line)
            ]
        )


# ---- environments ----


def call(*command: str | Path) -> None:
    subprocess.run([str(part) for part in command], cwd=ROOT, check=True, stdin=subprocess.DEVNULL)


def python_of(environment: str) -> Path:
    return BUILD / environment / "bin" / "python"


def make_environment(name: str, *requirements: str | Path) -> None:
    """Anew only when what is asked for has changed."""
    stamp = BUILD / name / "requirements"
    wanted = REQUIREMENTS.read_text() + "\n".join(map(str, requirements))
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"installing the plugins into {BUILD.name}/{name}", flush=True)
    shutil.rmtree(BUILD / name, ignore_errors=True)
    call(sys.executable, "-m", "venv", BUILD / name)
    call(python_of(name), "-m", "pip", "install", "-q", "-r", REQUIREMENTS, *requirements)
    stamp.write_text(wanted)


def versions(environment: str) -> dict[str, str]:
    done = subprocess.run(
        [python_of(environment), "-m", "pip", "list", "--format=json"],
        check=True,
        capture_output=True,
        text=True,
    )
    return {entry["name"].lower(): entry["version"] for entry in json.loads(done.stdout)}


def make_environments() -> dict[str, str]:
    """Returns the versions of everything in them; what both have, both have in the same version."""
    BUILD.mkdir(exist_ok=True)
    make_environment("phalanx")
    constraints = BUILD / "constraints.txt"
    constraints.write_text(
        "".join(
            f"{name}=={version}\n"
            for name, version in versions("phalanx").items()
            if name not in ("phalanx", "pip", "pytest-xdist")
        )
    )
    make_environment("xdist", "-c", constraints, "pytest-xdist")
    wheels = BUILD / "wheel"
    shutil.rmtree(wheels, ignore_errors=True)
    options = ["-q", "--no-deps", "--no-build-isolation", "-Cbuild-dir=build"]
    call(sys.executable, "-m", "pip", "wheel", *options, "-w", wheels, ".")
    wheel = next(wheels.glob("*.whl"))
    call(
        python_of("phalanx"), "-m", "pip", "install", "-q", "--no-deps", "--force-reinstall", wheel
    )
    return {**versions("xdist"), **versions("phalanx")}


# ---- runs ----


class Suite(Project):
    """A copy of a suite, for one mode."""

    options = ()

    def __init__(self, home: Path, name: str, case: Any) -> None:
        shutil.rmtree(home, ignore_errors=True)
        super().__init__(home)
        ignored = shutil.ignore_patterns("__pycache__", "case.py")
        for source in filter(None, (case.files_of, name)):
            shutil.copytree(SUITES / source, self.path, dirs_exist_ok=True, ignore=ignored)
        if not (self.path / "pytest.ini").exists():
            (self.path / "pytest.ini").write_text("[pytest]\n")  # that of phalanx itself is above


def look(run: Run, folder: Path, case: Any) -> dict[str, Any]:
    """All that is compared of a run, by name. An exit code that is text tells of no run at all."""
    seen = {
        "exit code": run.code,
        "outcomes": run.outcomes,
        "counts": run.counts,
        "JUnit": run.junit() if run.xml.exists() else "no file",
    }
    if run.code > 1:
        errors = [line for line in run.err.splitlines() if line.strip()]
        seen["exit code"] = f"{run.code} ({errors[0] if errors else 'nothing on standard error'})"
    if re.search(r"\b(ModuleNotFound|Import)Error\b", run.out):
        seen["imports"] = "ImportError in the output"
    try:
        seen.update(case.output(run, folder))
    except Exception as error:  # a file that the plugin did not write, or not as expected
        seen["output"] = repr(error).replace(str(folder), "")
    return {what: normalize(value) for what, value in seen.items()}


def normalize(value: Any) -> Any:
    """Without what no two runs have in common."""
    if isinstance(value, str):
        return re.sub(r"\b0x[0-9a-f]{6,}\b", "0x...", value)
    if isinstance(value, dict):
        return {normalize(key): normalize(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return (
            [normalize(entry) for entry in value]
            if isinstance(value, list)
            else (tuple(normalize(entry) for entry in value))
        )
    return value


def run_mode(name: str, case: Any, mode: Mode) -> tuple[dict[str, Any], list[str]]:
    """What is compared of the runs in this mode, and their lines on where workers part."""
    suite = Suite(BUILD / "runs" / name / mode.name, name, case)
    environment = dict(case.environment)
    arguments: list[str] = []
    if case.autoload:
        arguments += [] if mode.plugins else ["-p", "no:phalanx", "-p", "no:xdist"]
    else:
        environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        for plugin in [*mode.plugins, *case.load]:
            arguments += ["-p", plugin]
    seen, parted = {}, []
    for number, step in enumerate(case.steps, 1):
        try:
            run = suite.run(
                *arguments,
                *mode.arguments,
                *step,
                env=environment,
                python=str(python_of(mode.environment)),
                timeout=TIMEOUT_S,
            )
            found = look(run, suite.path, case)
            parted += [line for line in run.lines if re.match("forked |spawned: ", line)]
        except AssertionError as error:  # too late, or something was left behind
            found = {"run": str(error)}
        prefix = f"run {number}: " if len(case.steps) > 1 else ""
        seen.update({prefix + what: value for what, value in found.items()})
    return seen, sorted(set(parted))


def load_case(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"case_{name}", SUITES / name / "case.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CASE


def commit() -> str:
    """Which code this is; a plus when the tree has more than that."""
    git = ["git", "-C", str(ROOT)]
    done = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    code = ["status", "--porcelain", "--", "src", "python", "tests/compat"]
    changed = subprocess.run([*git, *code], capture_output=True, text=True).stdout
    return done.stdout.strip() + ("+" if changed else "")


def run_case(name: str, modes: list[Mode], of: str) -> Result:
    result = Result(name, load_case(name), commit=of)
    lacking = [program for program in result.case.programs if not shutil.which(program)]
    if lacking:
        result.skipped = f"needs {', '.join(lacking)}"
        return result
    by_xdist = result.case.reference == XDIST
    for mode in modes:
        if by_xdist or mode.environment == "phalanx" or mode.name == XDIST:
            result.seen[mode.name], parted = run_mode(name, result.case, mode)
            if is_ours(mode.name):
                result.parted[mode.name] = parted
    for mode in modes:
        same_dist = by_xdist and result.case.same_dist
        reference = (same_dist and mode.reference) or result.case.reference
        if mode.name in result.seen:
            result.differences[mode.name] = compare(result.seen[reference], result.seen[mode.name])
    result.count()
    return result


# ---- comparing ----


def compare(expected: dict[str, Any], seen: dict[str, Any]) -> dict[str, str]:
    return {
        what: describe(expected.get(what), seen.get(what))
        for what in {**expected, **seen}
        if expected.get(what) != seen.get(what)
    }


def describe(expected: Any, seen: Any) -> str:
    """The first entry that differs, of dicts; else both values."""
    if isinstance(expected, dict) and isinstance(seen, dict):
        for key in [*expected, *seen]:
            if expected.get(key) != seen.get(key):
                return f"{key}: {expected.get(key)!r} became {seen.get(key)!r}"
    if isinstance(expected, list) and isinstance(seen, list) and len(expected) == len(seen) > 1:
        return next(describe(a, b) for a, b in zip(expected, seen) if a != b)
    return f"{expected!r} became {seen!r}"


def is_known(case: Any, what: str) -> bool:
    """A difference of any run may be named by itself, without the number of the run."""
    return what in case.known or re.sub(r"^run \d+: ", "", what) in case.known


def word(result: Result, mode: str) -> str:
    """What stands in the table."""
    if result.skipped:
        return "-"
    found = result.differences.get(mode)
    if found is None:
        return "-"
    if not found:
        return "same"
    if is_ours(mode) and not all(is_known(result.case, what) for what in found):
        return "DIFFERS"
    return "differs"


def show(result: Result, modes: list[Mode]) -> None:
    words = [f"{mode.name} {word(result, mode.name)}" for mode in modes if mode.name in SHOWN]
    print(f"{result.name:16} {result.skipped or ', '.join(words)}")
    for line in result.unexplained():
        print(f"    {line[:600]}")
    sys.stdout.flush()


def has_start_method() -> bool:
    done = subprocess.run(
        [python_of("phalanx"), "-m", "pytest", "--help", "-p", "no:cacheprovider"],
        cwd=BUILD,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "xdist.plugin"},
        capture_output=True,
        text=True,
    )
    return "--start-method" in done.stdout


def main() -> int:
    names = sorted(path.parent.name for path in SUITES.glob("*/case.py"))
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("cases", nargs="*", help="folders below tests/compat; all of them if none")
    parser.add_argument("--docs", action="store_true", help="write docs/compatibility.md")
    parser.add_argument("--keep", action="store_true", help="leave the runs in build-compat/runs")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="cases at a time")
    options = parser.parse_args()
    unknown = set(options.cases) - set(names)
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))}: not among {', '.join(names)}")
    of = commit()
    found = make_environments()
    modes = [mode for mode in MODES if mode.name != "spawn" or has_start_method()]
    with ThreadPoolExecutor(options.jobs) as pool:
        results = []
        for result in pool.map(lambda name: run_case(name, modes, of), options.cases or names):
            show(result, modes)
            result.save()
            results.append(result)
    if not options.keep:
        shutil.rmtree(BUILD / "runs", ignore_errors=True)
    if options.docs:
        shown = [mode.name for mode in modes if mode.name in SHOWN]
        loaded = {name: Result.load(name) for name in names}
        lacking = [name for name, result in loaded.items() if result is None]
        if lacking:
            print(f"--docs: never run here: {', '.join(lacking)}")
            return 1
        compat_page.write(list(loaded.values()), shown, found, word)
    failed = [result.name for result in results if result.unexplained()]
    ran = [result for result in results if not result.skipped]
    print(f"{len(ran) - len(failed)} passed, {len(failed)} failed", flush=True)
    return 1 if failed or not ran else 0


if __name__ == "__main__":
    sys.exit(main())
