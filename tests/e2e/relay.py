"""A line that is bad on purpose: a relay in front of a server on loopback."""

from __future__ import annotations

import contextlib
import queue
import random
import socket
import threading
import time


class Relay:
    """Passes on what comes, in pieces of any size and `delay_s` later, and now and then later still, until
    it is cut. The first `most` connections are let in; others end at once."""

    def __init__(self, port: int, delay_s: float = 0.0, seed: int = 0, most: int = 1 << 30) -> None:
        self._server_port = port
        self._delay_s = delay_s
        self._random = random.Random(seed)
        self._most = most
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Nothing passes any more, neither on old connections nor on new ones."""
        with self._lock:
            self._most = 0
            for end in self._sockets:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.cut()
        with contextlib.suppress(OSError):  # wakes the thread that accepts
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._most <= 0:
                    client.close()
                    continue
                self._most -= 1
                server = socket.create_connection(("127.0.0.1", self._server_port))
                self._sockets += [client, server]
            for one, other in ((client, server), (server, client)):
                pieces: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
                threading.Thread(target=self._read, args=(one, pieces), daemon=True).start()
                threading.Thread(target=self._write, args=(other, pieces), daemon=True).start()

    def _read(self, end: socket.socket, pieces: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        data = b"."
        while data:
            size = self._random.choice((1, 100, 10_000, 100_000))
            try:
                data = end.recv(size)
            except OSError:
                data = b""
            stall_s = 4 * self._delay_s if self._random.random() < 0.05 else 0.0
            pieces.put((time.monotonic() + self._delay_s + stall_s, data))

    def _write(self, end: socket.socket, pieces: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = pieces.get()
                time.sleep(max(0.0, due - time.monotonic()))
                if not data:
                    break
                end.sendall(data)
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_WR)
