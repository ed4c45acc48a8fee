import re
import sqlite3

from case import Case


def output(run, folder):
    """What its header says, and which tests its database knows."""
    with sqlite3.connect(folder / ".testmondata") as database:
        names = [name for (name,) in database.execute("select test_name from test_execution")]
    header = re.findall(r"^testmon: .*$", run.out, re.MULTILINE)
    return {
        "header": [line.partition("environment")[0] for line in header],
        "database": sorted(set(names)),
        "early claims": "early claims" not in run.out or "testmon" in run.out,
    }


CASE = Case(
    plugin="pytest-testmon",
    exercises="`--testmon` in three runs: all tests, none as nothing has changed, then those of a changed "
    "module; its database, and its count of `testnodeready` and `node_collection_finished`",
    load=["pytest-testmon"],
    steps=[["--testmon"], ["--testmon"], ["--testmon", "-p", "change_prices"]],
    output=output,
    parts=r"forked at .*testmon/db.py:.*, which opens a database file",
)
