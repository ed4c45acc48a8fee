import re

from case import Case


def output(run, folder):
    """Its summary, and the tests that it shows as failed."""
    return {
        "summary": sorted(re.findall(r"^ +\d+ \w+$", run.out, re.MULTILINE)),
        "failed": sorted(set(re.findall(r"(test_\w+\.py::\w+)", run.out))),
    }


CASE = Case(
    plugin="pytest-sugar",
    exercises="its own terminal, which replaces pytest's and asks `report.node.gateway.id` and "
    "`xdist.__version__`, with and without `-v`",
    load=["sugar"],
    steps=[["--force-sugar"], ["--force-sugar", "-v", "-rA"]],
    output=output,
)
