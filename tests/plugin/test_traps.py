"""What tells workers apart before the fork: traps in os.environ and config.workerinput."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from phalanx import frames, identity


class Reached(Exception):
    pass


def reach(what: str, frame: Any) -> None:
    raise Reached(f"{frames.place(frame)} {what}")


@pytest.fixture
def given() -> identity.WorkerInput:
    return identity.WorkerInput(
        {"workerid": "gw0", "workercount": 2, "own": "a"},
        {"workerid", "own"},
        reach,
    )


@pytest.mark.parametrize(
    "read",
    [
        lambda d: d["workerid"],
        lambda d: d.get("own"),
        lambda d: d.pop("own"),
        lambda d: d.setdefault("own", 1),
        lambda d: d.items(),
        lambda d: d.values(),
        lambda d: d.copy(),
        lambda d: dict(d),
        lambda d: {**d},
        lambda d: {} | d,
        lambda d: d | {},
        lambda d: list(d.values()),
        lambda d: json.dumps(d),
        lambda d: d == {},
        lambda d: d != {},
        lambda d: [d[key] for key in d],
        lambda d: "{own}".format(**d),
        lambda d: "{own}".format_map(d),
        lambda d: (lambda **kwargs: kwargs)(**d),
        lambda d: {}.update(d),
        lambda d: __import__("copy").copy(d),
        lambda d: __import__("copy").deepcopy(d),
        lambda d: __import__("pickle").dumps(d),
    ],
)
def test_reads_are_trapped(given: identity.WorkerInput, read: Any) -> None:
    with pytest.raises(
        Reached, match=r"test_traps\.py:\d+ reads workerinput\[|reads workerinput\["
    ):
        read(given)


@pytest.mark.parametrize(
    "ask",
    [
        lambda d: d["workercount"],
        lambda d: d.get("workercount"),
        lambda d: d.get("absent"),
        lambda d: "workerid" in d,
        lambda d: len(d),
        lambda d: list(d),
        lambda d: list(d.keys()),
        lambda d: bool(d),
        lambda d: repr(d),
        lambda d: d.__setitem__("new", 1),
        lambda d: d.update(new=1),
    ],
)
def test_questions_are_not(given: identity.WorkerInput, ask: Any) -> None:
    ask(given)


def test_repr_tells_nothing(given: identity.WorkerInput) -> None:
    assert "gw0" not in repr(given) and "gw0" not in str(given)


def test_settled_input_is_an_ordinary_dict(given: identity.WorkerInput) -> None:
    given["by a plugin"] = 7
    given.settle({"workerid": "gw5", "workercount": 2, "own": "b"})
    expected = {"workerid": "gw5", "workercount": 2, "own": "b", "by a plugin": 7}
    assert given == expected and dict(given) == expected and {**given} == expected
    assert json.loads(json.dumps(given)) == expected
    assert given["workerid"] == "gw5" and repr(given) == repr(expected)


@pytest.mark.parametrize(
    ("dicts", "keys"),
    [
        ([{"a": 1}], set()),
        ([{"a": 1}, {"a": 1}], set()),
        ([{"a": 1}, {"a": 2}], {"a"}),
        ([{"a": 1}, {}], {"a"}),
        ([{}, {"a": None}], {"a"}),
        ([{"a": 1, "b": 2}, {"a": 1, "b": 2}, {"a": 1, "b": 3}], {"b"}),
    ],
)
def test_varying_keys(dicts: list[dict[str, Any]], keys: set[str]) -> None:
    assert identity.varying_keys(dicts) == keys


def run_trapped(code: str) -> str:
    """The environment is the process's own: each case gets a process."""
    program = """
        import os, sys
        from phalanx import frames, identity

        class Reached(BaseException): pass

        def reach(what, frame): raise Reached(f"{frames.place(frame)} {what}")

        identity.trap_environ({"PYTEST_XDIST_WORKER", "OWN"}, reach)
        try:
            exec(compile(%r, "/somewhere/conftest.py", "exec"), {"os": os, "identity": identity})
        except Reached as place:
            print("reached:", place)
        else:
            print("fine")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program) % textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=180,
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST")},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "code",
    [
        "os.environ['PYTEST_XDIST_WORKER']",
        "os.environ.get('PYTEST_XDIST_WORKER')",
        "os.environ.get('OWN', 'x')",
        "os.getenv('PYTEST_XDIST_WORKER')",
        "os.environ.pop('PYTEST_XDIST_WORKER', None)",
        "os.environ.setdefault('PYTEST_XDIST_WORKER', 'x')",
        "dict(os.environ)",
        "os.environ.copy()",
        "{**os.environ}",
        "list(os.environ.items())",
        "list(os.environ.values())",
        "os.environ | {}",
        "{} | os.environ",
        "'{PATH}'.format(**os.environ)",
        "os.environb[b'PYTEST_XDIST_WORKER']",
        "os.environb.get(b'OWN')",
        "dict(os.environb)",
        "os.getenvb(b'PYTEST_XDIST_WORKER')",
        "import copy; copy.copy(os.environ)['OWN']",
        "from collections import ChainMap; ChainMap({}, os.environ)['OWN']",
    ],
)
def test_environment_reads_are_trapped(code: str) -> None:
    assert "reached: /somewhere/conftest.py:1 reads " in run_trapped(code)


@pytest.mark.parametrize(
    "code",
    [
        "assert 'PYTEST_XDIST_WORKER' in os.environ",
        "assert 'OWN' in os.environ",
        "assert 'NOBODY_SET_THIS' not in os.environ",
        "assert os.environ.get('NOBODY_SET_THIS') is None",
        "os.environ['PATH']",
        "os.environ['NEW'] = '1'; assert os.environ['NEW'] == '1' == os.getenv('NEW'); del os.environ['NEW']",
        "assert 'PATH' in list(os.environ)",
        "import subprocess; subprocess.run(['true'], check=True)",
        "import platform; platform.platform()",
        "import uuid; uuid.uuid1()",
        "import tempfile; tempfile.gettempdir()",
        "len(os.environ)",
        "bool(os.environ)",
        "isinstance(os.environ, os._Environ) or 1/0",
        "os.environ.update(NEW='1')",
        "os.environb[b'PATH']",
        "from unittest import mock\nwith mock.patch.dict('os.environ', {'A': '1'}): assert os.environ['A'] == '1'",
    ],
)
def test_environment_questions_are_not(code: str) -> None:
    assert run_trapped(code) == "fine\n"


def test_released_environment() -> None:
    code = """
        kind = type(os.environ)
        identity.release_environ()
        assert type(os.environ) is not kind and type(os.environ).__module__ == "os"
        assert "PYTEST_XDIST_WORKER" not in os.environ
        os.environ["PYTEST_XDIST_WORKER"] = "gw3"
        assert dict(os.environ)["PYTEST_XDIST_WORKER"] == os.environ.copy()["PYTEST_XDIST_WORKER"] == "gw3"
        assert os.environb[b"PYTEST_XDIST_WORKER"] == b"gw3"
    """
    assert run_trapped(code) == "fine\n"
