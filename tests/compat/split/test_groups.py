import pytest


@pytest.mark.parametrize("number", range(6))
def test_number(number):
    pass


def test_bad():
    raise AssertionError("known")
