import json

from case import Case


def output(run, folder):
    """What the JSON report says of every file, and the lines of the report on the terminal."""
    seen = {}
    with open(folder / "cov.json") as file:
        data = json.load(file)
    seen["totals"] = data["totals"]
    for name, entry in data["files"].items():
        seen[f"lines of {name}"] = [entry["executed_lines"], entry["missing_lines"]]
        seen[f"branches of {name}"] = [entry["executed_branches"], entry["missing_branches"]]
        contexts = entry["contexts"].items()
        seen[f"contexts of {name}"] = {line: sorted(names) for line, names in contexts}
    seen["report"] = [line for line in run.lines if line.startswith(("shop", "TOTAL", "Required"))]
    return seen


CASE = Case(
    plugin="pytest-cov",
    exercises="branches, contexts by test, lines run at import, in a child process and in a thread, "
    "`--cov-fail-under`, reports on the terminal and as JSON",
    load=["pytest_cov"],
    steps=[
        [
            "--cov=shop",
            "--cov-branch",
            "--cov-context=test",
            "--cov-report=term-missing",
            "--cov-report=json:cov.json",
            "--cov-fail-under=99",
        ]
    ],
    output=output,
)
