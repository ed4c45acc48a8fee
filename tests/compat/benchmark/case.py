import re

from case import Case


def output(run, folder):
    """With workers the plugin measures nothing, and says so."""
    return {
        "disabled": "Benchmarks are automatically disabled because xdist plugin is active"
        in run.out + run.err,
        "tables": len(re.findall(r"^-+ benchmark", run.out, re.MULTILINE)),
    }


CASE = Case(
    plugin="pytest-benchmark",
    exercises="the fixture, `pedantic`, groups; with workers it is disabled with a warning, so pytest-xdist is "
    "the reference; being installed must not move the fork point",
    load=["benchmark"],
    output=output,
    reference="pytest-xdist",
)
