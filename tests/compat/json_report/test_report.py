import logging
import sys

import pytest


@pytest.mark.parametrize("number", range(6))
def test_good(number, json_metadata):
    json_metadata["number"] = number
    json_metadata["nested"] = {"list": [1, 2.5, None, True], "text": "ü"}
    print("out", number)
    print("err", number, file=sys.stderr)
    logging.getLogger("of the test").warning("logged %d", number)


def test_bad():
    assert {"a": 1} == {"a": 2}


@pytest.mark.xfail(reason="known")
def test_xfail():
    raise AssertionError("known")


@pytest.fixture
def broken():
    yield
    raise OSError("in the teardown")


def test_error(broken):
    pass
