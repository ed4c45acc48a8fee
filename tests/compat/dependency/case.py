from case import Case

CASE = Case(
    plugin="pytest-dependency",
    exercises="tests that depend on others of their class or module: with `loadscope` and `loadfile` as without "
    "workers; with `load` two that belong together may meet different workers, as with pytest-xdist",
    load=["dependency"],
    known={
        "outcomes": "a test is skipped when the one it depends on ran on another worker; with `--dist=loadscope` "
        "or `loadfile` they stay together",
        "counts": "the same",
        "JUnit": "the same",
    },
)
