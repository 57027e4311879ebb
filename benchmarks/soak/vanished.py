"""Clients fill the line of a stuck handler, and are gone; their places must be free again."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final

from benchmarks.soak.beside import beside
from benchmarks.soak.figures import Figure
from benchmarks.soak.load import PATIENCE, Client, new, reset

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from benchmarks.soak.load import Process

CLIENTS: Final = 10
"""As many as can fill their share of the line before it is full."""

REQUESTS: Final = b"".join(new("stuck", v=value) for value in range(300))
"""More than may wait for a property, and less than the system takes from one who is not read."""


ENDS: Final = {"reset": reset, "closed": lambda sock: sock.close()}
"""How the clients go: as a computer that has crashed and come back, and in good order."""


def vanished(seconds: float) -> list[Figure]:
    """Fill the line, wait for so long, and be gone."""

    def measure(server: Process, end: Callable[[socket.socket], None]) -> list[Figure]:
        with Client(server.port):
            before = server.descriptors()
            clients = [Client(server.port) for _ in range(CLIENTS)]
            for client in clients:
                client.send(REQUESTS)
            time.sleep(seconds)
            for client in clients:
                end(client.socket)
            took = _wait_until_free(server, before)
            held = server.descriptors() - before
        return [
            Figure("places that are held for ever", held, most=0),
            Figure("until all were free, s", took),
        ]

    return beside({case: partial(measure, end=end) for case, end in ENDS.items()})


def _wait_until_free(server: Process, before: int) -> float:
    """Return the seconds until no more descriptors are open than before, or what is patient."""
    start = time.monotonic()
    while server.descriptors() > before and time.monotonic() < start + PATIENCE:
        time.sleep(0.05)
    return time.monotonic() - start
