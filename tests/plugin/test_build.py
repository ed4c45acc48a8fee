"""The build elsewhere than on Linux: one sentence, and no compiler is asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MESON = shutil.which("meson", path=os.pathsep.join([str(Path(sys.executable).parent), os.defpath]))


@pytest.mark.skipif(MESON is None, reason="needs meson")
@pytest.mark.parametrize("system", ["darwin", "windows", "freebsd"])
def test_elsewhere_the_build_names_pytest_xdist(tmp_path: Path, system: str) -> None:
    assert MESON is not None
    machine = f"system = '{system}'\ncpu_family = 'x86_64'\ncpu = 'x86_64'\nendian = 'little'\n"
    (tmp_path / "cross.ini").write_text(f"[host_machine]\n{machine}")
    run = subprocess.run(
        [MESON, "setup", "--cross-file", tmp_path / "cross.ini", tmp_path / "build", ROOT],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CC": "/nowhere/cc"},
    )
    assert run.returncode != 0
    errors = [line for line in run.stdout.splitlines() if "ERROR" in line]
    assert len(errors) == 1, run.stdout
    assert errors[0].endswith("phalanx runs on Linux only; on this system use pytest-xdist.")
