import os
import pathlib
import time

import pytest


@pytest.mark.parametrize("number", range(9))
def test_display(number, record_property):
    display = os.environ["DISPLAY"]
    record_property("display", display)
    time.sleep(0.05)  # long enough for every worker to take part
    assert pathlib.Path(f"/tmp/.X11-unix/X{display.lstrip(':')}").is_socket()


@pytest.mark.no_xvfb
def test_without():
    pass
