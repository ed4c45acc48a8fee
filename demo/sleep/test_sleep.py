"""Four tests that only wait: 8 seconds one after the other, 2 on four workers."""

import time
from datetime import datetime

import pytest


def test_first():
    time.sleep(2)


def test_second():
    time.sleep(2)


def test_third():
    time.sleep(2)


@pytest.mark.parametrize("before, after", [("started at", "ended at")])
def test_fourth(before, after):
    """Prints when it ran; see it with ``-rP``."""
    print(f"{before} {datetime.now():%H:%M:%S.%f}")
    time.sleep(2)
    print(f"{after} {datetime.now():%H:%M:%S.%f}")
