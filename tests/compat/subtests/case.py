import re

from case import Case


def output(run, folder):
    """The lines of the summary on subtests, in any order."""
    return {"summary": sorted(set(re.findall(r"^SUB\w+ .*$", run.out, re.MULTILINE)))}


CASE = Case(
    plugin="pytest-subtests",
    exercises="`subtests.test` with messages and parameters, failures in some, `unittest`'s subTest",
    load=["subtests"],
    steps=[["-rA"]],
    output=output,
)
