import re

from case import Case


def output(run, folder):
    """The tests that the statistics name, and the examples that were found."""
    stats = re.findall(r"^(test_\S+\.py::\S+):$", run.out, re.MULTILINE)
    falsified = [report["longrepr"] for report in run.reports if report["category"] == "failed"]
    examples = [
        re.findall(r"(?:Falsifying example: \w+\(|^E? +\w+=[^\n]*,)", text or "", re.MULTILINE)
        for text in falsified
    ]
    return {
        "statistics": sorted(stats),
        "examples": sorted(" ".join(example) for example in examples),
        "database": (folder / ".hypothesis" / "examples").exists(),
    }


CASE = Case(
    plugin="hypothesis",
    exercises="`@given`, `--hypothesis-show-statistics`, falsified examples and their database over two "
    "runs, `@reproduce_failure`'s notes, stateful tests, a fixed seed, `.example()` while collecting",
    load=["hypothesispytest"],
    steps=[
        ["--hypothesis-show-statistics", "--hypothesis-seed=7"],
        ["--hypothesis-show-statistics", "--hypothesis-seed=8"],
    ],
    output=output,
)
