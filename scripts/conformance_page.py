"""docs/conformance.md, from what scripts/conformance.py saw."""

from __future__ import annotations

import datetime
import re
from collections import Counter
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "conformance.md"

HEAD = """\
# pytest-xdist's own tests

The tests of pytest-xdist's newest release, unchanged, run against phalanx. `make conformance` downloads and
runs them; with `CONFORMANCE=--docs` it writes this page, with
`CONFORMANCE="acceptance_test.py --runs 20 --docs"` the row of one file. Nothing is typed in by hand.

**pass**: in every run. **differ**: phalanx answers otherwise on purpose, for a reason given below.
**skipped**: by themselves, or expected to fail there too. **fail**: in at least one run, without a reason.
"""

COLUMNS = "| file | tests | pass | differ | skipped | fail | runs in a row | run of |"

TAIL = """
`test_workermanage.py` and `test_looponfail.py` are left out: they drive execnet's gateways, its rsync and a
watcher of files from within.
"""


def write(runs: list[dict[str, str]], differences: dict[str, str], what: str) -> None:
    """`runs`: of each, test to outcome. Rows of files that were not run stay; `what`: versions."""
    rows = _rows_there()
    files = dict.fromkeys(test.partition("::")[0] for test in runs[0])
    for file in files:
        rows[file] = _row(file, runs, differences, what)
    lines = [HEAD, COLUMNS, "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"]
    lines += [rows[file] for file in sorted(rows)]
    lines += ["", "## What differs, and why", "", "| tests | reason |", "| --- | --- |"]
    by_reason: dict[str, list[str]] = {}
    for test, reason in differences.items():
        by_reason.setdefault(reason.removeprefix("?"), []).append(test)
    for reason, tests in by_reason.items():
        names = ", ".join(f"`{test.partition('::')[2]}`" for test in tests)
        lines.append(f"| {names} | {reason} |")
    PAGE.write_text("\n".join(lines) + "\n" + TAIL)


def _row(file: str, runs: list[dict[str, str]], differences: dict[str, str], what: str) -> str:
    counts: Counter[str] = Counter()
    for test in runs[0]:
        if test.partition("::")[0] == file:
            words = {run.get(test, "failed") for run in runs}
            counts["tests"] += 1
            if test in differences:
                counts["differ"] += 1
            else:
                counts["failed" if "failed" in words else "/".join(sorted(words))] += 1
    numbers = [counts["tests"], counts["passed"], counts["differ"], counts["skipped"]]
    cells = [file, *numbers, counts["failed"], len(runs), f"{what}, {datetime.date.today()}"]
    return "| " + " | ".join(map(str, cells)) + " |"


def _rows_there() -> dict[str, str]:
    text = PAGE.read_text() if PAGE.exists() else ""
    return {row[1]: row[0] for row in re.finditer(r"^\| (\w+\.py) \|.*$", text, re.MULTILINE)}
