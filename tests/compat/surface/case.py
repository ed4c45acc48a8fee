import json

from case import Case


def output(run, folder):
    """All that the controller's conftest file saw; see there."""
    seen = json.loads((folder / "surface.json").read_text())
    recorded = json.loads((folder / "xdist.json").read_text())  # for tests/e2e/test_surface.py
    return {**seen, "as recorded": seen == recorded}


CASE = Case(
    plugin="pytest-xdist",
    exercises="what conftest files and plugins see of `node`, its gateway, spec, `workerinput` and `workeroutput`, "
    "of `report.node`, `dsession`, `terminaldistreporter` and the scheduler, attribute by attribute; the hooks in "
    "their order; events on `dsession.queue`; the names that people import; a worker's own environment",
    load=[],
    output=output,
    reference="pytest-xdist",
    same_dist=False,  # with loadfile and loadscope each new worker of pytest-xdist runs the test that ends it
    known={
        "JUnit": "the message of a crash says more: exit status, phase and last output",
    },
)
