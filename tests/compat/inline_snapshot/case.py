import re

from case import Case


def output(run, folder):
    """What it says of the run, and the source after it."""
    return {
        "source": (folder / "test_values.py").read_text(),
        "says": sorted(
            set(re.findall(r"INFO: .*|.*inline-snapshot was disabled.*|.*snapshots.*", run.out))
        ),
    }


CASE = Case(
    plugin="inline-snapshot",
    exercises="`snapshot()` compared; with workers it is disabled, so pytest-xdist is the reference; being "
    "installed must not move the fork point",
    load=["inline_snapshot"],
    output=output,
    reference="pytest-xdist",
)
