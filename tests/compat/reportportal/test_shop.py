import logging

import pytest


@pytest.mark.parametrize("number", range(6))
def test_good(number):
    logging.getLogger(__name__).warning("from test %d", number)


def test_bad():
    raise AssertionError("known")


@pytest.mark.skip(reason="not today")
def test_skipped():
    pass


class TestClass:
    def test_first(self):
        pass

    def test_next(self):
        pass
