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
import scheduling
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
    if case.setups_log:
        case.setups_log.unlink(missing_ok=True)
    sample = measure.run(
        command.argv, case.directory, log, RUN_TIMEOUT_S, environment, case.with_memory
    )
    if case.setups_log:
        sample.setups = len(case.setups_log.read_text().splitlines())
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
    """Replaces what lies between the markers of each part; a part that was not measured stays, and so do
    the rows of the targets' table."""
    text = DOCS.read_text()
    for name, content in parts.items():
        begin, end = f"<!-- bench:{name} -->\n", f"\n<!-- /bench:{name} -->"
        before, has_begin, rest = text.partition(begin)
        old, has_end, after = rest.partition(end)
        if has_begin and has_end:
            new = tables.merge(old, content) if name == "targets" else content
            text = f"{before}{begin}{new}{end}{after}"
        else:
            say(f"{DOCS} has no place for bench:{name}")
    DOCS.write_text(text)


def main() -> int:
    quick = "--quick" in sys.argv
    cases = [*all_cases(quick), *scheduling.cases()]
    arguments = parse_arguments([*(case.key for case in cases), "instructions"])
    chosen = arguments.case or [*(case.key for case in cases), "instructions"]
    start = time.monotonic()
    today = datetime.date.today().isoformat()
    say("preparing the virtual environments …")
    versions = environments.prepare(arguments.source.resolve())
    if any(name.startswith("real-") for name in chosen):
        real.prepare()
    measure.become_subreaper()
    head = tables.head(versions)
    if quick:
        head += " **Small suites, one round, any load: not figures to quote.**"
    results = [head]

    def publish(parts: dict[str, str]) -> None:
        """At once: hours may lie before the next one."""
        results.extend(parts.values())
        (environments.BUILD / "results.md").write_text("\n\n".join(results) + "\n")
        print("\n" + "\n\n".join(parts.values()), flush=True)
        if arguments.docs:
            write_docs({"head": head, **parts})

    measured = []
    for case in cases:
        if case.key in chosen:
            say(f"{case.key}: {case.title}")
            measured.append(measure_case(case, arguments))
            origin = tables.provenance(versions, today, case.key)
            parts = {case.key: tables.case_section(measured[-1], origin)}
            if case.targets:
                parts["targets"] = tables.targets_table(measured[-1:])
            publish(parts)
    if "instructions" in chosen:
        lacking = instructions.missing()
        if lacking:
            say(f"instructions: not counted, as this machine has no {lacking}")
        else:
            say("instructions: per test, under valgrind")
            per_test = instructions.measure(SUITES / "instructions")
            origin = tables.provenance(versions, today, "instructions")
            publish({"instructions": tables.instructions_section(per_test, origin)})
    say(f"took {(time.monotonic() - start) / 60:.1f} minutes")
    wrong = tables.differing(measured)
    for line in wrong:
        say(f"NOT AS SEQUENTIAL: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
