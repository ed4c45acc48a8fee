"""Tests that take too long: --test-timeout, and pytest-timeout where that cannot strike.

pytest-timeout raises an exception in the test, or ends the process, and needs the interpreter for both: of a
test that hangs in C and holds the interpreter's lock it never hears. Here a test's deadline is in the run
queue, where the controller sees it, and ends the worker (src/role/timeouts.c): by a signal whose handler,
faulthandler's, needs no lock, writes the stacks of all threads, and lets the signal do what it does, which is
to end the process; where that is no help, by SIGKILL.
"""

from __future__ import annotations

import faulthandler
import signal
import time
from collections.abc import Callable, Generator
from typing import Any

import pytest

GRACE_S = 5.0  # for pytest-timeout to do what it does, before the controller does

SetDeadline = Callable[[float, float, int], None]


def are_there(config: pytest.Config) -> bool:
    return bool(config.option.testtimeout) or _has_pytest_timeout(config)


def _has_pytest_timeout(config: pytest.Config) -> bool:
    """By whatever name it was loaded."""
    return hasattr(config.hook, "pytest_timeout_set_timer")


def install(config: pytest.Config, set_deadline: SetDeadline) -> None:
    """In a worker."""
    if not are_there(config):
        return
    deadlines = _Deadlines(set_deadline, _prepare_stacks(config))
    if config.option.testtimeout:
        config.pluginmanager.register(_OwnTimeout(config.option.testtimeout, deadlines))
    if _has_pytest_timeout(config):
        config.pluginmanager.register(_BesidePytestTimeout(deadlines))


class _Deadlines:
    """Of the running test: two may be set, and the engine knows the earlier one."""

    def __init__(self, set_deadline: SetDeadline, stack_signal: int) -> None:
        self._set_deadline = set_deadline
        self._stack_signal = stack_signal
        self._known: dict[str, tuple[float, float]] = {}  # whose → (when, timeout)

    def begin(self, whose: str, timeout: float, grace: float = 0.0) -> None:
        self._known[whose] = (_monotonic() + timeout + grace, timeout)
        self._tell()

    def lift(self, whose: str) -> None:
        if self._known.pop(whose, None) is not None:
            self._tell()

    def _tell(self) -> None:
        if self._known:
            when, timeout = min(self._known.values())
            self._set_deadline(when - _monotonic(), timeout, self._stack_signal)
        else:
            self._set_deadline(0.0, 0.0, 0)


_monotonic = time.monotonic  # whatever tests put in its place


class _OwnTimeout:
    def __init__(self, timeout: float, deadlines: _Deadlines) -> None:
        self._timeout = timeout
        self._deadlines = deadlines

    @pytest.hookimpl(hookwrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self) -> Generator[None, None, None]:
        self._deadlines.begin("own", self._timeout)
        yield
        self._deadlines.lift("own")


class _BesidePytestTimeout:
    """Knows from pytest-timeout's own hooks when its timer runs: marks, ini file and options are its
    affair."""

    def __init__(self, deadlines: _Deadlines) -> None:
        self._deadlines = deadlines

    @pytest.hookimpl(hookwrapper=True, optionalhook=True)
    def pytest_timeout_set_timer(self, settings: Any) -> Generator[None, None, None]:
        yield
        self._deadlines.begin("pytest-timeout", settings.timeout, GRACE_S)
        handler = signal.getsignal(signal.SIGALRM)
        if settings.method == "signal" and callable(handler):

            def it_strikes(number: int, frame: Any) -> None:
                __tracebackhide__ = True
                self._deadlines.lift("pytest-timeout")
                handler(number, frame)

            signal.signal(signal.SIGALRM, it_strikes)

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_timeout_cancel_timer(self) -> None:
        self._deadlines.lift("pytest-timeout")


def _prepare_stacks(config: pytest.Config) -> int:
    """The signal that makes this process write the stacks of all threads to where the controller reads them,
    and end; 0: there is none, as pytest's faulthandler plugin is off."""
    try:
        from _pytest.faulthandler import fault_handler_stderr_fd_key
    except ImportError:
        return 0
    fd = config.stash.get(fault_handler_stderr_fd_key, None)
    if fd is None:
        return 0
    for number in range(signal.SIGRTMAX - 1, signal.SIGRTMIN, -1):
        if signal.getsignal(number) is signal.SIG_DFL:
            faulthandler.register(number, fd, all_threads=True, chain=True)
            return int(number)
    return 0
