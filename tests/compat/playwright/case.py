from case import Case


def output(run, folder):
    """Each worker has a browser and a server of its own; what the plugin keeps of a test that failed."""
    seen = {
        (report["worker"], *(dict(report["properties"])[name] for name in ("browser", "port")))
        for report in run.reports
        if dict(report["properties"]).get("browser")
    }
    workers, browsers, ports = (set(column) for column in zip(*seen))
    results = folder / "test-results"
    return {
        "one of each": len(workers) == len(browsers) == len(ports) == len(seen) >= 1,
        "kept": sorted(str(path.relative_to(results)) for path in results.rglob("*.png")),
    }


CASE = Case(
    plugin="pytest-playwright",
    exercises="a headless Chromium (Debian's) and a web application with a port of its own in each worker; pages, "
    "contexts, clicks and forms, a page that is not as expected, `--screenshot` of it",
    load=["playwright"],
    steps=[["--screenshot=only-on-failure"]],
    output=output,
    programs=["chromium"],
)
