import re

from case import Case


def output(run, folder):
    """Which tests were run again, and how often."""
    again = [line for line in run.lines if re.match(r"RERUN ", line)]
    return {"reruns": sorted(again)}


CASE = Case(
    plugin="pytest-rerunfailures",
    exercises="`--reruns`, the mark with a condition and a delay, a fixture that fails, teardown between "
    "two tries, `--only-rerun`",
    load=["rerunfailures"],
    steps=[["--reruns=1", "-rR"], ["--reruns=2", "-rR", "--only-rerun=OSError"]],
    output=output,
)
