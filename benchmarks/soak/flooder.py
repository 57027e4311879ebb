"""A client that floods one property: ``python -m benchmarks.soak.flooder PORT PROPERTY [--deaf]``.

It is a process of its own, so that it takes no time from those who measure. If it is deaf it never
reads what it is answered.
"""

from __future__ import annotations

import sys
import threading

from benchmarks.soak.load import RECEIVE, Client, new

REQUESTS = 500
"""Requests of one write."""


def read_all(client: Client) -> None:
    """Read whatever comes, and forget it."""
    while client.socket.recv(RECEIVE):
        pass


def main(port: int, name: str, *, deaf: bool) -> None:
    """Ask until this process is ended."""
    client = Client(port)
    client.socket.settimeout(None)
    requests = b"".join(new(name, v=value) for value in range(REQUESTS))
    if not deaf:
        threading.Thread(target=read_all, args=(client,), daemon=True).start()
    while True:
        client.send(requests)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], deaf="--deaf" in sys.argv)
