"""Shows what the tests saw, worker by worker."""


def pytest_terminal_summary(terminalreporter):
    workers = {}
    for report in terminalreporter.getreports("passed"):
        seen = dict(report.user_properties)
        if "seen" in seen:
            workers.setdefault(seen["worker"], []).append(seen["seen"])
    terminalreporter.section("values of the global that each worker saw")
    for worker, values in sorted(workers.items()):
        terminalreporter.line(f"{worker:8} {' '.join(map(str, values))}")
    total = sum(max(values) for values in workers.values())
    terminalreporter.line(f"sum of the last ones: {total}")
