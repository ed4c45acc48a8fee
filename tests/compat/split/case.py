import json

from case import Case


def output(run, folder):
    """The tests whose durations it has stored."""
    path = folder / ".test_durations"
    return {"stored": sorted(json.loads(path.read_text())) if path.exists() else None}


CASE = Case(
    plugin="pytest-split",
    exercises="`--store-durations`; `--splits` and `--group` by a file of durations",
    load=["pytest-split"],
    steps=[
        ["--store-durations"],
        ["--splits=2", "--group=1", "--durations-path=durations.json"],
        ["--splits=2", "--group=2", "--durations-path=durations.json"],
    ],
    output=output,
)
