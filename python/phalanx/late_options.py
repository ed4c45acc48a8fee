"""Options that somebody else may own: pytest-repeat's --count, pytest-retry's --retries, or whatever a
conftest file calls its own.

They are added when every plugin and every initial conftest file has added theirs, which is before the
arguments are parsed for good. A name that is taken by then stays with its owner, whatever was loaded first.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import pytest


def _at_least(least: int, what: str) -> Any:
    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(f"takes {what}, not {text!r}")
        return number

    return parse


OPTIONS: dict[str, dict[str, Any]] = {
    "--count": dict(
        dest="count",
        type=_at_least(1, "how often each test runs, 1 or more"),
        default=1,
        metavar="N",
        help="Run each test N times; with -n, repetitions of one test run on different workers at the same "
        "time. The summary names the tests whose outcomes differ",
    ),
    "--repeat-scope": dict(
        dest="repeat_scope",
        choices=("function", "class", "module", "session"),
        default="function",
        help="With --count: what is repeated as a whole before the next repetition begins",
    ),
    "--retries": dict(
        dest="retries",
        type=_at_least(0, "how often a test that failed is tried again, 0 or more"),
        default=0,
        metavar="N",
        help="Run tests that fail or crash again, up to N times, later and on another worker if there is "
        "one. A test that passes then is flaky",
    ),
    "--flaky": dict(
        dest="flaky",
        choices=("pass", "fail"),
        default="pass",
        help="What flaky tests make of a run in which no test failed for good: a success (default), or a "
        "failure with exit code 1",
    ),
    "--progress": dict(
        dest="progress",
        choices=("auto", "never"),
        default="auto",
        help="With -n: a live line on how far the run is, on a terminal without -v, -q, -s and not in CI "
        "(auto, default), or never",
    ),
    "--timeline": dict(
        dest="timeline",
        default=None,
        metavar="FILE.html",
        help="With -n: write a picture of the run, a page with a lane for each worker",
    ),
    "--chrome-trace": dict(
        dest="chrome_trace",
        default=None,
        metavar="FILE.json",
        help="With -n: write the run as a trace, for ui.perfetto.dev or chrome://tracing",
    ),
    "--schedule-report": dict(
        dest="schedule_report",
        default=None,
        metavar="FILE",
        help="With -n: write which estimate and which reason put each test where it ran; - for the terminal",
    ),
    "--report-json": dict(
        dest="report_json",
        default=None,
        metavar="FILE.json",
        help="Write outcomes, durations, warnings and, with -n, the workers' figures, for programs",
    ),
}

_owned_key = pytest.StashKey[frozenset[str]]()


def hide_values(early_config: pytest.Config, args: Sequence[str]) -> None:
    """`--count 3`: while the option is not known, pytest takes the 3 for a path to test."""
    paths: list[str] = getattr(early_config.known_args_namespace, "file_or_dir", [])
    for name, value in zip(args, args[1:]):
        if name in OPTIONS and value in paths:
            paths.remove(value)


def add(early_config: pytest.Config, parser: pytest.Parser) -> None:
    taken = {
        name for group in _groups(parser) for option in group.options for name in option.names()
    }
    dests = {option.dest for group in _groups(parser) for option in group.options}
    group = parser.getgroup("xdist")
    owned = set()
    for name, attributes in OPTIONS.items():
        if name not in taken and attributes["dest"] not in dests:
            group.addoption(name, **attributes)
            owned.add(name)
    early_config.stash[_owned_key] = frozenset(owned)


def value(config: pytest.Config, name: str) -> Any:
    """What was given for one of OPTIONS; its default when the option is somebody else's."""
    attributes = OPTIONS[name]
    if name not in config.stash.get(_owned_key, frozenset()):
        return attributes["default"]
    return config.getoption(attributes["dest"])


def _groups(parser: Any) -> list[Any]:
    return [parser._anonymous, *parser._groups]
