"""One client reads frames slowly and steadily; another one that keeps up must not notice."""

from __future__ import annotations

import itertools
import math
import re
import socket
import threading
import time
from typing import TYPE_CHECKING, Final

from benchmarks.soak.beside import beside
from benchmarks.soak.figures import Figure
from benchmarks.soak.frames import number_of
from benchmarks.soak.load import RECEIVE, Client, get, new

if TYPE_CHECKING:
    from benchmarks.soak.load import Process

MIB: Final = 1024 * 1024
SUBSCRIBE: Final = get("frame") + b'<enableBLOB device="Soak" name="frame">Also</enableBLOB>\n'
BEGIN: Final = re.compile(rb"<oneBLOB[^>]*>\s*([A-Za-z0-9+/]{16})")
SHARE: Final = 0.9
"""Of the frames of a second, what a good client gets: all who wait cost no more than a tenth."""

LINE: Final = 64 * 1024
"""Bytes that the system holds for the slow client."""


class Reader(threading.Thread):
    """Reads at most so many bytes a second, and notes which frames begin, and when.

    Attributes:
        begun: the number of each frame, and the time at which its first bytes were read.
        ended: the server has ended the connection.
    """

    def __init__(self, port: int, speed: float, seconds: float) -> None:
        super().__init__(daemon=True)
        self.begun: list[tuple[int, float]] = []
        self.ended = False
        self._client = Client(port, SUBSCRIBE)
        self._speed = speed
        self._seconds = seconds

    def run(self) -> None:
        """Read for some time."""
        sock = self._client.socket
        piece = RECEIVE
        if self._speed < float("inf"):
            piece = LINE // 4
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LINE)
        sock.settimeout(1.0)
        start = time.monotonic()
        read = 0
        tail = b""
        with self._client:
            while (now := time.monotonic()) < start + self._seconds:
                time.sleep(max(0.0, start + read / self._speed - now))
                try:
                    data = sock.recv(piece)
                except TimeoutError:
                    continue
                except OSError:
                    data = b""
                if not data:
                    self.ended = True
                    return
                read += len(data)
                tail = self._note(tail + data)

    def _note(self, text: bytes) -> bytes:
        """Note the frames that begin; return what may be the start of another one."""
        end = 0
        for found in BEGIN.finditer(text):
            end = found.end()
            self.begun.append((number_of(found[1]), time.monotonic()))
        return text[max(end, len(text) - 400) :]


def steady(
    seconds: float, *, size: int = 2 * MIB, rate: float = 10, speed: float = 1.5e6
) -> list[Figure]:
    """Stream frames to a client that keeps up, and to one that reads slowly and steadily."""

    def measure(server: Process) -> list[Figure]:
        good = Reader(server.port, float("inf"), seconds)
        slow = Reader(server.port, speed, seconds)
        with Client(server.port) as publisher:
            for reader in (good, slow):
                reader.start()
            publisher.send(new("stream", size=size, count=round(seconds * rate), rate=rate))
            for reader in (good, slow):
                reader.join()
        return _judge(good, slow, seconds, rate)

    return beside({f"read at {speed / 1e6:g} MB/s": measure})


def _judge(good: Reader, slow: Reader, seconds: float, rate: float) -> list[Figure]:
    sent = dict(good.begun)
    # Of one that the good client has missed the time is not known.
    times = [when for _number, when in good.begun]
    waits = [after - before for before, after in itertools.pairwise(times)]
    ages = [when - sent[number] for number, when in slow.begun if number in sent]
    return [
        Figure(
            "frames a second of the client that keeps up",
            len(good.begun) / seconds,
            least=SHARE * rate,
            timed=True,
        ),
        Figure("how long that client waited for a frame, s", max(waits, default=math.inf)),
        Figure("frames that the slow client got", len(slow.begun)),
        Figure("how old they were when they began, s", max(ages, default=float("nan"))),
        Figure("the slow client was sent away", int(slow.ended), most=0),
    ]
