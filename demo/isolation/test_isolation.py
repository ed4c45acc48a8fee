"""Twelve tests increment one global.

In one process the last of them sees 12. With ``-n 4`` each worker counts its own tests, because
workers are processes and share no memory.
"""

import time

import pytest
import tally

own_tests = []


@pytest.mark.parametrize("number", range(12))
def test_increment(number, worker_id, record_property):
    own_tests.append(number)
    seen = tally.increment()
    time.sleep(0.2)  # long enough for others to interfere, if they could
    assert tally.value == seen == len(own_tests)
    print(f"{worker_id} saw {seen}")
    record_property("seen", seen)
