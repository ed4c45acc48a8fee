from case import Case


def output(run, folder):
    """Which tests ran into their limit."""
    texts = {report["nodeid"]: report["longrepr"] or "" for report in run.reports}
    return {"timed out": sorted(nodeid for nodeid, text in texts.items() if "Timeout" in text)}


CASE = Case(
    plugin="pytest-timeout",
    exercises="`--timeout` and the mark, by signal, in a test and in a fixture, `func_only`, a limit that "
    "is not reached, a timer after the fork",
    load=["timeout"],
    steps=[["--timeout=20"]],
    output=output,
)
