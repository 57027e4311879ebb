"""IPyServer: several drivers behind one TCP port, with bounded connections and supervision.

One nursery holds the supervisor of each driver and the listener with its clients. A client leaving
cancels only its own tasks; a driver failing costs only its own devices, until it is back.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Iterable, Mapping
from functools import partial
from typing import Any, Final

import trio

from trindi.driver import IPyDriver, wait_for_all
from trindi.errors import ConfigurationError, ProtocolError, check_count, check_delay
from trindi.protocol import (
    Decoder,
    Event,
    Message,
    NewVector,
    delProperty,
    enableBLOB,
    encode,
    getProperties,
    setBLOBVector,
)
from trindi.protocol.decoder import MAX_BLOB_BYTES, MAX_ELEMENT_BYTES
from trindi.server.listeners import open_listeners
from trindi.server.router import Router
from trindi.server.statistics import ClientStatistics, DriverStatistics, ServerStatistics
from trindi.transport import (
    BOUND,
    DEFAULT_RUNTIME,
    HIGH_WATER,
    Connection,
    EncodedEvent,
    Runtime,
    put_blob,
)

__all__ = ["IPyServer"]

logger = logging.getLogger("trindi.server")

MAX_RESTARTS: Final = 10
"""How often a driver that fails is started again, as often as indiserver does (§5.1)."""

RESTART_DELAY: Final = 1.0
"""Seconds before the first restart; each further one waits twice as long."""

MAX_RESTART_DELAY: Final = 60.0
"""Seconds that a restart waits at the most; a driver that ran so long starts with a clean slate."""

_MAX_PORT: Final = 65535
"""The highest port there is."""

MAX_TURNED_AWAY: Final = 16
"""Clients over the bound that are told so at one time; further ones are just closed."""


class _Post:
    """One driver's place in the server: its link to the others, and its supervisor's notes."""

    def __init__(self, driver: IPyDriver, router: Router[Connection, _Post]) -> None:
        self.driver = driver
        self.restarts = 0
        self.events_in = 0
        self.events_out = 0
        self._own = frozenset(driver)
        self._router = router

    def publish(self, event: Event, encoded: EncodedEvent | None = None) -> None:
        """Send an event to every receiver that wants it, without waiting."""
        if isinstance(event, (getProperties, enableBLOB)):
            self._snoop(event)
            return
        self._check_own(event)
        self.events_out += 1
        clients = self._router.clients(event)
        # Encoded before it waits anywhere: so its weight is exact, and what cannot be encoded is an
        # error of the driver that sends it, not of the clients.
        encoded = encoded or EncodedEvent(event, encode(event) if clients else None)
        for client in clients:
            client.outbox.put(encoded)
        for snooper in self._router.snoopers(event, self):
            snooper.driver.hear(encoded)

    async def publish_blob(self, event: setBLOBVector) -> None:
        """Send BLOBs, waiting a bounded time for receivers that keep up."""
        self._check_own(event)
        self.events_out += 1
        encoded = EncodedEvent(event)
        clients = self._router.clients(event)
        if clients:
            await encoded.prepare(self.driver.sink.runtime.in_thread)
        inboxes = [s.driver.inbox_for(event) for s in self._router.snoopers(event, self)]
        outboxes = [client.outbox for client in clients]
        await put_blob(encoded, [*outboxes, *(inbox for inbox in inboxes if inbox is not None)])

    def define(self) -> None:
        """Send the definitions of all that is enabled to whoever wants them."""
        for encoded in self.driver.encoded_definitions().items:
            self.publish(encoded.event, encoded)

    def _check_own(self, event: Any) -> None:
        """Refuse what would speak for a device of another driver (§9)."""
        if event.devicename is not None and event.devicename not in self._own:
            raise ConfigurationError(f"device {event.devicename!r} is not of {self.driver!r}")

    def _snoop(self, event: getProperties | enableBLOB) -> None:
        """Note what the driver snoops on, and show it what is there now."""
        self._router.snoop(self, event)
        if isinstance(event, enableBLOB):
            return
        for owner in self._router.owners(event.devicename):
            if owner is not self and owner.driver.running:
                for encoded in owner.driver.encoded_definitions(
                    event.devicename, event.vectorname
                ).items:
                    self.driver.hear(encoded)


class _Defining:
    """Defines a driver's properties the moment it runs, before its own tasks can report on them."""

    def __init__(self, post: _Post, task_status: trio.TaskStatus[None]) -> None:
        self._post = post
        self._task_status = task_status

    def started(self, _value: None = None) -> None:
        self._post.define()
        self._task_status.started()


class IPyServer:
    """Serves drivers to INDI clients on a TCP port.

    Args:
        drivers: at least one, with different device names.
        host: name or address to listen on; all addresses of a name are used, IPv4 and IPv6.
        port: 0 takes a free one.
        maxconnections: clients at one time; one more is told so, and closed.
        max_restarts: how often a driver that fails is started again before it is left down.
        restart_delay: seconds before the first restart; each further one waits twice as long.
        high_water: bytes that may wait for a client before it is lagging.
        bound: bytes that may wait for a client, beyond one BLOB, before it is sent away.
        max_element_bytes: bound of one element without BLOBs that a client sends.
        max_blob_bytes: bound of the BLOBs of one element that a client sends, decoded.

    Raises:
        TypeError: not drivers.
        ValueError: no driver, a device name in two drivers, or a number that is out of range.
    """

    def __init__(
        self,
        drivers: Iterable[IPyDriver],
        host: str = "localhost",
        port: int = 7624,
        maxconnections: int = 5,
        *,
        max_restarts: int = MAX_RESTARTS,
        restart_delay: float = RESTART_DELAY,
        high_water: int = HIGH_WATER,
        bound: int = BOUND,
        max_element_bytes: int = MAX_ELEMENT_BYTES,
        max_blob_bytes: int = MAX_BLOB_BYTES,
    ) -> None:
        self.drivers = _check_drivers(drivers)
        self.host = host
        self._port = check_count("port", port, 0, _MAX_PORT)
        self.maxconnections = check_count("maxconnections", maxconnections, 1)
        self._max_restarts = check_count("max_restarts", max_restarts, 0)
        self._restart_delay = check_delay("restart_delay", restart_delay)
        self._make_connection = partial(
            Connection,
            high_water=check_count("high_water", high_water, 0),
            bound=check_count("bound", bound, 1),
        )
        self._make_decoder = partial(
            Decoder,
            max_element_bytes=check_count("max_element_bytes", max_element_bytes, 1),
            max_blob_bytes=check_count("max_blob_bytes", max_blob_bytes, 0),
        )
        self._router: Router[Connection, _Post] = Router()
        self._posts = [_Post(driver, self._router) for driver in self.drivers]
        for post in self._posts:
            self._router.add_driver(post, post.driver)
        self._clients: dict[Connection, None] = {}
        self._gone = {"drops": 0, "events_in": 0, "events_out": 0}
        self._turned_away = 0
        self._turning_away = 0
        self._running = False
        self._runtime = DEFAULT_RUNTIME
        # Clients that others have brought: their tasks are not in the server's own nursery.
        self._guests: set[trio.CancelScope] = set()
        self._addresses: tuple[tuple[str, int], ...] = ()

    # What it listens on ------------------------------------------------------------------------

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each listening socket, while it runs."""
        return self._addresses

    @property
    def port(self) -> int:
        """The port it listens on, or will."""
        return self._addresses[0][1] if self._addresses else self._port

    # Life --------------------------------------------------------------------------------------

    async def run(
        self,
        *,
        listen: bool = True,
        runtime: Runtime = DEFAULT_RUNTIME,
        task_status: trio.TaskStatus[IPyServer] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until cancelled; then every socket is closed and every task has ended.

        Args:
            listen: where False, the only clients are those of `serve_stream`.
            runtime: a test's are others than an observatory's.
            task_status: started with the server itself, once it listens and its drivers run;
                `port` and `addresses` say where.

        Raises:
            OSError: the port is in use, or the host has no such address.
            RuntimeError: one of the drivers is running already.
            ExceptionGroup: what a driver raised, where exceptions are not to be contained.
        """
        for driver in self.drivers:
            if driver.running:
                raise RuntimeError(f"{driver!r} is running already")
        listeners = await open_listeners(self.host, self._port) if listen else []
        self._runtime = runtime
        try:
            # Kept, because the sockets are closed before the last driver has ended.
            self._addresses = tuple(listener.socket.getsockname()[:2] for listener in listeners)
            async with trio.open_nursery() as nursery:
                for post in self._posts:
                    await nursery.start(self._supervise, post)
                if listeners:
                    serve = partial(trio.serve_listeners, self._serve_socket, listeners)
                    await nursery.start(serve)
                self._running = True
                task_status.started(self)
                await trio.sleep_forever()
        finally:
            self._running = False
            self._addresses = ()
            for listener in listeners:
                listener.socket.close()
            for guest in self._guests:
                guest.cancel()

    async def _supervise(
        self, post: _Post, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run a driver, and run it again when it fails, later each time."""
        failures = 0
        delay = self._restart_delay
        while True:
            started = trio.current_time()
            try:
                defining = _Defining(post, task_status)
                await post.driver.serve(post, runtime=self._runtime, task_status=defining)
            # Where it fails while the server is being cancelled, the cancellation goes on.
            except* Exception:
                if not self._runtime.contain_errors:
                    raise
                logger.exception("%r has failed", post.driver)
            self._withdraw(post)
            if trio.current_time() - started >= MAX_RESTART_DELAY:
                failures = 0
                delay = self._restart_delay
            if failures >= self._max_restarts:
                logger.error("%r has failed %d times: it is left down", post.driver, failures + 1)
                return
            await trio.sleep(delay)
            failures += 1
            delay = max(delay, min(2 * delay, MAX_RESTART_DELAY))
            post.restarts += 1
            task_status = trio.TASK_STATUS_IGNORED

    def _withdraw(self, post: _Post) -> None:
        """Tell everyone that a driver's devices are gone, for now or for good."""
        self._router.forget_snooping(post)
        now = post.driver.sink.now()
        for device in post.driver.values():
            if device.enable:
                text = f"the driver of {device.devicename} has failed"
                post.publish(delProperty(device.devicename, None, now, text))

    # Clients -----------------------------------------------------------------------------------

    async def serve_stream(self, stream: trio.abc.Stream, *, name: str = "a stream") -> None:
        """Serve one more client, on a stream of any kind, until it has gone or the server ends.

        It counts among the `maxconnections`, and is closed at the end. If cancelled, it is closed
        at once.

        Args:
            stream: the client is at its other end.
            name: what the log and the statistics call it.

        Raises:
            RuntimeError: the server is not running.
        """
        if not self._running:
            raise RuntimeError("the server is not running: start it first")
        with trio.CancelScope() as scope:
            self._guests.add(scope)
            try:
                await self._serve_client(stream, name)
            finally:
                self._guests.remove(scope)

    async def _serve_socket(self, stream: trio.SocketStream) -> None:
        with contextlib.suppress(OSError):
            # A client whose machine has vanished must not keep its place for ever.
            stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_KEEPALIVE, 1)
        await self._serve_client(stream, _peer(stream))

    async def _serve_client(self, stream: trio.abc.Stream, name: str) -> None:
        client = self._make_connection(
            stream, name=name, decoder=self._make_decoder(), runtime=self._runtime
        )
        try:
            if len(self._clients) < self.maxconnections:
                await self._talk(client)
            else:
                await self._turn_away(client, stream)
        except* Exception:
            # A fault of ours in serving one client must not end the others.
            if not self._runtime.contain_errors:
                raise
            logger.exception("serving %s has failed", client.name)

    async def _talk(self, client: Connection) -> None:
        self._clients[client] = None
        self._router.add_client(client)
        try:
            await client.run(lambda item: self._receive(item, client))
        finally:
            del self._clients[client]
            self._router.remove_client(client)
            for name, value in _counts(client).items():
                self._gone[name] += value

    async def _turn_away(self, client: Connection, stream: trio.abc.Stream) -> None:
        self._turned_away += 1
        if self._turning_away >= MAX_TURNED_AWAY:
            await trio.aclose_forcefully(stream)
            return
        self._turning_away += 1
        try:
            client.disconnect(f"the server has its {self.maxconnections} clients already")
            await client.run(lambda _item: None)
        finally:
            self._turning_away -= 1

    def _receive(self, item: Event | ProtocolError, client: Connection) -> Awaitable[None] | None:
        """Note what a client wants, and pass its request to the owner of the device."""
        if isinstance(item, ProtocolError):
            for post in self._router.owners(item.devicename) if item.devicename else ():
                if post.driver.running:
                    post.driver.receive(item, client)
            return None
        if not isinstance(item, (getProperties, enableBLOB, NewVector)):
            return None
        self._router.subscribe(client, item)
        waits = []
        for post in self._router.owners(item.devicename):
            post.events_in += 1
            if not post.driver.running:
                self._excuse(item, client)
            elif (wait := post.driver.receive(item, client)) is not None:
                waits.append(wait)
        return wait_for_all(waits) if waits else None

    def _excuse(self, item: Event, client: Connection) -> None:
        if isinstance(item, NewVector):
            text = f"[ERROR] the driver of {item.devicename} is not running"
            client.reply(Message(item.devicename, text, self._runtime.now()))

    # Looking -----------------------------------------------------------------------------------

    def statistics(self) -> ServerStatistics:
        """Say what is going on: clients, queues, drops, events, restarts."""
        clients = tuple(
            ClientStatistics(
                peer=client.name,
                queue_bytes=client.outbox.size,
                lagging=client.outbox.lagging,
                errors=client.errors,
                in_flight=client.in_flight,
                **_counts(client),
            )
            for client in self._clients
        )
        drivers = tuple(
            DriverStatistics(
                tuple(post.driver),
                post.driver.running,
                post.restarts,
                post.events_in,
                post.events_out,
            )
            for post in self._posts
        )
        return ServerStatistics(
            clients=clients,
            drivers=drivers,
            turned_away=self._turned_away,
            queue_bytes=sum(client.queue_bytes for client in clients),
            drops=self._gone["drops"] + sum(client.drops for client in clients),
            events_in=self._gone["events_in"] + sum(client.events_in for client in clients),
            events_out=self._gone["events_out"] + sum(client.events_out for client in clients),
            restarts=sum(driver.restarts for driver in drivers),
        )


def _counts(client: Connection) -> dict[str, int]:
    return {
        "drops": client.outbox.drops,
        "events_in": client.events_in,
        "events_out": client.outbox.taken,
    }


def _peer(stream: trio.SocketStream) -> str:
    try:
        host, port, *_ = stream.socket.getpeername()
    except OSError:
        return "a client that has left already"
    return f"{host}:{port}"


def _check_drivers(drivers: Any) -> tuple[IPyDriver, ...]:
    if isinstance(drivers, Mapping) or not isinstance(drivers, Iterable):
        raise TypeError("drivers is a list of IPyDriver instances: write IPyServer([driver])")
    checked = tuple(drivers)
    owners: dict[str, IPyDriver] = {}
    for driver in checked:
        if not isinstance(driver, IPyDriver):
            raise TypeError(f"drivers are IPyDriver instances, not {type(driver).__name__}")
        for devicename in driver:
            if devicename in owners:
                raise ConfigurationError(
                    f"device {devicename!r} is in two drivers: give one of them another name"
                )
            owners[devicename] = driver
    if not checked:
        raise ConfigurationError("the server has no drivers: give it at least one")
    return checked
