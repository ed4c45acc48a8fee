"""Checks that the folders of src/ are layers: a lower one never includes a higher one.

The order is that of design and of meson.build; CPython's headers belong to src/py alone. Returns 1
and names each line that breaks this.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LAYERS = ["base", "os", "queue", "sched", "wire", "net", "role", "store", "report", "py"]
# Pure: these two make no system calls, so that a model can stand in for the world around them.
PURE = {"queue": {"base"}, "sched": {"base", "queue"}}
# The command is a role's user, like the binding: above everything but the binding.
CLI_MAY_USE = {*LAYERS, "cli"} - {"py"}

_INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def allowed(layer: str) -> set[str]:
    if layer == "cli":
        return CLI_MAY_USE
    below = set(LAYERS[: LAYERS.index(layer)])
    return PURE.get(layer, below) | {layer}


def complaints(path: Path, layer: str) -> list[str]:
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = _INCLUDE.match(line)
        if not match:
            continue
        quote, header = match.groups()
        where = f"{path.relative_to(ROOT)}:{number}: "
        if layer != "py" and Path(header).name in ("Python.h", "pyconfig.h", "structmember.h"):
            found.append(where + f"{layer} includes {header}: CPython's headers belong to src/py")
        if quote == '"':
            folder = header.split("/")[0] if "/" in header else ""
            if folder not in allowed(layer):
                found.append(where + f"{layer} includes {header}: not itself and not below it")
    return found


def main() -> int:
    found = []
    folders = [path for path in (ROOT / "src").iterdir() if path.is_dir()]
    for folder in sorted(folders):
        if folder.name not in LAYERS:
            found.append(f"src/{folder.name}: a folder that is no layer; add it to LAYERS")
    seen = 0
    for folder in [*folders, ROOT / "cli"]:
        if folder.name in [*LAYERS, "cli"]:
            for path in sorted(folder.glob("**/*.[ch]")):
                seen += 1
                found += complaints(path, folder.name)
    print("\n".join(found) or f"{seen} files, {len(folders)} layers")
    return 1 if found or not seen else 0


if __name__ == "__main__":
    sys.exit(main())
