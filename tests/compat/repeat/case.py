from case import Case

CASE = Case(
    plugin="pytest-repeat",
    exercises="`--count`, `--repeat-scope`, the mark",
    load=["repeat"],
    steps=[["--count=3"], ["--count=2", "--repeat-scope=session"]],
)
