"""Code that asks for pytest-xdist's distribution finds phalanx, and pip is told nothing that is not so."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import xdist
from phalanx import companion, stand_in


def test_found_by_name_in_the_processes_of_pytest() -> None:
    for name in ("pytest-xdist", "pytest_xdist", "PyTest.Xdist"):
        found = importlib.metadata.distribution(name)
        assert found.version == "3.8.0+phalanx" and stand_in.is_stand_in(found)
    assert importlib.metadata.version("pytest-xdist").startswith(xdist.__version__)
    assert found.metadata["Name"] == "pytest-xdist"
    assert found.requires == ["phalanx", "phalanx[setproctitle]; extra == 'setproctitle'"]
    assert found.metadata.get_all("Provides-Extra") == ["psutil", "setproctitle"]
    assert not found.entry_points and not found.files


def test_not_among_what_is_installed() -> None:
    names = {found.metadata["Name"] for found in importlib.metadata.distributions()}
    assert "phalanx" in names and "pytest-xdist" not in names
    code = "import importlib.metadata as m; m.distribution('pytest-xdist')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "PackageNotFoundError" in done.stderr  # pytest is not running there


def test_execnet_is_missed_with_a_hint() -> None:
    if importlib.util.find_spec("execnet") is not None:
        pytest.skip("execnet is installed here")
    with pytest.raises(ModuleNotFoundError, match="pip install execnet") as error:
        importlib.import_module("execnet")
    assert error.value.name == "execnet" and "No module named 'execnet'" in str(error.value)
    with pytest.raises(ModuleNotFoundError) as error:
        importlib.import_module("execnot")
    assert "hint" not in str(error.value) and "pip" not in str(error.value)


def run_pytest(path: Path, *args: str) -> subprocess.CompletedProcess[str]:
    (path / "test_a.py").write_text("def test_a(): pass\n")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args],
        cwd=path,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("wanted", ["pytest-xdist", "pytest-xdist>=3.0", "pytest-xdist==3.8.0"])
def test_required_plugins(tmp_path: Path, wanted: str) -> None:
    (tmp_path / "pytest.ini").write_text(f"[pytest]\nrequired_plugins = {wanted}\n")
    done = run_pytest(tmp_path, "-n1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "xdist-3.8.0+phalanx" in done.stdout  # whose it is stands in the header


def test_required_plugins_of_a_later_version(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nrequired_plugins = pytest-xdist>=99\n")
    done = run_pytest(tmp_path)
    assert done.returncode == 4 and "Missing required plugins: pytest-xdist>=99" in done.stderr


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An empty environment, and a package that requires pytest-xdist."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    for name, requires in (("needy", "pytest-xdist>=3.0"), ("phalanx", None)):
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        (info / "METADATA").write_text(text + (f"Requires-Dist: {requires}\n" if requires else ""))
        (info / "INSTALLER").write_text("pip\n")
        (info / "RECORD").touch()  # it lists itself, or what uninstalls the rest leaves it behind
        (info / "RECORD").write_text("".join(f"{p.relative_to(site)},,\n" for p in info.iterdir()))
    return tmp_path / "venv" / "bin" / "python"


def pip(python: Path, *args: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    return subprocess.run([*command, *args], capture_output=True, text=True)


def test_the_companion_and_pip(environment: Path, tmp_path: Path) -> None:
    assert "requires pytest-xdist, which is not installed" in pip(environment, "check").stdout
    made = subprocess.run(
        [sys.executable, "-m", "phalanx.companion", tmp_path], capture_output=True, text=True
    )
    wheel = tmp_path / "pytest_xdist-3.8.0+phalanx-py3-none-any.whl"
    assert made.returncode == 0 and str(wheel) in made.stdout
    installed = pip(environment, "install", "--no-index", wheel)
    assert installed.returncode == 0, installed.stderr
    assert "No broken requirements found" in pip(environment, "check").stdout
    assert "pytest-xdist 3.8.0+phalanx" in " ".join(pip(environment, "list").stdout.split())
    # A requirement that is met: pip does not look for the real one.
    met = pip(environment, "install", "--no-index", "pytest-xdist[psutil]>=3")
    assert met.returncode == 0 and "already satisfied" in met.stdout
    assert "does not provide the extra" not in met.stdout + met.stderr
    assert pip(environment, "uninstall", "-y", "phalanx").returncode == 0
    assert "requires phalanx, which is not installed" in pip(environment, "check").stdout
    assert pip(environment, "uninstall", "-y", "pytest-xdist").returncode == 0
    assert "requires pytest-xdist, which is not installed" in pip(environment, "check").stdout


def test_the_companion_is_not_taken_for_pytest_xdist(tmp_path: Path) -> None:
    wheel = companion.write_wheel(tmp_path)
    code = (
        f"import sys; sys.path.insert(0, {str(wheel)!r}); import importlib.metadata as m, pytest; "
        "assert len([d for d in m.distributions() if d.metadata['Name'] == 'pytest-xdist']) == 1; "
        "sys.exit(pytest.main(['-n1', '-q', '-p', 'no:cacheprovider']))"
    )
    (tmp_path / "test_a.py").write_text("def test_a(): pass\n")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr
