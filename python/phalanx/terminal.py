"""What a distributed run prints beside pytest's own output: pytest-xdist's lines, to the letter, because
scripts search for them."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

import pytest

from phalanx.nodes import Gateway, Spec, WorkerController


class WorkerStatus(enum.Enum):
    Created = "created"
    Initialized = "initialized"
    ReadyForCollection = "ready"
    CollectionDone = "collecting"


def status_line(statuses: Sequence[tuple[WorkerStatus, int]]) -> str:
    """One line on how far the workers have come: that of the furthest."""
    if not statuses:
        return ""
    total = len(statuses)
    workers = "worker" if total == 1 else "workers"
    if all(status is WorkerStatus.CollectionDone for status, _ in statuses):
        count = statuses[0][1]
        return f"{total} {workers} [{count} {'item' if count == 1 else 'items'}]"
    furthest = max((status for status, _ in statuses), key=list(WorkerStatus).index)
    reached = sum(1 for status, _ in statuses if status is furthest)
    return f"{furthest.value}: {reached}/{total} {workers}"


class TerminalDistReporter:
    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.tr: Any = config.pluginmanager.getplugin("terminalreporter")
        self._statuses: dict[str, tuple[WorkerStatus, int]] = {}
        self._last_length = 0
        self._isatty = getattr(self.tr, "isatty", self.tr.hasmarkup)

    def write_line(self, msg: str) -> None:
        self.tr.write_line(msg)

    def ensure_show_status(self) -> None:
        if not self._isatty:
            self.write_line(self.getstatus())

    def setstatus(
        self, spec: Spec, status: WorkerStatus, *, tests_collected: int, show: bool = True
    ) -> None:
        self._statuses[str(spec.id)] = (status, tests_collected)
        if show and self._isatty:
            self.rewrite(self.getstatus())

    def getstatus(self) -> str:
        if self.config.option.verbose >= 0:
            line = status_line(list(self._statuses.values()))
            if line:
                return line
        return "bringing up nodes..."

    def rewrite(self, line: str, newline: bool = False) -> None:
        padded = line + " " * max(self._last_length - len(line), 0)
        self._last_length = 0 if newline else len(line)
        self.tr.rewrite(padded + ("\n" if newline else ""), bold=True)

    def pytest_xdist_setupnodes(self, specs: Sequence[Spec]) -> None:
        for spec in specs:
            self.setstatus(spec, WorkerStatus.Created, tests_collected=0, show=False)
        self.setstatus(specs[-1], WorkerStatus.Created, tests_collected=0)
        self.ensure_show_status()

    def pytest_xdist_newgateway(self, gateway: Gateway) -> None:
        differs = gateway.interpreter is not None or gateway.spec.chdir is not None
        if differs and self.config.option.verbose > 0:
            info = gateway._rinfo()
            version = ".".join(map(str, info.version_info[:3]))
            self.rewrite(
                f"[{gateway.id}] {info.platform} Python {version} cwd: {info.cwd}", newline=True
            )
        self.setstatus(gateway.spec, WorkerStatus.Initialized, tests_collected=0)

    def pytest_testnodeready(self, node: WorkerController) -> None:
        self.setstatus(node.gateway.spec, WorkerStatus.ReadyForCollection, tests_collected=0)

    def pytest_testnodedown(self, node: WorkerController, error: object) -> None:
        if error:
            self.write_line(f"[{node.gateway.id}] node down: {error}")
