from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from runner import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "home")


@pytest.fixture(scope="session")
def new_project(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Project]:
    """Makes projects that live as long as the session: for runs that many tests look at."""
    counter = itertools.count()

    def make(files: dict[str, str]) -> Project:
        return Project(tmp_path_factory.mktemp(f"project{next(counter)}") / "home").write(files)

    return make
