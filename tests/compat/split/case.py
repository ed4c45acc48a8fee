import json

from case import Case


def output(run, folder):
    """The tests whose durations it has stored."""
    path = folder / ".test_durations"
    return {"stored": sorted(json.loads(path.read_text())) if path.exists() else None}


CASE = Case(
    plugin="pytest-split",
    exercises="`--store-durations`, then `--splits` and `--group` by these",
    load=["pytest-split"],
    steps=[["--store-durations"], ["--splits=2", "--group=1"], ["--splits=2", "--group=2"]],
    output=output,
)
