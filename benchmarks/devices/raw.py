"""The bench device as bytes made beforehand: the least that a driver can do.

``raw.py`` speaks on standard input and output, for indiserver; ``raw.py PORT`` on bare sockets,
without any server: the floor, the limit of the machine. Nothing is parsed that need not be, and
nothing is checked.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import os
import re
import selectors
import socket
import sys
from collections.abc import Callable, Iterable

FURTHER = int(os.environ.get("BENCH_FURTHER", "1000"))
MEMBERS = ["v", *(f"v{index}" for index in range(1, int(os.environ.get("BENCH_MEMBERS", "1"))))]
NEW = re.compile(
    rb'<newNumberVector device="Bench" name="(\w+)">(.*?)</newNumberVector>', re.DOTALL
)
VALUE = re.compile(rb">\s*([0-9.]+)\s*<")
# With the newlines that indiserver prints around texts.
BLOB_END = b"</newBLOBVector>"
Send = Callable[[bytes], None]


def definition(name: str, members: Iterable[str] = ("v",)) -> bytes:
    body = "".join(
        f'<defNumber name="{m}" label="{m}" format="%g" min="0" max="0" step="0">0</defNumber>'
        for m in members
    )
    return (
        f'<defNumberVector device="Bench" name="{name}" label="{name}" group="Bench" state="Ok" '
        f'perm="rw" timeout="0" timestamp="2026-01-02T03:04:05">{body}</defNumberVector>\n'
    ).encode()


def template(name: str, members: Iterable[str] = ("v",)) -> bytes:
    body = "".join(f'<oneNumber name="{member}">%b</oneNumber>' for member in members)
    return (
        f'<setNumberVector device="Bench" name="{name}" state="Ok" timeout="0" '
        f'timestamp="2026-01-02T03:04:05">{body}</setNumberVector>\n'
    ).encode()


VALUE_SET = template("value")
ECHO_SET = template("echo", MEMBERS)
BLOBRX_SET = template("blobrx") % b"1"


@functools.cache
def blob_set(size: int) -> bytes:
    return (
        b'<setBLOBVector device="Bench" name="blob" state="Ok"><oneBLOB name="b" size="%d" '
        b'format=".bin">%b</oneBLOB></setBLOBVector>\n'
    ) % (size, base64.b64encode(os.urandom(size)))


DEFINITIONS = b"".join(
    [
        *(definition(name) for name in ("go", "value", "blobrx")),
        definition("echo", MEMBERS),
        definition("sendblob", ("size", "count")),
        b'<defBLOBVector device="Bench" name="blob" label="blob" group="Bench" state="Ok" '
        b'perm="rw" timeout="0" timestamp="2026-01-02T03:04:05">'
        b'<defBLOB name="b" label="b"/></defBLOBVector>\n',
        *(definition(f"n{index:05d}") for index in range(FURTHER)),
    ]
)


class Device:
    """One peer's bytes in, answers out."""

    def __init__(self) -> None:
        self.rest = bytearray()
        self.in_blob = False

    def receive(self, data: bytes, reply: Send, broadcast: Send) -> None:
        self.rest += data
        if not self.in_blob and b"<newBLOBVector" in self.rest:
            self.in_blob = True
        if self.in_blob:
            # The end is looked for in what is new: a BLOB is long.
            while (end := self.rest.find(BLOB_END, max(0, len(self.rest) - len(data) - 32))) >= 0:
                del self.rest[: end + len(BLOB_END)]
                reply(BLOBRX_SET)
                self.in_blob = b"<newBLOBVector" in self.rest
            return
        done = 0
        if b"<getProperties" in self.rest:
            reply(DEFINITIONS * self.rest.count(b"<getProperties"))
            done = self.rest.rindex(b"<getProperties") + 14
        answers = []
        for request in NEW.finditer(self.rest):
            done = max(done, request.end())
            name = request[1]
            values = VALUE.findall(request[2])
            if name == b"echo":
                answers.append(ECHO_SET % tuple((values * len(MEMBERS))[: len(MEMBERS)]))
            elif name == b"go":
                broadcast(b"".join([VALUE_SET % b"%d" % i for i in range(int(values[0]))]))
            elif name == b"sendblob":
                self.send_blobs(int(values[0]), int(values[1]), broadcast)
        if answers:
            reply(b"".join(answers))
        del self.rest[:done]

    @staticmethod
    def send_blobs(size: int, count: int, broadcast: Send) -> None:
        for _ in range(count):
            broadcast(blob_set(size))


def serve_stdio() -> None:
    device = Device()

    def send(data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(1, view) :]

    while data := os.read(0, 1 << 20):
        device.receive(data, send, send)


class Peer:
    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.device = Device()
        self.waiting: list[memoryview] = []


def serve_tcp(port: int) -> None:
    selector = selectors.DefaultSelector()
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    selector.register(listener, selectors.EVENT_READ)
    peers: dict[socket.socket, Peer] = {}

    def flush(peer: Peer) -> None:
        with contextlib.suppress(BlockingIOError):
            while peer.waiting:
                sent = peer.socket.send(peer.waiting[0])
                peer.waiting[0] = peer.waiting[0][sent:]
                if not peer.waiting[0]:
                    del peer.waiting[0]
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if peer.waiting else 0)
        selector.modify(peer.socket, events)

    def send(peer: Peer, data: bytes) -> None:
        peer.waiting.append(memoryview(data))
        flush(peer)

    def broadcast(data: bytes) -> None:
        for peer in peers.values():
            send(peer, data)

    def leave(peer: Peer) -> None:
        selector.unregister(peer.socket)
        del peers[peer.socket]
        peer.socket.close()

    while True:
        for key, events in selector.select():
            if key.fileobj is listener:
                sock, _ = listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peers[sock] = Peer(sock)
                selector.register(sock, selectors.EVENT_READ)
                continue
            peer = peers[key.fileobj]  # type: ignore[index]
            try:
                if events & selectors.EVENT_WRITE:
                    flush(peer)
                if events & selectors.EVENT_READ:
                    data = peer.socket.recv(1 << 20)
                    if data:
                        peer.device.receive(data, lambda d, p=peer: send(p, d), broadcast)
                    else:
                        leave(peer)
            except OSError:
                leave(peer)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve_tcp(int(sys.argv[1]))
    else:
        serve_stdio()
