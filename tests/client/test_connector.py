"""Connecting, reconnecting, half-open connections, and the end of the client."""

from __future__ import annotations

import errno
import itertools
import logging
import math
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.kit.client import blobs, joined, numbers, report, texts
from tests.kit.peers import Server, of
from tests.kit.processes import free_port
from tests.kit.server import Bench, start
from trindi import (
    BLOBPolicy,
    ConfigurationError,
    IPyClient,
    Message,
    NotConnected,
    enableBLOB,
    getProperties,
    newNumberVector,
)
from trindi.client import progress_stream
from trindi.client.connector import MAX_RECONNECT_DELAY, PROVEN, RECONNECT_DELAY
from trindi.client.server_connection import IDLE, PING_DEADLINE
from trindi.protocol import pingReply, pingRequest
from trindi.transport import rawio
from trindi.transport.connection import SEND_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from trio.testing import MockClock

    from trindi.protocol import Event


class Servers:
    """Servers that accept or refuse a client, one after another."""

    def __init__(self) -> None:
        self.refuse = 0
        self.attempts: list[float] = []
        self._send, self._receive = trio.open_memory_channel[Server](math.inf)

    async def connect(self) -> trio.abc.Stream:
        self.attempts.append(trio.current_time())
        if self.refuse:
            self.refuse -= 1
            raise ConnectionRefusedError(errno.ECONNREFUSED, "nobody is there")
        near, far = trio.testing.memory_stream_pair()
        self._send.send_nowait(Server(far))
        return near

    async def next(self) -> Server:
        return await self._receive.receive()

    def waits(self) -> list[float]:
        """Seconds between one attempt to connect and the next."""
        return [late - early for early, late in itertools.pairwise(self.attempts)]

    def client(self, **options: Any) -> IPyClient:
        return IPyClient(connect=self.connect, reconnect=True, **options)


# Connecting ------------------------------------------------------------------------------------


async def test_a_client_connects_to_a_server(nursery: trio.Nursery) -> None:
    server = await start(nursery, Bench())
    made = IPyClient("127.0.0.1", server.port)
    assert not made.connected
    client = await nursery.start(made.run)
    assert client is made
    assert client.connected
    await client.wait_settled()
    assert list(client) == ["Bench"]
    assert client["Bench"]["target"]["x"] == 7.0


async def test_the_default_host_is_localhost(nursery: trio.Nursery) -> None:
    server = await start(nursery, Bench(), host="localhost")
    client = await nursery.start(IPyClient(port=server.port).run)
    await client.wait_defined("Bench")
    assert IPyClient().port == 7624


async def test_a_refused_connection_is_an_error() -> None:
    port = free_port()
    client = IPyClient("127.0.0.1", port)
    said = f"cannot connect to 127.0.0.1:{port}: Connection refused"
    with pytest.raises(ConnectionRefusedError) as raised:
        await client.run()
    assert raised.value.strerror == said
    # Not the group of all attempts.
    assert (raised.value.__cause__, raised.value.__suppress_context__) == (None, True)
    with pytest.raises(NotConnected) as ended:
        await client.wait_settled()
    assert str(ended.value) == f"the client has ended: {said}"


@pytest.mark.parametrize(
    ("ask_for", "asked"),
    [
        ((), [getProperties()]),
        (["A", ("B", "v"), ("C", None)], [getProperties(*p) for p in ("A", "Bv", "C")]),
    ],
    ids=["everything", "some"],
)
async def test_a_connection_begins_with_what_is_asked_for(ask_for: Any, asked: list[Any]) -> None:
    near, far = trio.testing.memory_stream_pair()
    server = Server(far)
    async with trio.open_nursery() as nursery:
        await nursery.start(IPyClient(ask_for=ask_for).run_on, near)
        assert await server.greet() == asked
        nursery.cancel_scope.cancel()


def test_bad_values_of_ask_for_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"ask_for=\['Dev'\]"):
        IPyClient(ask_for="Dev")
    nothing: Any = [(None, "target")]
    with pytest.raises(ConfigurationError, match="name the device of 'target'"):
        IPyClient(ask_for=nothing)
    with pytest.raises(TypeError, match="pairs of device and property, not 3"):
        IPyClient(ask_for=[3])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reconnect": True, "reconnect_delay": -1}, "reconnect_delay is a number of seconds"),
        ({"reconnect": True, "reconnect_delay": 0}, "reconnect_delay is above 0"),
        ({"reconnect": True, "max_delay": -1}, "max_delay is a number of seconds"),
        ({"port": 0}, "port is at least 1"),
        ({"port": 65536}, "port is at most 65535"),
        ({"max_element_bytes": 0}, "max_element_bytes is at least 1, not 0"),
        ({"max_blob_bytes": -1}, "max_blob_bytes is at least 0"),
        ({"max_mirror_bytes": -1}, "max_mirror_bytes is at least 0"),
    ],
)
def test_bad_numbers_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        IPyClient(**options)


async def test_more_can_be_asked_for_later(autojump_clock: MockClock) -> None:
    async with joined(client=IPyClient(ask_for=["Dev"])) as (client, server):
        await client.get_properties("Other", "v")
        assert await server.next(getProperties) == getProperties("Other", "v")
        with pytest.raises(ConfigurationError, match="name the device"):
            await client.get_properties(None, "v")


async def test_requests_made_before_connecting_are_sent_on_connecting(
    autojump_clock: MockClock,
) -> None:
    client = IPyClient(ask_for=["Dev"])
    await client.get_properties("Other")
    await client.enable_blobs("Dev")
    near, far = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        await nursery.start(client.run_on, near)
        assert await Server(far).greet() == [
            getProperties("Dev"),
            getProperties("Other"),
            enableBLOB("Dev", None, BLOBPolicy.ALSO),
        ]
        nursery.cancel_scope.cancel()


async def test_a_client_runs_once_at_a_time(autojump_clock: MockClock) -> None:
    async with joined() as (client, _server):
        near, _far = trio.testing.memory_stream_pair()
        with pytest.raises(RuntimeError, match="running already"):
            await client.run_on(near)
        assert client.connected


async def test_a_client_can_be_run_again(autojump_clock: MockClock) -> None:
    client = IPyClient()
    for value in (1.0, 2.0):
        async with joined(numbers({"x": value}), client=client) as (same, _server):
            assert same is client
            assert (await client.wait_defined("Dev", "target"))["x"] == value


def test_the_repr_of_a_client() -> None:
    assert repr(IPyClient()) == "<IPyClient of no devices yet, not connected>"
    one, other = IPyClient(), IPyClient()
    assert one != other
    assert len({one, other}) == 2


async def test_an_unknown_device_is_a_key_error(autojump_clock: MockClock) -> None:
    with pytest.raises(KeyError, match="no device 'Dev', nor any other"):
        IPyClient()["Dev"]
    async with joined(numbers()) as (client, _server):
        assert repr(client) == "<IPyClient of Dev>"
        with pytest.raises(KeyError, match="no device 'Other', only Dev"):
            client["Other"]


# Ending ----------------------------------------------------------------------------------------


async def test_run_returns_when_the_server_closes(autojump_clock: MockClock) -> None:
    near, far = trio.testing.memory_stream_pair()
    server, client = Server(far), IPyClient()
    async with trio.open_nursery() as nursery:
        await nursery.start(client.run_on, near)
        await server.greet(numbers())
        await server.aclose()
    assert not client.connected
    # The last known values stay.
    assert client["Dev"]["target"]["x"] == 1.0
    assert client["Dev"].stale


async def test_cancelling_closes_the_stream(autojump_clock: MockClock) -> None:
    async with joined() as (client, server):
        pass
    assert await server.receive() is None
    assert not client.connected


async def test_waits_end_with_the_client(autojump_clock: MockClock) -> None:
    failed: list[str] = []

    async def expect(wait: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(NotConnected) as caught:
            await wait()
        failed.append(str(caught.value))

    async with joined(numbers()) as (client, server):
        vector = client["Dev"]["target"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(expect, partial(client.wait_for, "Dev", "other"))
            nursery.start_soon(expect, partial(client.wait_defined, "Other"))
            nursery.start_soon(expect, partial(client.wait_state, "Dev", "target", "Ok"))
            nursery.start_soon(expect, partial(vector.set_and_wait, x=5))
            nursery.start_soon(expect, client.wait_settled)
            await trio.testing.wait_all_tasks_blocked()
            await server.aclose()
        assert len(failed) == 5
        assert all("the server has closed the connection" in text for text in failed)
        # Later calls fail likewise.
        for wait in (
            partial(client.wait_for, "Dev", "target"),
            partial(vector.set, x=5),
            partial(vector.set_and_wait, x=5),
            client.wait_settled,
            client.wait_connected,
        ):
            await expect(wait)
        assert all("the server has closed the connection" in text for text in failed)


async def test_nothing_can_be_set_before_there_is_a_connection() -> None:
    client = IPyClient()
    async with joined(numbers()) as (other, _server):
        vector = other["Dev"]["target"]
    with pytest.raises(NotConnected, match="the client was stopped"):
        await vector.set(x=1)
    with pytest.raises(KeyError):
        await client.set("Dev", "target", {"x": 1})


# Reconnecting -------------------------------------------------------------------------------


async def test_a_lost_connection_is_replaced(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    servers = Servers()
    client = await nursery.start(servers.client(ask_for=["Dev"]).run)
    first = await servers.next()
    assert await first.greet(numbers({"x": 1.0}), blobs()) == [getProperties("Dev")]
    vector = await client.wait_defined("Dev", "target")
    await client.get_properties("Other")
    await client.enable_blobs("Dev", "image")
    await client.enable_blobs("Cam", None, "Only")
    await trio.testing.wait_all_tasks_blocked()
    await first.aclose()
    second = await servers.next()
    assert vector.stale
    assert vector["x"] == 1.0
    with trio.move_on_after(5) as waiting:
        await client.wait_for("Dev", "target", lambda vector: vector["x"] == 1.0)
    assert waiting.cancelled_caught
    assert await second.greet(numbers({"x": 2.0})) == [
        getProperties("Dev"),
        getProperties("Other"),
        enableBLOB("Dev", "image", BLOBPolicy.ALSO),
        enableBLOB("Cam", None, BLOBPolicy.ONLY),
    ]
    await client.wait_for("Dev", "target", lambda vector: vector["x"] == 2.0)
    assert not vector.stale
    # It has not been defined again.
    assert client["Dev"]["image"].stale


async def test_waits_go_on_over_a_lost_connection(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    servers = Servers()
    client = await nursery.start(servers.client().run)
    waited: list[Any] = []

    async def wait(wait_for: Callable[[], Awaitable[object]]) -> None:
        waited.append(await wait_for())

    events = client.events()
    nursery.start_soon(wait, partial(client.wait_for, "Dev", "target"))
    nursery.start_soon(wait, client.wait_settled)
    nursery.start_soon(wait, events.__anext__)
    first = await servers.next()
    await trio.testing.wait_all_tasks_blocked()
    await first.aclose()
    second = await servers.next()
    assert waited == []
    await second.greet(numbers())
    await second.pong(all_sent=True)
    await trio.testing.wait_all_tasks_blocked()
    assert len(waited) == 3


async def test_a_request_without_an_answer_is_lost_with_the_connection(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    servers = Servers()
    client = await nursery.start(servers.client().run)
    first = await servers.next()
    await first.greet(numbers())
    vector = await client.wait_defined("Dev", "target")
    async with trio.open_nursery() as within:

        async def set_it() -> None:
            with pytest.raises(NotConnected, match="target was not answered: the server has clo"):
                await vector.set_and_wait(x=5)

        within.start_soon(set_it)
        await first.next(newNumberVector)
        await first.aclose()
    with pytest.raises(NotConnected, match="the server has closed"):
        await vector.set(x=5)
    await client.wait_connected()
    # The property may have changed in between.
    with pytest.raises(NotConnected, match="wait until it is defined again with wait_defined"):
        await vector.set(x=5)
    second = await servers.next()
    await second.greet(numbers())
    assert await client.wait_defined("Dev", "target") is vector
    await vector.set(x=5)
    assert (await second.next(newNumberVector))["x"] == 5


async def test_the_delays_between_attempts_grow(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    servers = Servers()
    servers.refuse = 9
    client = await nursery.start(servers.client().run)
    assert client.connected
    waits = [
        late - early for early, late in zip(servers.attempts, servers.attempts[1:], strict=False)
    ]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert (RECONNECT_DELAY, MAX_RECONNECT_DELAY) == (1, 60)


async def test_the_longest_delay_can_be_set(
    nursery: trio.Nursery, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    servers = Servers()
    servers.refuse = 5
    with caplog.at_level(logging.WARNING, "trindi.client"):
        await nursery.start(servers.client(max_delay=3).run)
        assert servers.waits() == [1, 2, 3, 3, 3]
        # One warning, and not one for each attempt.
        assert caplog.messages == ["the server: nobody is there"]
        await (await servers.next()).aclose()
        await servers.next()
    assert len(caplog.messages) == 2


async def test_a_first_delay_above_the_longest_stays(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    servers = Servers()
    servers.refuse = 3
    await nursery.start(servers.client(reconnect_delay=100).run)
    assert servers.waits() == [100, 100, 100]


async def test_a_client_that_reconnects_says_why_it_is_not_connected(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    servers = Servers()
    client = servers.client(reconnect_delay=10)
    await nursery.start(client.run)
    assert client.lost == ""
    servers.refuse = 1
    server = await servers.next()
    await server.greet()
    await server.aclose()
    await trio.sleep(1)
    assert client.lost == "the server has closed the connection"
    await trio.sleep(10)
    assert client.lost == "nobody is there"
    await servers.next()
    assert client.lost == ""


async def test_a_server_that_closes_at_once_is_connected_to_more_and_more_seldom(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    servers = Servers()
    await nursery.start(servers.client(reconnect_delay=0.5).run)
    for _ in range(5):
        await (await servers.next()).aclose()
    await servers.next()
    waits = [
        late - early for early, late in zip(servers.attempts, servers.attempts[1:], strict=False)
    ]
    assert waits == [0.5, 1, 2, 4, 8]


async def test_after_a_long_connection_the_delay_is_short_again(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    servers = Servers()
    servers.refuse = 5
    await nursery.start(servers.client().run)
    server = await servers.next()
    await trio.sleep(PROVEN)
    await server.aclose()
    server = await servers.next()
    assert servers.attempts[-1] - servers.attempts[-2] == PROVEN + RECONNECT_DELAY
    # After a short one it is not.
    await trio.sleep(0.9 * PROVEN)
    await server.aclose()
    await servers.next()
    assert servers.attempts[-1] - servers.attempts[-2] == 0.9 * PROVEN + 2 * RECONNECT_DELAY


async def test_events_go_on_over_connections_and_end_with_the_client(
    autojump_clock: MockClock,
) -> None:
    servers, seen = Servers(), list[Any]()
    client = servers.client()
    events = client.events("Dev")
    async with trio.open_nursery() as nursery:
        await nursery.start(client.run)
        for value in (1.0, 2.0):
            server = await servers.next()
            await server.greet(numbers({"x": value}))
            await trio.testing.wait_all_tasks_blocked()
            await server.aclose()
        await servers.next()
        nursery.cancel_scope.cancel()
    async for event in events:
        seen.append(event)
    assert [event["x"] for event in seen] == [1.0, 2.0]
    assert [event async for event in client.events()] == []


# Half-open connections ---------------------------------------------------------------------------


async def test_a_silent_server_is_pinged_and_given_up(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    servers = Servers()
    client = await nursery.start(servers.client().run)
    dead = await servers.next()
    await dead.greet(numbers())
    # It answers one ping, and no other.
    await trio.testing.wait_all_tasks_blocked()
    before = trio.current_time()
    ping = await dead.next(pingRequest)
    await dead.send(pingReply(ping.uid))
    assert trio.current_time() - before == IDLE
    await servers.next()
    assert trio.current_time() - before == pytest.approx(
        2 * IDLE + 2 * PING_DEADLINE + RECONNECT_DELAY, abs=PING_DEADLINE
    )
    assert await dead.receive() is not None
    assert await dead.receive() is None
    assert client.connected


async def test_a_client_that_ended_says_why(autojump_clock: MockClock) -> None:
    near, far = trio.testing.memory_stream_pair()
    server, client = Server(far), IPyClient()
    async with trio.open_nursery() as nursery:
        await nursery.start(client.run_on, near)
        await server.greet(numbers())
    with pytest.raises(NotConnected, match="the server was silent, and did not answer in 30 s"):
        await client.wait_settled()


@pytest.mark.parametrize("pings", [True, False], ids=["answers pings", "does not"])
async def test_a_server_that_sends_is_not_given_up(autojump_clock: MockClock, pings: bool) -> None:
    async with joined(numbers()) as (client, server):
        for _ in range(20):
            await trio.sleep(IDLE - 1)
            await server.send(report() if pings else Message(None, "hello"))
        assert client.connected
        greeted = len(server.heard)
        await server.read_for(1)
        assert of(server.heard[greeted:], pingRequest) == []


async def test_a_server_that_does_not_answer_pings_is_not_given_up(
    autojump_clock: MockClock,
) -> None:
    near, far = trio.testing.memory_stream_pair()
    server = Server(far)
    async with trio.open_nursery() as nursery:
        client = await nursery.start(IPyClient().run_on, near)
        await server.send(numbers())
        await trio.sleep(20 * IDLE)
        assert client.connected
        nursery.cancel_scope.cancel()


async def test_a_server_that_answers_late_is_not_given_up(autojump_clock: MockClock) -> None:
    async with joined(numbers()) as (client, server):
        for _ in range(3):
            ping = await server.next(pingRequest)
            await trio.sleep(PING_DEADLINE - 1)
            await server.send(pingReply(ping.uid))
        await trio.sleep(1)
        assert client.connected


@asynccontextmanager
async def joined_in_lockstep(*, pings: bool = True) -> AsyncIterator[tuple[IPyClient, Server]]:
    """Join a client and a server; what the client sends waits until the server reads."""
    to_client, from_server = trio.testing.memory_stream_one_way_pair()
    to_server, from_client = trio.testing.lockstep_stream_one_way_pair()
    near = trio.StapledStream(to_server, from_server)
    server = Server(trio.StapledStream(to_client, from_client))
    async with trio.open_nursery() as nursery:
        client = await nursery.start(IPyClient().run_on, near)
        ping = await server.next(pingRequest)
        await server.send(numbers(), texts(), *([pingReply(ping.uid)] if pings else ()))
        await client.wait_defined("Dev", "target")
        yield client, server
        nursery.cancel_scope.cancel()


async def test_a_server_that_sends_but_does_not_read_is_not_given_up(
    autojump_clock: MockClock,
) -> None:
    async with joined_in_lockstep() as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(partial(client["Dev"]["target"].set, x=5))
        for _ in range(20):
            await trio.sleep(0.9 * IDLE)
            await server.send(report())
        assert client.connected
        assert (await server.next(newNumberVector))["x"] == 5


async def test_a_server_that_reads_slowly_is_not_given_up(autojump_clock: MockClock) -> None:
    async with joined_in_lockstep() as (client, server), trio.open_nursery() as nursery:
        # One request takes far longer than the deadline of a silent server.
        nursery.start_soon(partial(client["Dev"]["note"].set, a="x" * SEND_BYTES))
        await trio.testing.wait_all_tasks_blocked()
        while nursery.child_tasks:
            await trio.sleep(0.9 * PING_DEADLINE)
            await server.stream.receive_some(2 * SEND_BYTES)
            await trio.testing.wait_all_tasks_blocked()
        assert trio.current_time() > 2 * (IDLE + PING_DEADLINE)
        assert client.connected


@pytest.mark.parametrize("pings", [True, False], ids=["answers pings", "does not"])
async def test_a_server_that_neither_reads_nor_sends_is_given_up(
    autojump_clock: MockClock, pings: bool
) -> None:
    failed: list[str] = []

    async def expect(wait: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(NotConnected) as caught:
            await wait()
        failed.append(str(caught.value))

    async with joined_in_lockstep(pings=pings) as (client, _server):
        vector = client["Dev"]["target"]
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for wait in (
                partial(vector.set, x=5),
                partial(vector.set_and_wait, x=6),
            ):
                nursery.start_soon(expect, wait)
            # The next connection, if there is one, asks again.
            nursery.start_soon(client.enable_blobs, "Dev")
            nursery.start_soon(
                client.wait_settled if not pings else partial(expect, client.wait_settled)
            )
        assert trio.current_time() - began == IDLE + PING_DEADLINE
        assert not client.connected
        assert all("took nothing in 30 s" in text for text in failed)


# A line of which the system tells what has arrived -----------------------------------------------


class SlowLine:
    """A socket whose buffer takes much at once, and empties slowly; `waits` in the beginning."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, waits: int, rate: float) -> None:
        self.ends = math.inf
        self._waits = waits
        self._rate = rate
        for module in (rawio, progress_stream):
            monkeypatch.setattr(module, "unacknowledged", self.unacknowledged)

    def unacknowledged(self, _stream: trio.abc.Stream) -> int:
        arrived = self._rate * min(trio.current_time(), self.ends)
        return max(0, self._waits - int(arrived))

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[tuple[IPyClient, Server]]:
        here, there = map(trio.SocketStream, trio.socket.socketpair())
        async with here, there, trio.open_nursery() as nursery:
            client = await nursery.start(IPyClient().run_on, here)
            server = Server(there)
            await server.greet(numbers(), texts())
            await client.wait_defined("Dev", "note")
            yield client, server
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("queued", [True, False], ids=["much is queued", "all is in the buffer"])
async def test_a_line_that_moves_slowly_is_not_given_up(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, queued: bool
) -> None:
    # The socket is not writable for an hour: its buffer takes as long.
    line = SlowLine(monkeypatch, waits=3_600_000, rate=1000)
    async with line.joined() as (client, _server), trio.open_nursery() as nursery:
        size = 900_000 if queued else 10
        nursery.start_soon(partial(client["Dev"]["note"].set, a="x" * size))
        await trio.sleep(3600)
        assert client.connected
        assert bool(nursery.child_tasks) is queued
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("queued", [True, False], ids=["much is queued", "all is in the buffer"])
async def test_a_line_that_has_stopped_is_given_up(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch, queued: bool
) -> None:
    line = SlowLine(monkeypatch, waits=3_600_000, rate=1000)
    line.ends = 600
    async with line.joined() as (client, _server):
        if not queued:
            await client["Dev"]["note"].set(a="x")
        with pytest.raises(NotConnected, match="the server was silent, and took nothing in 30 s"):
            await client["Dev"]["note"].set_and_wait(a="x" * (900_000 if queued else 10))
        assert 600 < trio.current_time() <= 600 + IDLE + 2 * PING_DEADLINE


# Being turned away -----------------------------------------------------------------------------


FULL = "the server has its 100 clients already"


async def lost_after(*said: Event) -> str:
    """Why the connection was lost to a server that says this and leaves."""
    near, far = trio.testing.memory_stream_pair()
    client, server = IPyClient(), Server(far)
    async with trio.open_nursery() as nursery:
        await nursery.start(client.run_on, near)
        await server.send(*said)
        await server.aclose()
    with pytest.raises(NotConnected) as raised:
        await client.wait_settled()
    assert str(raised.value) == f"the client has ended: {client.lost}"
    return client.lost


async def test_a_client_that_is_turned_away_says_why(autojump_clock: MockClock) -> None:
    assert await lost_after(Message(None, f"[ERROR] {FULL}")) == FULL
    assert await lost_after(Message(None, "[ERROR] no"), Message(None, f"[ERROR] {FULL}")) == FULL
    assert await lost_after(Message(None, "[ERROR] on\n two  lines")) == "on two lines"


@pytest.mark.parametrize(
    "said",
    [
        [],
        [Message(None, "welcome")],
        [Message(None, "[WARNING] the roof is open")],
        [Message("Dev", "[ERROR] the shutter is stuck")],
        [numbers(), Message(None, "[ERROR] the shutter is stuck")],
        [Message(None, "[ERROR] the shutter is stuck"), numbers()],
        [Message(None, "[ERROR]")],
    ],
    ids=["nothing", "no level", "no error", "of a device", "too late", "too early", "no text"],
)
async def test_other_messages_are_no_reason(autojump_clock: MockClock, said: list[Event]) -> None:
    assert await lost_after(*said) == "the server has closed the connection"


async def test_a_full_server_says_so_to_a_client(nursery: trio.Nursery) -> None:
    server = await start(nursery, Bench(), maxconnections=1)
    first = await nursery.start(IPyClient("127.0.0.1", server.port).run)
    await first.wait_settled()
    assert first.lost == ""
    second = IPyClient("127.0.0.1", server.port)
    assert second.lost == ""
    await second.run()
    assert second.lost == "the server has its 1 clients already"
