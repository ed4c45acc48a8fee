"""-n, --dist, --tx and their kin become what plugins and conftest files expect of pytest-xdist."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from _pytest.config.argparsing import Parser

from phalanx import _engine, options


def parse(*args: str) -> Any:
    parser = Parser(_ispytest=True)
    options.add_options(parser)
    return parser.parse(list(args))


class Config:
    """As much of pytest's config as the options module asks for."""

    def __init__(self, *args: str, usepdb: bool = False, auto: int = 5) -> None:
        self.option = parse(*args)
        self.option.usepdb = usepdb
        self.option.collectonly = False
        self.asked: list[Any] = []

        def auto_num_workers(config: Any) -> int:
            self.asked.append(config.option.numprocesses)
            return auto

        self.hook = SimpleNamespace(pytest_xdist_auto_num_workers=auto_num_workers)

    def getoption(self, name: str, default: Any = None) -> Any:
        return getattr(self.option, name, default)


def resolved(*args: str, **kwargs: Any) -> tuple[str, list[str]]:
    config: Any = Config(*args, **kwargs)
    options.resolve(config)
    return config.option.dist, config.option.tx


@pytest.mark.parametrize(
    ("args", "dist", "tx"),
    [
        ([], "no", []),
        (["-n0"], "no", []),
        (["-n", "3"], "load", ["popen"] * 3),
        (["-n3", "--dist=loadfile"], "loadfile", ["popen"] * 3),
        (["-n3", "--maxprocesses=2"], "load", ["popen"] * 2),
        (["-n3", "--maxprocesses=9"], "load", ["popen"] * 3),
        (["-nauto"], "load", ["popen"] * 5),
        (["-nlogical"], "load", ["popen"] * 5),
        (["--numprocesses=auto", "--maxprocesses=2"], "load", ["popen"] * 2),
        (["-d"], "load", []),
        (["-d", "--tx=2*popen"], "load", ["2*popen"]),
        (["--tx", "popen", "--tx", "popen", "--dist=loadscope"], "loadscope", ["popen", "popen"]),
        (["-n2", "--tx=7*popen"], "load", ["popen"] * 2),
        (["-n0", "--tx=7*popen", "--dist=load"], "no", []),
        (["-n4", "-n2"], "load", ["popen"] * 2),
        (["-n2", "--dist=no"], "load", ["popen"] * 2),
    ],
)
def test_resolve(args: list[str], dist: str, tx: list[str]) -> None:
    assert resolved(*args) == (dist, tx)


@pytest.mark.parametrize("word", ["auto", "logical"])
def test_the_hook_is_asked_for_auto(word: str) -> None:
    config: Any = Config(f"-n{word}", auto=7)
    options.resolve(config)
    assert config.asked == [word] and config.option.numprocesses == 7


def test_number_does_not_ask_the_hook() -> None:
    config: Any = Config("-n2")
    options.resolve(config)
    assert config.asked == []


@pytest.mark.parametrize("word", ["auto", "logical"])
def test_debugger_turns_auto_off(word: str) -> None:
    assert resolved(f"-n{word}", usepdb=True) == ("no", [])


@pytest.mark.parametrize("args", [["-n2"], ["-d", "--tx=popen"]])
def test_debugger_and_workers_exclude_each_other(args: list[str]) -> None:
    with pytest.raises(pytest.UsageError, match="--pdb is incompatible"):
        resolved(*args, usepdb=True)


def test_debugger_without_workers() -> None:
    assert resolved("-n0", usepdb=True) == ("no", [])


@pytest.mark.parametrize("text", ["x", "-1", "1.5", "", "Auto", "2 workers"])
def test_bad_numbers(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="'auto' or 'logical', not"):
        options.parse_numprocesses(text)


@pytest.mark.parametrize("text", ["x", "-1", "1.5", ""])
@pytest.mark.parametrize("option", ["--maxprocesses", "--max-worker-restart", "--maxschedchunk"])
def test_bad_counts(option: str, text: str) -> None:
    with pytest.raises(pytest.UsageError, match=option):
        parse(f"{option}={text}")


def test_unknown_mode() -> None:
    with pytest.raises(pytest.UsageError, match="--dist"):
        parse("--dist=alone")


@pytest.mark.parametrize("mode", options.DIST_MODES)
def test_modes(mode: str) -> None:
    assert parse(f"--dist={mode}").dist == mode


@pytest.mark.parametrize(
    ("args", "reorder"),
    [([], True), (["--loadscope-reorder"], True), (["--no-loadscope-reorder"], False)],
)
def test_reorder(args: list[str], reorder: bool) -> None:
    assert parse(*args).loadscopereorder is reorder


@pytest.mark.parametrize(
    ("args", "restarts"),
    [
        ([], None),
        (["-n3"], 12),
        (["-n3", "--max-worker-restart=0"], 0),
        (["--max-worker-restart=5"], 5),
        (["-d", "--tx=popen"], None),
    ],
)
def test_max_worker_restart(args: list[str], restarts: int | None) -> None:
    config: Any = Config(*args)
    assert options.max_worker_restart(config) == restarts


def test_auto_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "13")
    config: Any = Config("-nauto")
    assert options.auto_num_workers(config) == 13


@pytest.mark.parametrize("word", ["auto", "logical"])
def test_auto_from_a_broken_environment(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "many")
    config: Any = Config(f"-n{word}")
    with pytest.warns(UserWarning, match="is not a number: 'many'"):
        count = options.auto_num_workers(config)
    assert count == _engine.cpu_count(logical=word == "logical")


def test_auto_as_python_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    config: Any = Config("-nauto")
    monkeypatch.setenv("PYTHON_CPU_COUNT", "11")
    assert options.auto_num_workers(config) == 11
    monkeypatch.setitem(sys._xoptions, "cpu_count", "12")
    assert options.auto_num_workers(config) == 12
    monkeypatch.setitem(sys._xoptions, "cpu_count", "default")
    assert options.auto_num_workers(config) == _engine.cpu_count()
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "13")
    assert options.auto_num_workers(config) == 13


def count_in_child(affinity: set[int]) -> list[int]:
    code = (
        f"import os; os.sched_setaffinity(0, {affinity!r}); from phalanx import _engine; "
        "print(_engine.cpu_count(), _engine.cpu_count(logical=True))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


def test_cpu_count_keeps_to_the_affinity() -> None:
    allowed = sorted(os.sched_getaffinity(0))
    assert count_in_child({allowed[0]}) == [1, 1]
    assert 1 <= _engine.cpu_count() <= _engine.cpu_count(logical=True) <= len(allowed)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["-nmany"], "takes a number of workers, 'auto' or 'logical', not 'many'"),
        (["-n", "-1"], "takes a number of workers"),
        (["--dist=alone"], "--dist"),
        (["-n2", "--pdb"], "--pdb is incompatible with distributing tests"),
        (["-d"], "specify --tx"),
        (["-n2", "--max-worker-restart=x"], "takes a number, not 'x'"),
        (["--tx=socket=:8888", "-d"], "other machines are reached by ssh="),
        (["--tx=popen//via=proxy", "-d"], "other machines are reached by ssh="),
        (["-f", "--pdb"], "--pdb is incompatible with --looponfail"),
        (["--px=popen//id=proxy", "-n2"], "--px: phalanx reaches machines by ssh"),
        (
            ["--rsyncdir=.", "--tx=popen//chdir=there", "-d"],
            "nothing is copied to workers on this machine",
        ),
        (["--tx=2*popen//id=a", "-d"], "id=a is given to more than one worker"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_usage_errors_of_a_run(tmp_path: Any, args: list[str], message: str) -> None:
    (tmp_path / "test_a.py").write_text("def test_a(): pass\n")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *args],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
    )
    if args == ["-d"]:  # pytest-xdist runs such tests here, without workers
        assert done.returncode in (0, 4), done.stdout + done.stderr
        return
    assert done.returncode == 4, done.stdout + done.stderr
    assert message in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout
