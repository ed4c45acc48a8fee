from case import Case


def output(run, folder):
    return {
        "order of the tests": [r["nodeid"] for r in run.reports if r["when"] == "call"]
        if not run.workers
        else []
    }


CASE = Case(
    plugin="pytest-order",
    exercises="marks with numbers, `before` and `after`, within classes and modules; one process runs each file "
    "in its order",
    load=["pytest_order"],
    steps=[["--order-scope=module"]],
)
