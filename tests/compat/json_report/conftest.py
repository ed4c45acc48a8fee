def pytest_json_runtest_metadata(item, call):
    return (
        {"phase": call.when, "bytes": list(b"\x00\xff"), "tuple": (1, 2)}
        if call.when == "call"
        else {}
    )


def pytest_json_modifyreport(json_report):
    json_report["modified"] = True
