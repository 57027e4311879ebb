"""IPyClient: a live picture of the devices of an INDI server, and what can be asked of them.

One task reads; it never waits for anybody. What it reads changes the picture, wakes those who wait
for it, and goes to the iterators over events and frames. There is one `Link` for each connection,
and no more than one at a time.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, overload
from weakref import WeakValueDictionary

import trio

from trindi.client.errors import NotConnected
from trindi.client.inbox import Events, Frames, Progress
from trindi.client.link import Link
from trindi.client.picture import Picture
from trindi.client.remote import RemoteDevice, RemoteVector
from trindi.client.requests import Upload, make_request
from trindi.client.waiting import Completion, Condition, Waits
from trindi.client.wishes import Wishes
from trindi.errors import ConfigurationError
from trindi.protocol import (
    MAX_BLOB_BYTES,
    MAX_ELEMENT_BYTES,
    BLOBPolicy,
    Decoder,
    Event,
    Kind,
    NewVector,
    SnoopEvent,
    State,
    setBLOBVector,
)
from trindi.transport import HIGH_WATER, Parcel

if TYPE_CHECKING:
    from collections import deque

    from trindi.protocol import Message

__all__ = ["IPyClient", "Settled"]

logger = logging.getLogger("trindi.client")

QUIET: Final = 1.0
"""Seconds without a definition after which all are taken to be here, where no ping can tell."""

RECONNECT_DELAY: Final = 1.0
"""Seconds before the first attempt to connect anew; each further one waits twice as long."""

MAX_RECONNECT_DELAY: Final = 60.0
"""Seconds that such an attempt waits at the most; after a connection that held so long, the first
waits the least time again."""

Connect: TypeAlias = Callable[[], Awaitable[trio.abc.Stream]]


class Settled(StrEnum):
    """How `IPyClient.settled` knew that all definitions are here."""

    PING = "ping"
    QUIET = "quiet period"


class IPyClient(Mapping[str, RemoteDevice]):
    """A client of an INDI server; a mapping of device name to device.

    Args:
        host: name or address of the server.
        port: its port.
        ask_for: devices, or pairs of device and property, that are asked for on connecting; all
            where none is named.
        reconnect: connect anew, again and again, when the connection is lost or cannot be made.
        reconnect_delay: seconds before the first attempt to; each further one waits twice as long.
        connect: makes the stream, for other ways to a server than `host` and `port`.
        max_element_bytes: bound of one element without BLOBs that the server sends.
        max_blob_bytes: bound of the BLOBs of one element, decoded, and of all newest frames
            together that the picture keeps.

    Raises:
        ValueError: an `ask_for` that names no device.
    """

    def __init__(
        self,
        host: str = "localhost",
        port: int = 7624,
        *,
        ask_for: Iterable[str | tuple[str, str | None]] = (),
        reconnect: bool = False,
        reconnect_delay: float = RECONNECT_DELAY,
        connect: Connect | None = None,
        max_element_bytes: int = MAX_ELEMENT_BYTES,
        max_blob_bytes: int = MAX_BLOB_BYTES,
    ) -> None:
        self.host = host
        self.port = port
        self.reconnect = reconnect
        self._reconnect_delay = reconnect_delay
        self._connect = connect or self._open
        self._make_decoder = partial(
            Decoder, max_element_bytes=max_element_bytes, max_blob_bytes=max_blob_bytes
        )
        self._picture = Picture(self, now=lambda: datetime.now(UTC), max_frame_bytes=max_blob_bytes)
        self._wishes = Wishes(ask_for)
        self._waits = Waits()
        # In the order in which they were made; one that nobody holds any more is gone.
        self._inboxes: WeakValueDictionary[int, Events | Frames] = WeakValueDictionary()
        self._inbox_number = 0
        self._link: Link | None = None
        self._running = False
        self._ended = ""
        self._errors = 0
        self._news = trio.lowlevel.ParkingLot()

    # The mapping -------------------------------------------------------------------------------

    def __getitem__(self, devicename: str) -> RemoteDevice:
        try:
            return self._picture.devices[devicename]
        except KeyError:
            known = ", ".join(self) or "none yet"
            raise KeyError(f"the server has no device {devicename!r}, only {known}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._picture.devices)

    def __len__(self) -> int:
        return len(self._picture.devices)

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        state = "connected" if self.connected else "not connected"
        return f"<IPyClient of {self.host}:{self.port}, {state}>"

    # Looking -----------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._link is not None

    @property
    def messages(self) -> deque[Message]:
        """What the server has said about no device, or about one that is not there."""
        return self._picture.messages

    @property
    def errors(self) -> int:
        """How many malformed elements were received."""
        return self._errors + (self._link.errors if self._link else 0)

    @property
    def ignored(self) -> int:
        """How many events were about nothing known, not asked for, or beyond a bound."""
        return self._picture.ignored

    # Life --------------------------------------------------------------------------------------

    async def run(
        self, *, task_status: trio.TaskStatus[IPyClient] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Connect, and keep the picture up to date until the server closes the connection.

        With `reconnect` it goes on until it is cancelled. If cancelled, the connection is closed at
        once.

        Args:
            task_status: started with the client itself, once it is connected.

        Raises:
            OSError: it cannot connect, and is not to try again.
            RuntimeError: it is running already.
        """
        await self._live(self._connect, task_status, again=self.reconnect)

    async def run_on(
        self,
        stream: trio.abc.Stream,
        *,
        task_status: trio.TaskStatus[IPyClient] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Do as `run` does on a stream that is there already; it is closed at the end.

        Raises:
            RuntimeError: it is running already.
        """

        async def connect() -> trio.abc.Stream:
            return stream

        await self._live(connect, task_status, again=False)

    async def _live(
        self, connect: Connect, task_status: trio.TaskStatus[IPyClient], *, again: bool
    ) -> None:
        if self._running:
            raise RuntimeError(f"{self!r} is running already")
        self._running = True
        self._ended = ""
        try:
            if again:
                await self._live_again_and_again(connect, task_status)
            else:
                await self._talk(await connect(), task_status)
        finally:
            self._running = False
            self._end(self._ended or "the client was stopped")

    async def _live_again_and_again(
        self, connect: Connect, task_status: trio.TaskStatus[IPyClient]
    ) -> None:
        delay = self._reconnect_delay
        while True:
            began = trio.current_time()
            try:
                stream = await connect()
            except OSError as error:
                logger.info("cannot connect to %s:%d: %s", self.host, self.port, error)
            else:
                await self._talk(stream, task_status)
                task_status = trio.TASK_STATUS_IGNORED
            if trio.current_time() - began >= MAX_RECONNECT_DELAY:
                delay = self._reconnect_delay
            await trio.sleep(delay)
            delay = max(delay, min(2 * delay, MAX_RECONNECT_DELAY))

    async def _open(self) -> trio.abc.Stream:
        stream = await trio.open_tcp_stream(self.host, self.port)
        for level, name, value in _KEEPALIVE:
            option = getattr(socket, name, None)
            if option is not None:
                stream.setsockopt(level, option, value)
        return stream

    async def _talk(self, stream: trio.abc.Stream, task_status: trio.TaskStatus[IPyClient]) -> None:
        """Be connected, from the first question to the end of the stream."""
        name = f"the server {self.host}:{self.port}"
        link = Link(
            stream,
            name=name,
            decoder=self._make_decoder(),
            hear=self._hear,
            arriving=self._arriving,
        )
        self._link = link
        link.ask(*self._wishes.requests())
        self._news.unpark_all()
        task_status.started(self)
        try:
            await link.run()
        finally:
            self._link = None
            self._errors += link.errors
            self._ended = link.lost
            self._picture.make_stale()
            self._waits.lose(link.lost, final=False)
        logger.info("%s: %s", name, link.lost)

    def _end(self, reason: str) -> None:
        self._ended = reason
        self._waits.lose(reason, final=True)
        for inbox in list(self._inboxes.values()):
            inbox.close()
        self._inboxes.clear()
        self._news.unpark_all()

    # Hearing -----------------------------------------------------------------------------------

    def _hear(self, event: Event) -> None:
        """Take what the server says. Never blocks."""
        if not isinstance(event, SnoopEvent):
            # Servers show clients what is none of their business (§5.2).
            return
        if isinstance(event, setBLOBVector):
            event = self._wishes.filtered(event)
        changed = self._picture.apply(event)
        if self._inboxes:
            self._hand_out(event)
        for vector in changed:
            self._waits.look(vector, event)

    def _hand_out(self, event: SnoopEvent) -> None:
        if isinstance(event, setBLOBVector) and event.members:
            size = sum(map(len, event.members.values()))
            self._arriving(Progress(event.devicename, event.vectorname, size, size))
        parcel = Parcel(event)
        for inbox in list(self._inboxes.values()):
            inbox.hear(parcel)

    def _arriving(self, progress: Progress) -> None:
        for inbox in list(self._inboxes.values()):
            if isinstance(inbox, Frames):
                inbox.arriving(progress)

    def events(
        self,
        devicename: str | None = None,
        vectorname: str | None = None,
        *,
        high_water: int = HIGH_WATER,
    ) -> Events:
        """Listen to what the server says, from now on: to all, to a device, or to a property.

        An async iterator over the events that drivers see when they snoop. Bounded: beyond
        `high_water` bytes that wait, a newer report takes the place of the older one of its
        property, and beyond 64 MiB all that waits is dropped; `drops` counts them. It ends when the
        client does, and is forgotten when nobody holds it.
        """
        events = Events(devicename, vectorname, high_water)
        self._add_inbox(events)
        return events

    def frames(
        self,
        devicename: str,
        vectorname: str,
        progress: Callable[[Progress], None] | None = None,
    ) -> Frames:
        """Receive the BLOBs of a property, from now on: an async iterator over `Frame` objects.

        `enable_blobs` is to be called too. Bounded: beyond 8 MiB that wait, or one frame where that
        is larger, the newer frame takes the place of the older one; `drops` counts them.

        Args:
            devicename: the device.
            vectorname: the property.
            progress: is called with a `Progress` while a frame arrives, and when it is here. It
                must not block; what it raises is raised by the iterator.
        """
        frames = Frames(devicename, vectorname, progress)
        self._add_inbox(frames)
        return frames

    def _add_inbox(self, inbox: Events | Frames) -> None:
        self._inbox_number += 1
        self._inboxes[self._inbox_number] = inbox

    # Asking for definitions and BLOBs ------------------------------------------------------------

    async def get_properties(
        self, devicename: str | None = None, vectorname: str | None = None
    ) -> None:
        """Ask for definitions: of all, a device, or a property; again after each reconnection.

        Raises:
            ValueError: a property without its device.
        """
        await trio.lowlevel.checkpoint()
        question = self._wishes.add(devicename, vectorname)
        if self._link is not None:
            self._link.ask(question)

    async def enable_blobs(
        self,
        devicename: str,
        vectorname: str | None = None,
        policy: str = BLOBPolicy.ALSO,
    ) -> None:
        """Say whether BLOBs of a device or a property are wanted; again after each reconnection.

        Args:
            devicename: the device.
            vectorname: the property, or None for all of the device.
            policy: ``Never``, ``Also``, or ``Only`` for nothing but BLOBs (§4.4).

        Raises:
            ValueError: the policy is none of these.
        """
        await trio.lowlevel.checkpoint()
        request = self._wishes.set_policy(devicename, vectorname, policy)
        if self._link is not None:
            self._link.ask(request)

    # Waiting -----------------------------------------------------------------------------------

    async def wait_connected(self) -> None:
        """Wait until there is a connection.

        Raises:
            NotConnected: there will be none, because the client has ended.
        """
        await self._wait_link()

    async def _wait_link(self) -> Link:
        await trio.lowlevel.checkpoint()
        while self._link is None:
            self._check_going_on()
            await self._news.park()
        return self._link

    def _check_going_on(self) -> None:
        if self._ended and not self._running:
            raise NotConnected(self._ended)

    async def settled(self, *, quiet: float = QUIET) -> Settled:
        """Wait until all definitions that were asked for have arrived; say how that is known.

        A server that answers in order, as `IPyServer` does, is pinged: what it says before the
        reply is all there is to say. For others (`indiserver` answers pings before its drivers have
        said a word, and some never do) it is enough that no definition comes for a while.

        Args:
            quiet: seconds of that while; the first definition of all may take five times as long.

        Returns:
            `Settled.PING` or `Settled.QUIET`.

        Raises:
            NotConnected: the connection was lost, and there will be no other.
        """
        while True:
            link = await self._wait_link()
            in_order = await link.settle(quiet)
            if not link.lost:
                return Settled.PING if in_order else Settled.QUIET

    async def wait_for(
        self,
        devicename: str,
        vectorname: str,
        predicate: Callable[[RemoteVector], bool] | None = None,
    ) -> RemoteVector:
        """Wait until a property is as wanted, which it may be already; without polling.

        The predicate is called whenever the property has changed, so that no state is missed,
        however short; by the time the caller goes on, it may have changed again. What is stale does
        not count. Bound it with `trio.fail_after`.

        Args:
            devicename: the device.
            vectorname: the property; it need not be defined yet.
            predicate: is given the vector, and must not block; None for one that is defined.

        Raises:
            NotConnected: the connection was lost, and there will be no other.
        """
        return await self._wait((devicename, vectorname), predicate or _is_there)

    @overload
    async def wait_defined(self, devicename: str, vectorname: None = None) -> RemoteDevice: ...

    @overload
    async def wait_defined(self, devicename: str, vectorname: str) -> RemoteVector: ...

    async def wait_defined(
        self, devicename: str, vectorname: str | None = None
    ) -> RemoteDevice | RemoteVector:
        """Wait until a device, or a property of it, is defined; return that.

        Raises:
            NotConnected: the connection was lost, and there will be no other.
        """
        vector = await self._wait((devicename, vectorname), _is_there)
        return self[devicename] if vectorname is None else vector

    async def wait_state(
        self, devicename: str, vectorname: str, states: str | Collection[str]
    ) -> RemoteVector:
        """Wait until a property is in one of these states; see `wait_for`.

        Raises:
            ValueError: there is no such state.
            NotConnected: the connection was lost, and there will be no other.
        """
        wanted = {State(one) for one in ([states] if isinstance(states, str) else states)}
        return await self.wait_for(devicename, vectorname, lambda vector: vector.state in wanted)

    async def _wait(
        self, place: tuple[str, str | None], holds: Callable[[RemoteVector], bool]
    ) -> RemoteVector:
        await trio.lowlevel.checkpoint()
        self._check_going_on()
        found: list[RemoteVector] = []

        def look(vector: RemoteVector) -> bool:
            if holds(vector):
                found.append(vector)
            return bool(found)

        condition = Condition(look)
        for vector in self._at(place):
            condition.look(vector, None)
        with self._waits.listed(place, condition):
            await condition.wait()
        return found[0]

    def _at(self, place: tuple[str, str | None]) -> list[RemoteVector]:
        devicename, vectorname = place
        device = self._picture.devices.get(devicename)
        vectors = list(device.values()) if device is not None else []
        return [vector for vector in vectors if vectorname in (None, vector.name)]

    # Setting -----------------------------------------------------------------------------------

    async def set(self, devicename: str, vectorname: str, values: Mapping[str, Any], /) -> None:
        """Ask a device for new values; they are checked before anything leaves.

        The vector is Busy from then on, until the device says otherwise. Returns when the request
        is with the system; waits while the server does not read. If cancelled, it may have been
        sent.

        Args:
            devicename: the device.
            vectorname: the property.
            values: for each member On, Off or a bool; text; a number, also as str, and then also
                sexagesimal; or for a BLOB bytes, a path or a binary file, alone or in a pair with
                the format. Numbers and texts that are not given are sent as they are.

        Raises:
            KeyError: there is no such device, property or member.
            ValueError: it is read-only, or the values are not within its limits or its rule.
            TypeError: a value is of no type that the property takes.
            OSError: a file cannot be read.
            NotConnected: there is no connection, or it was lost.
        """
        vector = self[devicename][vectorname]
        request = await self._make_request(vector, values)
        link = self._need_link()
        self._mark_busy(vector)
        await link.send(request)
        if link.lost:
            raise NotConnected(link.lost)

    async def set_and_wait(
        self,
        devicename: str,
        vectorname: str,
        values: Mapping[str, Any],
        /,
        *,
        timeout: float | None = None,
    ) -> None:
        """Ask a device for new values, and wait until it says that it has them: Ok or Idle.

        Only what it says after it was asked counts, as far as that can be known: what was on its
        way meanwhile does not, where the server answers pings.

        Args:
            devicename: the device.
            vectorname: the property.
            values: see `set`.
            timeout: seconds that it may take; 0 means any time. Where None is given, it is what the
                property says itself.

        Raises:
            PropertyAlert: the device has failed; with its message.
            PropertyTimeout: it was Busy for longer than the timeout.
            PropertyDeleted: the property is gone.
            NotConnected: there is no connection, or it was lost before the answer came.
            KeyError, ValueError, TypeError, OSError: see `set`.
        """
        device = self[devicename]
        vector = device[vectorname]
        request = await self._make_request(vector, values)
        if vector.kind is Kind.BLOB and not self._wishes.wants(devicename, vectorname):
            raise ConfigurationError(
                f"{devicename} {vectorname} would not be heard to answer: call enable_blobs first"
            )
        link = self._need_link()
        ping = link.make_ping() if link.answers_pings else None
        self._mark_busy(vector)
        completion = Completion(vector, device, timeout, ping)
        with self._waits.listed((devicename, vectorname), completion):
            await link.send(*([ping.request] if ping is not None else []), request)
            if link.lost:
                completion.lose(link.lost, final=False)
            await completion.wait()

    async def _make_request(self, vector: RemoteVector, values: Mapping[str, Any]) -> NewVector:
        if vector.kind is not Kind.BLOB:
            await trio.lowlevel.checkpoint()
            return make_request(vector, values)
        upload = Upload(vector, values)
        if not upload.at_hand:
            return await trio.to_thread.run_sync(upload.load)
        await trio.lowlevel.checkpoint()
        return upload.load()

    def _need_link(self) -> Link:
        if self._link is None:
            reason = self._ended or "run it with nursery.start"
            raise NotConnected(f"the client is not connected: {reason}")
        return self._link

    def _mark_busy(self, vector: RemoteVector) -> None:
        """Take the vector to be Busy until the device says otherwise, as §2 has it."""
        vector.state = State.BUSY
        self._waits.look(vector)


_KEEPALIVE: Final = (
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    # Half a minute of silence, then three questions in half a minute more.
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", 30),
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", 10),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", 3),
)


def _is_there(_vector: RemoteVector) -> bool:
    return True
