"""The results as Markdown."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from cases import Case, Results, good
from environments import Versions
from measure import Sample

QUIET = 0.05


@dataclass
class Measured:
    """A case's results, of the rounds that count."""

    case: Case
    results: Results
    loads: list[float]  # what other programs used, per round
    wanted: int  # rounds

    @property
    def load(self) -> str:
        quiet = sum(load < QUIET for load in self.loads)
        most = f"others used at most {max(self.loads):.1%} of the machine"
        if quiet == len(self.loads) == self.wanted:
            return most
        return f"**only {quiet} of {self.wanted} rounds were quiet**; {most}"


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(header)]
    lines.append(["---"] + ["---:"] * (len(lines[0]) - 1))
    lines += [list(row) for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def show_value(value: float, unit: str) -> str:
    if unit == "MB":
        return f"{value:,.0f} MB"
    if unit == "set-ups":
        return f"{value:g}"
    return f"{value:.2f} s" if unit == "s" else f"{value:.2f}"


def head(versions: Versions) -> str:
    return (
        f"CPython {versions.python}, pytest {versions.pytest}, pytest-xdist {versions.xdist}. Medians; a "
        f"round counts when other programs used under {QUIET:.0%} of the machine in it. Each table says "
        "when, at which commit and on what it was measured."
    )


def provenance(versions: Versions, date: str, key: str) -> str:
    return f"`--case {key}`; {date}, commit {versions.commit}; {versions.machine}"


def targets_table(cases: list[Measured]) -> str:
    """The one table that says which target is met."""
    rows = []
    for measured in cases:
        for target in measured.case.targets:
            value = target.value(measured.results, target.label)
            peer = target.label.replace("phalanx", "pytest-xdist")
            has_peer = bool(good(measured.results, peer))
            theirs = (
                show_value(target.value(measured.results, peer), target.unit) if has_peer else "–"
            )
            rows.append(
                [
                    f"{measured.case.title}: `{target.label.partition(' ')[2]}`"
                    + (", set-ups" if target.unit == "set-ups" else ""),
                    f"≤ {show_value(target.limit, target.unit)}",
                    f"**{show_value(value, target.unit)}**",
                    "✓" if value <= target.limit else "✗",
                    theirs,
                ]
            )
    return table(["case", "target", "phalanx", "met", "pytest-xdist"], rows)


def merge(old: str, new: str) -> str:
    """The old table with the rows of the new one in the place of those with the same first cell."""
    fresh = {_first_cell(line): line for line in new.splitlines()}
    kept = [fresh.pop(_first_cell(line), line) for line in old.splitlines()]
    return "\n".join(kept + list(fresh.values()))


def _first_cell(line: str) -> str:
    return line.split("|")[1] if line.startswith("|") else line


def case_section(measured: Measured, origin: str) -> str:
    case = measured.case
    parts = [f"### {case.title}", f"{origin}; {measured.load}."]
    if case.note:
        parts.append(case.note)
    parts.append(_case_table(measured))
    return "\n\n".join(parts)


def _case_table(measured: Measured) -> str:
    case, results = measured.case, measured.results
    header = ["run", "median", "fastest to slowest", "CPU", "rounds"]
    header.append({"MB": "peak PSS", "s": "beyond"}.get(case.unit, "ratio"))
    if case.setups_log:
        header.append("set-ups")
    with_outcomes = case.key.startswith("real-")
    if with_outcomes:
        header.append("outcomes")
    rows = []
    for command in case.commands:
        samples = results.get(command.label)
        if not samples:
            continue
        counted = good(results, command.label)
        row = [f"`{command.label}`"]
        if counted:
            times = [sample.seconds for sample in counted]
            is_start_up = case.unit == "s" and command.label == "sequential"
            row += [
                f"{statistics.median(times):.2f} s",
                f"{min(times):.2f} to {max(times):.2f}",
                f"{statistics.median(sample.cpu_seconds for sample in counted):.1f} s",
                str(len(counted)),
                "" if is_start_up else show_value(case.value(results, command.label), case.unit),
            ]
        else:
            row += ["–", "", "", "0", "–"]
        if case.setups_log:
            counts = [sample.setups for sample in counted]
            row.append(f"{min(counts)} to {max(counts)}" if counts else "")
        if with_outcomes:
            row.append(show_outcomes(samples))
        rows.append(row)
    return table(header, rows)


def show_outcomes(samples: list[Sample]) -> str:
    """The counts, and how often where rounds differed."""
    seen: Counter[str] = Counter()
    for sample in samples:
        text = ", ".join(f"{count} {name}" for name, count in sorted(sample.outcomes.items()))
        seen[text or f"exit status {sample.status}"] += 1
    if len(seen) == 1:
        return next(iter(seen))
    return "; ".join(f"{times} × {text}" for text, times in seen.items())


def differing(cases: list[Measured]) -> list[str]:
    """The runs of phalanx that did not end as the sequential ones did: never to be overlooked."""
    return [
        f"{measured.case.key}: {label}: {show_outcomes(samples)}"
        for measured in cases
        for label, samples in measured.results.items()
        if label.startswith("phalanx") and len(good(measured.results, label)) < len(samples)
    ]


def instructions_section(per_test: dict[str, dict[str, float]], origin: str) -> str:
    """Thousands of instructions per trivial test, by process."""
    roles = ["controller", "zygote", "worker", "guard"]
    rows = []
    for name, counts in per_test.items():
        row = [f"{counts[role] / 1000:,.0f}" if role in counts else "" for role in roles]
        if name in ("collect", "sequential"):
            row[0] = ""
        rows.append([f"`{LABELS[name]}`", *row, f"**{sum(counts.values()) / 1000:,.0f}**"])
    added = sum(per_test["phalanx"].values()) - sum(per_test["sequential"].values())
    share = added / sum(per_test["sequential"].values())
    return "\n\n".join(
        [
            "### Instructions per trivial test",
            f"{origin}; callgrind, thousands of instructions; no noise.",
            table(["run", *roles, "all"], rows),
            f"phalanx adds {added / 1000:,.0f} thousand ({share:.0%}) to pytest's own.",
        ]
    )


LABELS = {
    "collect": "sequential --collect-only",
    "sequential": "sequential",
    "phalanx": "phalanx -n 1",
}
