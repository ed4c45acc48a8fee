from case import Case


def output(run, folder):
    """Each worker has a display of its own, and none is there after the run."""
    shown = [
        (report["worker"], dict(report["properties"])["display"])
        for report in run.reports
        if dict(report["properties"]).get("display")
    ]
    workers = {worker for worker, _ in shown}
    displays = {display for _, display in shown}
    return {"a display for each worker": len(workers) == len(displays) >= 1}


CASE = Case(
    plugin="pytest-xvfb",
    exercises="an X server that is started in `pytest_configure` of each worker and ended in its "
    "`pytest_unconfigure`",
    load=["xvfb"],
    output=output,
    parts=r"forked at .*pyvirtualdisplay/.*, which starts a process .Xvfb.",
    programs=["Xvfb"],
)
