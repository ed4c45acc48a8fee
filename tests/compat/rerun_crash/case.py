import re

from case import Case


def output(run, folder):
    """The outcomes of each test in the order of its tries."""
    return {"crashed": sorted(re.findall(r"crashed while running '?([^']*)'?", run.out))}


CASE = Case(
    plugin="pytest-rerunfailures",
    exercises="a worker that dies is replaced, and its test run again: by the plugin's "
    "`pytest_handlecrashitem` and its server in the controller",
    load=["rerunfailures"],
    steps=[["--reruns=2", "-rR"]],
    output=output,
    reference="pytest-xdist",
)
