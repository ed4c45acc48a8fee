#!/usr/bin/env python3
"""Compares sequential pytest, the newest pytest-xdist and phalanx on this machine.

    python bench/run.py                     everything
    python bench/run.py --case trivial10k   one case; may be given more than once
    python bench/run.py --quick             small suites, one round, whatever the load: a smoke test
    python bench/run.py --docs              also puts the tables into docs/performance.md

The runs of a case are interleaved: a round is one of each. A round counts when other programs used under
5 % of the machine; others are repeated, up to a limit, and the table says so if that was not enough. The
tables go to standard output and to build-bench/results.md.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from pathlib import Path

import environments
import instructions
import measure
import real
import tables
from cases import SUITES, Case, Command, all_cases
from tables import QUIET, Measured

DOCS = environments.ROOT / "docs" / "performance.md"
RUN_TIMEOUT_S = 600
QUIET_PROBE_S = 0.5


def parse_arguments(names: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", action="append", choices=names, metavar="NAME",
                        help=f"only this one: {', '.join(names)}")  # fmt: skip
    parser.add_argument("--rounds", type=int, help="rounds that must count (default: 5; memory "
                        "and real suites: 3)")  # fmt: skip
    parser.add_argument("--peer-rounds", type=int, default=3,
                        help="rounds in which pytest-xdist takes part (default: %(default)s)")  # fmt: skip
    parser.add_argument("--repeat", type=int, default=5,
                        help="rounds that may be repeated, per case (default: %(default)s)")  # fmt: skip
    parser.add_argument("--patience", type=float, default=10.0,
                        help="seconds to wait for a quiet moment before a round "
                        "(default: %(default)s)")  # fmt: skip
    parser.add_argument("--source", type=Path, default=environments.ROOT, metavar="DIR",
                        help="the tree of phalanx that is measured (default: this one)")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="small suites, one round, any load")
    parser.add_argument("--docs", action="store_true", help=f"write the tables into {DOCS.name}")
    return parser.parse_args()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def wait_for_quiet(patience: float) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        if measure.load_of_others(QUIET_PROBE_S) < QUIET:
            return


def run_command(case: Case, command: Command) -> measure.Sample:
    logs = environments.BUILD / "logs"
    logs.mkdir(exist_ok=True)
    log = logs / f"{case.key}-{command.label.replace(' ', '')}.log"
    environment = measure.clean_environment(**command.environment)
    sample = measure.run(
        command.argv, case.directory, log, RUN_TIMEOUT_S, environment, case.with_memory
    )
    if sample.status != 0:
        say(f"  {command.label}: exit status {sample.status}, see {log}")
    return sample


def run_round(case: Case, number: int, with_peers: bool) -> tuple[dict[str, measure.Sample], float]:
    """One run of each command, beginning with another one each round; and what others used meanwhile."""
    commands = [command for command in case.commands if with_peers or not command.is_peer]
    shift = number % len(commands)
    samples = {}
    for command in commands[shift:] + commands[:shift]:
        samples[command.label] = run_command(case, command)
    total = sum(sample.seconds for sample in samples.values())
    others = sum(sample.others * sample.seconds for sample in samples.values())
    return samples, others / total


def measure_case(case: Case, arguments: argparse.Namespace) -> Measured:
    case.write()
    run_command(case, case.commands[0])  # warms the caches: .pyc files and the disk's
    wanted = 1 if arguments.quick else arguments.rounds or case.rounds
    attempts = wanted if arguments.quick else wanted + arguments.repeat
    rounds: list[tuple[float, dict[str, measure.Sample]]] = []
    for number in range(attempts):
        quiet = [samples for load, samples in rounds if load < QUIET]
        if len(quiet) == wanted:
            break
        if not arguments.quick:
            wait_for_quiet(arguments.patience)
        with_peers = sum(len(samples) == len(case.commands) for samples in quiet)
        samples, load = run_round(case, number, with_peers < arguments.peer_rounds)
        rounds.append((load, samples))
        say(f"  round {number + 1}: others used {load:.1%}")
    rounds.sort(key=lambda entry: entry[0])
    kept = rounds[:wanted]
    results = {
        command.label: [samples[command.label] for _, samples in kept if command.label in samples]
        for command in case.commands
    }
    return Measured(case, results, [load for load, _ in kept], wanted)


def write_docs(parts: dict[str, str]) -> None:
    """Replaces what lies between the markers of each part; a part that was not measured stays."""
    text = DOCS.read_text()
    for name, content in parts.items():
        begin, end = f"<!-- bench:{name} -->\n", f"<!-- /bench:{name} -->"
        before, has_begin, rest = text.partition(begin)
        _, has_end, after = rest.partition(end)
        if has_begin and has_end:
            text = f"{before}{begin}{content}\n{end}{after}"
        else:
            say(f"{DOCS} has no place for bench:{name}")
    DOCS.write_text(text)


def main() -> int:
    quick = "--quick" in sys.argv
    cases = all_cases(quick)
    arguments = parse_arguments([*(case.key for case in cases), "instructions"])
    chosen = arguments.case or [*(case.key for case in cases), "instructions"]
    start = time.monotonic()
    say("preparing the virtual environments …")
    versions = environments.prepare(arguments.source.resolve())
    if any(name.startswith("real-") for name in chosen):
        real.prepare()
    measure.become_subreaper()
    parts: dict[str, str] = {}
    measured = []
    for case in cases:
        if case.key in chosen:
            say(f"{case.key}: {case.title}")
            measured.append(measure_case(case, arguments))
            parts[case.key] = tables.case_section(measured[-1])
    if "instructions" in chosen:
        lacking = instructions.missing()
        if lacking:
            say(f"instructions: not counted, as this machine has no {lacking}")
        else:
            say("instructions: per test, under valgrind")
            parts["instructions"] = tables.instructions_section(
                instructions.measure(SUITES / "instructions")
            )
    command = " ".join(["bench/run.py", *sys.argv[1:]])
    top = {"head": tables.head(versions, datetime.date.today().isoformat(), command)}
    if quick:
        top["head"] += " **Small suites, one round, any load: not figures to quote.**"
    if any(entry.case.targets for entry in measured):
        top["targets"] = tables.targets_table(measured)
    parts = top | parts
    result = "\n\n".join(parts.values())
    (environments.BUILD / "results.md").write_text(result + "\n")
    print(result)
    if arguments.docs:
        write_docs(parts)
    say(f"took {(time.monotonic() - start) / 60:.1f} minutes")
    wrong = tables.differing(measured)
    for line in wrong:
        say(f"NOT AS SEQUENTIAL: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
