"""The zygote: a fresh interpreter that configures pytest in worker mode, collects once, and forks workers."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from phalanx import _engine

if TYPE_CHECKING:
    from phalanx.forkpoint import ForkPoint

# True while this process parses the arguments of the run it works for: they say -n, and it must not
# start workers of its own. A pytest run inside a test is another matter.
is_configuring = False

fork_point: ForkPoint | None = None  # of the zygote, and of the workers that come out of it


def preload() -> None:
    """Imports what every pytest process imports, while the controller is still busy configuring. None of
    it is garbage, and no later collection need walk it."""
    is_collecting = gc.isenabled()
    gc.disable()
    from _pytest.config import default_plugins

    for name in default_plugins:
        importlib.import_module(f"_pytest.{name}")
    for name in ("phalanx.worker", "_pytest.assertion.rewrite"):
        importlib.import_module(name)
    gc.freeze()
    if is_collecting:
        gc.enable()


def main(channel: int) -> NoReturn:
    # Until there is something to interrupt, Ctrl-C ends this process without a traceback. The guard holds it
    # back while the interpreter starts, which would have one; Zygote() lets it through.
    interrupt_handler = signal.getsignal(signal.SIGINT)
    if interrupt_handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    zygote = _engine.Zygote(channel)
    preload()
    request, _, setup = zygote.serve()
    if request != "setup":
        os._exit(0)
    signal.signal(signal.SIGINT, interrupt_handler)
    _run(zygote, setup)


def _run(zygote: _engine.Zygote, setup: dict[str, Any]) -> NoReturn:
    global is_configuring, fork_point
    import pytest
    from _pytest.config import _prepareconfig

    from phalanx import forking, garbage, logfile
    from phalanx.forkpoint import ForkPoint
    from phalanx.worker import WorkerInteractor

    rare_collections = garbage.RareCollections(gc.get_threshold())
    is_elsewhere = setup.get("is_elsewhere", False)  # than the process that has sent this
    if is_elsewhere:
        sys.path[:0] = setup["sys_path"]
    elif setup["sys_path"] is not None:
        sys.path[:] = setup["sys_path"]
    os.chdir(setup["directory"])
    point = fork_point = ForkPoint(zygote, setup["start_method"], os.dup(2))
    _set_environment(setup)
    if setup["worker"] is None:
        point.set_traps(setup["workerinputs"], setup["environments"])
    else:
        point.start_as(setup["worker"])

    interactor = None
    usage_error = None
    status: Any = None
    try:
        logfile.append_only(setup["log_file"])
        is_configuring = True
        try:
            config = _prepareconfig(setup["args"], None)
        finally:
            is_configuring = False
        basetemp = setup["basetemp"]
        if is_elsewhere:
            basetemp = _make_basetemp(config)
        # A directory of its own: pytest empties the one it is given when somebody first asks for it.
        _reset_options(config, basetemp and os.path.join(basetemp, f"popen-{point.name}"))
        config._parser.prog = os.path.basename(setup["workerinputs"][0]["mainargv"][0])
        if setup["targets"]:
            config.args = setup["targets"]
        point.configured(config)
        config.workerinput = point.workerinput  # type: ignore[attr-defined]
        config.workeroutput = {}  # type: ignore[attr-defined]
        interactor = WorkerInteractor(config, point, rare_collections)
        status = config.hook.pytest_cmdline_main(config=config)
    except pytest.UsageError as error:
        usage_error = [str(arg) for arg in error.args]
    except BaseException as error:
        send = point.send if interactor is None else interactor.send
        if not isinstance(error, KeyboardInterrupt):
            send(_engine.MSG_INTERNAL_ERROR, _text_of(error))
        status = 1
    # A worker that collected for itself may have finished a session that ends with a usage error.
    if usage_error or interactor is None or not interactor.has_finished:
        point.send(
            _engine.MSG_SESSION_DONE,
            {"usage_error": usage_error, "status": None if status is None else int(status)},
        )
    if point.worker is None or interactor is None:
        forking.leave(0, point.stderr)
    forking.leave(int(status or 0), point.stderr, float(interactor.config.option.exitgrace))


def _set_environment(setup: dict[str, Any]) -> None:
    from phalanx import identity

    shared = setup["workerinputs"][0]
    if setup["environment"] is not None:
        if not setup.get("is_elsewhere", False):
            os.environ.clear()
        os.environ.update(setup["environment"])
    os.environ["PYTEST_XDIST_TESTRUNUID"] = shared["testrunuid"]
    os.environ["PYTEST_XDIST_WORKER_COUNT"] = str(shared["workercount"])
    os.environ.pop(identity.WORKER_VARIABLE, None)


def _make_basetemp(config: Any) -> str:
    """As the process that the user started makes one, on its machine: numbered, the last three are kept."""
    from _pytest.tmpdir import TempPathFactory

    config.option.basetemp = None
    return str(TempPathFactory.from_config(config, _ispytest=True).getbasetemp())


def _reset_options(config: Any, basetemp: str | None) -> None:
    """What pytest-xdist resets in its workers, so that plugins there see a run without -n."""
    option = config.option
    option.loadgroup = option.dist == "loadgroup"
    option.looponfail = False
    option.usepdb = False
    option.dist = "no"
    option.distload = False
    option.numprocesses = None
    option.maxprocesses = None
    option.tx = []
    option.basetemp = basetemp
    if hasattr(option, "pastebin"):
        option.pastebin = None  # the controller has the text; each worker would send its own


def _text_of(error: BaseException) -> str:
    import traceback

    return "".join(traceback.format_exception(type(error), error, error.__traceback__))
