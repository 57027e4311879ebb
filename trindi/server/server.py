"""IPyServer: several upstreams behind listeners.

One nursery holds the supervisor of each upstream and the listener with its clients. A client that
leaves cancels only its own tasks; a driver that fails costs only its own devices, until it is back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from weakref import ReferenceType, WeakKeyDictionary, ref

import trio

from trindi.errors import ConfigurationError, check_count
from trindi.protocol import MAX_BLOB_BYTES, MAX_ELEMENT_BYTES
from trindi.server.clients import MAX_CLIENTS, MAX_UPLOAD_BYTES, ClientLimits, Clients
from trindi.server.hub import Hub
from trindi.server.listeners import PatientListener, open_listeners
from trindi.server.statistics import ServerStatistics
from trindi.server.supervisor import RESTART_DELAY, Supervisor
from trindi.server.upstream import LocalUpstream, Upstream
from trindi.transport import BOUND, DEFAULT_RUNTIME, HIGH_WATER, Runtime, unblocked_log

if TYPE_CHECKING:
    from trindi.driver import IPyDriver


_SERVERS: Final[WeakKeyDictionary[IPyDriver | Upstream, ReferenceType[IPyServer]]] = (
    WeakKeyDictionary()
)
"""The server that a driver is in. It can be in one only, until that one has ended."""


class IPyServer:
    """Serves drivers to INDI clients on a TCP port.

    Args:
        drivers: with different device names; more can be added later.
        host: name or address to listen on; all addresses of a name are used, IPv4 and IPv6. A
            link-local address has its interface behind it, as in ``fe80::1%eth0``; ``0.0.0.0``
            stands for all of IPv4, and ``::`` for these and all of IPv6.
        port: 0 takes a free one.
        maxconnections: clients at one time; one more is told so, and closed. Where the server is
            full, a client that has sent nothing in its first minute gives up its place.
        max_restarts: how often a driver that fails is started again before it is left down, and
            its devices are deleted; None: for ever.
        restart_delay: seconds before the first restart; each further one waits twice as long, up
            to a minute.
        high_water: bytes that may wait for a client before it is lagging.
        bound: bytes that may wait for a client, beyond one BLOB, before it is disconnected.
        max_element_bytes: bound of one element without BLOBs that a client sends.
        max_blob_bytes: bound of the BLOBs of one element that a client sends, decoded.
        max_upload_bytes: bound of the BLOBs of all clients together, while they arrive and until
            the driver has handled them.

    Raises:
        TypeError: not drivers, or a number is of the wrong kind.
        ValueError: a device name is in two drivers, a driver is in another server, or a number is
            out of range.
    """

    def __init__(
        self,
        drivers: Iterable[IPyDriver],
        host: str = "localhost",
        port: int = 7624,
        maxconnections: int = MAX_CLIENTS,
        *,
        max_restarts: int | None = None,
        restart_delay: float = RESTART_DELAY,
        high_water: int = HIGH_WATER,
        bound: int = BOUND,
        max_element_bytes: int = MAX_ELEMENT_BYTES,
        max_blob_bytes: int = MAX_BLOB_BYTES,
        max_upload_bytes: int = MAX_UPLOAD_BYTES,
    ) -> None:
        if isinstance(drivers, Mapping) or not isinstance(drivers, Iterable):
            raise TypeError("drivers is a list of IPyDriver instances: write IPyServer([driver])")
        self.host = host
        self._port = check_count("port", port, 0, 65535)
        self._hub = Hub()
        self._supervisor = Supervisor(
            self._hub, max_restarts=max_restarts, restart_delay=restart_delay
        )
        limits = ClientLimits(
            high_water, bound, max_element_bytes, max_blob_bytes, max_upload_bytes
        )
        most = check_count("maxconnections", maxconnections, 1)
        self._clients = Clients(self._hub, most, limits)
        self._nursery: trio.Nursery | None = None
        self._serving = False
        self._addresses: tuple[tuple[str, int], ...] = ()
        try:
            for driver in drivers:
                self.add_driver(driver)
        except BaseException:
            self._release_upstreams()
            raise

    @property
    def drivers(self) -> tuple[IPyDriver, ...]:
        """The drivers in this process."""
        upstreams = self._hub.upstreams
        return tuple(one.driver for one in upstreams if isinstance(one, LocalUpstream))

    @property
    def maxconnections(self) -> int:
        """Clients at one time."""
        return self._clients.most

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each listening socket, while it runs."""
        return self._addresses

    @property
    def port(self) -> int:
        """The port it listens on, or will."""
        return self._addresses[0][1] if self._addresses else self._port

    # Upstreams ---------------------------------------------------------------------------------

    def add_driver(self, driver: IPyDriver) -> None:
        """Add a driver; where the server runs, it is started at once. Never blocks.

        Raises:
            TypeError: it is no driver.
            ValueError: the server has one of its devices already, or another server has the driver.
            RuntimeError: the driver is running already.
        """
        self.add_upstream(LocalUpstream(driver))

    def add_upstream(self, upstream: Upstream) -> None:
        """Add an upstream of any kind; where the server runs, it is started at once. Never blocks.

        Raises:
            ValueError: the server has one of its devices already, or another server has it.
            RuntimeError: the upstream is running already.
        """
        self._check_free(upstream)
        if self._nursery is not None:
            _check_idle(upstream)
        self._hub.add_upstream(upstream)
        _SERVERS[_subject(upstream)] = ref(self)
        if self._nursery is not None:
            self._supervisor.start(self._nursery, upstream)

    async def remove(self, upstream: IPyDriver | Upstream) -> None:
        """End a driver or another upstream, withdraw its devices, and forget it.

        Returns once its tasks have ended. A cancellation of the caller does not stop the removal.

        Raises:
            ValueError: the server does not have it.
        """
        found = self._find(upstream)
        try:
            await self._supervisor.remove(found)
        finally:
            self._release(found)

    def _check_free(self, upstream: Upstream) -> None:
        server = _SERVERS.get(_subject(upstream), _nothing)()
        if server is not None and server is not self:
            raise ConfigurationError(
                f"{upstream.name} is in another server: make one for each, or end that server first"
            )

    def _claim_upstreams(self) -> None:
        for upstream in self._hub.upstreams:
            self._check_free(upstream)
            _check_idle(upstream)
        for upstream in self._hub.upstreams:
            _SERVERS[_subject(upstream)] = ref(self)

    def _release_upstreams(self) -> None:
        for upstream in self._hub.upstreams:
            self._release(upstream)

    def _release(self, upstream: Upstream) -> None:
        if _SERVERS.get(_subject(upstream), _nothing)() is self:
            del _SERVERS[_subject(upstream)]

    def _find(self, wanted: IPyDriver | Upstream) -> Upstream:
        for upstream in self._hub.upstreams:
            if wanted is upstream or wanted is _subject(upstream):
                return upstream
        raise ValueError(f"the server does not have {wanted!r}")

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
            runtime: a test's time, threads and way with errors differ from an observatory's.
            task_status: started with the server itself, once it listens and its drivers run;
                `port` and `addresses` say where.

        Raises:
            OSError: the port is in use, or the host has no such address.
            ValueError: one of its drivers is in another server by now.
            RuntimeError: the server, or one of its drivers, is running already.
            ExceptionGroup: what a driver raised, where exceptions are not to be contained.
        """
        if self._nursery is not None:
            raise RuntimeError("the server is running already")
        self._claim_upstreams()
        listeners: list[PatientListener] = []
        self._hub.runtime = self._clients.runtime = runtime
        try:
            if listen:
                listeners = await open_listeners(self.host, self._port)
            # Kept, because the sockets are closed before the last driver has ended.
            self._addresses = tuple(listener.address for listener in listeners)
            with unblocked_log():
                async with trio.open_nursery() as nursery:
                    self._nursery = nursery
                    # What learns its devices may take long to start, and is there when it is there.
                    starting = [
                        (upstream, self._supervisor.start(nursery, upstream))
                        for upstream in self._hub.upstreams
                    ]
                    for upstream, has_started in starting:
                        if not upstream.learns_devices:
                            await has_started.wait()
                    if listeners:
                        nursery.start_soon(self._clients.disconnect_vanished)
                        serve: Any = partial(
                            trio.serve_listeners, self._clients.serve_socket, listeners
                        )
                        await nursery.start(serve)
                    self._serving = True
                    task_status.started(self)
                    await trio.sleep_forever()
        finally:
            self._nursery = None
            self._serving = False
            self._addresses = ()
            for listener in listeners:
                listener.socket.close()
            self._clients.close_streams()
            self._release_upstreams()

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
        if not self._serving:
            raise RuntimeError("the server is not running: start it first")
        await self._clients.serve_stream(stream, name)

    def statistics(self) -> ServerStatistics:
        """Return the figures of the server now: clients, queues, drops, events, restarts."""
        clients = tuple(client.statistics() for client in self._clients)
        drivers = tuple(upstream.statistics() for upstream in self._hub.upstreams)
        left = self._clients.left
        return ServerStatistics(
            clients=clients,
            drivers=drivers,
            turned_away=left.turned_away,
            queue_bytes=sum(client.queue_bytes for client in clients),
            drops=left.drops + sum(client.drops for client in clients),
            events_in=left.events_in + sum(client.events_in for client in clients),
            events_out=left.events_out + sum(client.events_out for client in clients),
            restarts=sum(driver.restarts for driver in drivers),
        )


def _subject(upstream: Upstream) -> IPyDriver | Upstream:
    """Return what its author has made: each server makes an upstream of its own for a driver."""
    return upstream.driver if isinstance(upstream, LocalUpstream) else upstream


def _nothing() -> None:
    """Stand for the reference to a server that there is not."""


def _check_idle(upstream: Upstream) -> None:
    if upstream.running:
        raise RuntimeError(f"{upstream.name} is running already")
