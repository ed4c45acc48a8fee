import re

from case import Case


def output(run, folder):
    """The tracebacks that it shows while the run goes on."""
    before = run.out.partition("short test summary")[0]
    return {"shown": sorted(re.findall(r"^_+ (.*?) _+$", before, re.MULTILINE))}


CASE = Case(
    plugin="pytest-instafail",
    exercises="tracebacks of failures and errors while the run goes on",
    load=["instafail"],
    steps=[["--instafail"]],
    output=output,
)
