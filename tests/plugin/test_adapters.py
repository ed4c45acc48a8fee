"""What plugins get anew in a worker, with stand-ins of their shape; `make compat` has the real ones."""

from __future__ import annotations

import gc
import os
import socket
import sys
import tempfile
import threading
import types

import pytest

from phalanx import adapters


class Config(types.SimpleNamespace):
    """As much of pytest's config as the adapters look at."""

    def __init__(self, plugins=None, **values):
        super().__init__(**values)
        self.pluginmanager = types.SimpleNamespace(getplugin=(plugins or {}).get)


class Client:
    __module__ = "pytest_rerunfailures"

    def __init__(self, sock_port, token):
        self.sock = socket.create_connection(("127.0.0.1", sock_port))
        self.token = token


class OtherClient(Client):
    def __init__(self, sock_port, something_new):
        super().__init__(sock_port, something_new)


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_rerunfailures_gets_a_connection_of_its_own(port):
    client = Client(port, "of the zygote")
    config = Config(
        failures_db=client,
        workerinput={"sock_port": port, "statusdb_token": "t", "workerid": "gw0"},
    )
    assert adapters.repaired_descriptors(config) == {client.sock.fileno()}
    adapters.repair(config)
    with config.failures_db.sock:
        assert config.failures_db is not client and config.failures_db.token == "t"
        assert client.sock.fileno() == -1


def test_an_unknown_client_is_left_alone_and_stands_in_the_way_of_a_fork(port):
    client = OtherClient(port, "x")
    config = Config(failures_db=client, workerinput={"sock_port": port, "workerid": "gw0"})
    with client.sock:
        assert adapters.repaired_descriptors(config) == set()
        adapters.repair(config)
        assert config.failures_db is client and client.sock.fileno() != -1


def test_no_plugins():
    config = Config(workerinput={"workerid": "gw0"})
    assert adapters.repaired_descriptors(config) == set()
    adapters.repair(config)


def test_coverage_is_named_after_the_worker():
    cov = types.SimpleNamespace(cov_controller=types.SimpleNamespace(nodeid="gw?"))
    adapters.repair(Config({"_cov": cov}, workerinput={"workerid": "gw3"}))
    assert cov.cov_controller.nodeid == "gw3"


@pytest.mark.parametrize(("suffix", "own"), [("host.4711.w", "host.4711.w.gw3"), (True, True)])
def test_coverage_writes_a_file_of_its_own(suffix, own):
    """Version 6.3 made its name before the fork; True stands for one that coverage makes when it writes."""
    data = types.SimpleNamespace(_suffix=suffix)
    controller = types.SimpleNamespace(nodeid="gw?", cov=types.SimpleNamespace(_data=data))
    cov = types.SimpleNamespace(cov_controller=controller)
    adapters.repair(Config({"_cov": cov}, workerinput={"workerid": "gw3"}))
    assert data._suffix == own


def test_coverage_knows_its_process():
    """Before version 7: else it takes the worker for a process that was forked for one test."""
    for process, expected in (
        (os.getppid(), os.getpid()),
        (os.getpid(), os.getpid()),
        (None, None),
    ):
        cov = types.SimpleNamespace(pid=process)
        adapters.repair(Config({"_cov": cov}, workerinput={"workerid": "gw3"}))
        assert cov.pid == expected


def test_allure_gets_the_thread_of_the_worker(monkeypatch):
    utils = types.ModuleType("allure_commons.utils")
    utils.thread_tag = lambda: "4711-MainThread"
    monkeypatch.setitem(sys.modules, "allure_commons.utils", utils)
    listener = types.SimpleNamespace(_thread="of the zygote")
    adapters.repair(Config({"allure_listener": listener}, workerinput={"workerid": "gw0"}))
    assert listener._thread == "4711-MainThread"


def test_benchmark_is_named_after_the_worker():
    """Only gw0 says that nothing is measured, and only if a test would be."""
    for name, fixtures, noted in (
        ("gw0", ["benchmark"], 1),
        ("gw0", [], 0),
        ("gw1", ["benchmark"], 0),
    ):
        notes = []
        session = types.SimpleNamespace(xdist_worker="gw?")
        session.note_xdist_benchmark = lambda s=session, n=notes: (
            s.xdist_worker == "gw0" and n.append(1)
        )
        collected = types.SimpleNamespace(items=[types.SimpleNamespace(fixturenames=fixtures)])
        config = Config(
            {"session": collected}, _benchmarksession=session, workerinput={"workerid": name}
        )
        adapters.repair(config)
        assert session.xdist_worker == name and len(notes) == noted


def test_reportportal_is_started_again_in_a_worker():
    class Service:
        def __init__(self, process):
            self._start_tracker = {f"{process}-{threading.current_thread().ident}"}

        def start(self):
            self._start_tracker.add("again")

    for process, expected in ((os.getppid(), {"again"}), (os.getpid(), None)):
        service = Service(process)
        before = set(service._start_tracker)
        adapters.repair(Config(py_test_service=service, workerinput={"workerid": "gw0"}))
        assert service._start_tracker == (expected or before)


def test_inline_snapshot_gets_a_directory_of_the_worker(monkeypatch):
    module = types.ModuleType("inline_snapshot._global_state")
    with tempfile.TemporaryDirectory() as inherited:
        directory = tempfile.TemporaryDirectory(dir=inherited)
        module._current = types.SimpleNamespace(tmp_dir=directory)
        monkeypatch.setitem(sys.modules, "inline_snapshot._global_state", module)
        adapters.repair(Config(workerinput={"workerid": "gw0"}))
        assert module._current.tmp_dir.name != directory.name
        module._current.tmp_dir.cleanup()
        path = directory.name
        del directory
        gc.collect()
        assert os.path.isdir(path), "it is the zygote's to remove"


def test_connections_of_django_are_closed_before_a_fork(monkeypatch):
    class Connection:
        in_atomic_block = False
        closed = 0

        def close(self):
            self.closed += 1

    used, in_use = Connection(), Connection()
    in_use.in_atomic_block = True

    class Connections(list):
        _connections = types.SimpleNamespace(default=used, busy=in_use)

    module = types.ModuleType("django.db")
    module.connections = Connections(["default", "busy", "never opened"])
    monkeypatch.setitem(sys.modules, "django.db", module)
    adapters.prepare()
    assert (used.closed, in_use.closed) == (1, 0)
