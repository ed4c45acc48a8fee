"""What tests need beside themselves: equal numbers for the same set-up, and for no other."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

SUITE = """
import pytest, unittest
from phalanx.needs import Needs

def pytest_collection_finish(session):
    needs = Needs()
    for item in session.items:
        print("NEEDS", item.nodeid, needs.of(item))

@pytest.fixture(scope="session")
def server(): ...
@pytest.fixture(scope="module")
def table(server): ...
@pytest.fixture(scope="class")
def row(): ...
@pytest.fixture(scope="module", params=["a", "b"])
def engine(request): ...
@pytest.fixture
def small(): ...
"""

TESTS = """
import pytest, unittest

def test_nothing(): ...
def test_small(small): ...
def test_table(table): ...
@pytest.mark.parametrize("n", [1, 2])
def test_many(table, n): ...
class TestRow:
    def test_one(self, row): ...
    def test_two(self, row): ...
class TestOther:
    def test_row(self, row): ...
def test_engine(engine): ...
def test_engine_too(engine): ...
class TestCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls): ...
    def test_a(self): ...
    def test_b(self): ...
"""


def needs_of(tmp_path: Path) -> dict[str, list[int] | None]:
    (tmp_path / "conftest.py").write_text(SUITE)
    (tmp_path / "test_x.py").write_text(TESTS)
    (tmp_path / "test_y.py").write_text("def test_table(table): ...\n")
    (tmp_path / "doc.txt").write_text(">>> 1 + 1\n2\n")
    command = [sys.executable, "-m", "pytest", "-sq", "--collect-only", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--doctest-glob=*.txt", "doc.txt", "test_x.py", "test_y.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    lines = [line.split(" ", 2) for line in done.stdout.splitlines() if line.startswith("NEEDS ")]
    assert lines, done.stdout + done.stderr
    return {nodeid: ast.literal_eval(value) for _, nodeid, value in lines}


def test_needs(tmp_path: Path) -> None:
    needs = needs_of(tmp_path)

    def of(name: str, module: str = "test_x.py") -> set[int]:
        return set(needs[f"{module}::{name}"] or ())

    assert needs["test_x.py::test_nothing"] is None
    assert needs["test_x.py::test_small"] is None
    assert needs["doc.txt::doc.txt"] is None
    # The table of a module, and the session's one server.
    assert len(of("test_table")) == 2
    assert of("test_table") == of("test_many[1]") == of("test_many[2]")
    assert len(of("test_table") & of("test_table", "test_y.py")) == 1
    # A row for each class, an engine for each parameter.
    assert len(of("TestRow::test_one")) == 1
    assert of("TestRow::test_one") == of("TestRow::test_two")
    assert not of("TestRow::test_one") & of("TestOther::test_row")
    assert of("test_engine[a]") == of("test_engine_too[a]")
    assert len(of("test_engine[a]")) == 1
    assert not of("test_engine[a]") & of("test_engine[b]")
    # unittest's setUpClass is a fixture of its class.
    assert len(of("TestCase::test_a")) == 1
    assert of("TestCase::test_a") == of("TestCase::test_b")
