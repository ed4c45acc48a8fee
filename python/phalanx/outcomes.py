"""What became of a test, as one letter (src/store/outcomes.h), read from its reports."""

from __future__ import annotations

from typing import Any

from phalanx import _engine

UNKNOWN = _engine.OUTCOME_UNKNOWN
PASSED = _engine.OUTCOME_PASSED
FAILED = _engine.OUTCOME_FAILED
ERROR = _engine.OUTCOME_ERROR
SKIPPED = _engine.OUTCOME_SKIPPED
XFAILED = _engine.OUTCOME_XFAILED
XPASSED = _engine.OUTCOME_XPASSED
FLAKY = _engine.OUTCOME_FLAKY
RERUN = _engine.OUTCOME_RERUN
CRASHED = _engine.OUTCOME_CRASHED


def letter(report: Any) -> int:
    """What one phase's report says of the whole test."""
    outcome = report.outcome
    if outcome == "passed":
        if report.when != "call":
            return UNKNOWN
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
    if later == UNKNOWN or earlier in (FAILED, CRASHED) or (earlier == ERROR and later != CRASHED):
        return earlier
    if earlier in (RERUN, FLAKY) and later == PASSED:
        return FLAKY
    return later
