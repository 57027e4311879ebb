"""Who is connected: the limits of a client, its admission, its identity, its figures.

A client is an identity with limits, not just a connection: what an upstream or the router knows of
it is a `Client`. This module does not know who hears what.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import ref

import trio

from trindi.errors import ProtocolError, RefusedError, check_count
from trindi.protocol import MAX_BLOB_BYTES, MAX_ELEMENT_BYTES, Admit, Decoder, Event
from trindi.server.statistics import ClientStatistics
from trindi.transport import (
    BOUND,
    HIGH_WATER,
    Connection,
    Runtime,
    VanishedCheck,
    contained,
    host_and_port,
    host_of,
    set_keepalive,
)
from trindi.transport.tcp import ACKNOWLEDGED_WITHIN
from trindi.visible import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

logger = get_logger("trindi.server")

MAX_CLIENTS: Final = 100
"""Clients at one time. KStars alone opens one connection, and one more for each BLOB property."""

MAX_TURNED_AWAY: Final = 16
"""Clients over the bound that are told so at one time; further ones are just closed."""

SILENCE: Final = 60.0
"""Seconds after which a client that has never sent a valid element gives up its place, where the
server is full. KStars' BLOB connections ask once and then only listen: they stay."""

CHECK_INTERVAL: Final = 30.0
"""Seconds between two looks at which clients have vanished while something waits for them."""

STALLED: Final = 60.0
"""Seconds without progress after which an upload, and its client, give way to another one, where
both together would be too much."""

PROGRESS_BYTES: Final = 64 * 1024
"""Bytes that an upload must grow by in that time."""

MAX_UPLOAD_BYTES: Final = 2 * MAX_BLOB_BYTES
"""Bytes of BLOBs of all clients together, from their first byte until the driver has handled them;
what goes beyond is refused."""


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """What clients may cost; see `IPyServer` for each."""

    high_water: int = HIGH_WATER
    bound: int = BOUND
    max_element_bytes: int = MAX_ELEMENT_BYTES
    max_blob_bytes: int = MAX_BLOB_BYTES
    max_upload_bytes: int = MAX_UPLOAD_BYTES

    def __post_init__(self) -> None:
        check_count("high_water", self.high_water, 0)
        check_count("bound", self.bound, 1)
        check_count("max_element_bytes", self.max_element_bytes, 1)
        check_count("max_blob_bytes", self.max_blob_bytes, 0)
        check_count("max_upload_bytes", self.max_upload_bytes, 0)


class Client:
    """One client: a sender of requests and a receiver of events."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        *,
        name: str,
        limits: ClientLimits,
        admit: Callable[[Client], Admit],
        runtime: Runtime,
    ) -> None:
        self._decoder = Decoder(
            max_element_bytes=limits.max_element_bytes,
            max_blob_bytes=limits.max_blob_bytes,
            admit=admit(self),
        )
        self.connection = Connection(
            stream,
            name=name,
            decoder=self._decoder,
            high_water=limits.high_water,
            bound=limits.bound,
            runtime=runtime,
        )
        self.name = name
        self.connected_at = trio.current_time()
        self.queue = self.connection.queue
        self.waits = self.connection.waits
        self.vanished = VanishedCheck(stream).vanished
        # Bytes of the element that was arriving when it last made progress, and when that was.
        self._progress = 0
        self._progress_at = self.connected_at
        # A driver calls these for each request.
        self.reply = self.connection.reply
        self.forward = self.connection.forward
        self.request_started = self.connection.request_started
        self.request_finished = self.connection.request_finished

    def upload_bytes(self, arriving: int | None = None) -> int:
        """Bytes of its BLOBs; of the element that is arriving so many, or those that are kept."""
        return self.connection.blob_bytes + (self._decoder.kept if arriving is None else arriving)

    def note_upload(self) -> None:
        """Note how far the upload that arrives has come."""
        if not 0 <= self._decoder.held - self._progress < PROGRESS_BYTES:
            self._progress = self._decoder.held
            self._progress_at = trio.current_time()

    def upload_stalls(self) -> bool:
        return self._decoder.keeps_payloads and trio.current_time() - self._progress_at >= STALLED

    def statistics(self) -> ClientStatistics:
        return ClientStatistics(
            peer=self.name,
            queue_bytes=self.queue.size,
            lagging=self.queue.lagging,
            drops=self.queue.drops,
            events_in=self.connection.events_in,
            events_out=self.queue.taken,
            errors=self.connection.errors,
            in_flight=self.connection.in_flight,
        )


class ClientHandler(Protocol):
    """Is told of clients that come and go, and takes their requests."""

    def add_client(self, client: Client) -> None: ...

    def remove_client(self, client: Client) -> None: ...

    def admit(
        self, event: type[Any], devicename: str, vectorname: str, membername: str, size: int
    ) -> None: ...

    def request(self, item: Event | ProtocolError, client: Client) -> Awaitable[None] | None: ...


@dataclass(slots=True)
class Totals:
    """Figures of the clients that have left, and of those that were turned away."""

    drops: int = 0
    events_in: int = 0
    events_out: int = 0
    turned_away: int = 0

    def add(self, client: ClientStatistics) -> None:
        self.drops += client.drops
        self.events_in += client.events_in
        self.events_out += client.events_out


class Clients:
    """The connected clients, `most` at most; `left` has the figures of those that have left."""

    def __init__(self, handler: ClientHandler, most: int, limits: ClientLimits) -> None:
        self._handler = handler
        self._limits = limits
        self._clients: dict[Client, None] = {}
        self._turning_away = 0
        # Streams that are served in tasks of others.
        self._stream_scopes: set[trio.CancelScope] = set()
        self.most = most
        self.left = Totals()
        self.runtime = Runtime()

    def __iter__(self) -> Iterator[Client]:
        return iter(self._clients)

    async def serve_socket(self, stream: trio.SocketStream) -> None:
        await self._serve(stream, _peer_name(stream.socket))

    async def serve_stream(self, stream: trio.abc.Stream, name: str) -> None:
        """Serve a client in the task of the caller, until it has gone or `close_streams`."""
        with trio.CancelScope() as scope:
            self._stream_scopes.add(scope)
            try:
                await self._serve(stream, name)
            finally:
                self._stream_scopes.remove(scope)

    async def disconnect_vanished(self) -> None:
        """Disconnect clients whose machine has vanished while something waits for them.

        Of those for which nothing waits, the system finds out with TCP keepalive.
        """
        while True:
            await trio.sleep(CHECK_INTERVAL)
            for client in tuple(self._clients):
                if client.vanished():
                    client.connection.disconnect(
                        "its machine has acknowledged nothing that was sent to it in"
                        f" {ACKNOWLEDGED_WITHIN:g} s"
                    )

    def close_streams(self) -> None:
        """End each `serve_stream`: the server ends, and they are in no nursery of it."""
        for scope in self._stream_scopes:
            scope.cancel()

    async def _serve(self, stream: trio.abc.Stream, name: str) -> None:
        def log(error: BaseException) -> bool:
            # A fault of ours in serving one client must not end the others.
            if self.runtime.contain_errors:
                logger.error("serving %s has failed", name, exc_info=error)
            return self.runtime.contain_errors

        with contained(log):
            set_keepalive(stream)
            client = Client(
                stream,
                name=name,
                limits=self._limits,
                # Its decoder refers to this: what a client leaves behind must be freed at once.
                admit=lambda one: partial(self._admit, ref(one)),
                runtime=self.runtime,
            )
            if len(self._clients) < self.most or self._make_room():
                await self._talk(client)
            else:
                await self._turn_away(client, stream)

    async def _talk(self, client: Client) -> None:
        self._clients[client] = None
        self._handler.add_client(client)
        try:
            await client.connection.run(lambda item: self._handler.request(item, client))
        finally:
            self._clients.pop(client, None)
            self._handler.remove_client(client)
            self.left.add(client.statistics())

    def _admit(
        self,
        client: ref[Client],
        event: type[Any],
        devicename: str,
        vectorname: str,
        membername: str,
        size: int,
    ) -> bool:
        self._handler.admit(event, devicename, vectorname, membername, size)
        own = client()
        if own is not None:
            own.note_upload()
        while (
            own not in self._clients
            or sum(one.upload_bytes(size if one is own else None) for one in self._clients)
            > self._limits.max_upload_bytes
        ):
            if not self._end_stalled_upload():
                raise RefusedError("the server has too many uploads at the moment: try again later")
        return True

    def _end_stalled_upload(self) -> bool:
        """Disconnect a client whose upload makes no progress; False where there is none."""
        for client in self._clients:
            if client.upload_stalls():
                self._give_up(
                    client,
                    "the server has too many uploads, and that of this client has made no progress"
                    f" in {STALLED:g} s",
                )
                return True
        return False

    def _give_up(self, client: Client, reason: str) -> None:
        """Disconnect a client; from now on it takes no room."""
        del self._clients[client]
        client.connection.disconnect(reason)

    def _make_room(self) -> bool:
        """Disconnect a client that has never said anything; False where there is none."""
        long_ago = trio.current_time() - SILENCE
        for client in self._clients:
            if client.connected_at <= long_ago and not client.connection.has_spoken:
                self._give_up(
                    client, f"the server is full, and this client has sent nothing in {SILENCE:g} s"
                )
                return True
        return False

    async def _turn_away(self, client: Client, stream: trio.abc.Stream) -> None:
        self.left.turned_away += 1
        if self._turning_away >= MAX_TURNED_AWAY:
            await trio.aclose_forcefully(stream)
            return
        self._turning_away += 1
        try:
            client.connection.disconnect(f"the server has its {self.most} clients already")
            await client.connection.run(lambda _item: None)
        finally:
            self._turning_away -= 1


def _peer_name(socket: trio.socket.SocketType) -> str:
    """Name a peer for the log; whatever is odd about its address, it is served."""
    try:
        peer = socket.getpeername()
        # That of a unix socket is a text or bytes, and mostly empty.
        if not isinstance(peer, tuple):
            return "a client on this machine"
        return host_and_port(host_of(peer), peer[1])
    except OSError:
        return "a client that has left already"
    except Exception:
        return "a client of an unknown address"
