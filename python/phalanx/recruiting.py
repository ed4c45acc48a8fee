"""How the workers of a run come to be: forked after the zygote has collected, forked where it had to stop, or
started from scratch. The line under the header says which, and why."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import pytest

from phalanx import launch, logfile, loop_run

if TYPE_CHECKING:
    from phalanx.nodes import WorkerController
    from phalanx.run import Run

METHODS = ("auto", "fork", "spawn")
CACHE_KEY = "phalanx/start"
RUNS_TO_TRUST = 20  # a cause without a file is looked for again after so many runs


def start_method(config: pytest.Config) -> str:
    method: str = config.getoption("start_method") or config.getini("phalanx_start_method")
    if method not in METHODS:
        raise pytest.UsageError(
            f"phalanx_start_method = {method}: it is one of {', '.join(METHODS)}"
        )
    return method


class Recruiting:
    def __init__(self, run: Run) -> None:
        self._run = run
        self._spawns = False
        self.line = "forked after collection"
        self.is_late = True  # the zygote collects for all

    # ---- the moments at which it is decided ----

    def begin(self) -> None:
        """All nodes are configured: the zygote gets its set-up, or every worker does."""
        method = start_method(self._run.config)
        known = self._recall() if method == "auto" else None
        if len({node.gateway.interpreter for node in self._run.nodes}) > 1:
            self._spawn_all("--tx names several interpreters", from_start=True)
        elif method == "spawn":
            self._spawn_all("--start-method=spawn", from_start=True)
        elif known is not None:
            self._spawn_all(f"{known}, as in an earlier run", from_start=True)
        else:
            self._run.engine.setup(self._setup(method))

    def fork_here(self, place: str, what: str) -> None:
        self._recruit(f"forked at {place}, which {what}")
        for node in self._run.nodes:
            self.ask(node)

    def refused(self, reason: str) -> None:
        self._remember(reason)
        self._spawn_all(reason, from_start=False)

    def ask(self, node: WorkerController) -> None:
        """For this worker, or the one that replaces another."""
        if self._spawns:
            interpreter = node.gateway.interpreter
            setup = self._setup("spawn", self._own(node))
            self._run.engine.start(
                node.number, setup, argv=launch.argv(interpreter), environment=launch.environment()
            )
        else:
            self._run.engine.fork(node.number, self._own(node))

    def _spawn_all(self, reason: str, from_start: bool) -> None:
        self._spawns = True
        self._recruit(f"spawned: {reason}")
        first, *others = self._run.nodes
        own = self._own(first)
        self._run.engine.become(first.number, self._setup("spawn", own) if from_start else own)
        for node in others:
            self.ask(node)

    def _recruit(self, line: str) -> None:
        self.line = line
        self.is_late = False
        run = self._run
        run.engine.recruit(len(run.nodes), run.max_restarts, join=run.dist == "each")
        self._run.forked = True

    # ---- what is sent ----

    def _own(self, node: WorkerController) -> dict[str, Any]:
        return {
            "number": node.number,
            "workerinput": node.workerinput,
            "environment": node.gateway.spec.env,
            "nice": int(node.gateway.spec.nice or 0),
            "directory": node.gateway.cwd if node.gateway.spec.chdir else None,
        }

    def _setup(self, method: str, worker: dict[str, Any] | None = None) -> dict[str, Any]:
        nodes = self._run.nodes
        node = nodes[0] if worker is None else nodes[worker["number"]]
        is_other = node.gateway.interpreter is not None
        setup = {
            "args": [str(arg) for arg in self._run.config.invocation_params.args],
            "targets": self._run.config.stash.get(loop_run.targets_key, None),
            "directory": os.getcwd(),
            # Another interpreter has its own path, and its variables may come from a script that starts it.
            "environment": None if is_other else dict(os.environ),
            "sys_path": None if is_other else launch.sys_path(),
            "workerinputs": [node.workerinput for node in (nodes if worker is None else nodes[:1])],
            "environments": [node.gateway.spec.env for node in nodes] if worker is None else [],
            "basetemp": None,
            "log_file": logfile.run_file(self._run.config),
            "start_method": method,
            "worker": worker,
        }
        factory = getattr(self._run.config, "_tmp_path_factory", None)
        if factory is not None:
            setup["basetemp"] = str(factory.getbasetemp())
        return setup

    # ---- the memory of runs that had to spawn ----

    def _remember(self, reason: str) -> None:
        cache = getattr(self._run.config, "cache", None)
        if cache is not None:
            path = _file_in(reason)
            cache.set(
                CACHE_KEY, {"reason": reason, "file": path, "digest": _digest(path), "runs": 0}
            )

    def _recall(self) -> str | None:
        """Why the last run had to spawn, if nothing says that this one need not: the file to blame is as it
        was; without one, not too many runs have passed."""
        cache = getattr(self._run.config, "cache", None)
        known = cache.get(CACHE_KEY, None) if cache is not None else None
        if not isinstance(known, dict) or not isinstance(known.get("reason"), str):
            return None
        runs = known.get("runs")
        still = (
            _digest(known["file"]) == known.get("digest")
            if isinstance(known.get("file"), str)
            else isinstance(runs, int) and runs < RUNS_TO_TRUST
        )
        known["runs"] = runs + 1 if isinstance(runs, int) else 0
        assert cache is not None
        cache.set(CACHE_KEY, known if still else None)
        return known["reason"] if still else None


def _file_in(reason: str) -> str | None:
    """The file that a reason begins with."""
    path = reason.split(" ", 1)[0].rpartition(":")
    for name in (path[0], path[2]):
        if name and os.path.isfile(name):
            return name
    return None


def _digest(path: str | None) -> str | None:
    try:
        with open(path or "", "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return None
