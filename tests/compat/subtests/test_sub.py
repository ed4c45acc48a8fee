import unittest

import pytest


@pytest.mark.parametrize("limit", [3, 4])
def test_numbers(subtests, limit):
    for number in range(5):
        with subtests.test(msg="a message", number=number):
            assert number < limit


def test_all_good(subtests):
    for number in range(3):
        with subtests.test(number=number):
            assert number < 3


class TestUnit(unittest.TestCase):
    def test_sub(self):
        for number in range(3):
            with self.subTest(number=number):
                self.assertLess(number, 2)
