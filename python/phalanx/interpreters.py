"""Other interpreters: what `--tx popen//python=…` names, asked whether it can run workers of this run.

Such a worker speaks with this process in phalanx's own protocol and sends pytest's reports, so it must have
the same phalanx and the same pytest; its Python may be another one.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import site
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

import phalanx

PATIENCE_S = 60  # for an interpreter that says nothing
NEEDED = {"phalanx": phalanx.__version__, "pytest": pytest.__version__}

# For any Python there is: whoever is asked may be one that phalanx does not run on.
_QUESTION = """
import json, sys
sys.path[:] = [path for path in sys.path if path]
found = {"executable": sys.executable, "version_info": list(sys.version_info), "platform": sys.platform}
for name, module in (("phalanx", "phalanx._engine"), ("pytest", "pytest")):
    try:
        __import__(module)
        found[name] = sys.modules[name].__version__
    except Exception as error:
        found[name] = None
sys.stdout.write("\\n" + json.dumps(found))
"""


@dataclass(frozen=True)
class Interpreter:
    command: tuple[str, ...]
    executable: str
    version_info: tuple[Any, ...]
    platform: str


def find(spec: Any, known: dict[str, Interpreter]) -> Interpreter | None:
    """The interpreter of a worker, None for that of pytest itself; a usage error says what it lacks."""
    if spec.python is None:
        return None
    text = str(spec.python)
    if text not in known:
        known[text] = _ask(f"--tx {spec}", text)
    return known[text]


def _ask(what: str, text: str) -> Interpreter:
    command = shlex.split(os.path.expanduser(text))
    program = shutil.which(command[0]) if command else None
    if program is None:
        raise pytest.UsageError(f"{what}: python={text}: there is no such program")
    command[0] = os.path.abspath(program)
    try:
        done = subprocess.run(
            [*command, "-c", _QUESTION],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        found = json.loads(done.stdout.rpartition("\n")[2])
    except (OSError, ValueError, subprocess.TimeoutExpired):
        raise pytest.UsageError(
            f"{what}: {command[0]} is no Python interpreter that works"
        ) from None
    _refuse_what_lacks(what, found)
    return Interpreter(
        tuple(command), found["executable"], tuple(found["version_info"]), found["platform"]
    )


def _refuse_what_lacks(what: str, found: dict[str, Any]) -> None:
    lacking = {name: found[name] for name, version in NEEDED.items() if found[name] != version}
    if not lacking:
        return
    version = ".".join(map(str, found["version_info"][:3]))
    has = " and ".join(
        f"has {name} {other}" if other else f"lacks {name}" for name, other in lacking.items()
    )
    install = " ".join(f"{name}=={NEEDED[name]}" for name in lacking)
    raise pytest.UsageError(
        f"{what}: {found['executable']} (Python {version}) {has}, and its workers need the same as pytest "
        f"here: {found['executable']} -m pip install {install}"
    )


def code_for(interpreter: Interpreter | None, paths: Sequence[str]) -> str:
    """What it runs first, with -c. Its path is set before anything is imported: -c would put the current
    directory first. Another interpreter keeps its own, after what is ours alone."""
    if interpreter is None:
        set_path = f"sys.path[:] = {list(paths)!r}"
    else:
        ours = _without_installed(paths)
        set_path = (
            f"ours = {ours!r}; sys.path[:] = ours + [p for p in sys.path if p and p not in ours]"
        )
    return f"import sys; {set_path}; "


def _without_installed(paths: Sequence[str]) -> list[str]:
    """sys.path without what belongs to this interpreter: its library, and what is installed for it."""
    own = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    own |= {*site.getsitepackages(), site.getusersitepackages()}
    archive = re.compile(rf"python{sys.version_info[0]}{sys.version_info[1]}\.zip$")
    return [
        path
        for path in paths
        if not any(path == other or path.startswith(other + os.sep) for other in own)
        and not archive.search(path)
    ]
