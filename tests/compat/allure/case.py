import json

from case import Case


def output(run, folder):
    """Every result file without its times and numbers, the containers, and the threads."""
    results, threads = [], set()
    for path in folder.glob("results/*-result.json"):
        data = json.loads(path.read_text())
        labels = {label["name"]: label["value"] for label in data["labels"]}
        threads.add(labels.pop("thread", ""))
        labels.pop("host", None)
        labels = dict(sorted(labels.items()))  # it takes those of marks from a set
        results.append(
            {
                "name": data["fullName"],
                "status": data["status"],
                "labels": labels,
                "parameters": data.get("parameters"),
                "steps": [(step["name"], step["status"]) for step in data.get("steps", [])],
                "attachments": [entry["name"] for entry in data.get("attachments", [])],
                "history": data["historyId"],
            }
        )
    fixtures = []
    for path in folder.glob("results/*-container.json"):
        data = json.loads(path.read_text())
        fixtures += [entry["name"] for entry in data.get("befores", []) + data.get("afters", [])]
    return {
        "results": sorted(map(str, results)),
        "fixtures": sorted(set(fixtures)),
        "a thread for each worker": len(threads) == max(1, len(run.workers)),
    }


CASE = Case(
    plugin="allure-pytest",
    exercises="`--alluredir` with `--clean-alluredir`: steps, attachments, labels, parameters, fixtures; a lane "
    "of the time line for each worker",
    load=["allure_pytest"],
    steps=[
        ["--alluredir=results", "--clean-alluredir"],
        ["--alluredir=results", "--clean-alluredir"],
    ],
    output=output,
)
