from case import Case

CASE = Case(
    plugin="django",
    exercises="a database on disk that is asked while a conftest file is imported: its connection is closed before the "
    "fork, and each worker has one of its own",
    load=[],
)
