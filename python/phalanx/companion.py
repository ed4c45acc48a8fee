"""Writes the wheel of the companion: `python -m phalanx.companion [DIRECTORY]`.

A distribution named pytest-xdist that holds metadata only and requires phalanx: with it pip takes the
requirement `pytest-xdist` of other packages as met, lists it, upgrades and removes it like any other.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import zipfile
from pathlib import Path

from phalanx.stand_in import NAME, VERSION, metadata_text

WHEEL = "Wheel-Version: 1.0\nGenerator: phalanx\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def write_wheel(directory: Path) -> Path:
    stem = f"{NAME.replace('-', '_')}-{VERSION}"
    info = f"{stem}.dist-info"
    files = {f"{info}/METADATA": metadata_text(), f"{info}/WHEEL": WHEEL}
    record = "".join(_record_line(name, text) for name, text in files.items())
    files[f"{info}/RECORD"] = record + f"{info}/RECORD,,\n"
    path = directory / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return path


def _record_line(name: str, text: str) -> str:
    data = text.encode()
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(data)}\n"


def main() -> int:
    if len(sys.argv) > 2 or "-h" in sys.argv or "--help" in sys.argv:
        print(__doc__)
        return 2
    directory = Path(sys.argv[1] if len(sys.argv) == 2 else ".")
    if not directory.is_dir():
        print(f"phalanx.companion: {directory} is no directory", file=sys.stderr)
        return 2
    path = write_wheel(directory)
    print(f"{path}: install it with: pip install {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
