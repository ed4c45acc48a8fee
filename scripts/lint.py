"""Runs every linter over the project, all of them to the end, and closes with a table.

Called by `make lint`, which installs them. Names as arguments: only these, `python scripts/lint.py
ruff mypy`. Which rules hold is in .clang-format, .clang-tidy, tests/.clang-tidy and pyproject.toml.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build-lint"
TOOLS = Path(sys.executable).parent
JOBS = len(os.sched_getaffinity(0))


def sources(*folders: str, suffix: str = ".[ch]") -> list[str]:
    return sorted(
        str(path.relative_to(ROOT))
        for folder in folders
        for path in (ROOT / folder).glob(f"**/*{suffix}")
    )


def run(*command: str, quiet: bool = False) -> bool:
    """quiet: nothing is shown unless it fails."""
    done = subprocess.run(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode != 0 or not quiet:
        sys.stdout.write(done.stdout)
    return done.returncode == 0


def tool(name: str) -> str:
    """From the virtual environment where it is there, so that its version is the one asked for."""
    own = TOOLS / name
    return str(own) if own.exists() else shutil.which(name) or name


def clang_format() -> bool:
    return run(tool("clang-format"), "--dry-run", "-Werror", *sources("src", "cli", "tests"))


def clang_tidy() -> bool:
    """One file at a time: what it says of a header would otherwise depend on the company."""
    environment = {**os.environ, "CC": "clang"}
    setup = [tool("meson"), "setup", "--reconfigure", str(BUILD), "-Dtests=true"]
    generated = [tool("meson"), "compile", "-C", str(BUILD), "timeline_page"]
    for command in (setup, generated):
        if subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL).returncode:
            return False

    def check(path: str) -> tuple[bool, str]:
        done = subprocess.run(
            [tool("clang-tidy"), "--quiet", "-p", str(BUILD), path],
            cwd=ROOT,
            text=True,
            capture_output=True,
            check=False,
        )
        return done.returncode == 0, done.stdout

    with ThreadPoolExecutor(JOBS) as pool:
        results = list(pool.map(check, sources("src", "cli", "tests", suffix=".c")))
    for text in dict.fromkeys(text for good, text in results if not good):
        print(text)
    return all(good for good, _ in results)


def cppcheck() -> bool:
    return run(
        tool("cppcheck"),
        "--std=c11",
        "--enable=warning,performance,portability",
        "--error-exitcode=1",
        "--inline-suppr",
        "--quiet",
        f"-j{JOBS}",
        "-Isrc",
        "-D_GNU_SOURCE",
        # It parses neither the qualifier nor macros that it is not told about.
        "-D_Atomic=",
        "-DPy_BEGIN_ALLOW_THREADS={",
        "-DPy_END_ALLOW_THREADS=}",
        "-DPy_RETURN_NONE=return Py_None",
        # `malloc(n * sizeof(char *))` into a char *, for pointers and their text in one piece.
        "--suppress=pointerSize:src/wire/msg.c",
        "src",
        *(["cli"] if (ROOT / "cli").is_dir() else []),
    )


def layers() -> bool:
    return run(sys.executable, "scripts/check_layers.py")


def ruff() -> bool:
    checked = run(tool("ruff"), "check", ".")
    return run(tool("ruff"), "format", "--check", ".") and checked


def mypy() -> bool:
    return run(tool("mypy"))


CHECKS: dict[str, Callable[[], bool]] = {
    "layers": layers,
    "ruff": ruff,
    "mypy": mypy,
    "clang-format": clang_format,
    "cppcheck": cppcheck,
    "clang-tidy": clang_tidy,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        print(f"no such check: {', '.join(unknown)}; there are {', '.join(CHECKS)}")
        return 2
    os.environ["PATH"] = f"{TOOLS}{os.pathsep}{os.environ['PATH']}"  # for meson's ninja
    rows = []
    for name in names or CHECKS:
        print(f"--- {name}", flush=True)
        begin = time.monotonic()
        good = CHECKS[name]()
        rows.append((name, good, time.monotonic() - begin))
    print("---")
    for name, good, seconds in rows:
        print(f"{name:14} {'passed' if good else 'FAILED'} {seconds:6.1f} s")
    return 0 if all(good for _, good, _ in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
