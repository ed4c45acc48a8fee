import re

from case import Case


def output(run, folder):
    """The summary of the snapshots, and the files."""
    snapshots = {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.glob("**/__snapshots__/**/*"))
        if path.is_file()
    }
    summary = re.findall(
        r"^\d+ snapshots? .*$|^.*snapshot report summary.*$", run.out, re.MULTILINE
    )
    return {"snapshots": snapshots, "summary": summary}


CASE = Case(
    plugin="syrupy",
    exercises="snapshots written with `--snapshot-update`, compared, changed and unused ones: the workers' "
    "sessions are merged in `workeroutput`, and only `gw0` sends the list of tests",
    load=["syrupy"],
    steps=[["--snapshot-update"], [], ["-k", "not gone"]],
    output=output,
)
