"""A distributed run as its controller knows it: what the events change, and the hooks of `DSession` read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from phalanx import _engine, options
from phalanx.recruiting import Recruiting
from phalanx.terminal import TerminalDistReporter

if TYPE_CHECKING:
    from phalanx.machines import Machines
    from phalanx.nodes import NodeManager, WorkerController
    from phalanx.plugin_scheduling import PluginScheduling
    from phalanx.surface import Surface


class Run:
    def __init__(self, config: pytest.Config, dsession: Surface) -> None:
        self.config = config
        self.dsession = dsession  # tells the hooks what plugins may have wrapped
        self.dist: str = config.getoption("dist")
        self.session: Any = None  # pytest's, from its start on
        self.nodemanager: NodeManager | None = None
        self.nodes: list[WorkerController] = []
        self.gone: set[int] = set()  # numbers of nodes that are down
        self.failed_nodes = 0  # of these, not in good order
        self.ids: list[str] = []
        self.sched: Any = None
        self.mail: PluginScheduling | None = None  # when `sched` is not the engine's
        self.terminal: Any = config.pluginmanager.getplugin("terminalreporter")
        self.trdist: TerminalDistReporter | None = None
        if self.terminal:
            self.trdist = TerminalDistReporter(config)
            config.pluginmanager.register(self.trdist, "terminaldistreporter")
        self.controller: _engine.Controller | None = None
        self.shared: list[str] = []  # fixtures that the zygote has set up, and will tear down
        self.recruiting = Recruiting(self)
        self.machines: Machines | None = None  # when workers are on others
        self.forked = False  # the workers were asked for
        self.is_planned = False  # there is a run queue
        self.over = False  # the zygote ended without a run
        self.stopping = False
        self.interrupted = False
        self.terminated = False  # by SIGTERM or SIGHUP: nobody waits for anything
        self.internal_error = False
        self.pending_exception: BaseException | None = None
        self.failure: str | None = None

    @property
    def engine(self) -> _engine.Controller:
        assert self.controller is not None
        return self.controller

    @property
    def max_restarts(self) -> int:
        most = options.max_worker_restart(self.config)
        return -1 if most is None else most

    def nodes_of(self, number: int) -> list[WorkerController]:
        """Whom a number in an event means: one worker, or all of a zygote's, those of a machine's zygote."""
        if number >= 0:
            return [self.nodes[number]]
        if self.machines is None:
            return self.nodes
        machine = self.machines.of_code(number)
        return [node for node in self.nodes if self.machines.of_node(node) is machine]

    def name_of(self, number: int) -> str:
        if number >= 0:
            return self.nodes[number].gateway.id
        return "the zygote" if self.machines is None else self.machines.of_code(number).name

    def is_over(self) -> bool:
        return self.over or (self.forked and self.engine.active() == 0)

    def stop(self) -> None:
        """Nobody claims any more; what runs goes on to its end. Of -x while tests are collected the zygote
        knows as well: how its collection ends decides how the run does, as without workers."""
        self.stopping = True
        if self.forked:
            self.engine.stop()
        elif self.session.shouldstop:
            self.over = True

    def fail(self, message: str) -> None:
        """The run goes on, and is not a success."""
        self.failure = f"{self.failure}; {message}" if self.failure else message

    def report_line(self, line: str) -> None:
        if self.terminal and self.config.option.verbose >= 0:
            self.terminal.write_line(line)


def some(ids: list[str], most: int = 5) -> str:
    """Node ids for a sentence: not thousands of them."""
    more = f", … and {len(ids) - most} more" if len(ids) > most else ""
    return ", ".join(ids[:most]) + more
