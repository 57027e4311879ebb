"""Hours of the thermostat in virtual time: clients come, go, ask and set; all end with one state.

Server and clients are in one process here, because they share a clock that jumps. The bytes between
them still go through the sockets of this machine.
"""

from __future__ import annotations

import contextlib
import math
import random
import runpy
import sys
import time
from pathlib import Path
from typing import Any, Final

import trio
import trio.testing

from benchmarks.soak.complaints import Complaints
from benchmarks.soak.figures import Figure
from trindi import IPyServer
from trindi.driver import core_of
from trindi.protocol import (
    Decoder,
    DefVector,
    Event,
    SetVector,
    encode,
    getProperties,
    newNumberVector,
    pingReply,
    pingRequest,
)

EXAMPLE: Final = Path(__file__).parents[2] / "examples" / "thermostat_target.py"
HOUR: Final = 3600.0
PATIENCE: Final = 30.0
"""Seconds of real time for the last report to reach everybody."""

REST: Final = (60.0, 1200.0)
"""Seconds between two things that one client does."""

QUIET: Final = REST[0] + 5
"""Seconds after which all have come back that were away, between two reports of the driver."""

STAYING: Final = 2
"""Clients that never leave, and so hear everything."""


class Picture:
    """What somebody knows of the properties.

    Attributes:
        vectors: vector name to state and values.
        reports: how many changes have been reported.
    """

    def __init__(self) -> None:
        self.vectors: dict[str, tuple[Any, dict[str, Any]]] = {}
        self.reports = 0
        self._decoder = Decoder()

    def read(self, data: bytes) -> list[Event]:
        """Take in what was sent; return the events."""
        events = self._decoder.feed(data)
        for event in events:
            if isinstance(event, DefVector):
                self.vectors[event.vectorname] = (event.state, dict(event))
            elif isinstance(event, SetVector):
                state, values = self.vectors[event.vectorname]
                self.vectors[event.vectorname] = (event.state or state, values | dict(event))
                self.reports += 1
        return events


class Visitor:
    """A client that does something now and then.

    Attributes:
        picture: what it knows.
        done: how many things it has done.
    """

    def __init__(
        self, port: int, nursery: trio.Nursery, dice: random.Random, *, stays: bool
    ) -> None:
        self.picture = Picture()
        self.done = 0
        self._port = port
        self._nursery = nursery
        self._dice = dice
        self._habits = [self._set_target, self._ask_again]
        if not stays:
            self._habits.append(self._come_again)
        self._stream: Any = None
        self._synced = trio.Event()

    async def come(self) -> None:
        """Connect, and know nothing."""
        self.picture = Picture()
        self._stream = await trio.open_tcp_stream("127.0.0.1", self._port)
        self._nursery.start_soon(self._read, self._stream, self.picture)
        await self.sync(getProperties())

    async def _read(self, stream: trio.SocketStream, picture: Picture) -> None:
        with contextlib.suppress(trio.ClosedResourceError):  # It has left.
            async with stream:
                async for data in stream:
                    if any(isinstance(event, pingReply) for event in picture.read(bytes(data))):
                        self._synced.set()

    async def sync(self, *events: Event) -> None:
        """Send these, and wait until what they led to, and all before that, is here."""
        self._synced = trio.Event()
        await self._stream.send_all(b"".join(map(encode, [*events, pingRequest("sync")])))
        await self._synced.wait()

    async def live(self, end: float) -> None:
        """Do things until it is time to end."""
        while (now := trio.current_time()) < end:
            await trio.sleep_until(min(end, now + self._dice.uniform(*REST)))
            habit = self._dice.choice(self._habits)
            await habit()
            self.done += 1

    async def _set_target(self) -> None:
        target = self._dice.randint(50, 300) / 10
        await self.sync(newNumberVector("Thermostat", "targetvector", {"target": target}))

    async def _ask_again(self) -> None:
        await self.sync(getProperties("Thermostat"))

    async def _come_again(self) -> None:
        await self._stream.aclose()
        await trio.sleep(self._dice.uniform(0, REST[0]))
        await self.come()


def thermostat(hours: float = 4, *, clients: int = 10, seed: int | None = None) -> list[Figure]:
    """Run the thermostat for hours, and compare what everybody knows in the end."""
    seed = random.randrange(1000) if seed is None else seed
    print(f"thermostat: seed {seed}", file=sys.stderr)
    clock = trio.testing.MockClock(autojump_threshold=0)
    start = time.perf_counter()
    with Complaints() as complaints:
        figures = trio.run(_live, clock, hours, clients, random.Random(seed), clock=clock)
    return [
        *figures,
        Figure("exceptions logged", complaints.count, most=0),
        Figure("hours of virtual time", hours),
        Figure("seconds of real time", time.perf_counter() - start),
    ]


async def _live(
    clock: trio.testing.MockClock, hours: float, clients: int, dice: random.Random
) -> list[Figure]:
    driver: Any = runpy.run_path(str(EXAMPLE))["make_driver"]()
    async with trio.open_nursery() as nursery:
        end = trio.current_time() + hours * HOUR
        server = await nursery.start(IPyServer([driver], "127.0.0.1", 0, clients + 1).run)
        visitors = [
            Visitor(server.port, nursery, random.Random(dice.random()), stays=number < STAYING)
            for number in range(clients)
        ]
        for visitor in visitors:
            await visitor.come()
        before = server.statistics().drivers[0].events_out
        async with trio.open_nursery() as lives:
            for visitor in visitors:
                lives.start_soon(visitor.live, end)
        await trio.sleep_until(end + QUIET)
        truth = await _close(clock, driver, visitors)
        reports = server.statistics().drivers[0].events_out - before
        nursery.cancel_scope.cancel()
    return _compare(truth, visitors, reports)


async def _close(
    clock: trio.testing.MockClock, driver: Any, visitors: list[Visitor]
) -> dict[str, Any]:
    """Let the driver say its last, and all hear it; return what they should know."""
    # From here on in real time, so that nothing happens while bytes are on their way.
    clock.autojump_threshold = math.inf
    clock.rate = 1
    # The room has changed since the last report.
    await driver.temperature.send_setVector()
    truth = Picture()
    truth.read(b"".join(map(encode, core_of(driver).definitions())))
    with trio.fail_after(PATIENCE):
        for visitor in visitors:
            await visitor.sync()
    return truth.vectors


def _compare(truth: dict[str, Any], visitors: list[Visitor], reports: int) -> list[Figure]:
    right = sum(visitor.picture.vectors == truth for visitor in visitors)
    heard = min(visitor.picture.reports for visitor in visitors[:STAYING])
    return [
        Figure("clients that end with the driver's state", right, least=len(visitors)),
        Figure("reports that a client which stayed has missed", reports - heard, most=0),
        Figure("reports of the driver", reports),
        Figure("requests and visits of clients", sum(visitor.done for visitor in visitors)),
    ]
