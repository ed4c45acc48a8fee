"""--tx: where and how a worker runs. `4*popen//python=python3.12//env:DB=test`: four on this machine."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

# What a specification may say of a worker on another machine, or of one that others reach it through.
REMOTE = ("socket", "via", "vagrant_ssh")

# The ways to a machine, and how each is written: see machines.py.
REACHED_BY = {
    "ssh": "ssh=user@host, or what you would write behind ssh: ssh=-p 2222 host",
    "command": "command=docker exec -i box, or any command that runs another one there",
}


class Spec:
    """One environment, as plugins know it from pytest-xdist: an attribute for each setting, None for one
    that it does not have, and `env`, its own variables, which pytest_xdist_setupnodes may change."""

    def __init__(self, text: str) -> None:
        self._spec = text
        self.id: str | None = None
        self.env: dict[str, str] = {}
        for part in text.split("//"):
            name, equals, value = part.partition("=")
            if not name or name.startswith("_"):
                raise ValueError(f"{part!r} is no setting: name=value or a name")
            if name.startswith("env:"):
                settings: dict[str, Any] = self.env
                name = name[len("env:") :]
            else:
                settings = self.__dict__
            if settings.get(name) is not None:
                raise ValueError(f"{name} is set twice")
            settings[name] = value if equals else True

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None

    def __str__(self) -> str:
        return self._spec

    def __repr__(self) -> str:
        return f"<XSpec {self._spec!r}>"

    def __eq__(self, other: object) -> bool:
        return self._spec == getattr(other, "_spec", None)

    def __hash__(self) -> int:
        return hash(self._spec)


def is_remote(text: str) -> bool:
    """Whether a text of --tx leads to another machine."""
    return re.match(rf"(\d+\*)?({'|'.join(REACHED_BY)})=", text) is not None


def parse_tx_spec_config(config: pytest.Config) -> list[str]:
    """The --tx arguments, one text per worker: `3*popen` counts thrice."""
    texts = []
    for text in config.getoption("tx"):
        match = re.fullmatch(r"(\d+)\*(.*)", text)
        count, spec = (int(match[1]), match[2]) if match else (1, text)
        texts += [spec] * count
    if not texts:
        raise pytest.UsageError("MISSING test execution (tx) nodes: please specify --tx")
    return texts


def parse(text: str) -> Spec:
    """A specification that this version can run; a usage error says what it cannot, and why."""
    try:
        spec = Spec(text)
    except ValueError as error:
        raise pytest.UsageError(f"--tx {text}: {error}") from None
    for name in REMOTE:
        if getattr(spec, name) is not None:
            raise pytest.UsageError(
                f"--tx {text}: {name}= is not supported: other machines are reached by ssh=user@host, "
                "or by any command that leads there: command=docker exec -i box"
            )
    if any(getattr(spec, name) is not None for name in REACHED_BY):
        from phalanx import machines

        machines.check(text, spec)
    elif not spec.popen:
        raise pytest.UsageError(
            f"--tx {text}: a specification begins with 'popen', a worker on this machine: "
            "'--tx 4*popen' is what '-n 4' means"
        )
    for name in ("python", "chdir"):
        if getattr(spec, name) in (True, ""):
            raise pytest.UsageError(f"--tx {text}: {name}= takes a path, and none is given")
    if spec.nice is not None and not re.fullmatch(r"-?\d+", str(spec.nice)):
        raise pytest.UsageError(f"--tx {text}: nice= takes a number, not {spec.nice!r}")
    return spec


def directory_of(spec: Any) -> str:
    """Where a worker runs its tests. As with execnet a directory that is not there is made."""
    if any(getattr(spec, name) is not None for name in REACHED_BY):
        return str(spec.chdir or "")  # there
    if spec.chdir is None:
        return os.getcwd()
    directory = os.path.abspath(os.path.expanduser(str(spec.chdir)))
    try:
        os.makedirs(directory, exist_ok=True)
    except OSError as error:
        raise pytest.UsageError(f"--tx {spec}: chdir={spec.chdir}: {error.strerror}") from None
    return directory
