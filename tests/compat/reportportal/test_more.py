import pytest


@pytest.fixture
def broken():
    raise OSError("in the set-up")


def test_error(broken):
    pass


@pytest.mark.parametrize("number", range(5))
def test_more(number):
    pass
