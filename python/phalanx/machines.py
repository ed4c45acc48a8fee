"""Workers on other machines: `--tx ssh=user@host`, `--tx command=…`. See docs/remote.md.

Here are the commands that lead there, the project's way there, and what each node is told to begin with. All
that runs after that is the engine's (src/role/fleet.h).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import socket
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from phalanx import __version__, bring, launch, node
from phalanx.recruiting import Recruiting, start_method
from phalanx.specs import REACHED_BY, Spec, is_remote, parse, parse_tx_spec_config

if TYPE_CHECKING:
    from phalanx.nodes import WorkerController
    from phalanx.run import Run

# -T: no terminal, as standard input and output carry the protocol. BatchMode: a host that would ask for a
# password refuses, and no run waits for ever. All else is the user's own configuration.
SSH = ("ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=30")

# What of this environment concerns pytest itself, and goes along. The rest belongs to this machine.
VARIABLES = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD")

LOST = "the machine "  # how the engine's text begins when it lost a worker with its machine


def are_wanted(config: pytest.Config) -> bool:
    return any(is_remote(text) for text in config.getoption("tx"))


def number_of_code(code: int) -> int:
    """The engine calls machine m, and its zygote, -2 - m."""
    return -2 - code


class Machine:
    def __init__(self, number: int, spec: Spec, nworkers: int) -> None:
        self.number = number
        self.spec = spec
        self.nworkers = nworkers
        self.is_here = bool(spec.popen)
        self.name: str = spec.id or spec.command or (spec.ssh and _host(spec.ssh)) or "this machine"
        self.info: dict[str, Any] | None = None
        self.error: str | None = None

    def launcher(self) -> list[str]:
        """The command that runs another one there."""
        if self.is_here:
            return []
        words = (
            [*SSH, *shlex.split(self.spec.ssh)] if self.spec.ssh else shlex.split(self.spec.command)
        )
        program = shutil.which(words[0])
        if program is None:
            raise pytest.UsageError(f"--tx {self.spec}: there is no program {words[0]!r} here")
        return [program, *words[1:]]

    def argv(self, project: str, sync: bool) -> list[str]:
        told = {
            "version": __version__,
            "directory": os.getcwd() if self.is_here else self.spec.chdir,
            "project": project,
            "sync": sync and not self.is_here,
        }
        python = shlex.split(
            self.spec.python or ("python3" if not self.is_here else sys.executable)
        )
        words = [*python, "-c", node.BOOTSTRAP, _without_quotes(told)]
        if self.is_here:
            return [shutil.which(words[0]) or words[0], *words[1:]]
        if self.spec.ssh:  # a shell reads it there
            return [
                *self.launcher(),
                " ".join(f"'{word}'" if not _is_plain(word) else word for word in words),
            ]
        return [*self.launcher(), *words]


def _host(ssh: str) -> str:
    words = shlex.split(ssh)
    return words[-1] if words else ssh


def _is_plain(word: str) -> bool:
    if "'" in word:
        raise pytest.UsageError(
            f"--tx: {word!r} cannot be given to a shell there: it has a quote in it"
        )
    return re.fullmatch(r"[\w./+:=@%-]+", word, re.ASCII) is not None


def _without_quotes(value: object) -> str:
    """JSON in which no shell, sh, csh or fish, finds anything to read within single quotes."""
    text = json.dumps(value)
    for character in "'!":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


class Machines:
    """The machines of a run, from the connection until their nodes have been told everything."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.all: list[Machine] = []
        self._by_text: dict[str, Machine] = {}
        self.root = str(run.config.rootpath)

    # ---- connecting ----

    def connect(self) -> list[str]:
        """Reaches every machine, and brings the project there. Returns the specifications of the workers."""
        config = self._run.config
        self._run.controller = launch.start_without_zygote(config)
        self._run.engine.set_loss(
            float(config.option.lost_after or 0), config.option.lost == "rerun"
        )
        counts = Counter(parse_tx_spec_config(config))
        self._group(counts)
        sync = not config.option.no_sync
        for machine in self.all:
            argv = machine.argv(self._project_name(), sync)
            try:
                number = self._run.engine.add_machine(machine.name, argv)
            except launch.EngineError as error:
                raise pytest.UsageError(f"--tx {machine.spec}: {error}") from None
            assert number == machine.number
        self._await()
        if sync:
            bring.to_machines(config, self.root, [m for m in self.all if not m.is_here])
        return self._expand()

    def _group(self, counts: Counter[str]) -> None:
        """Specifications that differ in their variables and priority only are workers of one machine."""
        by_place: dict[tuple[Any, ...], Machine] = {}
        for text, count in counts.items():
            spec = parse(text)
            place = (spec.ssh, spec.command, spec.popen, spec.python, spec.chdir)
            machine = by_place.get(place)
            if machine is None:
                machine = by_place[place] = Machine(len(self.all), spec, 0)
                self.all.append(machine)
            machine.nworkers += count
            self._by_text[text] = machine

    def _await(self) -> None:
        engine = self._run.engine
        while any(m.info is None and m.error is None for m in self.all):
            for event, number, payload in engine.poll(-1):
                machine = self.of_code(number)
                if event == "machine_up":
                    machine.info = json.loads(payload)
                elif event == "machine_down":
                    machine.error = payload
        failed = [f"{m.name}: {_explain(m)}" for m in self.all if m.error is not None]
        if failed:
            raise pytest.UsageError("\n".join(failed))

    def _project_name(self) -> str:
        """Of the directory there: the same from run to run, another one for every other project."""
        known = f"{socket.gethostname()}\0{self.root}".encode(errors="surrogateescape")
        name = re.sub(r"[^\w.-]+", "_", os.path.basename(self.root), flags=re.ASCII)
        return f"{name or 'root'}-{hashlib.sha256(known).hexdigest()[:12]}"

    def _expand(self) -> list[str]:
        """One text for each worker, now that the cores there are known."""
        texts: list[str] = []
        for text in parse_tx_spec_config(self._run.config):
            spec, machine = parse(text), self._by_text[text]
            assert machine.info is not None
            count = 1
            if spec.workers is not None:
                count = int(machine.info["cpus"] if spec.workers == "auto" else spec.workers)
            if count > 1:
                machine.nworkers += count - 1
            if count > 1 or machine.nworkers > 1:  # then id= is the machine's
                text = re.sub(r"//id=[^/]*", "", text)
                self._by_text[text] = machine
            texts += [text] * count
        return texts

    # ---- who is where ----

    def of_code(self, code: int) -> Machine:
        return self.all[number_of_code(code)]

    def of_node(self, worker: WorkerController) -> Machine:
        return self._by_text[str(worker.gateway.spec)]

    # ---- what nodes are told ----

    def path_there(self, machine: Machine, path: str) -> str | None:
        """Where a path of this machine is found there; None when it was not brought."""
        assert machine.info is not None
        if machine.is_here:
            return path
        if path == self.root:
            return str(machine.info["directory"])
        if path.startswith(self.root + os.sep):
            return os.path.join(machine.info["directory"], path[len(self.root) + 1 :])
        return None

    def argument_there(self, machine: Machine, argument: str) -> str:
        """An argument of pytest's, with a path into the project replaced, also behind --option=."""
        name, equals, value = argument.partition("=")
        if argument.startswith("-") and equals:
            return f"{name}={self.path_there(machine, value) or value}"
        path, separator, rest = argument.partition("::")
        return (self.path_there(machine, path) or path) + separator + rest


class RecruitingOnMachines(Recruiting):
    """Every worker is asked for at once: each node forks its own when it has collected."""

    def __init__(self, run: Run, machines: Machines) -> None:
        super().__init__(run)
        self.machines = machines
        self.is_late = False
        names = ", ".join(f"{m.nworkers} on {m.name}" for m in machines.all)
        self.line = f"workers: {names}"

    def begin(self) -> None:
        engine, run = self._run.engine, self._run
        method = start_method(run.config)
        engine.recruit(len(run.nodes), run.max_restarts)
        run.forked = True
        for machine in self.machines.all:
            setup = None if method == "spawn" else self._setup_there(machine, method)
            engine.setup_machine(machine.number, machine.nworkers, setup)
        for worker in run.nodes:
            self.ask(worker)
        if method == "spawn":
            for machine in self.machines.all:
                engine.spawn_on_machine(machine.number)

    def ask(self, node: WorkerController) -> None:
        machine = self.machines.of_node(node)
        own = self._own(node)
        spawned = self._setup_there(machine, "spawn", own)
        self._run.engine.ask_machine(node.number, machine.number, own, spawned)

    def _own(self, node: WorkerController) -> dict[str, Any]:
        own = super()._own(node)
        if not self.machines.of_node(node).is_here:
            own["directory"] = None  # its zygote's
        return own

    def _setup_there(
        self, machine: Machine, method: str, worker: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        setup = self._setup(method, worker)
        if machine.is_here:
            return setup
        machines = self.machines
        assert machine.info is not None
        setup["args"] = [machines.argument_there(machine, arg) for arg in setup["args"]]
        setup["directory"] = (
            machines.path_there(machine, setup["directory"]) or machine.info["directory"]
        )
        setup["environment"] = {name: os.environ[name] for name in VARIABLES if name in os.environ}
        there = (machines.path_there(machine, path) for path in launch.sys_path() if path)
        setup["sys_path"] = [path for path in there if path is not None]
        setup["basetemp"] = None
        setup["is_elsewhere"] = True
        return setup


def _explain(machine: Machine) -> str:
    """What its last words mean, and what to do."""
    error = str(machine.error)
    python = machine.spec.python or "python3"
    if re.search(r"No module named '?phalanx", error):
        return (
            f"phalanx is missing there: run there: {python} -m pip install phalanx=={__version__} "
            "(or name an interpreter that has it: //python=/path/to/python)"
        )
    if "ermission denied" in error:
        return f"{error} (phalanx asks for no password: let a key or an agent log you in)"
    if "ost key verification failed" in error:
        return f"{error} (log in once by hand: ssh {machine.spec.ssh})"
    return error


def check(text: str, spec: Spec) -> None:
    """Refuses what makes no sense of a machine's specification."""
    kinds = [name for name in REACHED_BY if getattr(spec, name) is not None]
    for name in kinds:
        value = getattr(spec, name)
        try:
            words = shlex.split(value) if isinstance(value, str) else []
        except ValueError as error:
            raise pytest.UsageError(f"--tx {text}: {name}={value}: {error}") from None
        if not words:
            raise pytest.UsageError(f"--tx {text}: {name}= says where: {REACHED_BY[name]}")
    if len(kinds) > 1 or spec.popen:
        raise pytest.UsageError(
            f"--tx {text}: a worker is reached in one way: ssh=, command= or popen"
        )
    if spec.workers is not None and not re.fullmatch(r"auto|[1-9]\d*", str(spec.workers)):
        raise pytest.UsageError(
            f"--tx {text}: workers= takes a number or 'auto', not {spec.workers!r}"
        )
    for name in ("python", "chdir"):
        if getattr(spec, name) is True:
            raise pytest.UsageError(f"--tx {text}: {name} has no value: {name}=…")


def refuse_what_cannot_be(config: pytest.Config, dist: str) -> None:
    if dist == "each":
        raise pytest.UsageError(
            "--dist=each runs on this machine only: leave out --tx ssh= and command="
        )
    if config.option.ramp:
        raise pytest.UsageError(
            "--ramp: workers on other machines begin at once: leave it out, or --tx ssh= and command="
        )


def resolve(config: pytest.Config, option: Any) -> None:
    """--tx ssh=… on the command line means workers there, without -d too. In an ini file it only says where,
    as with pytest-xdist."""
    if option.dist == "no" and _are_named(config):
        option.dist = "load"


def _are_named(config: pytest.Config) -> bool:
    args = [str(arg) for arg in config.invocation_params.args]
    return any(arg.startswith("--tx=") and is_remote(arg[len("--tx=") :]) for arg in args) or any(
        before == "--tx" and is_remote(arg) for before, arg in zip(args, args[1:])
    )
