import pytest
from inline_snapshot import snapshot


def test_equal():
    assert snapshot([1, 2]) == [1, 2]


def test_unequal():
    assert snapshot({"a": 2}) == {"a": 1}


@pytest.mark.parametrize("number", range(6))
def test_in(number):
    assert number <= snapshot(5)


def test_empty():
    assert snapshot() == 5
