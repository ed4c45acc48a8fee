from case import Case

CASE = Case(
    plugin="pytest-flask",
    exercises="`client`, `live_server` in a process of its own, a port for each worker, config marks",
    load=["flask"],
    steps=[["--live-server-host=127.0.0.1"]],
    requires=["flask"],
)
