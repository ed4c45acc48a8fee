import re

from case import Case


def output(run, folder):
    """The seed in the header, and what the generators gave to each test."""
    return {
        "seed": re.findall(r"Using --randomly-seed=\d+", run.out),
        "drawn": {
            report["nodeid"]: report["properties"]
            for report in run.reports
            if report["when"] == "call"
        },
    }


CASE = Case(
    plugin="pytest-randomly",
    exercises="a seed that the controller hands to the workers, order shuffled once, `random` seeded before "
    "each test, the option in two runs",
    load=["randomly"],
    steps=[["-p", "no:cacheprovider", "--randomly-seed=11"], ["--randomly-seed=12"]],
    output=output,
)
