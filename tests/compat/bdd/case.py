import json

from case import Case


def output(run, folder):
    """The scenarios and steps of the cucumber report, and those on the terminal."""
    data = json.loads((folder / "cucumber.json").read_text())
    steps = []
    for feature in data:
        for scenario in feature["elements"]:
            steps += [
                (feature["name"], scenario["name"], step["name"], step["result"]["status"])
                for step in scenario["steps"]
            ]
    return {"cucumber": sorted(steps)}


CASE = Case(
    plugin="pytest-bdd",
    exercises="scenarios and outlines, steps with arguments, a step that fails, `--cucumberjson`",
    load=["pytest-bdd"],
    steps=[["--cucumberjson=cucumber.json"]],
    output=output,
    known={
        "cucumber": "empty with any workers, those of pytest-xdist too: the plugin finds a scenario by the report "
        "object of the process that ran it (`test_report_context_registry`), and the controller has another one",
    },
)
