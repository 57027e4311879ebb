"""Many clients connect, subscribe and reset at random; nothing may be left of them."""

from __future__ import annotations

import contextlib
import heapq
import random
import socket
import sys
import time
from typing import Final

from benchmarks.soak.figures import Figure
from benchmarks.soak.load import (
    ALL_BLOBS,
    GET_ALL,
    PATIENCE,
    RECEIVE,
    Client,
    Server,
    new,
    reset,
    running,
)

KIB: Final = 1024
MIB: Final = 1024 * KIB
IDLE_WORKERS: Final = 4
"""Tasks that a driver keeps for the next handler that takes long."""

BLOCKS: Final = 5_000
"""Small pieces of memory more or less: Trio forgets cancelled deadlines a thousand at a time."""

MEMORY: Final = 8 * MIB
"""Bytes more or less: what is free again inside a process does not all go back to the system."""

LIFE: Final = 4.0
"""Seconds that a client lives at the most."""

OURS: Final = 2
"""Connections that are not of the crowd."""

FRAME: Final = 16 * KIB
FRAMES_PER_SECOND: Final = 5

# What a client may have said when it goes, and how often out of a hundred times. What is asked of
# the slow handler is done even if nobody waits for it, so that it must not be too much.
WORDS: Final = {
    b"": 5,
    b'<getProperties version="1.7" dev': 5,
    GET_ALL: 30,
    GET_ALL + ALL_BLOBS: 30,
    GET_ALL + ALL_BLOBS + new("echo0", v=1): 28,
    GET_ALL + ALL_BLOBS + new("slow", v=1): 2,
}


class Crowd:
    """So many clients at any time; each that goes is followed by another one.

    Attributes:
        resets: how many have gone.
    """

    def __init__(self, port: int, size: int, dice: random.Random) -> None:
        self.resets = 0
        self._port = port
        self._size = size
        self._dice = dice
        # When it goes, a number to tell apart those that go at once, and its socket.
        self._clients: list[tuple[float, int, socket.socket]] = []
        self._numbers = 0

    def live(self, seconds: float) -> None:
        """Let clients come and go for some time, then let all of them go."""
        end = time.monotonic() + seconds
        try:
            while (now := time.monotonic()) < end:
                while len(self._clients) < self._size:
                    self._come()
                due = self._clients[0][0]
                if due > now:
                    time.sleep(min(due, end) - now)
                else:
                    self._go()
        finally:
            while self._clients:
                self._go()

    def _come(self) -> None:
        sock = socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE)
        self._numbers += 1
        due = time.monotonic() + self._dice.uniform(0, LIFE)
        heapq.heappush(self._clients, (due, self._numbers, sock))
        (words,) = self._dice.choices(list(WORDS), list(WORDS.values()))
        sock.sendall(words)

    def _go(self) -> None:
        _due, _number, sock = heapq.heappop(self._clients)
        if self._dice.random() < 0.5:
            # The others never read a byte.
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.recv(RECEIVE)
        reset(sock)
        self.resets += 1


def resets(
    seconds: float, *, warm_up: float = 3, clients: int = 1000, seed: int | None = None
) -> list[Figure]:
    """Let clients connect, subscribe and reset, and compare what is left with what was before.

    Before is after a first wave, when caches and pools are as large as they get.
    """
    seed = random.randrange(1000) if seed is None else seed
    print(f"resets: seed {seed}", file=sys.stderr)
    with running() as server, Client(server.port) as witness:
        crowd = Crowd(server.port, clients, random.Random(seed))
        _stream(server, seconds)
        crowd.live(warm_up)
        before = _settled(server, witness)
        crowd.live(seconds)
        after = _settled(server, witness)
    grown = {name: after[name] - before[name] for name in after}
    return [
        Figure("clients that connected and reset", crowd.resets),
        Figure("connections left", after["clients"] - OURS, most=0),
        Figure("tasks left", grown["tasks"], most=IDLE_WORKERS),
        Figure("descriptors left", grown["descriptors"], most=0),
        Figure("blocks of memory left after collection", grown["blocks"], most=BLOCKS),
        Figure("memory left after collection, MiB", grown["rss"] / MIB, most=MEMORY / MIB),
        Figure("exceptions and warnings logged", after["errors"], most=0),
    ]


def _stream(server: Server, seconds: float) -> None:
    """Send small frames all the time, and somewhat longer, to whoever wants them."""
    count = round(2 * (seconds + PATIENCE) * FRAMES_PER_SECOND)
    server.vitals.client.send(new("stream", size=FRAME, count=count, rate=FRAMES_PER_SECOND))


def _settled(server: Server, witness: Client) -> dict[str, float]:
    """Say how the server is as soon as all have gone, and all is done that they had asked."""
    deadline = time.monotonic() + PATIENCE
    while server.vitals.read()["clients"] > OURS and time.monotonic() < deadline:
        time.sleep(0.1)
    # The requests of one property are worked on in order.
    witness.ask("slow")
    return server.vitals.read()
