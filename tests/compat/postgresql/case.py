from case import Case


def output(run, folder):
    """The databases that tests saw, one for each worker, and those that were left in the end."""
    seen = {
        (report["worker"] or "master", dict(report["properties"])["database"])
        for report in run.reports
        if dict(report["properties"]).get("database")
    }
    own = {name for _, name in seen}
    return {
        "a database for each worker": own == {f"test_db_{worker}" for worker, _ in seen}
        and bool(own),
        "databases left": (folder / "left").read_text(),
    }


CASE = Case(
    plugin="pytest-postgresql",
    exercises="one cluster, which the controller's conftest starts and ends; `test_db_gw0`, … created and dropped "
    "by a session fixture; the plugin's `postgresql_noproc` and its template, a database for each test",
    load=["pytest_postgresql"],
    output=output,
    requires=["psycopg"],
    programs=["psql"],
)
