"""What became of a test, as one letter (src/store/outcomes.h), read from its reports."""

from __future__ import annotations

from typing import Any

NONE = ord(" ")
PASSED, FAILED, ERROR, SKIPPED, XFAILED, XPASSED, RERUN, CRASHED = map(ord, ".FEsxXRC")


def letter(report: Any) -> int:
    """What one phase's report says of the whole test."""
    outcome = report.outcome
    if outcome == "passed":
        if report.when != "call":
            return NONE
        return XPASSED if hasattr(report, "wasxfail") else PASSED
    if outcome == "skipped":
        return XFAILED if hasattr(report, "wasxfail") else SKIPPED
    if outcome == "failed":
        if report.when == "call":
            return FAILED
        return ERROR if report.when in ("setup", "teardown") else CRASHED
    return RERUN  # what plugins call it: "rerun", "retried"


def combined(earlier: int, later: int) -> int:
    """A failure is what remains of a test, whatever else it reports; passing after a rerun is told apart."""
    if later == NONE or earlier in (FAILED, CRASHED) or (earlier == ERROR and later != CRASHED):
        return earlier
    if earlier == RERUN and later == PASSED:
        return RERUN
    return later
