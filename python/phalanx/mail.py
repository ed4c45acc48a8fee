"""A worker's loop when a plugin's scheduler says who runs what: tests come by mail, and none is claimed.

As with pytest-xdist, a test starts when the worker knows the one after it, or that there is none.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from phalanx import _engine

if TYPE_CHECKING:
    from phalanx.worker import WorkerInteractor


def run_tests(interactor: WorkerInteractor, session: pytest.Session) -> None:
    worker = interactor.worker
    assert worker is not None
    try:
        _run_tests(interactor, worker, session)
    except _engine.StrayProcess:
        interactor.end_stray()


def _run_tests(
    interactor: WorkerInteractor, worker: _engine.Worker, session: pytest.Session
) -> None:
    items = interactor.items
    protocol = session.config.hook.pytest_runtest_protocol
    index = worker.take()
    while index is not None:
        following = worker.take()
        if not worker.enter():
            return  # somebody has stopped the run meanwhile
        item = items[index]
        interactor.item_index = index
        worker.start()
        interactor.title("running", item.nodeid)
        begin = time.perf_counter()
        protocol(item=item, nextitem=None if following is None else items[following])
        took = time.perf_counter() - begin
        worker.end()
        interactor.send(_engine.MSG_TEST_COMPLETE, (index, took))
        interactor.title("idle")
        if session.shouldfail or session.shouldstop:
            worker.close_queue()
            return
        index = following
