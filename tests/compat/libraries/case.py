from case import Case


def output(run, folder):
    """What each worker drew from generators that nobody seeded, and from those that somebody did."""
    drawn = {}
    for report in run.reports:
        values = dict(report["properties"])
        if "unseeded" in values:
            drawn.setdefault(report["worker"], values)
    unseeded = [values["unseeded"] for values in drawn.values()]
    return {
        "unseeded ones differ": len(set(unseeded)) == len(unseeded),
        "seeded ones are equal": len({values["seeded"] for values in drawn.values()}),
    }


CASE = Case(
    plugin="numpy",
    exercises="libraries that are imported and used by a conftest file and must not move the fork point: numpy with "
    "its BLAS, matplotlib, requests and urllib3, filelock; generators of numpy, Faker and factory_boy, with and "
    "without a seed",
    load=[],
    requires=["faker", "factory-boy", "filelock", "matplotlib", "requests"],
    output=output,
)
