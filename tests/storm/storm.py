"""Kills, stops, delays and interrupts the processes of small runs at random moments, floods them, and checks
what is left of them: a run ends, nothing of it lives on, every test is accounted for, and the exit code is
right.

    python tests/storm/storm.py --runs 1000            seeds 0 to 999, two at a time
    python tests/storm/storm.py --seed 4711            that one, with what it printed
    python tests/storm/storm.py --kill-controller      each run has one fault: its controller is killed

A seed decides suite, options and faults; when a fault strikes is up to the machine's load too, so that a
failure may need its seed a few times. Ends with the totals of each kind of fault, `N runs, N failed`, and the
exit status 1 if any did. Ctrl-C ends it after the runs under way, and says with which seed to go on.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))

from runner import Project, Run, Running, describe, marked_processes, processes, wait_gone

END_S = 90.0  # a run that takes longer hangs: it has a second of work, and patience of 10 s in it
ORPHAN_S = 1.0  # how long anything may outlive the controller
STOP_S = (0.05, 0.4, 1.2)
DELAYS, DELAY_S = 12, 0.02

NOTE = """
import os, random, signal, subprocess, threading, time, warnings
import pytest

def note(text):
    fd = os.open(os.path.join(os.path.dirname(__file__), "log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, (text + "\\n").encode())
    os.close(fd)

def garbage():
    for fd in range(3, 64):
        try:
            if os.readlink(f"/proc/self/fd/{fd}").startswith("socket:"):
                os.write(fd, b"garbage " * 100)
        except OSError:
            pass

@pytest.fixture(scope="module")
def module():
    yield
    time.sleep(0.005)

@pytest.fixture(autouse=True)
def noted(request):
    note("start " + request.node.nodeid)
    yield
    note("end " + request.node.nodeid)
"""

# What a test does: its weight, its body, and what pytest says of it in a run without faults.
BODIES = [
    (40, "pass", "passed"),
    (20, "time.sleep(0.01)", "passed"),
    (6, "time.sleep(0.15)", "passed"),
    (4, "print('x' * 3_000_000)", "passed"),
    (4, "subprocess.Popen(['sleep', '60'])", "passed"),
    (2, "subprocess.Popen(['sleep', '60'], start_new_session=True)", "passed"),
    (2, "threading.Thread(target=time.sleep, args=(0.05,)).start()", "passed"),
    (6, "assert False", "failed"),
    (4, "pytest.skip('no')", "skipped"),
    (3, "os._exit(0)", "failed"),
    (2, "os.abort()", "failed"),
    (2, "os.kill(os.getpid(), signal.SIGKILL); time.sleep(30)", "failed"),
    (1, "os.closerange(3, 256)", "any"),
    (1, "garbage()", "any"),
    # Floods: of output, of reports, of warnings; and delays.
    (2, "os.write(1, b'x' * 20_000_000)", "passed"),
    (2, "request.node.add_report_section('call', 'flood', 'y' * 4_000_000)", "passed"),
    (2, "request.node.user_properties += [(str(n), 'z' * 500) for n in range(2000)]", "passed"),
    (2, "[warnings.warn(str(n)) for n in range(300)]", "passed"),
    (2, "time.sleep(random.expovariate(4))", "passed"),
    (1, "if os.fork() == 0: return", "passed"),
]

# Whom a fault strikes: its weight, target and signal. A stopped process is continued after a while; SIGCONT
# stands for a delay: stopped and continued again and again.
FAULTS = [
    (30, "worker", signal.SIGKILL),
    (10, "worker", signal.SIGSTOP),
    (6, "worker", signal.SIGTERM),
    (10, "zygote", signal.SIGKILL),
    (6, "zygote", signal.SIGSTOP),
    (6, "guard", signal.SIGKILL),
    (4, "guard", signal.SIGSTOP),
    (8, "controller", signal.SIGKILL),
    (4, "controller", signal.SIGSTOP),
    (6, "controller", signal.SIGINT),
    (4, "controller", signal.SIGTERM),
    (2, "controller", signal.SIGHUP),
    (4, "controller", signal.SIGCONT),
    (6, "worker", signal.SIGCONT),
    (4, "zygote", signal.SIGCONT),
    (3, "guard", signal.SIGCONT),
]
ENDING = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass
class Fault:
    after: float  # seconds, of the start of the run or of its first test
    of_tests: bool
    target: str
    signal: signal.Signals

    @property
    def kind(self) -> str:
        what = "delays" if self.signal == signal.SIGCONT else self.signal.name
        return f"{what} to {self.target}"

    def __str__(self) -> str:
        start = "the first test" if self.of_tests else "the start"
        return f"{self.kind} {self.after:.2f} s after {start}"


@dataclass
class Scenario:
    args: list[str]
    files: dict[str, str]
    expected: dict[str, str]  # node id → outcome without faults
    faults: list[Fault]
    struck: list[Fault] = field(default_factory=list)
    had_ended: bool = False  # no worker was left, and no test to run, when the last fault struck


def weighted(rng: random.Random, table: list[tuple[int, str, object]]) -> tuple[int, str, object]:
    return rng.choices(table, [row[0] for row in table])[0]


def make_scenario(seed: int, kill_controller: bool = False) -> Scenario:
    rng = random.Random(seed)
    files, expected = {}, {}
    for number in range(rng.randint(1, 3)):
        name, lines = f"test_{number}.py", [NOTE]
        for index in range(rng.randint(1, 9)):
            _, body, outcome = weighted(rng, BODIES)  # type: ignore[arg-type]
            argument = rng.choice(["request", "request", "request, module"])
            lines.append(f"def test_{index}({argument}):\n    {body}\n")
            expected[f"{name}::test_{index}"] = str(outcome)
        files[name] = "\n".join(lines)
    args = [
        f"-n{rng.randint(1, 4)}",
        "--dist=" + rng.choice(["load", "load", "worksteal", "loadscope", "loadfile", "loadgroup"]),
    ]
    restarts = rng.choice([None, None, None, 0, 1, 4])
    if restarts is not None:
        args.append(f"--max-worker-restart={restarts}")
    if rng.random() < 0.15:
        args.append("-x")
    faults = []
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        _, target, number = weighted(rng, FAULTS)  # type: ignore[arg-type]
        of_tests = rng.random() < 0.75
        after = rng.expovariate(10) if of_tests else rng.uniform(0.1, 1.0)
        faults.append(Fault(after, of_tests, target, signal.Signals(number)))
    if kill_controller:
        of_tests = rng.random() < 0.5
        after = rng.uniform(0, 0.3 if of_tests else 1.0)
        faults = [Fault(after, of_tests, "controller", signal.SIGKILL)]
    faults.sort(key=lambda fault: (fault.of_tests, fault.after))
    return Scenario(args, files, expected, faults)


# ---- the faults ----


def send(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


class Hunger:
    """Seconds for which processes were ready to run and the machine was busy with others: a storm runs beside
    other work, and at the lowest priority. The kernel counts a wait when it is over (schedstat), so the one
    that a process is in the middle of is measured here: while it is ready (R), and its counters stand still."""

    def __init__(self) -> None:
        self._counters: dict[int, tuple[list[str], float]] = {}  # and since when they are these

    def look(self, pids: list[int]) -> float:
        now, total = time.monotonic(), 0.0
        for pid in pids:
            try:
                counters = Path("/proc", str(pid), "schedstat").read_text().split()
                state = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()[0]
                total += int(counters[1]) / 1e9
            except (OSError, IndexError):
                continue  # gone, or a kernel that does not tell
            known, since = self._counters.get(pid, ([], now))
            if counters != known or state != "R":
                since = now
            self._counters[pid] = (counters, since)
            total += now - since
        return total


def strike(
    project: Project, running: Running, scenario: Scenario, rng: random.Random, hunger: Hunger
) -> tuple[list[int], float]:
    """Returns the guard's pid, if it had to end what its controller left, and its hunger until then."""
    guards: list[int] = []
    hungry = 0.0
    begun, of_tests = time.monotonic(), False
    for fault in scenario.faults:
        while fault.of_tests and not of_tests and running.process.poll() is None:
            time.sleep(0.002)
            if project.log():
                begun, of_tests = time.monotonic(), True
        time.sleep(max(0.0, begun + fault.after - time.monotonic()))
        if running.process.poll() is not None:
            return guards, hungry
        everybody = processes(running)
        guards, found = everybody["guard"], everybody[fault.target]
        hungry = hunger.look(guards)
        begun_tests = {line for line in project.log() if line.startswith("start ")}
        all_begun = len(begun_tests) == len(scenario.expected)
        scenario.had_ended = not guards or (all_begun and not everybody["worker"])
        if found and send(pid := rng.choice(found), fault.signal):
            scenario.struck.append(fault)
            if fault.signal == signal.SIGSTOP:
                time.sleep(rng.choice(STOP_S))
                send(pid, signal.SIGCONT)
            elif fault.signal == signal.SIGCONT:
                delay(pid)
    return guards, hungry


def delay(pid: int) -> None:
    for _ in range(DELAYS):
        if not send(pid, signal.SIGSTOP):
            return
        time.sleep(DELAY_S)
        send(pid, signal.SIGCONT)
        time.sleep(DELAY_S / 4)


# ---- the verdict ----


def verdict(scenario: Scenario, run: Run, log: list[str]) -> list[str]:
    """What is wrong with the run, in sentences."""
    struck = scenario.struck
    killed = any(f.target == "controller" and f.signal == signal.SIGKILL for f in struck)
    asked = any(f.target == "controller" and f.signal in ENDING for f in struck)
    wrong = []
    starts = Counter(line[6:] for line in log if line.startswith("start "))
    wrong += [f"{test} ran {count} times" for test, count in starts.items() if count > 1]
    if killed:
        return wrong
    # A test's crash has a traceback in its report; and Ctrl-C while pytest itself starts has one anywhere.
    said = {"INTERNALERROR": run.out + run.err, "unaccounted": run.out + run.err}
    # So does one while pytest takes itself down, after its last line, or in another plugin's last hook.
    is_over = bool(re.search(r" in \d+\.\d+s", run.out)) or (
        "in pytest_sessionfinish" in run.err and "/phalanx/" not in run.err
    )
    if ("created: " in run.out and not is_over) or not asked:
        said["Traceback (most recent call last)"] = run.err
    wrong += [f"it says {word}" for word, text in said.items() if word in text]
    if run.code == 3 or (run.code < 0 and not asked):
        wrong.append(f"exit code {run.code}")
    outcomes = run.outcomes
    silent = [test for test in scenario.expected if test not in outcomes]
    stranger = [test for test in outcomes if test not in scenario.expected]
    wrong += [f"{test} was never collected" for test in stranger]
    failed = [test for test, said in outcomes.items() if {"failed", "error"} & set(said)]
    if run.code == 0 and silent:
        wrong.append(f"green with {len(silent)} tests missing: {silent[:3]}")
    if run.code == 0 and failed:
        wrong.append(f"green with {len(failed)} failed: {failed[:3]}")
    if asked:
        return wrong
    named = re.search(r"(\d+) not run, as no worker was left", run.out)
    not_run = int(named.group(1)) if named else 0
    if not_run > len(silent):
        wrong.append(f"{not_run} not run, it says, and {len(silent)} were")
    stops_early = "-x" in scenario.args
    zygote_lost = any(f.target in ("zygote", "guard") and f.signal in ENDING for f in struck)
    collected = "created: " in run.out and re.search(r"\[\d+ items?\]", run.out)
    if len(silent) != not_run and not stops_early and collected:
        wrong.append(f"no word of {len(silent) - not_run} tests, some of {silent[:3]}")
    worker_hit = any(f.target == "worker" and f.signal in ENDING for f in struck)
    # What is behind somebody's garbage is lost, and what ran when that was read is ended; both say so.
    words = ("reports are lost", "not phalanx's protocol")
    lost = {r["nodeid"] for r in run.reports if any(w in (r["longrepr"] or "") for w in words)}
    if lost and "any" not in scenario.expected.values():
        wrong.append(f"{len(lost)} lost without garbage: {sorted(lost)[:3]}")
    for test, said in outcomes.items():
        expected = scenario.expected.get(test, "any")
        if expected == "any" or test in lost:
            continue
        if expected not in said and not worker_hit and not zygote_lost:
            wrong.append(f"{test}: {said} instead of {expected}")
    if not failed and not silent and run.code != 0 and not worker_hit and not zygote_lost:
        wrong.append(f"exit code {run.code} without a failure")
    return wrong


def run_seed(
    seed: int, home: Path, kill_controller: bool = False
) -> tuple[Scenario, list[str], Run | None]:
    scenario = make_scenario(seed, kill_controller)
    project = Project(home / str(seed))
    project.write(scenario.files)
    running = project.start(*scenario.args)
    hunger = Hunger()
    guards, hungry = strike(project, running, scenario, random.Random(seed), hunger)
    try:
        running.process.wait(END_S)
    except Exception:
        alive = describe(marked_processes(running.mark))
        wait_gone(running.mark, 0)
        run = running.wait(10, may_leave=True)
        return scenario, [f"no end after {END_S} s; alive: {alive}"], run
    ended, starved = time.monotonic(), 0.0
    while left := [pid for pid in marked_processes(running.mark) if not may_live(pid, scenario)]:
        starved = max(starved, hunger.look([*guards, *left]) - hungry)
        if time.monotonic() - ended > ORPHAN_S + starved:
            break
        time.sleep(0.02)
    alive = describe(left)
    run = running.wait(10, may_leave=True)
    wrong = verdict(scenario, run, project.log())
    if alive:
        wrong.append(f"alive {ORPHAN_S} s after the run: {alive}")
    if not wrong:
        shutil.rmtree(project.home)
    return scenario, wrong, run


def may_live(pid: int, scenario: Scenario) -> bool:
    """A test's child in a session of its own is left alone by a run that ends by itself, as without
    workers; so it is if the controller is killed while it says what became of a run that had ended. With
    the guard killed nobody ends a test's child; with the controller killed too, nobody ends anything."""
    killed = {fault.target for fault in scenario.struck if fault.signal == signal.SIGKILL}
    if "controller" in killed and ("guard" in killed or not scenario.had_ended):
        return "guard" in killed
    try:
        command = Path("/proc", str(pid), "cmdline").read_bytes()
        return command.startswith(b"sleep\0") and ("guard" in killed or os.getsid(pid) == pid)
    except OSError:
        return True


def report(
    seed: int, scenario: Scenario, wrong: list[str], run: Run | None, at_length: bool
) -> None:
    faults = "; ".join(map(str, scenario.struck)) or "no fault"
    print(f"seed {seed}: {' '.join(scenario.args)}: {faults}", flush=True)
    for sentence in wrong:
        print(f"  {sentence}")
    if wrong and run is not None:
        for line in run.err.splitlines()[-6:]:
            print(f"    stderr: {line}")
    if at_length and run is not None:
        print(run)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=200, help="default: %(default)s")
    parser.add_argument(
        "--first", type=int, default=0, help="the first seed (default: %(default)s)"
    )
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--kill-controller", action="store_true", help="the only fault of each run")
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + arguments.runs)
    if arguments.seed is not None:
        seeds = range(arguments.seed, arguments.seed + 1)
    with tempfile.TemporaryDirectory(prefix="phalanx-storm-") as name:
        return storm(seeds, Path(name), arguments)


def storm(seeds: range, home: Path, arguments: argparse.Namespace) -> int:
    runs, failed, struck = 0, 0, Counter[str]()
    waiting = iter(seeds)
    is_over = threading.Event()
    signal.signal(signal.SIGINT, lambda number, frame: is_over.set())
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        todo: dict[concurrent.futures.Future[tuple[Scenario, list[str], Run | None]], int] = {}
        while True:
            while len(todo) < arguments.jobs and not is_over.is_set():
                seed = next(waiting, None)
                if seed is None:
                    break
                todo[pool.submit(run_seed, seed, home, arguments.kill_controller)] = seed
            if not todo:
                break
            done, _ = concurrent.futures.wait(todo, 1, concurrent.futures.FIRST_COMPLETED)
            for future in done:
                seed = todo.pop(future)
                scenario, wrong, run = future.result()
                runs += 1
                failed += bool(wrong)
                struck.update(fault.kind for fault in scenario.struck)
                struck["no fault"] += not scenario.struck
                if wrong or arguments.seed is not None:
                    report(seed, scenario, wrong, run, arguments.seed is not None)
                if runs % 500 == 0:
                    print(f"{runs} runs, {failed} failed so far", flush=True)
    following = next(waiting, None)
    if following is not None:
        print(f"go on with --first {following}")
    print(", ".join(f"{count} {kind}" for kind, count in struck.most_common()))
    print(f"{runs} runs, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
