"""Three tests end their process, each in another way. They fail; the other nine run and pass."""

import os
import signal
import time

import pytest


@pytest.mark.parametrize("number", range(1, 4))
def test_before(number):
    time.sleep(0.1)


@pytest.mark.usefixtures("expendable_process")
def test_abort():
    os.abort()


@pytest.mark.parametrize("number", range(1, 4))
def test_between(number):
    time.sleep(0.1)


@pytest.mark.usefixtures("expendable_process")
def test_segmentation_fault():
    os.kill(os.getpid(), signal.SIGSEGV)
    time.sleep(5)  # the signal may take a moment


@pytest.mark.usefixtures("expendable_process")
def test_exit():
    os._exit(3)


@pytest.mark.parametrize("number", range(1, 4))
def test_after(number):
    time.sleep(0.1)
