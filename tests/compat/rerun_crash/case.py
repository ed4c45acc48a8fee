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
    known=dict.fromkeys(
        ("outcomes", "counts", "JUnit"),
        "with `loadscope` and `loadfile` no scheduler of pytest-xdist takes a test back, so the plugin cannot "
        "ask for another try; pytest-xdist has the next worker run it all the same, asked or not, and counts a test "
        "that ends every worker once for each. phalanx reports it once. `--retries` of phalanx tries crashed tests "
        "again with every `--dist`",
    ),
)
