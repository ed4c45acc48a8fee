"""The project's way to a machine: the real rsync, over the machine's own command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from phalanx import node

if TYPE_CHECKING:
    from phalanx.machines import Machine

# What is made anew there, or is nobody's business there.
NEVER = (".git", "__pycache__/", "*.pyc", ".pytest_cache/", ".hypothesis/", ".mypy_cache/", ".tox/")


def to_machines(config: pytest.Config, root: str, machines: list[Machine]) -> None:
    """Brings the project to all of them at once. What cannot be brought is a usage error that says why."""
    if not machines:
        return
    rsync = shutil.which("rsync")
    if rsync is None:
        raise pytest.UsageError(
            "rsync, which brings the project to other machines, is missing here: install it, or give "
            "--no-sync if the project is there already"
        )
    for machine in machines:
        if machine.info is not None and not machine.info["rsync"]:
            raise pytest.UsageError(
                f"{machine.name}: rsync is missing there: install it, or give --no-sync if the project is "
                "there already"
            )
    started: list[tuple[Machine, subprocess.Popen[bytes]]] = []
    with tempfile.TemporaryDirectory(prefix="phalanx-") as scratch:
        try:
            for number, (source, target) in enumerate(_sources(config, root)):
                excludes = os.path.join(scratch, str(number))
                with open(excludes, "wb") as file:
                    file.write(b"\0".join(_excludes(config, source)))
                for machine in machines:
                    started.append((machine, _start(rsync, source, machine, target, excludes)))
            failed = list(_failures(started))
        finally:
            for _, process in started:
                process.kill()
                process.wait()
    if failed:
        raise pytest.UsageError("\n".join(failed))


def refuse_here(config: pytest.Config, specs: Sequence[Any]) -> None:
    """pytest-xdist copies to a worker of this machine that has a directory of its own."""
    if _roots(config) and any(spec.chdir for spec in specs):
        raise pytest.UsageError(
            "--rsyncdir: nothing is copied to workers on this machine, and --tx popen//chdir= names some: "
            "leave it out, or run them as those of another machine: --tx ssh=localhost//chdir=DIRECTORY"
        )


def _roots(config: pytest.Config) -> list[str]:
    return [*config.option.rsyncdir, *map(str, config.getini("rsyncdirs"))]


def _sources(config: pytest.Config, root: str) -> Iterator[tuple[str, str]]:
    """What is brought, and where below the project's directory there."""
    roots = _roots(config)
    if not roots:
        yield root, ""
    for given in roots:
        path = os.path.realpath(os.path.join(config.invocation_params.dir, given))
        if not os.path.isdir(path):
            raise pytest.UsageError(f"--rsyncdir {given}: there is no such directory")
        inside = os.path.relpath(path, os.path.realpath(root))
        yield (
            path,
            os.path.basename(path)
            if inside.startswith(os.pardir)
            else ""
            if inside == os.curdir
            else inside,
        )


def _start(
    rsync: str, source: str, machine: Machine, target: str, excludes: str
) -> subprocess.Popen[bytes]:
    assert machine.info is not None
    there = os.path.join(machine.info["directory"], target, "")
    shell = f'"{sys.executable}" -m phalanx.rsh'
    argv = [rsync, "-a", "--delete", "--protect-args", "--from0", f"--exclude-from={excludes}"]
    if os.sep in target:
        argv.append("--mkpath")
    argv += ["-e", shell, "--", os.path.join(source, ""), f"machine:{there}"]
    return subprocess.Popen(
        argv,
        cwd="/",
        env={**os.environ, "PHALANX_RSH": json.dumps(machine.launcher())},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def _failures(started: list[tuple[Machine, Any]]) -> Iterator[str]:
    for machine, process in started:
        _, said = process.communicate()
        lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
        # 24: files vanished meanwhile, as editors make and remove them.
        if process.returncode not in (0, 24):
            reason = lines[0] if lines else f"rsync ended with status {process.returncode}"
            yield f"{machine.name}: the project could not be brought there: {reason}"


def _excludes(config: pytest.Config, root: str) -> list[bytes]:
    patterns = [os.fsencode(pattern) for pattern in NEVER]
    patterns += [b"/" + node.MARKER.encode()]
    for given in [*config.option.rsyncignore, *config.getini("rsyncignore")]:
        text = str(given)
        patterns.append(os.fsencode(text[len(root) :] if text.startswith(root + os.sep) else text))
    for entry in os.scandir(root):
        if entry.is_dir() and os.path.exists(os.path.join(entry.path, "pyvenv.cfg")):
            patterns.append(b"/" + _literally(os.fsencode(entry.name)) + b"/")
    return patterns + _ignored_by_git(root)


def _ignored_by_git(root: str) -> list[bytes]:
    """What .gitignore says, as git itself reads it."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-o", "-i", "--exclude-standard", "--directory", "-z"],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return [b"/" + _literally(path) for path in listed.split(b"\0") if path]


def _literally(path: bytes) -> bytes:
    """A path as a pattern of rsync's that means exactly this path: a backslash escapes only where there is
    something to escape."""
    if not any(character in path for character in b"*?["):
        return path
    for character in (b"\\", b"*", b"?", b"["):
        path = path.replace(character, b"\\" + character)
    return path
