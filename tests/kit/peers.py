"""The other end of a stream: one client and one server for every test that speaks INDI over one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import trio
import trio.testing

from tests.kit.processes import DEADLINE
from trindi.protocol import Decoder, Event, encode, getProperties, pingReply, pingRequest

if TYPE_CHECKING:
    from collections.abc import Callable

E = TypeVar("E")

VIRTUAL_DEADLINE = 3600.0
"""Seconds for each wait where time is virtual, and waiting costs nothing."""


def default_timeout() -> float:
    """Seconds after which a test that waits for a peer has failed."""
    clock = trio.lowlevel.current_clock()
    return VIRTUAL_DEADLINE if isinstance(clock, trio.testing.MockClock) else DEADLINE


class Client:
    """Sends events, bytes or text; receives events one by one, and keeps them all.

    Args:
        stream: leads to a server or to a driver.
        timeout: seconds for each wait; `default_timeout` where None is given.

    Attributes:
        heard: every event that came, in order.
        received: how many bytes came.
    """

    def __init__(self, stream: trio.abc.Stream, timeout: float | None = None) -> None:
        self.stream = stream
        self.heard: list[Any] = []
        self.received = 0
        self._timeout = timeout
        self._decoder = Decoder()
        self._seen = 0
        self._pings = 0

    @property
    def timeout(self) -> float:
        """Seconds for each wait."""
        return default_timeout() if self._timeout is None else self._timeout

    # Sending -----------------------------------------------------------------------------------

    async def send(self, *items: Event | bytes | str) -> None:
        """Send these in one write."""
        with trio.fail_after(self.timeout):
            await self.stream.send_all(b"".join(map(_encoded, items)))

    async def ask(self, devicename: str | None = None, vectorname: str | None = None) -> None:
        """Ask for definitions."""
        await self.send(getProperties(devicename, vectorname))

    async def subscribe(self, devicename: str | None = None, vectorname: str | None = None) -> None:
        """Ask for definitions, and pass over them."""
        await self.ask(devicename, vectorname)
        await self.sync()

    async def end_input(self) -> None:
        """Close this side of the connection; the other side can still be read."""
        assert isinstance(self.stream, trio.abc.HalfCloseableStream)
        await self.stream.send_eof()

    async def aclose(self) -> None:
        """Close the connection."""
        await self.stream.aclose()

    # Receiving ---------------------------------------------------------------------------------

    async def receive(self) -> Any:
        """Receive the next event; None at the end of the stream."""
        with trio.fail_after(self.timeout):
            while self._seen == len(self.heard):
                if not await self._read():
                    return None
        self._seen += 1
        return self.heard[self._seen - 1]

    async def until(self, wanted: Callable[[Any], object]) -> list[Any]:
        """Receive up to the first event that is wanted, which is the last of the list."""
        events: list[Any] = []
        while not events or not wanted(events[-1]):
            event = await self.receive()
            assert event is not None, f"the peer has closed the connection; before that: {events}"
            events.append(event)
        return events

    async def next(
        self,
        cls: type[E],
        vectorname: str | None = None,
        *,
        when: Callable[[E], object] | None = None,
        **attributes: Any,
    ) -> E:
        """Receive up to the next event of a class, property and attributes; return that one."""

        def wanted(event: Any) -> bool:
            return (
                isinstance(event, cls)
                and vectorname in (None, getattr(event, "vectorname", None))
                and all(getattr(event, name) == value for name, value in attributes.items())
                and (when is None or bool(when(event)))
            )

        found: E = (await self.until(wanted))[-1]
        return found

    async def rest(self) -> list[Any]:
        """Receive every event up to the end of the stream."""
        events = []
        while (event := await self.receive()) is not None:
            events.append(event)
        return events

    async def sync(self) -> list[Any]:
        """Wait until the peer has read all that was sent; return what came before its answer."""
        self._pings += 1
        reply = pingReply(f"sync {self._pings}")
        await self.send(pingRequest(reply.uid))
        return await self.until(lambda event: event == reply)

    async def read_for(self, seconds: float) -> None:
        """Read what comes within a time, for `heard`; the other methods see it afterwards."""
        with trio.move_on_after(seconds):
            while await self._read():
                pass

    async def _read(self) -> bool:
        data = bytes(await self.stream.receive_some(1024 * 1024))
        self.take(data)
        return bool(data)

    def take(self, data: bytes) -> None:
        """Take bytes that came."""
        self.received += len(data)
        self.heard += self._decoder.feed(data)


def _encoded(item: Event | bytes | str) -> bytes:
    if isinstance(item, str):
        return item.encode()
    return item if isinstance(item, bytes) else encode(item)


class Server(Client):
    """The same as the server of a client: it answers pings, with definitions before the reply."""

    async def greet(self, *definitions: Event) -> list[Event]:
        """Answer the first questions of a client; return them."""
        asked = await self.until(lambda event: isinstance(event, pingRequest))
        await self.answer(*definitions, ping=asked[-1])
        return asked[:-1]

    async def answer(self, *events: Event, ping: Any) -> None:
        """Say something before the reply to a ping."""
        await self.send(*events, pingReply(ping.uid))

    async def pong(self, *, all_sent: bool = False) -> None:
        """Answer the next ping; where it asks so, that all definitions are sent."""
        ping = await self.next(pingRequest)
        await self.send(pingReply(ping.uid, ping.after if all_sent else ""))


def of(events: list[Any], cls: type[E]) -> list[E]:
    """Those events that are of a class."""
    return [event for event in events if isinstance(event, cls)]
