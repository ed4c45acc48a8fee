"""Each worker has a port of its own, so that servers of several tests can run at the same time."""

import socket
import time

import pytest


@pytest.fixture
def server(port):
    """A server of one test on the worker's port; it can be reached from this machine only."""
    with socket.create_server(("127.0.0.1", port)) as server:
        server.settimeout(5)
        yield server


def send(message, server):
    """Sends a message to the server as a client would, and returns what arrives there."""
    with socket.create_connection(server.getsockname(), timeout=5) as client:
        connection, _ = server.accept()
        with connection:
            client.sendall(message)
            client.shutdown(socket.SHUT_WR)
            return connection.makefile("rb").read()


class TestOrders:
    def test_order_arrives(self, server):
        time.sleep(1.3)
        assert send(b"one book", server) == b"one book"

    def test_cancellation_arrives(self, server):
        time.sleep(1.7)
        assert send(b"cancel", server) == b"cancel"

    def test_port_is_the_workers_own(self, server, port):
        time.sleep(1.6)
        assert server.getsockname() == ("127.0.0.1", port)

    def test_order_is_stored(self, server, database):
        before = database.rows()
        database.insert(order=send(b"two books", server).decode())
        time.sleep(1.4)
        assert database.rows() == [*before, {"order": "two books"}]
