"""One client sends pings and never reads the replies; what they take is bounded, and given back."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

from benchmarks.soak.beside import beside
from benchmarks.soak.figures import Figure
from benchmarks.soak.load import Client, reset
from trindi.transport import BOUND

if TYPE_CHECKING:
    from benchmarks.soak.load import Process

MIB: Final = 1024 * 1024
PINGS: Final = b'<pingRequest uid="1"/>\n' * 3000
ALLOWANCE: Final = 32 * MIB
"""Bytes that the server may take beyond what may wait for one client."""

LEFT: Final = 16 * MIB
"""Bytes more or less: what is free again inside a process does not all go back to the system."""

LEAVING: Final = 5.0
"""Seconds after which what waited for a client is gone with it. Nobody collects garbage."""


def pings(seconds: float) -> list[Figure]:
    """Send pings for so long, without reading; connect again where the server has had enough."""

    def measure(server: Process) -> list[Figure]:
        with Client(server.port) as witness:
            before = server.resident()
            end = time.monotonic() + seconds
            sent = connections = 0
            while time.monotonic() < end:
                sent += _attack(server.port, end)
                connections += 1
            grown = server.peak() - before
            time.sleep(min(LEAVING, seconds))
            left = server.resident() - before
            witness.sync()
        return [
            Figure("pings that were sent", sent),
            Figure("connections that sent them", connections),
            Figure(
                "growth of the server's memory at its peak, MiB",
                grown / MIB,
                most=(BOUND + ALLOWANCE) / MIB,
            ),
            Figure("memory left when they have gone, MiB", left / MIB, most=LEFT / MIB),
        ]

    return beside({"short pings": measure})


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
