import pytest


@pytest.mark.parametrize("number", range(6))
def test_number(number):
    assert number % 3


@pytest.fixture
def broken():
    raise OSError("in the set-up")


def test_error(broken):
    pass


class TestClass:
    def test_bad(self):
        raise AssertionError("in a class")
