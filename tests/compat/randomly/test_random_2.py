import random

import pytest


@pytest.fixture(scope="module")
def of_module():
    return random.random()


@pytest.mark.parametrize("number", range(6))
def test_drawn(number, record_property):
    record_property("drawn", [random.random(), random.randint(0, 10**9)])


class TestClass:
    def test_first(self, record_property):
        record_property("drawn", random.random())

    def test_second(self, of_module):
        assert 0 <= of_module < 1
