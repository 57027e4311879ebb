"""While updates stream flat out: how long another client's ping takes, and how late a timer is."""

from __future__ import annotations

import contextlib
import re
import selectors
import time
from typing import TYPE_CHECKING

from benchmarks.client import PATIENCE, SET_END, Counter, connect, new, settled
from benchmarks.contenders import CONTENDERS, running
from benchmarks.workloads import Metrics, percentile

if TYPE_CHECKING:
    import socket

AHEAD = 20_000
PAUSE = 0.002
TICKS = re.compile(rb'name="ticks"[^>]*>\s*([-+.\de]+)\s*<')


class _Stream:
    """Keeps the device sending updates, one flat-out stream after another."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._counter = Counter(sock, SET_END)
        self._asked = 0
        self._ask()

    def _ask(self) -> None:
        self._asked += AHEAD
        self.socket.sendall(new("go", v=AHEAD))

    def receive(self) -> None:
        # The next is asked for before this one ends.
        if self._counter.receive() > self._asked - AHEAD // 4:
            self._ask()


class _Pings:
    """Pings, waits for the answer, pauses, and pings again."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.took: list[float] = []
        self._counter = Counter(sock, b"<pingReply")
        self._due = time.perf_counter()
        self._sent: float | None = None

    def proceed(self) -> None:
        """Ping if it is time to."""
        if self._sent is None and time.perf_counter() >= self._due:
            self._sent = time.perf_counter()
            self.socket.sendall(b'<pingRequest uid="%d"/>\n' % len(self.took))

    def receive(self) -> None:
        if self._counter.receive() > len(self.took) and self._sent is not None:
            now = time.perf_counter()
            self.took.append(1e3 * (now - self._sent))
            self._sent, self._due = None, now + PAUSE


class _Clock:
    """Lets a second driver measure how late its timer is."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self.socket = sock
        self.late: float | None = None
        self._data = b""
        # It ticks every 2 ms, when it can.
        sock.sendall(new("clock", "Clock", ticks=seconds // 0.003))

    def receive(self) -> None:
        self._data += self.socket.recv(4096)
        if SET_END in self._data and (found := TICKS.search(self._data)):
            self.late = 1e3 * float(found[1])


def fairness(name: str, seconds: float) -> Metrics:
    """Measure a contender for some seconds; empty for one that answers no pings."""
    if not CONTENDERS[name].pings:
        return {}
    with contextlib.ExitStack() as stack:
        port, _group = stack.enter_context(running(name))
        [sock] = stack.enter_context(settled(port, "echo", "go", "value"))
        pings = _Pings(stack.enter_context(connect(port, "echo")))
        clock = None
        if CONTENDERS[name].clock:
            clock = _Clock(stack.enter_context(connect(port, "clock", device="Clock")), seconds)
        selector = stack.enter_context(selectors.DefaultSelector())
        parts: list[_Stream | _Pings | _Clock] = [_Stream(sock), pings, *([clock] if clock else [])]
        for part in parts:
            selector.register(part.socket, selectors.EVENT_READ, part)
        end = time.monotonic() + seconds
        while time.monotonic() < end or (clock and clock.late is None):
            if time.monotonic() > end + PATIENCE:
                raise TimeoutError("the clock does not answer")
            for key, _ in selector.select(PAUSE / 4):
                key.data.receive()
            pings.proceed()
    metrics = {"ping p99 ms": percentile(pings.took, 99)}
    if clock and clock.late is not None:
        metrics["timer p99 ms"] = clock.late
    return metrics
