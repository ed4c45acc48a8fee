"""Where the zygote stops standing for all workers.

It runs, shared, for as long as nothing tells the workers apart, and forks at the earliest of: the first read
of a value that differs between them (`identity`), the first resource that processes must not share
(`resources`), the end of collection. Each worker goes on from that very frame, with its own identity; the
zygote stays in it, to fork the workers that replace crashed ones. Where it cannot be forked, it becomes the
first worker itself, and the others are started from scratch.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from phalanx import (
    _engine,
    adapters,
    coverage_data,
    forking,
    frames,
    identity,
    resources,
    setups,
)

AFTER_COLLECTION = "after collection"


class ForkPoint:
    """One object from the zygote's start to the end of each worker. `worker` is None in the zygote."""

    def __init__(self, zygote: _engine.Zygote, method: str, stderr: int) -> None:
        self.worker: _engine.Worker | None = None
        self.name = "zygote"
        self.config: pytest.Config | None = None  # the earliest there is
        self.early_setups = setups.EarlySetups()
        self.input: dict[str, Any] = {}  # workerinput, in a worker
        self.workerinput: identity.WorkerInput | None = None  # the same as plugins see it
        self.inherited = forking.Inherited()
        self.stderr = stderr  # the real one, whatever is captured
        self.send: Callable[[int, object], int] = self._send
        self.has_collected = False  # before this worker was forked
        self._zygote = zygote
        self._may_check = method != "fork"
        self.watch: resources.Watch | None = None
        self._passed = False
        self._is_configured = False
        self._directory: str | None = (
            None  # of this worker, where it is another than that of pytest itself
        )
        self._one_at_a_time = threading.RLock()
        self._leave: Callable[[], None] = _nothing

    def _send(self, kind: int, value: object) -> int:
        """To the controller, from whatever this process is. While another thread parts, what this one has to
        say waits: the controller hears a zygote or a worker, and nothing from between the two."""
        with self._one_at_a_time:
            speaker = self._zygote if self.worker is None else self.worker
            return speaker.send(kind, value)

    # ---- traps ----

    def set_traps(self, inputs: list[dict[str, Any]], environments: list[dict[str, str]]) -> None:
        """The zygote stands for all: what differs between these is trapped, as is what cannot be shared."""
        varying = identity.varying_keys(environments)
        os.environ.update({k: v for k, v in environments[0].items() if k not in varying})
        identity.trap_environ(varying | {identity.WORKER_VARIABLE}, self.reach)
        self.workerinput = identity.WorkerInput(
            inputs[0], identity.varying_keys(inputs) | {"workerid"}, self.reach
        )
        generators = self.inherited.generators
        self.watch = resources.Watch(
            self.reach, {"numpy.random.bit_generator": generators.watch_numpy}
        )
        self.watch.begin()

    def use_config(self, config: pytest.Config) -> None:
        """The earliest moment at which there is one, before conftest files are imported."""
        self.config = config
        coverage_data.keep_files(config)
        if self.watch is not None:
            self.watch.root = str(config.rootpath)
            more = config.getini("phalanx_shared_commands")
            self.watch.shared_commands = [*resources.SHARED_COMMANDS, *more]

    def configured(self, config: pytest.Config) -> None:
        """Arguments and configuration have been read, in the directory of pytest itself."""
        self.config = config
        self._is_configured = True
        self._enter_directory()

    def _enter_directory(self) -> None:
        if self._directory is not None and self._is_configured:
            os.chdir(self._directory)

    def look(self, label: str) -> None:
        if self.watch is not None and not self._passed:
            self.watch.look(frames.relative_path(label))

    # ---- the moment ----

    def reach(self, what: str, frame: FrameType | None) -> None:
        """Somebody is about to do what no process may do for others. Returns in each worker."""
        with self._one_at_a_time:  # another thread goes on when this process knows who it is
            if not self._passed:
                self._passed = True
                self._part(what, frame)

    def _part(self, what: str, frame: FrameType | None) -> None:
        place = frames.place(frame)
        if threading.current_thread() is not threading.main_thread():
            self._become_worker(f"{place} {what} in a thread of its own")
            return
        cause = self._find_cause()
        if cause is not None:
            self._become_worker(cause)
            return
        self._zygote.send(_engine.MSG_FORK_HERE, {"place": place, "what": what})
        self._serve()

    def after_collection(self, stand: Callable[[], None], leave: Callable[[], None]) -> None:
        """Collection is over. `stand` does what is done once for all workers and sends what was collected;
        `leave` follows the last of them. Returns in each worker."""
        with self._one_at_a_time:
            if self._passed:
                return
            self._passed = True
            cause = self._find_cause()
            if cause is not None:
                self._become_worker(cause)
                return
            stand()
            self.has_collected = True
            self._leave = leave
            self._serve()

    def _find_cause(self) -> str | None:
        adapters.prepare()
        if self.watch is None:
            return None
        if not self._may_check:
            return resources.find_held_lock()
        return self.early_setups.find() or self.watch.find(
            adapters.repaired_descriptors(self.config) if self.config is not None else set()
        )

    # ---- the zygote's last frame ----

    def _serve(self) -> None:
        """The zygote stays in here until the run is over; each worker comes out of it once."""
        self.inherited.serve_signals()
        self.inherited.settle(
            self.config
        )  # while the controller makes its requests, or fills the run queue
        while True:
            request, number, value = self._zygote.serve()
            if request == "fork":
                self.inherited.prepare(self.config)
                born = self._fork(number)
                if born is not None:
                    self._settle(value, born, is_forked=True)
                    return
            elif request == "end":
                self._leave()
                forking.leave(0)

    def _fork(self, number: int) -> tuple[_engine.Worker, int, int, int] | None:
        zygote = os.getpid()
        try:
            return self._zygote.fork(number)
        except _engine.EngineError as error:
            if os.getpid() == zygote:
                raise
            # A worker that could not begin; the controller sees it die.
            os.write(self.stderr, f"phalanx: worker gw{number} cannot begin: {error}\n".encode())
            os._exit(1)

    def _become_worker(self, cause: str) -> None:
        self._zygote.send(_engine.MSG_REFUSED, cause)
        request, number, value = self._zygote.serve()
        if request != "become":
            forking.leave(0)
        self._settle(value, self._zygote.become(number), is_forked=False)

    # ---- a worker begins ----

    def start_as(self, value: dict[str, Any]) -> None:
        """This interpreter was started to be one worker: it never stood for all."""
        self._passed = True
        self.workerinput = identity.WorkerInput(value["workerinput"], set(), self.reach)
        self._settle(value, self._zygote.become(value["number"]), is_forked=False)

    def _settle(
        self,
        value: dict[str, Any],
        born: tuple[_engine.Worker, int, int, int],
        is_forked: bool,
    ) -> None:
        self.worker, *texts = born
        self.send = self.worker.send
        if value["nice"]:
            os.nice(value["nice"])
        self._directory = value["directory"]
        self._enter_directory()
        self.input = value["workerinput"]
        self.name = self.input["workerid"]
        identity.release_environ()
        if self.watch is not None:
            self.watch.release()
        os.environ[identity.WORKER_VARIABLE] = self.name
        os.environ.update(value["environment"])
        if self.workerinput is not None:
            self.workerinput.settle(self.input)
        self.inherited.texts = forking.Texts(*texts)
        if is_forked and value["number"] != 0 and self.config is not None:
            forking.forget_errors(self.config)
        if is_forked:
            self.inherited.repair(self.config, self.name)
        elif self.config is not None:
            forking.give_basetemp(self.config, self.name)
        self.inherited.release()
        if is_forked and self.config is not None and hasattr(self.config, "workerinput"):
            adapters.repair(self.config)
        self.give_files()

    def give_files(self) -> None:
        """Capture and faulthandler write where the controller can read it when this worker is dead: called
        again while pytest sets them up."""
        if self.config is not None and self.inherited.texts is not None:
            self.inherited.texts.give(self.config)


def _nothing() -> None:
    """What is left to do after the last worker when it was forked before the end of collection."""
