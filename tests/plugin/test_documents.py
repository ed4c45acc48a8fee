"""What documents say of the tests: each test that they name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDERS = ("tests/e2e", "tests/plugin")


def named(text: str) -> list[tuple[str, str]]:
    """(file, test) of each `file.py::test`; a `test` alone is of the file before it."""
    found, file = [], ""
    for before, name in re.findall(r"`(?:(\w+\.py)::)?(test_\w+)`", text):
        file = before or file
        found.append((file, name))
    return found


@pytest.mark.parametrize("document", ["docs/design/hazards.md"])
def test_the_tests_that_it_names_are_there(document: str) -> None:
    tests = named((ROOT / document).read_text())
    assert len(tests) > 50
    for file, name in tests:
        paths = [ROOT / folder / file for folder in FOLDERS if (ROOT / folder / file).exists()]
        assert len(paths) == 1, f"{document}: there is no file {file!r} (for {name})"
        assert f"\ndef {name}(" in paths[0].read_text(), f"{document}: no {name} in {file}"


def test_one_that_is_not_there_is_found() -> None:
    assert named("`a.py::test_b`, `test_c`; `make compat`: x | `d.py::test_e`") == [
        ("a.py", "test_b"),
        ("a.py", "test_c"),
        ("d.py", "test_e"),
    ]
