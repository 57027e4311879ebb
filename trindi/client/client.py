"""IPyClient: the public face of a `ClientCore`. Arguments are checked before anything leaves."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Self, overload

import trio

from trindi.client.connector import MAX_RECONNECT_DELAY, RECONNECT_DELAY
from trindi.client.core import ClientCore
from trindi.client.inbox import Events, Frames, Progress
from trindi.client.remote import RemoteDevice, RemoteVector
from trindi.client.server_connection import QUIET_PERIOD, Settled
from trindi.client.subscriptions import Subscriptions
from trindi.errors import ConfigurationError, check_count, check_delay
from trindi.properties import NamedMapping, convert_choice
from trindi.protocol import (
    MAX_BLOB_BYTES,
    MAX_ELEMENT_BYTES,
    MAX_SNAPSHOT_BYTES,
    BLOBPolicy,
    Message,
    State,
)
from trindi.transport import (
    DEFAULT_RUNTIME,
    HIGH_WATER,
    Runtime,
    check_trio,
    host_and_port,
    open_tcp,
)

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Iterable, Mapping
    from pathlib import Path

    from trindi.client.answer import Answer
    from trindi.client.saving import SavedFrames


class IPyClient(NamedMapping[RemoteDevice]):
    """A client of an INDI server; a mapping of device name to device.

    ``async with IPyClient(…) as client:`` connects, waits until all definitions are here
    (`wait_settled`), and at the end closes the connection. OSError if it cannot connect. What the
    block raises is raised as it is, and in no group. `run` works in a nursery of the caller.

    All waits raise `NotConnected` if the connection was lost, and there will be no other.

    Args:
        ask_for: devices, or pairs of device and property, to ask for on connecting; all if empty.
        reconnect: connect again, as often as needed, when the connection is lost or cannot be made.
        reconnect_delay: seconds before the first attempt; each further one waits twice as long.
        max_delay: seconds that an attempt waits at most.
        connect: makes the stream, for other ways to a server than `host` and `port`.
        max_element_bytes: bound of one element without BLOBs.
        max_blob_bytes: bound of the decoded BLOBs of one element, and of all kept frames together.
        max_mirror_bytes: bound of all definitions, texts and messages that are kept.
        runtime: the time of day and threads; a test has its own.

    Raises:
        ValueError: an `ask_for` that names no device, or a number that is out of range.
    """

    _item_kind = "device"
    _error_name = "the server"

    def __init__(
        self,
        host: str = "localhost",
        port: int = 7624,
        *,
        ask_for: Iterable[str | tuple[str, str | None]] = (),
        reconnect: bool = False,
        reconnect_delay: float = RECONNECT_DELAY,
        max_delay: float = MAX_RECONNECT_DELAY,
        connect: Callable[[], Awaitable[trio.abc.Stream]] | None = None,
        max_element_bytes: int = MAX_ELEMENT_BYTES,
        max_blob_bytes: int = MAX_BLOB_BYTES,
        max_mirror_bytes: int = MAX_SNAPSHOT_BYTES,
        runtime: Runtime = DEFAULT_RUNTIME,
    ) -> None:
        self.host = host
        self.port = check_count("port", port, 1, 65535)
        delay = check_delay("reconnect_delay", reconnect_delay)
        if reconnect and delay == 0:
            raise ConfigurationError(
                "reconnect_delay is above 0: without a pause others have no turn"
            )
        # One that begins with a longer delay keeps to it.
        most = max(delay, check_delay("max_delay", max_delay))
        self._delays = (delay, most) if reconnect else None
        self._connect = connect or partial(open_tcp, host, port)
        self._subscriptions = Subscriptions(ask_for)
        self._core = ClientCore(
            "the server" if connect else f"the server at {host_and_port(host, port)}",
            self._subscriptions,
            max_element_bytes=check_count("max_element_bytes", max_element_bytes, 1),
            max_blob_bytes=check_count("max_blob_bytes", max_blob_bytes, 0),
            max_mirror_bytes=check_count("max_mirror_bytes", max_mirror_bytes, 0),
            runtime=runtime,
        )
        self._entered: AbstractAsyncContextManager[None]
        self._connector = self._core.connector
        self._mirror = self._core.mirror
        self._by_name = self._mirror.devices

    def __repr__(self) -> str:
        known = ", ".join(self) or "no devices yet"
        return f"<IPyClient of {known}{'' if self.connected else ', not connected'}>"

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._connector.connection is not None

    @property
    def lost(self) -> str:
        """Why the last connection has ended, or could not be made; "" while there is one."""
        return self._connector.lost

    @property
    def messages(self) -> deque[Message]:
        """Messages of no device, or of one that is not defined; newest last."""
        return self._mirror.messages

    @property
    def errors(self) -> int:
        """How many elements were malformed or not legal; they cost only themselves."""
        return self._connector.errors

    @property
    def ignored(self) -> int:
        """How many events were about nothing defined, not asked for, or beyond a bound."""
        return self._mirror.ignored + self._subscriptions.unrequested

    async def __aenter__(self) -> Self:
        check_trio()
        session = self._session()
        await session.__aenter__()
        self._entered = session
        return self

    async def __aexit__(self, *error: Any) -> bool | None:
        return await self._entered.__aexit__(*error)

    @asynccontextmanager
    async def _session(self) -> AsyncGenerator[None]:
        """Run the client in a nursery; an error that is the only one is raised as it is."""
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.run)
                await self.wait_settled()
                yield
                nursery.cancel_scope.cancel()
            return
        except BaseExceptionGroup as group:
            error = group.exceptions[0] if len(group.exceptions) == 1 else group
        # Outside of the handler, where it would get the group as its context.
        raise error

    async def run(
        self, *, task_status: trio.TaskStatus[IPyClient] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Connect, and keep the devices up to date until the server closes the connection.

        Once it is connected, `nursery.start` returns the client. With `reconnect` it goes on until
        it is cancelled. If cancelled, the connection is closed at once.

        Raises:
            OSError: it cannot connect, and does not reconnect.
            RuntimeError: it is running already.
        """
        await self._connector.run(self._connect, lambda: task_status.started(self), self._delays)

    async def run_on(
        self,
        stream: trio.abc.Stream,
        *,
        task_status: trio.TaskStatus[IPyClient] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Do as `run` does, on an existing stream; it is closed at the end."""

        async def connect() -> trio.abc.Stream:
            return stream

        await self._connector.run(connect, lambda: task_status.started(self), None)

    def events(
        self,
        devicename: str | None = None,
        vectorname: str | None = None,
        *,
        high_water: int = HIGH_WATER,
    ) -> Events:
        """Receive what the server sends from now on: all, or of a device, or of a property.

        An async iterator over the events that drivers see when they snoop. Beyond `high_water`
        queued bytes, a newer report replaces the older one of its property, and beyond 64 MiB all
        that is queued is dropped; `drops` counts them. It ends when the client does, and is
        forgotten when nothing refers to it.
        """
        return self._core.listen(Events(devicename, vectorname, high_water))

    def frames(
        self,
        devicename: str,
        vectorname: str,
        progress: Callable[[Progress], None] | None = None,
        *,
        high_water: int = HIGH_WATER,
    ) -> Frames:
        """Receive the BLOBs of a property from now on: an async iterator over `Frame` objects.

        Call `enable_blobs`, too; the property need not be defined yet. Beyond `high_water` queued
        bytes, or one frame where that is larger, the newer frame replaces the older one; `drops`
        counts them. It ends when the client does, and is forgotten when nothing refers to it. While
        a frame arrives, and when it is complete, `progress` is called. It must not block; what it
        raises is raised by the iterator. ValueError if the property has no BLOBs.
        """
        return self._core.listen(Frames(devicename, vectorname, progress, high_water))

    def save_frames(
        self,
        devicename: str,
        vectorname: str,
        directory: str | Path,
        progress: Callable[[Progress], None] | None = None,
    ) -> SavedFrames:
        """Save the BLOBs of a property to files from now on: an async iterator over their paths.

        As `frames`, and each is written in a worker thread before the next is taken. A file is
        named for device, property and member, with a free number and the format. It gets that name
        only once it is complete; on file systems without hard links, an empty file has it a moment
        before. The iterator raises OSError if a file cannot be written.
        """
        return self._core.save(Frames(devicename, vectorname, progress), directory)

    async def get_properties(
        self, devicename: str | None = None, vectorname: str | None = None
    ) -> None:
        """Ask for definitions: of all, a device, or a property; again after each reconnection."""
        await self._connector.ask(self._subscriptions.add(devicename, vectorname))

    async def enable_blobs(
        self,
        devicename: str,
        vectorname: str | None = None,
        policy: str = BLOBPolicy.ALSO,
    ) -> None:
        """Set whether the server sends BLOBs of a device or property, now and after reconnections.

        The policy is ``Never``, ``Also``, or ``Only`` for nothing but BLOBs (§4.4).

        Raises:
            ValueError: the policy is none of these, or the property has no BLOBs.
        """
        if vectorname is not None:
            self._core.check_has_blobs(devicename, vectorname)
        await self._connector.ask(self._subscriptions.set_policy(devicename, vectorname, policy))

    async def wait_connected(self) -> None:
        """Wait until there is a connection; this may be called before `run`."""
        await self._connector.wait_connected()

    async def wait_settled(self, *, quiet: float = QUIET_PERIOD) -> Settled:
        """Wait until all definitions that were asked for have arrived; return how that is known.

        A ping asks the server whether it has sent them all; `IPyServer` replies when it has, and
        when handlers that define something themselves are done. For other servers (`indiserver`
        replies before its drivers have answered, and some never reply) a quiet period without a
        definition is enough: `quiet` seconds, and five times as long for the first one. This may be
        called before `run`.
        """
        settled = None
        while settled is None:
            connection = await self._connector.wait_connected()
            settled = await connection.wait_settled(quiet)
        return settled

    async def settled(self, *, quiet: float = QUIET_PERIOD) -> Settled:
        """Do as `wait_settled` does: this is its former name."""
        return await self.wait_settled(quiet=quiet)

    async def wait_for(
        self,
        devicename: str,
        vectorname: str,
        predicate: Callable[[RemoteVector], bool] | None = None,
    ) -> RemoteVector:
        """Wait until a property meets a condition, which it may do already; without polling.

        The predicate is called with the vector at each change, so that no state is missed, however
        short; when the caller goes on, the property may have changed again. It must not block. The
        property need not be defined yet; without a predicate the wait ends at its definition. A
        stale property never meets the condition. Bound the wait with `trio.fail_after`.
        """
        return await self._core.wait_for(devicename, vectorname, predicate or (lambda _: True))

    @overload
    async def wait_defined(self, devicename: str, vectorname: None = None) -> RemoteDevice: ...

    @overload
    async def wait_defined(self, devicename: str, vectorname: str) -> RemoteVector: ...

    async def wait_defined(
        self, devicename: str, vectorname: str | None = None
    ) -> RemoteDevice | RemoteVector:
        """Wait until a device, or a property of it, is defined; return it."""
        vector = await self._core.wait_for(devicename, vectorname, lambda _: True)
        return vector.device if vectorname is None else vector

    async def wait_state(
        self, devicename: str, vectorname: str, states: str | Collection[str]
    ) -> RemoteVector:
        """Wait until a property is in one of these states; see `wait_for`."""
        given = [states] if isinstance(states, str) else states
        wanted = {convert_choice(State, one, "state") for one in given}
        return await self.wait_for(devicename, vectorname, lambda vector: vector.state in wanted)

    async def set(self, devicename: str, vectorname: str, values: Mapping[str, Any], /) -> None:
        """Request new values of a device; they are checked before anything leaves.

        From then on the vector is Busy, until the device says otherwise. Returns when the request
        is with the system; waits while the server does not read. If cancelled, the request may have
        been sent.

        Each member has as its value On, Off or a bool; a text; a number, also as str, and then also
        sexagesimal; or for a BLOB bytes, a path or a binary file, alone or in a pair with the
        format. Numbers and texts that are not given are sent with their present value.

        Raises:
            KeyError: there is no such device, property or member.
            ValueError: it is read-only, or the values break its limits or its rule.
            TypeError: a value has a type that the property does not take.
            OSError: a file cannot be read.
            NotConnected: there is no connection, or none since which the property is defined.
        """
        await self._core.set(self[devicename][vectorname], values)

    async def set_and_wait(
        self,
        devicename: str,
        vectorname: str,
        values: Mapping[str, Any],
        /,
        *,
        timeout: float | None = None,
    ) -> Answer:
        """Request new values of a device, and wait until it reports Ok or Idle; return its answer.

        Some devices refuse without an Alert: `Answer.differences` are the values that came back
        and are not those asked for, `Answer.messages` what the device has said.

        Reports older than the request do not count, as far as that can be known; where the server
        answers pings, that includes those on their way. No report says which request it answers,
        so a property gets one request at a time: another call for the same one is checked at once,
        and sent when the first is over. `set` does not wait for others.

        The timeout is in seconds, for all of it, sending included; 0 sets no limit. None takes the
        timeout of the property, from when the request is sent.

        Raises:
            PropertyAlert: the device answered with Alert; with its message.
            PropertyTimeout: it was Busy for longer than the timeout.
            PropertyDeleted: the device deleted the property.
            NotConnected: there is no connection, or it was lost before the answer came.
            KeyError, ValueError, TypeError, OSError: see `set`.
        """
        return await self._core.set_and_wait(self[devicename][vectorname], values, timeout)
