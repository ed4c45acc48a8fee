"""Plugins that keep something of their process from pytest_configure on: what each needs in a worker.

A pytest-xdist worker configures such a plugin itself. Here the zygote did, once; after the fork each
worker has to hold a connection, a number or a name of its own. Everything in here is about one plugin,
known by the name it registers, and leaves a version alone whose shape it does not know.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import sys
import tempfile
import threading
from typing import Any

import pytest

# ---- pytest-rerunfailures: a connection to its server in the controller, made when it is configured ----

# The constructor's parameters, and where the controller put their values.
_CLIENT_PARAMETERS = {"sock_port": "sock_port", "token": "statusdb_token"}


def _client_keys(client: Any) -> list[str] | None:
    """The keys of workerinput that a new client is made of."""
    parameters = inspect.signature(type(client)).parameters
    keys = [_CLIENT_PARAMETERS.get(name, "") for name in parameters]
    return keys if keys and all(keys) else None


def _rerunfailures_client(config: pytest.Config) -> Any:
    client = getattr(config, "failures_db", None)
    if type(client).__module__ != "pytest_rerunfailures" or not hasattr(client, "sock"):
        return None
    return client


def _reconnect_rerunfailures(config: pytest.Config) -> None:
    client = _rerunfailures_client(config)
    keys = client and _client_keys(client)
    if keys:
        client.sock.close()
        workerinput: dict[str, Any] = config.workerinput  # type: ignore[attr-defined]
        config.failures_db = type(client)(*[workerinput[key] for key in keys])  # type: ignore[attr-defined]


# ---- pytest-cov: the worker's name, its process (before version 7), the file that it writes ----


def _name_coverage(config: pytest.Config) -> None:
    plugin: Any = config.pluginmanager.getplugin("_cov")
    if getattr(plugin, "pid", None) == os.getppid():
        plugin.pid = (
            os.getpid()
        )  # or it would measure each test anew, as one of a process forked for it
    controller: Any = getattr(plugin, "cov_controller", None)
    if getattr(controller, "nodeid", None) is None:
        return
    controller.nodeid = config.workerinput["workerid"]  # type: ignore[attr-defined]
    # Version 6.3 makes the end of the file's name itself; others leave it to coverage, which does it late.
    data: Any = getattr(getattr(controller, "cov", None), "_data", None)
    if isinstance(getattr(data, "_suffix", None), str):
        data._suffix = f"{data._suffix}.{controller.nodeid}"


# ---- pytest-benchmark: the worker's name; only gw0 says that nothing is measured ----


def _name_benchmark(config: pytest.Config) -> None:
    session = getattr(config, "_benchmarksession", None)
    if getattr(session, "xdist_worker", None) is None:
        return
    session.xdist_worker = config.workerinput["workerid"]  # type: ignore[attr-defined, union-attr]
    note = getattr(session, "note_xdist_benchmark", None)
    items = getattr(config.pluginmanager.getplugin("session"), "items", [])
    if note is not None and any("benchmark" in getattr(i, "fixturenames", ()) for i in items):
        note()  # as when they were collected, by nobody


# ---- allure-pytest: process and thread, the lanes of its time line ----


def _name_allure_thread(config: pytest.Config) -> None:
    listener = config.pluginmanager.getplugin("allure_listener")
    utils = sys.modules.get("allure_commons.utils")
    if hasattr(listener, "_thread") and hasattr(utils, "thread_tag"):
        listener._thread = utils.thread_tag()  # type: ignore[union-attr]


# ---- pytest-reportportal: what it started in this process, by process and thread ----


def _restart_reportportal(config: pytest.Config) -> None:
    """Its client usually asks the server at once, and the fork comes before that; one that does not would
    take itself for not started in a worker, and report nothing without a word."""
    service = getattr(config, "py_test_service", None)
    started = getattr(service, "_start_tracker", None)
    inherited = f"{os.getppid()}-{threading.current_thread().ident}"
    if isinstance(started, set) and inherited in started:
        started.discard(inherited)
        service.start()  # type: ignore[union-attr]


# ---- inline-snapshot: a temporary directory, which every worker would remove at its end ----


def _give_inline_snapshot_directory() -> None:
    state = getattr(sys.modules.get("inline_snapshot._global_state"), "_current", None)
    directory = getattr(state, "tmp_dir", None)
    if isinstance(directory, tempfile.TemporaryDirectory):
        directory._finalizer.detach()  # type: ignore[attr-defined]  # the zygote removes that one
        state.tmp_dir = tempfile.TemporaryDirectory(prefix="inline-snapshot-")  # type: ignore[union-attr]


# ---- Django (no plugin): connections that were used while models were set up ----


def _close_django_connections() -> None:
    """Django opens them again when it needs them. One to a database in memory it leaves open, as that would
    be lost; a copy of it in each worker is what it takes."""
    django = sys.modules.get("django.db")
    connections = getattr(django, "connections", None)
    if connections is None:
        return
    with contextlib.suppress(Exception):  # settings that are none, a version that is unknown
        for alias in connections:
            connection = getattr(connections._connections, alias, None)
            if connection is not None and not connection.in_atomic_block:
                connection.close()


# ---- filelock (no plugin): a lock made when a module is imported refuses to work in a forked process ----


def _adopt_file_locks() -> None:
    """From version 4 on each lock remembers the process that made it. A worker of pytest-xdist imports the
    module itself, and so makes its own; here the inherited ones become the worker's."""
    api = sys.modules.get("filelock._api")
    zygote = os.getppid()
    for lock in list(getattr(api, "_LIVE_LOCKS", {}).values()):
        if getattr(lock, "_creator_pid", None) == zygote:
            lock._creator_pid = os.getpid()


# ---- for the zygote and the worker ----


def prepare() -> None:
    """In the zygote, before it looks for what cannot be forked."""
    _close_django_connections()


def repaired_descriptors(config: pytest.Config) -> set[int]:
    """Open in the zygote, and no obstacle to a fork: `repair` gives each worker one of its own."""
    client = _rerunfailures_client(config)
    return {client.sock.fileno()} if client and _client_keys(client) else set()


def repair(config: pytest.Config) -> None:
    """In a worker, once its identity is settled and before user code goes on."""
    _reconnect_rerunfailures(config)
    _name_coverage(config)
    _name_benchmark(config)
    _name_allure_thread(config)
    _restart_reportportal(config)
    _give_inline_snapshot_directory()
    _adopt_file_locks()
