import os
import time

import pytest


def test_dies():
    os._exit(3)


@pytest.mark.parametrize("number", range(6))
def test_it(number):
    time.sleep(0.2)
