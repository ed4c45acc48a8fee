"""The virtual environments that are compared: the same interpreter and pytest, phalanx or pytest-xdist."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build-bench"
PHALANX = BUILD / "phalanx"
XDIST = BUILD / "xdist"

BUILD_TOOLS = ["meson", "meson-python", "ninja"]


@dataclass
class Versions:
    python: str
    pytest: str
    xdist: str
    commit: str
    machine: str


def python_of(environment: Path) -> Path:
    return environment / "bin" / "python"


def pip(environment: Path, *args: str) -> None:
    command = [str(python_of(environment)), "-m", "pip", "--disable-pip-version-check"]
    done = subprocess.run([*command, *args], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"pip {' '.join(args)} failed:\n{done.stdout}{done.stderr}")


def version_of(environment: Path, package: str) -> str:
    code = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
    return _output([str(python_of(environment)), "-c", code])


def prepare(source: Path) -> Versions:
    """Makes both environments, or brings them up to date; phalanx is built from `source`, optimised."""
    BUILD.mkdir(exist_ok=True)
    for environment in (XDIST, PHALANX):
        if not python_of(environment).exists():
            subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    pip(XDIST, "install", "--quiet", "--upgrade", "pytest", "pytest-xdist")
    pytest = version_of(XDIST, "pytest")
    pip(PHALANX, "install", "--quiet", f"pytest=={pytest}", *BUILD_TOOLS)
    _install_phalanx(source)
    return Versions(
        python=platform.python_version(),
        pytest=pytest,
        xdist=version_of(XDIST, "pytest-xdist"),
        commit=_commit(source),
        machine=_machine(),
    )


def _install_phalanx(source: Path) -> None:
    stamp = BUILD / "installed"
    is_ours = stamp.exists() and stamp.read_text() == str(source)
    if is_ours and stamp.stat().st_mtime > _newest_file(source):
        return
    started = time.time()
    pip(
        PHALANX,
        "install",
        "--quiet",
        "--no-build-isolation",
        "--no-deps",
        "--force-reinstall",
        f"-Cbuild-dir={BUILD / 'build' / source.name}",
        "-Csetup-args=-Dbuildtype=release",
        str(source),
    )
    stamp.write_text(str(source))
    os.utime(stamp, (started, started))


def _newest_file(source: Path) -> float:
    files = [source / "meson.build", source / "meson.options", source / "pyproject.toml"]
    for directory in ("src", "python"):
        files += [
            path for path in (source / directory).rglob("*") if "__pycache__" not in path.parts
        ]
    return max(path.stat().st_mtime for path in files if path.is_file())


def _commit(source: Path) -> str:
    """The commit, with a + when what the package is made of differs from it."""
    try:
        commit = _output(["git", "-C", str(source), "rev-parse", "--short", "HEAD"])
        changed = _output(
            ["git", "-C", str(source), "status", "--porcelain", "--", "src", "python"]
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+" if changed else "")


def _machine() -> str:
    cpu = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    name = cpu.group(1) if cpu else platform.machine()
    gib = int(memory.group(1)) / 2**20 if memory else 0
    return f"{name}, {os.cpu_count()} CPUs, {gib:.0f} GiB, Linux {platform.release().split('-')[0]}"


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
