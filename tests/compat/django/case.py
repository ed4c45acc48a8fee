from case import Case


def output(run, folder):
    """The databases that the tests saw, and what was created and destroyed."""
    names = {
        value for report in run.reports for key, value in report["properties"] if key == "database"
    }
    left = sorted(path.name for path in folder.glob("*.sqlite3"))
    return {
        "a database for each worker": len(names) == max(1, len(run.workers)),
        "databases left": left,
    }


CASE = Case(
    plugin="pytest-django",
    exercises="a database for each worker, transactions rolled back, `transactional_db`, sequences, "
    "`live_server`, `client`, `settings`, `mailoutbox`, session fixtures, `TestCase` of Django's",
    load=["django"],
    steps=[[]],
    output=output,
    requires=["django"],
)
