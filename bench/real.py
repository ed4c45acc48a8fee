"""Suites of real projects, from their source archives on PyPI; their tests run without a network."""

from __future__ import annotations

import shutil
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from environments import BUILD, PHALANX, pip

DIRECTORY = BUILD / "real"
SITE = DIRECTORY / "site"  # on PYTHONPATH in the runs of these suites only


@dataclass
class Project:
    name: str
    version: str
    kind: str
    args: tuple[str, ...]
    needs: tuple[str, ...] = ()
    note: str = ""

    @property
    def source(self) -> Path:
        return DIRECTORY / f"{self.name}-{self.version}"


PROJECTS = (
    Project("marshmallow", "4.4.0", "data conversion: small parametrized functions",
            ("tests",), ("marshmallow==4.4.0", "simplejson"),
            "Test ids of this suite hold the second in which they were collected: pytest-xdist gives up "
            "when its workers collect in different seconds."),
    Project("jinja2", "3.1.6", "a template engine: small methods of classes",
            ("tests",), ("jinja2==3.1.6", "trio")),
    Project("click", "8.5.1", "command lines: functions with an isolated runner; without its stress tests",
            ("tests", "--ignore=tests/test_stream_lifecycle.py"), ("click==8.5.1",)),
    Project("more-itertools", "11.2.1", "unittest classes; computations of uneven length", ("tests",)),
)  # fmt: skip


def prepare() -> None:
    """Downloads and unpacks what is not there yet."""
    DIRECTORY.mkdir(exist_ok=True)
    for project in PROJECTS:
        if not project.source.exists():
            unpack(project.name, project.version, project.source)
    stamp = SITE / "complete"
    wanted = sorted({need for project in PROJECTS for need in project.needs})
    if not stamp.exists() or stamp.read_text().split() != wanted:
        shutil.rmtree(SITE, ignore_errors=True)
        pip(PHALANX, "install", "--quiet", "--target", str(SITE), *wanted)
        stamp.write_text("\n".join(wanted))


def unpack(name: str, version: str, source: Path) -> None:
    """Downloads a project's source archive and unpacks it at `source`."""
    downloads = DIRECTORY / "downloads" / name
    pip(PHALANX, "download", "--quiet", "--no-deps", "--no-binary", name,
        "--dest", str(downloads), f"{name}=={version}")  # fmt: skip
    (archive,) = downloads.glob("*.tar.gz")
    unpacked = downloads / "unpacked"
    with tarfile.open(archive) as file:
        if sys.version_info >= (3, 12):
            file.extractall(unpacked, filter="data")
        else:
            file.extractall(unpacked)
    (top,) = unpacked.iterdir()
    top.rename(source)
