import time

import pytest


@pytest.fixture
def slow_set_up():
    time.sleep(30)


@pytest.fixture
def slow_but_not_counted():
    time.sleep(0.6)


@pytest.mark.timeout(0.5)
def test_too_slow():
    time.sleep(30)


@pytest.mark.timeout(0.5)
def test_fixture_too_slow(slow_set_up):
    pass


@pytest.mark.timeout(0.5, func_only=True)
def test_only_the_function(slow_but_not_counted):
    pass


@pytest.mark.timeout(10, method="thread")
def test_thread_in_time():
    time.sleep(0.01)


@pytest.mark.parametrize("number", range(9))
def test_fast(number):
    pass
