import json

from case import Case


def output(run, folder):
    """What the server was told: the launch, and each item with its status; from how many processes."""
    seen = json.loads((folder / "told.json").read_text())
    told = [item["name"] for item in seen["items"]]
    return {
        "launches": seen["launches"],
        "tests": sorted((item["name"], item["status"]) for item in seen["items"] if item["step"]),
        "told twice": sorted(
            {name for name in told if name.startswith("test_") and told.count(name) > 1}
        ),
        "unfinished": [item["name"] for item in seen["items"] if item["status"] is None],
        "logs": sorted(seen["logs"]),
    }


CASE = Case(
    plugin="pytest-reportportal",
    exercises="a server on the loopback interface that the controller's conftest starts: the launch, which it hands "
    "to the workers in `workerinput`, items with their status, logs",
    load=["pytest_reportportal", "pytest-bdd"],  # it asks for hooks of that one if it is installed
    steps=[["--reportportal"]],
    parts=r"forked at .*reportportal_client/client.py:.*, which starts a thread",
    output=output,
)
