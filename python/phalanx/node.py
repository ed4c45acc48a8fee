"""On another machine: what `ssh host python3 -c …` runs. It looks whether everything is there, and becomes
the node (src/role/node.h), a program without Python, which does the rest.

Standard library only, until it is known that pytest is there. What it refuses is one sentence on standard
error, which the controller shows.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from typing import Any, NoReturn

# Given to `python -c`: no quotes, as it goes through whatever shell the other end has. The current directory
# must not be searched: it may be the project, or somebody's home.
BOOTSTRAP = "import sys; sys.path[:1] = []; from phalanx.node import main; main()"

MARKER = ".phalanx-synced"  # in a directory that phalanx made, and may delete in


def _refuse(sentence: str) -> NoReturn:
    print(f"phalanx: {sentence}", file=sys.stderr, flush=True)
    os._exit(4)


def _flags() -> list[str]:
    import subprocess

    return subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined,no-any-return]


def main() -> NoReturn:
    options: dict[str, Any] = json.loads(sys.argv[1])
    import phalanx

    here, wanted = phalanx.__version__, options["version"]
    if here != wanted:
        _refuse(
            f"phalanx {here} is installed there, and {wanted} here: "
            f"run there: {sys.executable} -m pip install phalanx=={wanted}"
        )
    if importlib.util.find_spec("pytest") is None:
        _refuse(f"pytest is missing there: run there: {sys.executable} -m pip install pytest")
    from phalanx import _engine

    directory = _enter(options)
    info = {
        "executable": sys.executable,
        "directory": directory,
        "cpus": _engine.cpu_count(),
        "version": ".".join(map(str, sys.version_info[:3])),
        "rsync": _has("rsync"),
    }
    program = os.path.join(os.path.dirname(_engine.__file__), "phalanx-node")
    code = f"import sys; sys.path[:] = {sys.path!r}; from phalanx.zygote import main; main(3)"
    argv = [program, json.dumps(info), sys.executable, *_flags(), "-c", code]
    try:
        os.execv(program, argv)
    except OSError as error:
        _refuse(f"{program} cannot be started there: {error.strerror}")


def _has(program: str) -> bool:
    import shutil

    return shutil.which(program) is not None


def _enter(options: dict[str, Any]) -> str:
    """The directory of the project, made and marked where the project will be brought."""
    directory: str | None = options["directory"]
    if directory is None:
        cache = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
        directory = os.path.join(cache, "phalanx", "projects", options["project"])
    directory = os.path.abspath(os.path.expanduser(directory))
    try:
        if options["sync"]:
            os.makedirs(
                directory, mode=0o700 if options["directory"] is None else 0o777, exist_ok=True
            )
            marker = os.path.join(directory, MARKER)
            if os.listdir(directory) and not os.path.exists(marker):
                _refuse(
                    f"{directory} there holds something that phalanx did not bring, and would delete: "
                    "give another chdir=, or --no-sync if that is the project"
                )
            open(marker, "a").close()
        os.chdir(directory)
    except OSError as error:
        _refuse(f"the directory {directory} there cannot be used: {error.strerror}")
    return directory
