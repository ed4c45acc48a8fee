"""A private cluster for the run, in a temporary directory, on 127.0.0.1 and a Unix socket; PostgreSQL refuses
to run as root, so then it is the user `postgres`."""

import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

import psycopg
import pytest
from pytest_postgresql import factories

BIN = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))[-1]
USER = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


class Cluster:
    def __init__(self):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="cluster-"))
        if USER:
            shutil.chown(self.home, "postgres", "postgres")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        data = self.home / "data"
        self._call("initdb", "-D", data, "-U", "tester", "-A", "trust", "-N", "-E", "UTF8")
        options = f"-p {self.port} -k {self.home} -c listen_addresses=127.0.0.1 -c fsync=off"
        self.server = subprocess.Popen(
            [BIN / "postgres", "-D", data, *options.split()],
            cwd=self.home,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **USER,
        )
        os.environ.update(PGHOST="127.0.0.1", PGPORT=str(self.port), PGUSER="tester")
        while subprocess.call([BIN / "pg_isready", "-q"]):
            assert self.server.poll() is None, "the server has ended"
            time.sleep(0.1)

    def _call(self, program, *args):
        subprocess.run(
            [BIN / program, *args], cwd=self.home, stdout=subprocess.DEVNULL, check=True, **USER
        )

    def end(self):
        self.server.terminate()
        self.server.wait()
        shutil.rmtree(self.home)


def execute(statement):
    with psycopg.connect(dbname="postgres", autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def pytest_sessionstart(session):
    if not hasattr(session.config, "workerinput"):
        session.config.cluster = Cluster()


def pytest_unconfigure(config):
    if hasattr(config, "cluster"):
        left = execute("select datname from pg_database where datname like 'test%' order by 1")
        pathlib.Path("left").write_text(" ".join(name for (name,) in left))
        config.cluster.end()


@pytest.fixture(scope="session")
def database(request):
    worker = getattr(request.config, "workerinput", {}).get("workerid", "master")
    name = f"test_db_{worker}"
    execute(f"create database {name}")
    with psycopg.connect(dbname=name, autocommit=True) as connection:
        connection.execute("create table orders (number int primary key)")
        yield connection
    execute(f"drop database {name}")


@pytest.fixture(scope="session")
def plugins_server(request):
    """The plugin's own fixture, at the port that the controller found. It names its template after the worker."""
    request.config.option.postgresql_port = os.environ["PGPORT"]
    return request.getfixturevalue("of_the_plugin")


of_the_plugin = factories.postgresql_noproc(
    host="127.0.0.1", user="tester", dbname="tests", load=["create table stock (number int)"]
)
per_test = factories.postgresql("plugins_server")
