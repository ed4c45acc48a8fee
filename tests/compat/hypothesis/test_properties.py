import warnings

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    SAMPLE = st.integers(
        0, 9
    ).example()  # draws from the random generator while tests are collected


def test_sample():
    assert 0 <= SAMPLE <= 9


@given(st.lists(st.integers()))
def test_reversed_twice(values):
    assert list(reversed(list(reversed(values)))) == values


@given(st.integers())
def test_falsified(number):
    note(f"saw {number}")
    assert number < 1000


@settings(max_examples=20, database=None)
@given(st.text(), st.booleans())
def test_two_arguments(text, flag):
    assert isinstance(text, str) and flag in (True, False)


class TestClass:
    @pytest.mark.parametrize("limit", [10, 20])
    @given(number=st.integers(0, 5))
    def test_limit(self, number, limit):
        assert number < limit

    @given(st.floats(allow_nan=False))
    def test_float(self, number):
        assert number == number


class Counter(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.value = 0

    @rule(step=st.integers(1, 3))
    def add(self, step):
        self.value += step
        assert self.value > 0


TestCounter = Counter.TestCase
TestCounter.settings = settings(max_examples=10, stateful_step_count=5)


@given(st.data())
def test_drawn(data):
    first = data.draw(st.integers(0, 100), label="first")
    second = data.draw(st.integers(first, 200), label="second")
    assert first <= second
