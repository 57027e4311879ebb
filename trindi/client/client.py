"""IPyClient: what a program that uses an INDI server sees of it, and asks of it.

The public face of a `Session`, which has the connection and the picture. What is asked is checked
here, or below, before anything leaves; what is waited for is looked at where the picture changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Final, overload

import trio

from trindi.client.inbox import Events, Frames, Progress
from trindi.client.picture import MAX_PICTURE_BYTES
from trindi.client.remote import RemoteDevice, RemoteVector
from trindi.client.session import RECONNECT_DELAY, Connect, Session, open_tcp
from trindi.client.waiting import Condition, Place
from trindi.client.wishes import Wishes
from trindi.errors import ConfigurationError, check_count, check_delay
from trindi.protocol import MAX_BLOB_BYTES, MAX_ELEMENT_BYTES, BLOBPolicy, State
from trindi.transport import DEFAULT_RUNTIME, HIGH_WATER, Runtime

if TYPE_CHECKING:
    from collections import deque
    from pathlib import Path

    from trindi.client.saving import SavedFrames
    from trindi.protocol import Message

__all__ = ["IPyClient", "Settled"]

_MAX_PORT: Final = 65535
"""The highest port there is."""

QUIET: Final = 1.0
"""Seconds without a definition after which all are taken to be here, where no ping can tell."""


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
        connect: makes the stream, for other ways to a server than `host` and `port`; an async
            function of no arguments.
        max_element_bytes: bound of one element without BLOBs that the server sends.
        max_blob_bytes: bound of the BLOBs of one element, decoded, and of all newest frames
            together that are kept.
        max_picture_bytes: bound of all definitions, texts and messages together that are kept.
        runtime: a test's are others than an observatory's.

    Raises:
        ValueError: an `ask_for` that names no device, or a number that is out of range.
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
        max_picture_bytes: int = MAX_PICTURE_BYTES,
        runtime: Runtime = DEFAULT_RUNTIME,
    ) -> None:
        self.host = host
        self.port = check_count("port", port, 1, _MAX_PORT)
        self._delay = _check_delay(reconnect_delay) if reconnect else None
        self._connect = connect or partial(open_tcp, host, port)
        self._wishes = Wishes(ask_for)
        self._session = Session(
            "the server" if connect else f"the server at {host}:{port}",
            self._wishes,
            max_element_bytes=check_count("max_element_bytes", max_element_bytes, 1),
            max_blob_bytes=check_count("max_blob_bytes", max_blob_bytes, 0),
            max_picture_bytes=check_count("max_picture_bytes", max_picture_bytes, 0),
            runtime=runtime,
        )
        self._devices = self._session.picture.devices
        self._asking = self._session.asking

    # The mapping -------------------------------------------------------------------------------

    def __getitem__(self, devicename: str) -> RemoteDevice:
        try:
            return self._devices[devicename]
        except KeyError:
            known = f"only {', '.join(self)}" if self else "nor any other yet"
            raise KeyError(f"the server has no device {devicename!r}, {known}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._devices)

    def __len__(self) -> int:
        return len(self._devices)

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        known = ", ".join(self) or "no devices yet"
        return f"<IPyClient of {known}{'' if self.connected else ', not connected'}>"

    # Looking -----------------------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._session.link is not None

    @property
    def messages(self) -> deque[Message]:
        """What the server has said about no device, or about one that is not there; newest last."""
        return self._session.picture.messages

    @property
    def errors(self) -> int:
        """How many elements were malformed or not legal; they cost only themselves."""
        return self._session.errors

    @property
    def ignored(self) -> int:
        """How many events were about nothing that is known, not asked for, or beyond a bound."""
        return self._session.picture.ignored + self._wishes.unasked

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
        await self._session.run(self._connect, lambda: task_status.started(self), delay=self._delay)

    async def run_on(
        self,
        stream: trio.abc.Stream,
        *,
        task_status: trio.TaskStatus[IPyClient] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Do as `run` does, on a stream that is there already; it is closed at the end.

        Raises:
            RuntimeError: it is running already.
        """

        async def connect() -> trio.abc.Stream:
            return stream

        await self._session.run(connect, lambda: task_status.started(self))

    # Hearing -----------------------------------------------------------------------------------

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
        return self._session.listen(Events(devicename, vectorname, high_water))

    def frames(
        self,
        devicename: str,
        vectorname: str,
        progress: Callable[[Progress], None] | None = None,
        *,
        high_water: int = HIGH_WATER,
    ) -> Frames:
        """Receive the BLOBs of a property, from now on: an async iterator over `Frame` objects.

        `enable_blobs` is to be called too, and the property need not be there yet. Bounded: beyond
        `high_water` bytes that wait, or one frame where that is larger, the newer frame takes the
        place of the older one; `drops` counts them. It ends when the client does, and is forgotten
        when nobody holds it.

        Args:
            devicename: the device.
            vectorname: the property.
            progress: is called with a `Progress` while a frame arrives, and when it is here. It
                must not block; what it raises is raised by the iterator.
            high_water: bytes that may wait.

        Raises:
            ValueError: the property has no BLOBs.
        """
        return self._asking.frames(devicename, vectorname, progress, high_water)

    def save_frames(
        self,
        devicename: str,
        vectorname: str,
        directory: str | Path,
        progress: Callable[[Progress], None] | None = None,
    ) -> SavedFrames:
        """Save the BLOBs of a property to files, from now on: an async iterator over their paths.

        As `frames`, and each is written in a worker thread before the next is taken. A file is
        named for device, property and member, with a number that is free and the format; it has
        that name only once it is whole, but for a moment on file systems without hard links.

        Raises:
            ValueError: the property has no BLOBs.
            OSError: (by the iterator) a file cannot be written.
        """
        return self._asking.save_frames(devicename, vectorname, directory, progress)

    # Asking for definitions and BLOBs ------------------------------------------------------------

    async def get_properties(
        self, devicename: str | None = None, vectorname: str | None = None
    ) -> None:
        """Ask for definitions: of all, a device, or a property; again after each reconnection.

        Raises:
            ValueError: a property without its device.
        """
        question = self._wishes.add(devicename, vectorname)
        await self._session.ask(question)

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
            ValueError: the policy is none of these, or the property has no BLOBs.
        """
        if vectorname is not None:
            self._asking.check_blobs(devicename, vectorname)
        request = self._wishes.set_policy(devicename, vectorname, policy)
        await self._session.ask(request)

    # Waiting -----------------------------------------------------------------------------------

    async def wait_connected(self) -> None:
        """Wait until there is a connection; where the client does not run yet, for that, too.

        Raises:
            NotConnected: there will be none, because the client has ended.
        """
        await self._session.wait_link()

    async def settled(self, *, quiet: float = QUIET) -> Settled:
        """Wait until all definitions that were asked for have arrived; say how that is known.

        A server is pinged, and asked whether it has sent them all; `IPyServer` replies when it has,
        and handlers that define something themselves are done. For others (`indiserver` replies
        whatever its drivers have said by then, and some never do) it is enough that no definition
        comes for a while. Where the client does not run yet, it waits for that, too.

        Args:
            quiet: seconds of that while; the first definition of all may take five times as long.

        Returns:
            `Settled.PING` or `Settled.QUIET`.

        Raises:
            NotConnected: the connection was lost, and there will be no other.
        """
        while True:
            link = await self._session.wait_link()
            by_ping = await link.settle(quiet)
            if not link.lost:
                return Settled.PING if by_ping else Settled.QUIET

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
        return vector.device if vectorname is None else vector

    async def wait_state(
        self, devicename: str, vectorname: str, states: str | Collection[str]
    ) -> RemoteVector:
        """Wait until a property is in one of these states; see `wait_for`.

        Raises:
            ValueError: there is no such state.
            NotConnected: the connection was lost, and there will be no other.
        """
        wanted = {State(one) for one in ([states] if isinstance(states, str) else states)}
        return await self._wait((devicename, vectorname), lambda vector: vector.state in wanted)

    async def _wait(self, place: Place, holds: Callable[[RemoteVector], bool]) -> RemoteVector:
        await trio.lowlevel.checkpoint()
        self._session.check_going_on()
        condition = Condition(holds)
        device = self._devices.get(place[0])
        for name, vector in device.items() if device is not None else ():
            if place[1] in (None, name):
                condition.look(vector, None)
        with self._session.waits.listed(place, condition):
            return await condition.wait()

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
        await self._asking.set(self[devicename][vectorname], values)

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
        way meanwhile does not, where the server answers pings. Since no report says which request
        it answers, a property is asked for one thing at a time: another call for the same one is
        checked, and sent when the first is over. `set` does not wait for anybody.

        Args:
            devicename: the device.
            vectorname: the property.
            values: see `set`.
            timeout: seconds that it may take, sending included; 0 means any time. Where None is
                given, it is what the property says itself, from when the request is sent.

        Raises:
            PropertyAlert: the device has failed; with its message.
            PropertyTimeout: it was Busy for longer than the timeout.
            PropertyDeleted: the property is gone.
            NotConnected: there is no connection, or it was lost before the answer came, or the
                property was not defined since the one before was lost.
            KeyError, ValueError, TypeError, OSError: see `set`.
        """
        await self._asking.set_and_wait(self[devicename][vectorname], values, timeout)


def _check_delay(value: float) -> float:
    delay = check_delay("reconnect_delay", value)
    if not delay:
        raise ConfigurationError(
            "reconnect_delay is above 0: without a pause nobody else has a turn"
        )
    return delay


def _is_there(_vector: RemoteVector) -> bool:
    return True
