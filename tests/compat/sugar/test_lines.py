import pytest


@pytest.mark.parametrize("number", range(8))
def test_good(number):
    pass


def test_bad():
    assert 1 == 2


@pytest.fixture
def broken():
    raise OSError


def test_error(broken):
    pass


@pytest.mark.skip
def test_skipped():
    pass


@pytest.mark.xfail
def test_xfail():
    raise AssertionError("known")
