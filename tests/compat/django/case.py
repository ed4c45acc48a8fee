from case import Case


def output(run, folder):
    """The databases that the tests saw, and what was created and destroyed."""
    names = {
        (report["worker"], value)
        for report in run.reports
        for key, value in report["properties"]
        if key == "database"
    }
    left = sorted(path.name for path in folder.glob("*.sqlite3"))
    return {
        "a database for each worker": len({worker for worker, _ in names}) == len(names)
        and len({name for _, name in names}) == len(names) > 0,
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
