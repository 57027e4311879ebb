"""One client never reads while frames stream; the others receive every frame."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
import time
from typing import Final

from benchmarks.soak.figures import Figure
from benchmarks.soak.frames import Frames
from benchmarks.soak.load import Client, Server, get, new, running
from trindi.transport import BOUND

MIB: Final = 1024 * 1024

ALLOWANCE: Final = 64 * MIB
"""Bytes that the server may take beyond what may wait for the one client."""

SUBSCRIBE: Final = get("frame") + b'<enableBLOB device="Soak" name="frame">Also</enableBLOB>\n'


class GoodClient(threading.Thread):
    """Reads all frames as they come, and compares each with what it should be.

    Attributes:
        received: how many were right, and in order.
        longest: seconds that it waited for one at the most.
        wrong: what was not, or "".
    """

    def __init__(self, port: int, frames: Frames, count: int) -> None:
        super().__init__(daemon=True)
        self.received = 0
        self.longest = 0.0
        self.wrong = ""
        self._client = Client(port, SUBSCRIBE)
        self._frames = frames
        self._count = count

    def run(self) -> None:
        """Read to the last frame, or to the first that is wrong."""
        text = bytearray(self._frames.encoded_size)
        try:
            with self._client as client:
                for number in range(self._count):
                    start = time.monotonic()
                    self._read_one(client, number, text)
                    self.longest = max(self.longest, time.monotonic() - start)
                    self.received += 1
        except (OSError, ValueError) as error:
            self.wrong = f"after {self.received} frames: {type(error).__name__}: {error}"

    def _read_one(self, client: Client, number: int, text: bytearray) -> None:
        client.read_until(b"<oneBLOB")
        about = client.read_until(b">")
        if not re.search(rb' size="%d"' % self._frames.size, about):
            raise ValueError(f"frame {number} is announced with {about!r}")
        client.read_into(text)
        if not self._frames.is_encoded(number, text):
            raise ValueError(f"frame {number} is not what was sent")
        client.read_until(b"</setBLOBVector>")


def unread(seconds: float, *, size: int = 2 * MIB, rate: float = 50, good: int = 9) -> list[Figure]:
    """Stream frames to clients that read and to one that does not."""
    frames = Frames(size)
    count = round(seconds * rate)
    with running() as server, contextlib.ExitStack() as stack:
        stack.enter_context(Client(server.port, SUBSCRIBE))
        clients = [GoodClient(server.port, frames, count) for _ in range(good)]
        before = server.vitals.read()
        _stream(server, clients, new("stream", size=size, count=count, rate=rate))
        after = server.vitals.read()
        grown = server.peak() - before["rss"]
    for client in clients:
        if client.wrong:
            print(client.wrong, file=sys.stderr)
    bound = BOUND + frames.encoded_size + ALLOWANCE
    received = min(client.received for client in clients)
    return [
        Figure("growth of the server's memory at its peak, MiB", grown / MIB, most=bound / MIB),
        Figure("frames that each good client received whole and in order", received, least=count),
        Figure("longest wait for a frame, s", max(client.longest for client in clients)),
        Figure("frames that the client which never reads was spared", after["drops"]),
        Figure("exceptions and warnings logged", after["errors"], most=0),
    ]


def _stream(server: Server, clients: list[GoodClient], request: bytes) -> None:
    """Start the stream, and wait until all good clients have read it."""
    for client in clients:
        client.start()
    server.vitals.client.send(request)
    for client in clients:
        client.join()
