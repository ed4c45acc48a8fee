import json

from case import Case


def output(run, folder):
    """All that the report says of each test, without durations and paths."""
    data = json.loads((folder / "report.json").read_text())
    tests = {}
    for test in data["tests"]:
        phases = {
            phase: {
                k: v for k, v in test[phase].items() if k in ("outcome", "stdout", "stderr", "log")
            }
            for phase in ("setup", "call", "teardown")
            if phase in test
        }
        for phase in phases.values():
            phase["log"] = [record["msg"] for record in phase.get("log", [])]
        tests[test["nodeid"]] = [
            test["outcome"],
            test["metadata"],
            sorted(test["keywords"]),
            phases,
        ]
    return {"tests": tests, "summary": data["summary"], "exit code in it": data["exitcode"]}


CASE = Case(
    plugin="pytest-json-report",
    exercises="`--json-report`: metadata of tests, logs, captured output, `pytest_json_modifyreport` and "
    "`pytest_json_runtest_metadata`",
    load=["pytest_jsonreport", "metadata"],
    steps=[["--json-report", "--json-report-file=report.json", "--json-report-indent=1"]],
    output=output,
    requires=["pytest-metadata"],
)
