"""The load client: raw sockets, no code of any contender.

It knows only the bytes that INDI puts on a socket: it counts end tags. The same client drives every
contender, and a server that does not answer in time makes it raise `TimeoutError`.
"""

from __future__ import annotations

import contextlib
import resource
import selectors
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SET_END = b"</setNumberVector>"
DEF_END = b"</defNumberVector>"
BLOB_END = b"</setBLOBVector>"
GET_PROPERTIES = b'<getProperties version="1.7"/>\n'
PATIENCE = 15.0
"""Seconds without a byte after which a workload is given up."""
QUIET = 0.05
"""Seconds without a byte after which nothing of an earlier request is on its way. indiserver may
keep the end of an answer back until the client's system has acknowledged the rest, after 40 ms."""

# One for all counters: a thousand of them shall not need a thousand buffers.
_BUFFER = bytearray(1 << 19)


def new(name: str, device: str = "Bench", /, **members: float) -> bytes:
    """Write a newNumberVector."""
    body = "".join(f'<oneNumber name="{n}">{v:.15g}</oneNumber>' for n, v in members.items())
    return f'<newNumberVector device="{device}" name="{name}">{body}</newNumberVector>\n'.encode()


class Counter:
    """Counts an end tag in the bytes of one socket, however they are cut."""

    def __init__(self, sock: socket.socket, mark: bytes) -> None:
        self.socket = sock
        self.seen = 0
        self._mark = mark
        self._tail = b""

    def receive(self) -> int:
        """Read once, and return how many end tags there have been."""
        kept = len(self._tail)
        _BUFFER[:kept] = self._tail
        size = self.socket.recv_into(memoryview(_BUFFER)[kept:])
        if not size:
            raise ConnectionError("the server has closed the connection")
        end = kept + size
        # What is kept is too short to hold a whole mark: none is counted twice.
        self.seen += _BUFFER.count(self._mark, 0, end)
        self._tail = bytes(_BUFFER[max(0, end - len(self._mark) + 1) : end])
        return self.seen

    def wait(self, total: int) -> None:
        """Read until there have been so many."""
        while self.seen < total:
            self.receive()


@contextlib.contextmanager
def connect(port: int, *names: str, device: str = "Bench") -> Iterator[socket.socket]:
    """Connect, and wait for definitions: of the properties named, or of the first of all.

    Those who only listen ask only for what they listen to: indiserver shows every client the
    definitions that any of them asks for.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for name in names:
            request = f'<getProperties version="1.7" device="{device}" name="{name}"/>\n'
            sock.sendall(request.encode())
        if not names:
            sock.sendall(GET_PROPERTIES)
        Counter(sock, DEF_END).wait(len(names) or 1)
        yield sock


@contextlib.contextmanager
def settled(port: int, *names: str, listeners: int = 0) -> Iterator[list[socket.socket]]:
    """Connect one client that asks, ``echo`` among its names, and others that listen to ``value``.

    Yields when nothing is under way any more. A libindi driver defines all its properties again
    for each client that asks for one of them: what is measured must not wait behind that.
    """
    with contextlib.ExitStack() as stack:
        asking = stack.enter_context(connect(port, *names))
        socks = [asking]
        socks += [stack.enter_context(connect(port, "value")) for _ in range(listeners)]
        # The answer comes after all definitions that were asked for before.
        asking.sendall(new("echo", v=0))
        Counter(asking, SET_END).wait(1)
        drain(socks)
        yield socks


def drain(socks: Sequence[socket.socket]) -> None:
    """Read until nothing comes any more."""
    with selectors.DefaultSelector() as selector:
        for sock in socks:
            selector.register(sock, selectors.EVENT_READ, sock)
        while ready := selector.select(QUIET):
            for key, _ in ready:
                if not key.data.recv_into(_BUFFER):
                    raise ConnectionError("the server has closed the connection")


def count_all(
    asking: socket.socket, request: bytes, socks: Sequence[socket.socket], total: int
) -> float:
    """Send a request, and return the seconds until each socket has had so many `SET_END`s."""
    with selectors.DefaultSelector() as selector:
        for sock in socks:
            selector.register(sock, selectors.EVENT_READ, Counter(sock, SET_END))
        left = len(socks)
        start = time.perf_counter()
        asking.sendall(request)
        while left:
            ready = selector.select(PATIENCE)
            if not ready:
                raise TimeoutError("nothing more comes")
            for key, _ in ready:
                if key.data.receive() >= total:
                    selector.unregister(key.fileobj)
                    left -= 1
        return time.perf_counter() - start


def allow_descriptors() -> None:
    """Raise the soft limit of open files to the hard one, here and in the contenders."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
