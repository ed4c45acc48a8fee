"""A dead worker, explained: the sentence and the report that name the test and the cause."""

from __future__ import annotations

import os
import re
import signal
from typing import Any

import pytest

PHASES = {1: "setup", 2: "call", 3: "teardown"}


def describe_status(status: int | None) -> str:
    """`status` is one of waitpid, or None when nobody could reap the process."""
    if status is None:
        return "its exit status is unknown"
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = "a real-time signal"
        core = ", core dumped" if os.WCOREDUMP(status) else ""
        return f"killed by signal {number} ({name}{core})"
    return f"exited with status {os.WEXITSTATUS(status)}"


def _timed_out(payload: dict[str, Any]) -> bool:
    """By which signal its worker was ended then is nobody's concern."""
    return (payload["text"] or "").startswith("timed out after ")


def describe_down(payload: dict[str, Any]) -> str:
    if _timed_out(payload):
        return str(payload["text"])
    cause = describe_status(payload["status"])
    return f"{cause}; {payload['text']}" if payload["text"] else cause


_OWN_FRAME = re.compile(r'  File "(<string>|.*/(_pytest|pluggy|phalanx)/[^"]*)"')


def trim_fault(text: str) -> str:
    """faulthandler's text without the outermost frames of each thread that belong to pytest and us."""
    lines: list[str] = []
    own: list[str] = []
    for line in [*text.rstrip("\n").split("\n"), ""]:
        if _OWN_FRAME.match(line):
            own.append(line)
            continue
        if line.startswith("  File "):
            lines += own  # user code further out: the frames between belong to the story
        elif own:
            lines.append(f"  ... and {len(own)} frames of pytest")
        own = []
        lines.append(line)
    return "\n".join(lines).rstrip("\n")


def collect_report(nodeid: str, cause: str) -> pytest.CollectReport:
    """The report of a file whose import killed the process that collects."""
    return pytest.CollectReport(
        nodeid=nodeid,
        outcome="failed",
        longrepr=f"the process that collects the tests died while it collected {nodeid}: {cause}",
        result=None,
    )


def crash_report(
    worker: str, nodeid: str, location: Any, payload: dict[str, Any]
) -> pytest.TestReport:
    """The report of a test whose worker died while it ran. `when` is "???" as in pytest-xdist: what
    pairs setup, call and teardown must not take it for one of them."""
    phase = PHASES.get(payload["phase"])
    during = f" in its {phase} phase" if phase else ""
    lines = [f"worker {worker!r} crashed while running {nodeid!r}"]
    if _timed_out(payload):
        lines.append(f"{payload['text']}{during}, and its worker was ended")
    else:
        lines.append(f"{describe_status(payload['status'])}{during}")
        if payload["text"]:
            lines.append(payload["text"])
    out, err, faults = payload["last_words"]
    if faults.strip():
        lines += ["", trim_fault(faults)]
    report = pytest.TestReport(
        nodeid=nodeid,
        location=location,
        keywords={},
        outcome="failed",
        longrepr="\n".join(lines),
        when="???",  # type: ignore[arg-type]
    )
    when = phase or "call"
    for name, text in (("stdout", out), ("stderr", err)):
        if text:
            report.sections.append((f"Captured {name} {when}", text))
    return report
