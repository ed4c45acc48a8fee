"""Workers as the hooks and plugins of the controller see them: pytest-xdist's `node` objects."""

from __future__ import annotations

import contextlib
import os
import sys
import uuid
from types import SimpleNamespace
from typing import Any

import pytest


class Spec:
    """One --tx environment (execnet's XSpec, as far as anybody reads it)."""

    popen = True
    ssh = None
    socket = None
    chdir = None
    python = None

    def __init__(self, text: str) -> None:
        self._spec = text
        self.id: str | None = None
        self.env: dict[str, str] = {}

    def __str__(self) -> str:
        return self._spec

    def __repr__(self) -> str:
        return f"<XSpec {self._spec!r}>"


class Gateway:
    """What plugins ask a node's gateway: its id, its spec, where it runs."""

    def __init__(self, spec: Spec, id: str, cwd: str) -> None:
        self.id = id
        self.spec = spec
        self._cwd = cwd

    def _rinfo(self, update: bool = False) -> SimpleNamespace:
        return SimpleNamespace(
            executable=sys.executable,
            version_info=tuple(sys.version_info),
            platform=sys.platform,
            cwd=self._cwd,
        )

    def __repr__(self) -> str:
        return f"<Gateway id={self.id!r}>"


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
        self.shutting_down = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.gateway.id}>"


class NodeManager:
    def __init__(self, config: pytest.Config, specs: list[str], cwd: str) -> None:
        self.config = config
        self.testrunuid = config.getoption("testrunuid") or uuid.uuid4().hex
        self.specs = [Spec(text) for text in specs]
        self.roots: list[str] = []
        self._cwd = cwd
        for number, spec in enumerate(self.specs):
            spec.id = f"gw{number}"

    def setup_nodes(self) -> list[WorkerController]:
        self.config.hook.pytest_xdist_setupnodes(config=self.config, specs=self.specs)
        return [self.setup_node(spec, number) for number, spec in enumerate(self.specs)]

    def setup_node(self, spec: Spec, number: int) -> WorkerController:
        gateway = Gateway(spec, f"gw{number}", self._cwd)
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
