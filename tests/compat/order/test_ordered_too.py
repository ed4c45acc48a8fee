import pathlib

import pytest

SEEN = []


@pytest.mark.order(2)
def test_second():
    SEEN.append(2)


@pytest.mark.order("last")
def test_last():
    assert "first" not in SEEN[1:]


@pytest.mark.order(1)
def test_first():
    SEEN.append(1)


@pytest.mark.order(after="test_second")
def test_after():
    assert pathlib.Path(__file__).exists()
