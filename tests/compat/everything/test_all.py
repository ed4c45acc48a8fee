import time

import pytest


@pytest.mark.parametrize("number", range(12))
def test_good(number, tmp_path):
    time.sleep(0.01)
    (tmp_path / "file").write_text(str(number))


def test_bad():
    raise AssertionError("known")


@pytest.fixture
def broken():
    raise OSError("in the set-up")


def test_error(broken):
    pass


@pytest.mark.skip(reason="not today")
def test_skipped():
    pass


@pytest.mark.xfail
def test_xfail():
    raise AssertionError("known")
