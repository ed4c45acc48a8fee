"""Whatever tests must not share is made once per worker and named after it."""

import json
import os

import pytest


class JsonDatabase:
    """Rows in a file. It has no lock: two workers on one file would lose rows."""

    def __init__(self, path):
        self.path = path
        self.path.write_text("[]")

    def rows(self):
        return json.loads(self.path.read_text())

    def insert(self, **row):
        rows = self.rows()
        rows.append(row)
        self.path.write_text(json.dumps(rows))


@pytest.fixture(scope="session")
def database(tmp_path_factory, worker_id):
    """One database per worker, all in one directory: the name alone keeps them apart."""
    directory = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        directory = directory.parent  # the directory above is the same for all workers
    return JsonDatabase(directory / f"database_{worker_id}.json")


@pytest.fixture(scope="session")
def port(request):
    """8000 without workers; 8001 for gw0, 8002 for gw1, and so on."""
    first = int(os.environ.get("DEMO_PORT", "8000"))
    workerinput = getattr(request.config, "workerinput", None)
    if workerinput is None:  # not a worker
        return first
    return first + 1 + int(workerinput["workerid"].removeprefix("gw"))


@pytest.fixture(scope="session")
def directory(tmp_path_factory, worker_id):
    """A temporary directory of the worker's own."""
    return tmp_path_factory.mktemp(f"files_{worker_id}")


class Counter:
    value = 0


@pytest.fixture(scope="session")
def counter():
    """Counts the tests of this worker."""
    return Counter()


@pytest.fixture(autouse=True)
def record_resources(database, port, directory, counter, record_property):
    """Every report says what its test worked with."""
    counter.value += 1
    record_property("database", database.path.name)
    record_property("port", port)
    record_property("directory", str(directory))
    record_property("counter", counter.value)


def pytest_terminal_summary(terminalreporter):
    workers = {}
    for report in terminalreporter.getreports("passed"):
        seen = dict(report.user_properties)
        if "port" in seen:
            workers[seen["worker"]] = seen  # a worker's last report has its highest counter
    terminalreporter.section("resources of each worker")
    for worker, seen in sorted(workers.items()):
        terminalreporter.line(
            f"{worker:8} port {seen['port']}   {seen['database']:24} {seen['counter']:2} tests"
        )
