"""phalanx and pytest-xdist in one environment, from real wheels, in both orders: the run says how to mend it,
and what it says does mend it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from runner import clean_environment

ROOT = Path(__file__).resolve().parents[2]
MEND = "pip uninstall -y pytest-xdist && pip install --force-reinstall --no-deps phalanx"


def call(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = clean_environment()
    del environment["PYTHONPATH"]
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )


def pip(*args: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return call(sys.executable, "-m", "pip", "--disable-pip-version-check", *args, cwd=cwd)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """phalanx's own wheel, built here, beside those of pytest and pytest-xdist."""
    path = tmp_path_factory.mktemp("wheels")
    got = pip(
        "download", "-q", "--only-binary=:all:", "-d", path, "pytest", "pytest-xdist", cwd=path
    )
    if got.returncode:
        pytest.skip(
            f"pip cannot get pytest-xdist: {(got.stderr.strip().splitlines() or ['?'])[-1]}"
        )
    build = ("wheel", "-q", "--no-deps", "-w", path, f"-Cbuild-dir={path / 'build'}")
    made = pip(*build, "--no-build-isolation", ROOT, cwd=path)
    if made.returncode:
        made = pip(*build, ROOT, cwd=path)
    assert made.returncode == 0, made.stdout + made.stderr
    assert len(list(path.glob("phalanx-*.whl"))) == 1
    return path


class Environment:
    def __init__(self, path: Path, wheels: Path) -> None:
        self.python = path / "venv" / "bin" / "python"
        self.project = path / "project"
        self.project.mkdir()
        (self.project / "test_a.py").write_text(
            "def test_a(worker_id): assert worker_id in ('gw0', 'gw1', 'master')\ndef test_b(): pass\n"
        )
        self._wheels = wheels
        made = call(sys.executable, "-m", "venv", "--without-pip", path / "venv", cwd=path)
        assert made.returncode == 0, made.stderr

    def pip(self, *args: str) -> None:
        done = pip("--python", self.python, *args, cwd=self.project)
        assert done.returncode == 0, done.stdout + done.stderr

    def install(self, *args: str) -> None:
        self.pip("install", "-q", "--no-index", "--find-links", str(self._wheels), *args)

    def pytest(self, *args: str) -> subprocess.CompletedProcess[str]:
        return call(self.python, "-m", "pytest", "-p", "no:cacheprovider", *args, cwd=self.project)


ORDERS = [("phalanx", "pytest-xdist"), ("pytest-xdist", "phalanx")]


@pytest.fixture(scope="module", params=ORDERS, ids=" then ".join)
def environment(
    request: pytest.FixtureRequest, wheels: Path, tmp_path_factory: pytest.TempPathFactory
) -> Environment:
    environment = Environment(tmp_path_factory.mktemp("both"), wheels)
    names: Sequence[str] = request.param
    for name in names:
        environment.install(name)
    return environment


@pytest.mark.parametrize("args", [("-n2",), (), ("--collect-only",)], ids=" ".join)
def test_both_is_a_usage_error(environment: Environment, args: tuple[str, ...]) -> None:
    run = environment.pytest(*args)
    text = run.stdout + run.stderr
    assert run.returncode == 4, text
    errors = [line for line in text.splitlines() if line.startswith("ERROR:")]
    assert len(errors) == 1 and MEND in errors[0], text
    assert "Traceback" not in text and "passed" not in text


def test_what_it_says_mends_it(environment: Environment) -> None:
    """Last in this file for each order: it changes the environment."""
    environment.pip("uninstall", "-q", "-y", "pytest-xdist")
    environment.install("--force-reinstall", "--no-deps", "phalanx")
    run = environment.pytest("-n2")
    assert run.returncode == 0 and "2 passed" in run.stdout, run.stdout + run.stderr
    assert "2 workers [2 items]" in run.stdout
    assert re.search(r"^plugins: .*\bphalanx-", run.stdout, re.MULTILINE), run.stdout
    run = environment.pytest()
    assert run.returncode == 0 and "2 passed" in run.stdout, run.stdout + run.stderr
