"""One client sends pings and never reads the replies; what they take is bounded, and given back."""

from __future__ import annotations

import contextlib
import math
import time
from typing import Final

from benchmarks.soak.beside import beside
from benchmarks.soak.figures import Figure
from benchmarks.soak.load import Client, Process, Server, reset
from trindi.transport import BOUND

MIB: Final = 1024 * 1024
PINGS: Final = b'<pingRequest uid="1"/>\n' * 3000
ALLOWANCE: Final = 32 * MIB
"""Bytes that the server may take beyond what may wait for one client."""

LEFT: Final = 20_000
"""Small pieces of memory more or less: a queue that something still holds has a hundred times as
many. What is free again inside a process does not all go back to the system at once."""

LEAVING: Final = 5.0
"""Seconds after which what waited for a client is gone with it. Nobody collects garbage."""


def pings(seconds: float) -> list[Figure]:
    """Send pings for so long, without reading; connect again where the server has had enough."""

    def measure(server: Process) -> list[Figure]:
        with Client(server.port) as witness:
            before = server.resident()
            blocks = _blocks(server)
            end = time.monotonic() + seconds
            sent = connections = 0
            while time.monotonic() < end:
                sent += _attack(server.port, end)
                connections += 1
            grown = server.peak() - before
            time.sleep(min(LEAVING, seconds))
            left = server.resident() - before
            blocks = _blocks(server) - blocks
            witness.sync()
        return [
            Figure("pings that were sent", sent),
            Figure("connections that sent them", connections),
            Figure(
                "growth of the server's memory at its peak, MiB",
                grown / MIB,
                most=(BOUND + ALLOWANCE) / MIB,
            ),
            Figure("pieces of memory in use when they have gone", blocks, most=LEFT),
            Figure("memory that the system has not got back, MiB", left / MIB),
        ]

    return beside({"short pings": measure})


def _blocks(server: Process) -> float:
    """Return how many pieces of memory our server uses; what indiserver does nobody can say."""
    return server.vitals.read(collect=False)["blocks"] if isinstance(server, Server) else math.nan


def _attack(port: int, end: float) -> int:
    """Send until then, or until the server ends it; return how many pings."""
    client = Client(port)
    sent = 0
    with contextlib.suppress(OSError):
        client.socket.settimeout(0.5)
        while time.monotonic() < end:
            with contextlib.suppress(TimeoutError):
                sent += client.socket.send(PINGS)
    reset(client.socket)
    return sent // len(PINGS) * PINGS.count(b"/>")
