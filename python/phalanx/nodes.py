"""Workers as the hooks and plugins of the controller see them: pytest-xdist's `node` objects."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import uuid
from collections import Counter
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Protocol

import pytest

from phalanx import interpreters, specs
from phalanx.interpreters import Interpreter
from phalanx.specs import Spec, parse_tx_spec_config

__all__ = [
    "Gateway",
    "NodeManager",
    "Spec",
    "WorkerController",
    "parse_tx_spec_config",
    "worker_info",
]


class Gateway:
    """What plugins ask a node's gateway: its id, its spec, where it runs."""

    def __init__(self, spec: Spec, id: str, cwd: str, interpreter: Interpreter | None) -> None:
        self.id = id
        self.spec = spec
        self.cwd = cwd
        self.interpreter = interpreter  # None: that of pytest itself

    def _rinfo(self, update: bool = False) -> SimpleNamespace:
        other = self.interpreter
        return SimpleNamespace(
            executable=other.executable if other else sys.executable,
            version_info=other.version_info if other else tuple(sys.version_info),
            platform=other.platform if other else sys.platform,
            cwd=self.cwd,
        )

    def __repr__(self) -> str:
        return f"<Gateway id={self.id!r}>"


class Mailboxes(Protocol):
    """How a scheduler in Python reaches the workers: see plugin_scheduling.py."""

    def send(self, number: int, indices: Sequence[int]) -> None: ...

    def send_all(self, number: int) -> None: ...

    def steal(self, number: int, indices: Sequence[int]) -> None: ...

    def shutdown(self, number: int) -> None: ...


class WorkerController:
    """A node. `workeroutput` appears when its session has ended in good order, and not before."""

    workerinfo: dict[str, Any]
    workeroutput: dict[str, Any]

    def __init__(self, nodemanager: NodeManager, gateway: Gateway, number: int) -> None:
        self.nodemanager = nodemanager
        self.gateway = gateway
        self.config = nodemanager.config
        self.number = number
        self.workerinput: dict[str, Any] = {
            "workerid": gateway.id,
            "workercount": len(nodemanager.specs),
            "testrunuid": nodemanager.testrunuid,
            "mainargv": sys.argv,
        }
        self.shutting_down = False  # it gets no more tests

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.gateway.id}>"

    # ---- for schedulers in Python ----

    def _mailboxes(self) -> Mailboxes:
        mailboxes = self.nodemanager.mailboxes
        if mailboxes is None:
            raise RuntimeError(
                f"{self!r} takes its tests from the run queue: only a scheduler that "
                "pytest_xdist_make_scheduler has returned can send it any"
            )
        return mailboxes

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        self._mailboxes().send(self.number, indices)

    def send_runtest_all(self) -> None:
        self._mailboxes().send_all(self.number)

    def send_steal(self, indices: Sequence[int]) -> None:
        """Asks for tests back; the scheduler's remove_pending_tests_from_node hears which it got."""
        self._mailboxes().steal(self.number, indices)

    def shutdown(self) -> None:
        """It runs what it has, and ends."""
        if not self.shutting_down:
            self.shutting_down = True
            if self.nodemanager.mailboxes is not None:
                self.nodemanager.mailboxes.shutdown(self.number)


class NodeManager:
    def __init__(self, config: pytest.Config, texts: Sequence[str] | None = None) -> None:
        self.config = config
        self.testrunuid = config.getoption("testrunuid") or uuid.uuid4().hex
        if texts is None:
            texts = parse_tx_spec_config(config)
        self.specs = [specs.parse(text) for text in texts]
        self.roots: list[str] = []
        self.group: list[Gateway] = []
        self.mailboxes: Mailboxes | None = None
        self._interpreters: dict[str, Interpreter] = {}
        taken = {spec.id for spec in self.specs}
        free = (name for name in map("gw{}".format, itertools.count()) if name not in taken)
        for spec in self.specs:
            if spec.id is None:
                spec.id = next(free)
        twice = [name for name, n in Counter(spec.id for spec in self.specs).items() if n > 1]
        if twice:
            raise pytest.UsageError(f"--tx: id={twice[0]} is given to more than one worker")

    def setup_nodes(self) -> list[WorkerController]:
        self.config.hook.pytest_xdist_setupnodes(config=self.config, specs=self.specs)
        return [self.setup_node(spec, number) for number, spec in enumerate(self.specs)]

    def setup_node(self, spec: Spec, number: int) -> WorkerController:
        replaces = number >= len(self.specs)
        gateway = Gateway(
            spec,
            f"gw{number}" if replaces else str(spec.id),
            specs.directory_of(spec),
            interpreters.find(spec, self._interpreters) if spec.popen else None,
        )
        self.group.append(gateway)
        self.config.hook.pytest_xdist_newgateway(gateway=gateway)
        node = WorkerController(self, gateway, number)
        gateway.node = node  # type: ignore[attr-defined]
        self.config.hook.pytest_configure_node(node=node)
        return node


def _platform() -> str:
    """What platform.platform() says, which starts a program to find out."""
    system = os.uname()
    libc = ""
    with contextlib.suppress(ValueError, OSError):
        libc = "-with-" + (os.confstr("CS_GNU_LIBC_VERSION") or "").replace(" ", "")
    return f"{system.sysname}-{system.release}-{system.machine}{libc}"


def worker_info() -> dict[str, Any]:
    """What a worker tells of itself; made in the zygote, the same for all its workers."""
    return {
        "version": sys.version,
        "version_info": tuple(sys.version_info),
        "sysplatform": sys.platform,
        "platform": _platform(),
        "executable": sys.executable,
        "cwd": os.getcwd(),
    }
