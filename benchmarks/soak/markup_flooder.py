"""Sends one flood: ``python -m benchmarks.soak.markup_flooder PORT FLOOD BYTES_PER_SECOND``.

0 is as fast as it can. Where the server ends the connection, it connects again.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import sys
import threading
import time

from benchmarks.soak.load import PATIENCE
from benchmarks.soak.markup import ENDLESS, filled


def read_all(sock: socket.socket) -> None:
    """Read whatever comes, and forget it."""
    with contextlib.suppress(OSError):
        while sock.recv(1 << 20):
            pass


def main(port: int, flood: str, speed: float) -> None:
    """Send until this process is ended."""
    text = ENDLESS.get(flood) or filled(flood)
    piece = int(speed / 10) or len(text)
    pieces = itertools.cycle(text[at : at + piece] for at in range(0, len(text), piece))
    sent = 0
    start = time.monotonic()
    while True:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as sock,
        ):
            threading.Thread(target=read_all, args=(sock,), daemon=True).start()
            if not sent:
                print("connected", flush=True)
            for each in pieces:
                sock.sendall(each)
                sent += len(each)
                if speed:
                    time.sleep(max(0.0, start + sent / speed - time.monotonic()))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
