"""What is measured, and the targets."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import real
import suites
from environments import BUILD, PHALANX, XDIST, python_of
from measure import Sample

SUITES = BUILD / "suites"

Results = dict[str, list[Sample]]  # label of a command: one sample per round


def ran(sample: Sample) -> dict[str, int]:
    """pytest-xdist's last line does not count what was deselected."""
    return {word: count for word, count in sample.outcomes.items() if word != "deselected"}


def good(results: Results, label: str) -> list[Sample]:
    """The runs that ended as the sequential ones do: the others' times say nothing."""
    expected = [ran(sample) for sample in results["sequential"]]
    return [sample for sample in results.get(label, []) if ran(sample) in expected]


def seconds(results: Results, label: str) -> float:
    return statistics.median(sample.seconds for sample in good(results, label))


def ratio(results: Results, label: str) -> float:
    return seconds(results, label) / seconds(results, "sequential")


def memory(results: Results, label: str) -> float:
    return statistics.median(sample.peak_pss_mb for sample in good(results, label))


def beyond_sleep(results: Results, label: str) -> float:
    """Seconds over 2 s and the start-up of a sequential run: the same tests, which sleep no time."""
    return seconds(results, label) - 2.0 - seconds(results, "sequential")


@dataclass
class Command:
    label: str
    argv: list[str]
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def is_peer(self) -> bool:
        return self.label.startswith("pytest-xdist")


@dataclass
class Target:
    label: str
    limit: float
    value: Callable[[Results, str], float]
    unit: str  # "of sequential", "s", "MB" or "set-ups"


@dataclass
class Case:
    key: str
    title: str
    directory: Path
    commands: list[Command]
    value: Callable[[Results, str], float] = ratio
    unit: str = "of sequential"
    targets: list[Target] = field(default_factory=list)
    rounds: int = 5
    with_memory: bool = False
    setups_log: Path | None = None  # where a run writes a line for each set-up
    note: str = ""
    write: Callable[[], None] = lambda: None

    def target(self, label: str, limit: float) -> None:
        self.targets.append(Target(label, limit, self.value, self.unit))


def commands(workers: list[int], *args: str, **environment: str) -> list[Command]:
    """Sequential pytest, and the others with each number of workers."""
    found = [
        Command(
            "sequential",
            [str(python_of(PHALANX)), "-m", "pytest", "-p", "no:phalanx", "-p", "no:xdist", *args],
            environment,
        )
    ]
    for name, place in (("phalanx", PHALANX), ("pytest-xdist", XDIST)):
        for number in workers:
            argv = [str(python_of(place)), "-m", "pytest", "-n", str(number), *args]
            found.append(Command(f"{name} -n {number}", argv, environment))
    return found


def _sleep_case(count: int, limit: float) -> Case:
    of_case = commands([count])
    of_case[0].environment = {"BENCH_SLEEP": "0"}
    directory = SUITES / f"sleep{count}"
    case = Case(
        key=f"sleep{count}",
        title=f"{count} tests that sleep 2 s, -n {count}",
        directory=directory,
        commands=of_case,
        value=beyond_sleep,
        unit="s",
        note="The sequential run is of the same tests with sleeps of 0 s: its time is the start-up. "
        "The last column is the time beyond 2 s and that start-up.",
        write=lambda: suites.sleeping(directory, count),
    )
    case.target(f"phalanx -n {count}", limit)
    return case


def _memory_case(iterating: bool) -> Case:
    key = "memory-touched" if iterating else "memory"
    directory = SUITES / key
    what = "iterated by every test" if iterating else "that tests do not touch"
    case = Case(
        key=key,
        title=f"memory: 200 MB loaded at collection, {what}, -n 8",
        directory=directory,
        commands=commands([8]),
        value=memory,
        unit="MB",
        rounds=3,
        with_memory=True,
        note="Peak of the sum of proportional set sizes over all processes of the run, its exit "
        "included, sampled every 20 ms or as often as /proc answers.",
        write=lambda: suites.memory(directory, iterating),
    )
    if not iterating:
        case.target("phalanx -n 8", 420)
    return case


def _trivial_case(key: str, tests: int, workers: list[int], scale: float) -> Case:
    per_file = max(1, int(tests * scale) // 100)
    directory = SUITES / key
    return Case(
        key=key,
        title=f"{100 * per_file:,} trivial tests in 100 files",
        directory=directory,
        commands=commands(workers),
        write=lambda: suites.trivial(directory, 100, per_file),
    )


def _real_case(project: real.Project) -> Case:
    of_case = commands([2, 4, 8], *project.args, PYTHONPATH=str(real.SITE))
    return Case(
        key=f"real-{project.name}",
        title=f"{project.name} {project.version} ({project.kind})",
        directory=project.source,
        commands=of_case,
        rounds=3,
        note=project.note,
    )


def all_cases(quick: bool) -> list[Case]:
    scale = 0.1 if quick else 1.0
    trivial = _trivial_case("trivial10k", 10_000, [2, 8], scale)
    trivial.target("phalanx -n 2", 0.72)
    trivial.target("phalanx -n 8", 0.75)
    small = _trivial_case("trivial1k", 1_000, [8], 1.0)
    small.target("phalanx -n 8", 1.0)
    imports_at = SUITES / "imports"
    imports = Case(
        key="imports",
        title=f"import-heavy: {suites.IMPORT_FILES} files, {suites.IMPORT_SECONDS * scale:g} s of imports",
        directory=imports_at,
        commands=commands([2, 8]),
        write=lambda: suites.import_heavy(imports_at, python_of(PHALANX), scale),
    )
    imports.target("phalanx -n 2", 1.05)
    imports.target("phalanx -n 8", 1.05)
    return [
        trivial,
        small,
        imports,
        _sleep_case(4, 0.2),
        _sleep_case(64, 0.5),
        _memory_case(iterating=False),
        _memory_case(iterating=True),
        *(_real_case(project) for project in real.PROJECTS),
    ]
