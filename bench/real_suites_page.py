"""docs/real-suites.md, from what real_suites.py saw."""

from __future__ import annotations

import re
from typing import Any

from environments import ROOT
from real_suites_list import Suite

PAGE = ROOT / "docs" / "real-suites.md"
COLUMNS = [
    f"{tool} -n{number} {dist}"
    for number in (2, 4)
    for dist in ("load", "loadscope")
    for tool in ("pytest-xdist", "phalanx")
]

HEAD = """\
# Real suites

Test suites of popular projects, unchanged, from their source archives: without workers, with pytest-xdist
and with phalanx. `make real-suites` runs them, `make real-suites REAL=--docs` writes this page; nothing is
typed in by hand. `REAL="attrs flask"` runs these two only.

Compared are every node id with what pytest counts for it, and the exit code, in four runs of each tool:
`-n 2` and `-n 4`, `--dist load` and `loadscope`. **same**: all four are as the run without workers.
"""

TIMES = """\
## What it costs

Seconds of wall time, then of CPU time of all processes. Other programs ran on the machine as well, now more,
now less: do not compare wall times of a row with each other. CPU time can be compared; for both see
[performance.md](performance.md). The suite runs once for each column. phalanx plans a run with what its
earlier ones took, which in the first of its columns nobody knows.
"""


def write(suites: tuple[Suite, ...], results: dict[str, dict[str, Any]]) -> None:
    known = [suite for suite in suites if suite.name in results]
    lines = [HEAD]
    lines += _provenance(results)
    lines.append(
        "| project | | tests | pytest-xdist | phalanx | where the workers were forked, and why |"
    )
    lines.append("| --- | --- | ---: | --- | --- | --- |")
    lines += [_row(suite, results[suite.name]) for suite in known]
    lines += ["", _summary(results), ""]
    notes = [note for suite in known for note in _notes(suite, results[suite.name])]
    lines += ["## What differs, and why", "", *(notes or ["Nothing."]), "", TIMES]
    lines.append("| project | sequential | " + " | ".join(COLUMNS) + " |")
    lines.append("| --- |" + " ---: |" * (len(COLUMNS) + 1))
    lines += [_times(suite, results[suite.name]) for suite in known]
    PAGE.write_text("\n".join(lines) + "\n")
    print(f"wrote {PAGE.relative_to(ROOT)}")


def _provenance(results: dict[str, dict[str, Any]]) -> list[str]:
    made = [result["made"] for result in results.values()]
    told = {
        f"CPython {entry['python']}, pytest {entry['pytest']}, pytest-xdist {entry['xdist']}; "
        f"{entry['machine']}."
        for entry in made
    }
    commits = sorted({entry["commit"] for entry in made})
    dates = sorted({entry["date"] for entry in made})
    until = f" to {dates[-1]}" if len(dates) > 1 else ""
    return [*sorted(told), f"Commits {', '.join(commits)}; {dates[0]}{until}.", ""]


def _row(suite: Suite, result: dict[str, Any]) -> str:
    cells = [f"{suite.name} {suite.version}", suite.kind, f"{result['tests']:,}"]
    cells += [_word(result, tool) for tool in ("pytest-xdist", "phalanx")]
    cells.append("; ".join(_forked(result)))
    return "| " + " | ".join(cells) + " |"


def _word(result: dict[str, Any], tool: str) -> str:
    different = [
        mode.partition(" ")[2]
        for mode, seen in result["runs"].items()
        if mode.startswith(tool) and seen["differences"]
    ]
    return f"differs: {', '.join(different)}" if different else "same"


def _forked(result: dict[str, Any]) -> list[str]:
    return sorted(
        {
            seen["forked"] or "no test ran"
            for mode, seen in result["runs"].items()
            if mode.startswith("phalanx")
        }
    )


def _summary(results: dict[str, dict[str, Any]]) -> str:
    late = sum(_forked(result) == ["forked after collection"] for result in results.values())
    cheaper = [_ratio(result) for result in results.values()]
    less = sum(ratio < 1 for ratio in cheaper)
    return (
        f"{late} of {len(results)} suites are forked after collection. "
        f"With `-n 4` phalanx used less CPU time than pytest-xdist in {less} of them."
    )


def _ratio(result: dict[str, Any]) -> float:
    runs = result["runs"]
    return float(runs["phalanx -n4 load"]["cpu"] / max(runs["pytest-xdist -n4 load"]["cpu"], 1e-9))


def _notes(suite: Suite, result: dict[str, Any]) -> list[str]:
    notes = []
    if result["unstable"]:
        names = ", ".join(f"`{test}`" for test in result["unstable"][:5])
        more = f" and {len(result['unstable']) - 5} more" if len(result["unstable"]) > 5 else ""
        notes.append(
            f"* {suite.name}: not the same in two runs without workers, and not compared: {names}{more}."
        )
    for what, (modes, text) in _by_test(result).items():
        cause = next((why for pattern, why in suite.known.items() if re.search(pattern, what)), "")
        if all(mode.startswith("pytest-xdist") for mode in modes):
            cause = suite.of_xdist
        notes.append(f"* {suite.name}, {', '.join(modes)}: `{what}`: {text}. {cause}".rstrip())
    return notes


def _by_test(result: dict[str, Any], most: int = 5) -> dict[str, tuple[list[str], str]]:
    """The tests that differ: in which modes, and how. Of many the first, and what the run said at its end."""
    found: dict[str, tuple[list[str], str]] = {}
    for mode, seen in result["runs"].items():
        differences = list(seen["differences"].items())
        several = len(differences) > most
        for what, (before, after) in differences[: 1 if several else most]:
            text = f"{before} became {after}"
            if several:
                last = seen["last"].strip("= ").partition(" in ")[0]
                text += f', and {len(differences) - 1:,} more; the run ended with "{last}"'
            found.setdefault(what, ([], text))[0].append(mode)
    return found


def _times(suite: Suite, result: dict[str, Any]) -> str:
    cells = [
        f"{seen['seconds']:.1f} / {seen['cpu']:.1f}"
        for seen in (result["runs"][mode] for mode in ("sequential", *COLUMNS))
    ]
    return f"| {suite.name} | " + " | ".join(cells) + " |"
