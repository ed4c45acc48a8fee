"""The command line: pytest-xdist's options, read the way pytest-xdist reads them."""

from __future__ import annotations

import argparse
import os
import re
import sys
import warnings
from typing import Union

import pytest

from phalanx import _engine

DIST_MODES = ["load", "loadscope", "loadfile", "loadgroup", "worksteal", "each", "no"]

NumProcesses = Union[int, str, None]


def parse_numprocesses(text: str) -> int | str:
    if text in ("auto", "logical"):
        return text
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(
            f"takes a number of workers, 'auto' or 'logical', not {text!r}"
        )
    return number


def parse_count(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < 0:
        raise argparse.ArgumentTypeError(f"takes a number, not {text!r}")
    return number


def parse_seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"takes seconds, not {text!r}")
    return number


UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600}


def parse_duration(text: str) -> float:
    """Seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)([smh]?)", text.strip().lower())
    seconds = float(match[1]) * UNITS_S[match[2]] if match else -1.0
    if not 0 <= seconds < 1e9:
        raise argparse.ArgumentTypeError(f"takes a duration like 10s, 5m or 1h, not {text!r}")
    return seconds


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("xdist", "distributed and subprocess testing (phalanx)")
    # Short options in lower case are pytest's own: its group refuses them to plugins.
    group._addoption(
        "-n",
        "--numprocesses",
        dest="numprocesses",
        metavar="numprocesses",
        action="store",
        type=parse_numprocesses,
        help="Run the tests on NUM workers. 'auto': one per physical core that this process may use "
        "(CPU affinity and container quota are respected), 'logical': one per hardware thread. "
        "Forced to 0 (off) when used with --pdb.",
    )
    group.addoption(
        "--maxprocesses",
        dest="maxprocesses",
        metavar="maxprocesses",
        action="store",
        type=parse_count,
        help="Limit the number of workers when using --numprocesses with 'auto' or 'logical'",
    )
    group.addoption(
        "--max-worker-restart",
        dest="maxworkerrestart",
        metavar="maxworkerrestart",
        action="store",
        default=None,
        type=parse_count,
        help="Maximum number of workers that are replaced after a crash "
        "(0: none; default: 4 times the number of workers)",
    )
    group.addoption(
        "--dist",
        metavar="distmode",
        action="store",
        choices=DIST_MODES,
        dest="dist",
        default="no",
        help="How tests are handed out. load, worksteal: each test to whichever worker is free. "
        "loadscope: tests of one class or module stay on one worker. loadfile: tests of one file do. "
        "loadgroup: tests with the same xdist_group mark do. "
        "each: every worker runs every test. (default) no: run in this process.",
    )
    group.addoption(
        "--loadscope-reorder",
        dest="loadscopereorder",
        action="store_true",
        default=True,
        help="With loadscope, loadfile and loadgroup, start the scopes with most tests first (default)",
    )
    group.addoption(
        "--no-loadscope-reorder",
        dest="loadscopereorder",
        action="store_false",
        help="With loadscope, loadfile and loadgroup, start the scopes in collection order",
    )
    group.addoption(
        "--tx",
        dest="tx",
        action="append",
        default=[],
        metavar="xspec",
        help="Add a test execution environment: 'popen' is one worker on this machine, '4*popen' four, "
        "'ssh=user@host' one on another machine, 'ssh=user@host//workers=auto' one per core there",
    )
    group._addoption(
        "-d",
        action="store_true",
        dest="distload",
        default=False,
        help="Load-balance tests. Shortcut for '--dist=load'",
    )
    group.addoption(
        "--testrunuid",
        action="store",
        help="Identifier shared by all workers as the value of the 'testrun_uid' fixture. "
        "If not given, it is new and unique for every run",
    )
    group.addoption(
        "--maxschedchunk",
        action="store",
        type=parse_count,
        help="With --dist load and worksteal, hand out the tests in rows of at most NUM neighbours, in the "
        "order of collection. Workers take one test at a time, the moment they need it, all the same",
        metavar="NUM",
    )
    group.addoption(
        "--ramp",
        action="store",
        type=parse_duration,
        default=0.0,
        metavar="DURATION",
        help="Workers begin with their tests one after the other, spread over this time (10s, 5m, 1h): for "
        "what cannot bear all of them at once, such as a database that they all connect to",
    )
    group._addoption(
        "-f",
        "--looponfail",
        action="store_true",
        dest="looponfail",
        default=False,
        help="Run the tests, wait for a change below looponfailroots, run what failed; when it passes, run "
        "everything. Ctrl-C ends it",
    )
    group.addoption(
        "--px",
        action="append",
        dest="px",
        default=[],
        metavar="xspec",
        help="Of pytest-xdist, for workers behind a proxy; refused",
    )
    group.addoption(
        "--rsyncdir",
        action="append",
        dest="rsyncdir",
        default=[],
        metavar="DIR",
        help="Bring this directory to other machines (default: the whole rootdir, without what git ignores)",
    )
    group.addoption(
        "--rsyncignore",
        action="append",
        dest="rsyncignore",
        default=[],
        metavar="GLOB",
        help="Do not bring files like these to other machines",
    )
    group.addoption(
        "--no-sync",
        action="store_true",
        dest="no_sync",
        default=False,
        help="Bring nothing to other machines: the project is there, in chdir=",
    )
    group.addoption(
        "--lost",
        action="store",
        choices=("report", "rerun"),
        dest="lost",
        default="report",
        help="What becomes of a test that ran on a machine that was lost: report it as failed (default), or "
        "run it again on another one",
    )
    group.addoption(
        "--lost-after",
        action="store",
        type=parse_count,
        dest="lost_after",
        default=None,
        metavar="SECONDS",
        help="After so long a silence another machine counts as lost (default: 30)",
    )
    group.addoption(
        "--order",
        action="store",
        choices=["cost", "collection"],
        default=None,
        help="cost: start long tests, or those of long scopes, first. collection: start nothing ahead of "
        "what was collected first. (default: the ini option phalanx_order, else cost; collection when a "
        "plugin that orders tests is active)",
    )
    parser.addini("phalanx_order", "default of --order: cost or collection", default="")
    group.addoption(
        "--watchdog",
        action="store",
        type=parse_count,
        default=60,
        metavar="SECONDS",
        help="When the process that reports has been busy with one event for so long, tell where it is "
        "on stderr (default: 60; 0: never). The run goes on",
    )
    group.addoption(
        "--test-timeout",
        dest="testtimeout",
        action="store",
        type=parse_seconds,
        default=0.0,
        metavar="SECONDS",
        help="A test that runs for longer, with its fixtures, fails with the stacks of all threads, and its "
        "worker is replaced, even if it hangs in C and holds the interpreter's lock (default: 0, never). "
        "With -n only",
    )
    group.addoption(
        "--exit-grace",
        dest="exitgrace",
        action="store",
        type=parse_count,
        default=9,
        metavar="SECONDS",
        help="How long threads that tests left may go on when their worker has nothing more to run; then "
        "they are named and end with it (default: 9). It does not change the run's result",
    )

    group.addoption(
        "--history",
        dest="history",
        metavar="PATH",
        default=None,
        help="Where to keep how long tests take and how they ended, for the order of the next run "
        "(default: d/phalanx/history.sqlite in pytest's cache directory). See: phalanx history --help",
    )
    group.addoption(
        "--no-history",
        dest="history",
        action="store_const",
        const=False,
        help="Neither read nor keep a history",
    )
    group.addoption(
        "--start-method",
        action="store",
        choices=("auto", "fork", "spawn"),
        dest="start_method",
        help="How workers come to be. auto: forked as late as the suite allows, started from scratch "
        "where it cannot be forked (default). fork: forked, whatever threads and sockets there are. "
        "spawn: every worker starts from scratch",
    )
    parser.addini("phalanx_start_method", "default for --start-method", default="auto")
    parser.addini(
        "phalanx_shared_commands",
        "read-only programs, a line each, that may be run and waited for before the workers are forked",
        type="linelist",
        default=[],
    )

    parser.addini("rsyncdirs", "more of --rsyncdir", type="paths")
    parser.addini("rsyncignore", "more of --rsyncignore", type="paths")
    parser.addini(
        "looponfailroots",
        "folders that --looponfail watches (default: the current one)",
        type="paths",
    )


def exit_grace(config: pytest.Config) -> int:
    """Seconds. Of the arguments as they are known before conftest files are loaded."""
    return int(config.known_args_namespace.exitgrace)


def is_distributed(config: pytest.Config) -> bool:
    return config.getoption("dist") != "no" and bool(config.getoption("tx"))


def _told_cpu_count() -> int | None:
    """What the user makes Python itself believe: -X cpu_count=N, PYTHON_CPU_COUNT=N (heeded here by every
    version of Python, by os.cpu_count from 3.13 on)."""
    text = sys._xoptions.get("cpu_count")
    if text is None and not sys.flags.ignore_environment:
        text = os.environ.get("PYTHON_CPU_COUNT")
    return int(text) if isinstance(text, str) and text.isdigit() and int(text) > 0 else None


def auto_num_workers(config: pytest.Config) -> int:
    """What 'auto' and 'logical' mean where no plugin knows better."""
    text = os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS")
    if text:
        try:
            return int(text)
        except ValueError:
            warnings.warn(
                f"PYTEST_XDIST_AUTO_NUM_WORKERS is not a number: {text!r}. Ignoring it.",
                stacklevel=2,
            )
    told = _told_cpu_count()
    if told is not None:
        return told
    return _engine.cpu_count(logical=config.option.numprocesses == "logical")


def _refuse_what_is_missing(option: argparse.Namespace) -> None:
    if option.px:
        raise pytest.UsageError(
            "--px: phalanx reaches machines by ssh, which knows proxies itself: --tx 'ssh=-J proxy host', or "
            "ProxyJump in its configuration"
        )


def resolve(config: pytest.Config) -> None:
    """Turns -n, -d and --maxprocesses into --dist and --tx, in place, as plugins and conftest files
    expect to find them after pytest_cmdline_main."""
    option = config.option
    _refuse_what_is_missing(option)
    if option.distload:
        option.dist = "load"
    use_pdb = config.getoption("usepdb", False)
    if option.numprocesses in ("auto", "logical"):
        if use_pdb:
            option.numprocesses = 0
        else:
            option.numprocesses = config.hook.pytest_xdist_auto_num_workers(config=config)
    if option.numprocesses:
        if option.dist == "no":
            option.dist = "load"
        number = option.numprocesses
        if option.maxprocesses:
            number = min(number, option.maxprocesses)
        option.tx = ["popen"] * number
    elif option.numprocesses == 0:
        option.dist = "no"
        option.tx = []
    if option.tx and option.numprocesses is None:
        from phalanx import machines

        machines.resolve(config, option)
    if not option.collectonly and is_distributed(config) and use_pdb:
        raise pytest.UsageError(
            "--pdb is incompatible with distributing tests; try using -n0 or -nauto."
        )


def max_worker_restart(config: pytest.Config) -> int | None:
    """How many crashed workers may be replaced; None: any number."""
    if config.option.maxworkerrestart is not None:
        return int(config.option.maxworkerrestart)
    if config.option.numprocesses:
        return int(config.option.numprocesses) * 4
    return None
