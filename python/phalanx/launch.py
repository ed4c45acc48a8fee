"""Starting the engine: the guard, and through it a fresh interpreter for the zygote."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from phalanx import _engine, interpreters, loop_run, options, specs
from phalanx.interpreters import Interpreter

# Frozen at import, like pytest-xdist's: what plugins and conftest files add later they add again in the
# zygote.
_sys_path = list(sys.path)

# A worker names the threads that it waited for in vain; who has no time left for that is ended unheard.
EXIT_MARGIN_S = 3.0

engine_key = pytest.StashKey[_engine.Controller]()
_interpreter_key = pytest.StashKey["Interpreter | None"]()  # that the engine's zygote runs in


def sys_path() -> list[str]:
    return list(_sys_path)


START = "from phalanx.zygote import main; main(3)"


def argv(interpreter: Interpreter | None, start: str = START) -> list[str]:
    """The program that becomes a zygote, or a worker."""
    # `-c` because a worker of pytest-xdist runs so, and plugins know it (sys.argv == ["-c"]).
    code = interpreters.code_for(interpreter, _sys_path) + start
    if interpreter is not None:
        return [*interpreter.command, "-c", code]
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return [sys.executable, *flags, "-c", code]


def environment() -> list[str]:
    return [f"{name}={value}" for name, value in os.environ.items()]


def guard_path() -> str:
    return os.path.join(os.path.dirname(_engine.__file__), "phalanx-guard")


def start(config: pytest.Config, interpreter: Interpreter | None = None) -> _engine.Controller:
    """The run's engine, started now unless it was before; it ends with the config at the latest. Its zygote
    runs in `interpreter`."""
    engine = config.stash.get(engine_key, None)
    if engine is not None:
        if config.stash[_interpreter_key] == interpreter:
            return engine
        engine.close()  # a plugin has changed the specifications since
    try:
        engine = _engine.Controller(
            guard=guard_path(),
            argv=argv(interpreter),
            environment=environment(),
            directory=os.getcwd(),
            serves_signals=threading.current_thread() is threading.main_thread(),
            exit_patience=options.exit_grace(config) + EXIT_MARGIN_S,
        )
    except _engine.EngineError as error:
        raise pytest.UsageError(f"phalanx cannot start: {error}") from None
    config.stash[engine_key] = engine
    config.stash[_interpreter_key] = interpreter
    config.add_cleanup(engine.close)
    return engine


EngineError = _engine.EngineError


def start_without_zygote(config: pytest.Config) -> _engine.Controller:
    """The engine of a run whose workers are all on machines, each of which has a guard and a zygote."""
    engine = _engine.Controller(
        guard="",
        argv=[],
        environment=[],
        directory=os.getcwd(),
        serves_signals=threading.current_thread() is threading.main_thread(),
    )
    config.stash[engine_key] = engine
    config.add_cleanup(engine.close)
    return engine


def start_early(config: pytest.Config) -> None:
    """Starts guard and zygote while pytest still configures, if the arguments ask for workers; what it
    imports meanwhile is the standard library and pytest. Unneeded, it ends with the config."""
    known = config.known_args_namespace
    is_far = not known.numprocesses and any(specs.is_remote(text) for text in known.tx)
    if is_far:
        from phalanx import machines

        machines.resolve(config, known)  # pytest-cov, for one, looks there
    is_watching = known.looponfail and not loop_run.is_run
    wanted = known.numprocesses not in (None, 0) or (
        # One that names its interpreter is asked first what it is.
        known.tx and "python=" not in known.tx[0] and (known.dist != "no" or known.distload)
    )
    nothing_runs = (
        known.collectonly
        or getattr(known, "help", False)
        or getattr(known, "version", False)
        or getattr(known, "showfixtures", False)
        or getattr(known, "show_fixtures_per_test", False)
        or getattr(known, "markers", False)
        or getattr(known, "cacheshow", None)
    )
    use_pdb = getattr(known, "usepdb", False)
    starts_here = wanted and not is_far and not is_watching
    if starts_here and not nothing_runs and not use_pdb and sys.platform == "linux":
        start(config)


def drop(config: pytest.Config) -> None:
    """Ends an engine that turned out not to be needed."""
    engine = config.stash.get(engine_key, None)
    if engine is not None and not options.is_distributed(config):
        engine.close()
        del config.stash[engine_key]
