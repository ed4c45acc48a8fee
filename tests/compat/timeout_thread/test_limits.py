import time

import pytest


@pytest.mark.timeout(0.5, method="thread")
def test_too_slow():
    time.sleep(30)


@pytest.mark.parametrize("number", range(9))
def test_fast(number):
    pass
