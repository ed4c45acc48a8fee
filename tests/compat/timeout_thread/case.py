from case import Case


def output(run, folder):
    """What has become of the test whose worker the plugin ended, and of all others."""
    return {
        "crashed": sorted(nodeid for nodeid, found in run.outcomes.items() if "failed" in found),
        "traceback on standard error": "+ Timeout +" in run.err + run.out,
    }


CASE = Case(
    plugin="pytest-timeout",
    exercises="`method=thread`, which ends the worker with `os._exit`: the test is reported, the worker "
    "replaced, the rest run",
    load=["timeout"],
    steps=[[]],
    output=output,
    reference="pytest-xdist",
    same_dist=False,  # with loadscope and loadfile pytest-xdist runs the test until no worker is left
    known={
        "JUnit": "the message of a crash says more: exit status, phase and last output",
    },
)
