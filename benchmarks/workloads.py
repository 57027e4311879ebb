"""The load client: raw sockets, no code of any contender, one function a workload.

A client knows only the bytes that INDI puts on a socket: it counts end tags. Each function talks to
the bench device on a port of this machine and returns one figure for each of its metrics. A server
that does not answer in time raises `TimeoutError`: that is a result too.
"""

from __future__ import annotations

import base64
import contextlib
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

SET_END = b"</setNumberVector>"
DEF_END = b"</defNumberVector>"
BLOB_END = b"</setBLOBVector>"
GET_PROPERTIES = b'<getProperties version="1.7"/>\n'
RECEIVE = 1 << 20
PATIENCE = 15.0
"""Seconds without a byte after which a workload is given up."""

Metrics = dict[str, float]
Workload = Callable[[int, bool], Metrics]


def new(name: str, **members: float) -> bytes:
    """Write a newNumberVector for the bench device."""
    body = "".join(f'<oneNumber name="{n}">{v:.15g}</oneNumber>' for n, v in members.items())
    return f'<newNumberVector device="Bench" name="{name}">{body}</newNumberVector>\n'.encode()


class Counter:
    """Counts an end tag in the bytes of one socket."""

    def __init__(self, sock: socket.socket, mark: bytes) -> None:
        self.socket = sock
        self.seen = 0
        self._mark = mark
        self._tail = b""

    def receive(self) -> int:
        """Read once, and return how many end tags there have been."""
        data = self.socket.recv(RECEIVE)
        if not data:
            raise ConnectionError("the server has closed the connection")
        # A mark may straddle two reads; the tail is too short to hold a whole one.
        straddling = self._tail + data[: len(self._mark) - 1]
        self.seen += data.count(self._mark) + straddling.count(self._mark)
        end = data if len(data) >= len(self._mark) else straddling
        self._tail = end[1 - len(self._mark) :]
        return self.seen

    def wait(self, total: int) -> None:
        """Read until there have been so many."""
        while self.seen < total:
            self.receive()


@contextlib.contextmanager
def connect(port: int, *names: str) -> Iterator[socket.socket]:
    """Connect to the server, and wait for the definitions of all properties, or of those named.

    Those who only listen ask only for what they listen to: indiserver shows every client the
    definitions that any of them asks for.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for name in names:
            request = f'<getProperties version="1.7" device="Bench" name="{name}"/>\n'
            sock.sendall(request.encode())
        if not names:
            sock.sendall(GET_PROPERTIES)
        drain(sock, len(names) or 1005)
        yield sock


def drain(sock: socket.socket, expected: int) -> None:
    """Read all the definitions, and whatever comes at once with them."""
    Counter(sock, DEF_END).wait(expected)
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while sock.recv(RECEIVE):
            pass
    sock.settimeout(PATIENCE)


def count_all(socks: Sequence[socket.socket], mark: bytes, total: int) -> None:
    """Read all sockets until each has had so many end tags."""
    with selectors.DefaultSelector() as selector:
        for sock in socks:
            selector.register(sock, selectors.EVENT_READ, Counter(sock, mark))
        left = len(socks)
        while left:
            ready = selector.select(PATIENCE)
            if not ready:
                raise TimeoutError("nothing more comes")
            for key, _ in ready:
                if key.data.receive() >= total:
                    selector.unregister(key.fileobj)
                    left -= 1


# Workloads ---------------------------------------------------------------------------------------


def _fan_out(port: int, updates: int, clients: int) -> Metrics:
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(connect(port, "go", "value")) for _ in range(clients)]
        start = time.perf_counter()
        socks[0].sendall(new("go", v=updates))
        count_all(socks, SET_END, updates)
        return {"deliveries/s": updates * clients / (time.perf_counter() - start)}


def stream1(port: int, quick: bool) -> Metrics:
    """Updates flat out, to one client."""
    return _fan_out(port, 5_000 if quick else 20_000, 1)


def fanout10(port: int, quick: bool) -> Metrics:
    """Updates flat out, to ten clients."""
    return _fan_out(port, 2_000 if quick else 5_000, 10)


def fanout100(port: int, quick: bool) -> Metrics:
    """Updates flat out, to a hundred clients."""
    return _fan_out(port, 500 if quick else 2_000, 100)


def pingpong(port: int, quick: bool) -> Metrics:
    """One request, its answer, and the next."""
    took = []
    with connect(port, "echo") as sock:
        for value in range(500 if quick else 2_000):
            request = new("echo", v=value)
            start = time.perf_counter()
            sock.sendall(request)
            Counter(sock, SET_END).wait(1)
            took.append(time.perf_counter() - start)
    took.sort()
    return {"p50 µs": took[len(took) // 2] * 1e6, "p99 µs": took[len(took) * 99 // 100] * 1e6}


def pipeline(port: int, quick: bool) -> Metrics:
    """Requests without waiting for their answers."""
    count = 3_000 if quick else 10_000
    requests = b"".join(new("echo", v=value) for value in range(count))
    with connect(port, "echo") as sock:
        start = time.perf_counter()
        sender = threading.Thread(target=sock.sendall, args=(requests,))
        sender.start()
        try:
            Counter(sock, SET_END).wait(count)
            return {"replies/s": count / (time.perf_counter() - start)}
        finally:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sender.join()


def blob_down(port: int, quick: bool) -> Metrics:
    """Large BLOBs from the driver to the client."""
    size, count = 1 << 24, 3 if quick else 8
    with connect(port, "sendblob") as sock:
        sock.sendall(b'<enableBLOB device="Bench" name="blob">Also</enableBLOB>\n')
        start = time.perf_counter()
        sock.sendall(new("sendblob", size=size, count=count))
        Counter(sock, BLOB_END).wait(count)
        return {"payload MB/s": size * count / (time.perf_counter() - start) / 1e6}


def blob_up(port: int, quick: bool) -> Metrics:
    """Large BLOBs from the client to the driver."""
    size, count = 1 << 24, 2 if quick else 4
    message = (
        b'<newBLOBVector device="Bench" name="blob"><oneBLOB name="b" size="%d" format=".bin">'
        b"%b</oneBLOB></newBLOBVector>\n"
    ) % (size, base64.b64encode(os.urandom(size)))
    with connect(port, "blobrx") as sock:
        start = time.perf_counter()
        for _ in range(count):
            sock.sendall(message)
        Counter(sock, SET_END).wait(count)
        return {"payload MB/s": size * count / (time.perf_counter() - start) / 1e6}


def getprops(port: int, quick: bool) -> Metrics:
    """All definitions, again and again."""
    count = 5 if quick else 10
    with connect(port) as sock:
        start = time.perf_counter()
        for _ in range(count):
            sock.sendall(GET_PROPERTIES)
            Counter(sock, DEF_END).wait(1005)
        return {"definitions/s": 1006 * count / (time.perf_counter() - start)}


WORKLOADS: dict[str, Workload] = {
    workload.__name__: workload
    for workload in (
        stream1,
        fanout10,
        fanout100,
        pingpong,
        pipeline,
        blob_down,
        blob_up,
        getprops,
    )
}
