"""Clients on streams that are no sockets, a server that does not listen, a test's runtime."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.kit.peers import Client
from tests.kit.server import Bench
from trindi import IPyServer, Message, newNumberVector, setNumberVector
from trindi.driver.property_queue import PROPERTY_QUEUE
from trindi.protocol import BLOBPolicy, defNumberVector, enableBLOB
from trindi.server.clients import SILENCE
from trindi.transport import DEFAULT_RUNTIME, Runtime
from trindi.transport.connection import KEEPALIVE, LINGER

if TYPE_CHECKING:
    from trio.testing import MockClock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

ACCEPTED = PROPERTY_QUEUE + 1
"""Requests of one client that a property takes while its handler is stuck on the first one."""


class Failing(Bench):
    """Its hardware fails after a second."""

    async def hardware(self) -> None:
        await trio.sleep(1)
        raise OSError("the cable is out")


async def start(
    nursery: trio.Nursery, *drivers: Any, runtime: Runtime = DEFAULT_RUNTIME, **options: Any
) -> IPyServer:
    server: IPyServer = await nursery.start(
        partial(IPyServer(drivers, **options).run, listen=False, runtime=runtime)
    )
    return server


def join(nursery: trio.Nursery, server: IPyServer, name: str = "a stream") -> Client:
    ours, theirs = trio.testing.lockstep_stream_pair()
    nursery.start_soon(partial(server.serve_stream, theirs, name=name))
    return Client(ours)


async def test_a_server_need_not_listen(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    server = await start(nursery, Bench())
    assert server.addresses == ()
    client = join(nursery, server, "the lab")
    await client.subscribe()
    await client.send(newNumberVector("Bench", "target", {"x": 12.0}))
    answer = await client.next(setNumberVector, "target")
    assert (answer.message, answer["x"]) == ("[INFO] taken", 12.0)
    assert [one.peer for one in server.statistics().clients] == ["the lab"]
    await client.aclose()
    await trio.testing.wait_all_tasks_blocked()
    assert server.statistics().clients == ()


async def test_a_client_on_a_stream_joins_those_on_sockets(nursery: trio.Nursery) -> None:
    server = await nursery.start(IPyServer([Bench()], "127.0.0.1", 0, maxconnections=2).run)
    one = join(nursery, server)
    other = Client(await trio.open_tcp_stream(*server.addresses[0]))
    async with other.stream:
        for client in (one, other):
            await client.subscribe("Bench", "target")
        await other.send(newNumberVector("Bench", "target", {"x": 12.0}))
        assert (await one.next(setNumberVector))["x"] == 12.0


async def test_one_more_than_the_bound_is_turned_away(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server = await start(nursery, Bench(), maxconnections=1)
    await join(nursery, server).subscribe()
    events = await join(nursery, server).rest()
    assert [type(event) for event in events] == [Message]
    assert server.statistics().turned_away == 1


async def test_it_ends_with_the_server(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as guests:
        async with trio.open_nursery() as nursery:
            server = await start(nursery, Bench())
            client = join(guests, server)
            await client.subscribe()
            nursery.cancel_scope.cancel()
        assert await client.rest() == []
    with pytest.raises(RuntimeError, match="not running"):
        await server.serve_stream(trio.testing.lockstep_stream_pair()[0])


async def test_a_server_that_listens_ends_its_guests_as_well(nursery: trio.Nursery) -> None:
    async with trio.open_nursery() as inner:
        server = await inner.start(IPyServer([Bench()], "127.0.0.1", 0).run)
        client = join(nursery, server)
        await client.subscribe()
        inner.cancel_scope.cancel()
    assert await client.rest() == []


async def test_cancelled_it_closes_the_stream(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        server = await start(nursery, Bench())
        async with trio.open_nursery() as guests:
            client = join(guests, server)
            await client.subscribe()
            guests.cancel_scope.cancel()
        assert await client.rest() == []
        assert server.statistics().clients == ()
        await join(nursery, server).subscribe()
        nursery.cancel_scope.cancel()


async def restarts(runtime: Runtime) -> int:
    """How often a failing driver is started again in a minute."""
    async with trio.open_nursery() as nursery:
        server = await start(nursery, Failing(), runtime=runtime)
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    return server.statistics().restarts


async def test_a_failing_driver_is_started_again_unless_that_is_not_wanted(
    autojump_clock: MockClock,
) -> None:
    assert await restarts(DEFAULT_RUNTIME) > 1
    with pytest.raises(ExceptionGroup) as raised:
        await restarts(Runtime(contain_errors=False))
    assert raised.group_contains(OSError, match="the cable is out")


async def test_a_fault_in_serving_a_client_shows_too(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            server = await start(nursery, Bench(), runtime=Runtime(contain_errors=False))
            await server.serve_stream(trio.testing.lockstep_stream_pair()[0])

    monkeypatch.setattr("trindi.transport.Connection.run", fail)
    with pytest.raises(ExceptionGroup) as raised:
        await main()
    assert raised.group_contains(RuntimeError, match="a fault of ours")


async def fail(_connection: Any, _handler: Any) -> None:
    await trio.lowlevel.checkpoint()
    raise RuntimeError("a fault of ours")


async def test_the_time_of_day_is_that_of_its_conditions(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    runtime = Runtime(now=lambda: NOON)
    server = await start(nursery, Failing(), runtime=runtime, maxconnections=1)
    client = join(nursery, server)
    await client.subscribe()
    turned_away = await join(nursery, server).next(Message)
    assert turned_away.timestamp == NOON
    await trio.sleep(1.5)
    await client.send(newNumberVector("Bench", "target", {"x": 12.0}))
    for reason in ("has failed", "not running"):
        excuse = await client.next(Message)
        assert reason in excuse.message
        assert excuse.timestamp == NOON
    again = await client.next(defNumberVector, "target")
    assert again.timestamp == NOON


async def test_a_client_that_has_never_spoken_gives_up_its_place_when_the_server_is_full(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server = await start(nursery, Bench(), maxconnections=3)
    pinger, listener = join(nursery, server), join(nursery, server)
    await pinger.sync()
    # As KStars' connection for a BLOB: it asks once, and then only listens.
    await listener.send(enableBLOB("Bench", "frame", BLOBPolicy.ONLY))
    silent = join(nursery, server)
    await silent.send(b"<!-- hello -->")
    await trio.sleep(SILENCE - 1)
    assert "has its 3 clients" in str(await join(nursery, server).rest())
    await trio.sleep(1)
    late = join(nursery, server)
    await late.subscribe()
    assert "has sent nothing in 60 s" in str(await silent.rest())
    await trio.sleep(100)
    # Those who have said anything stay.
    assert "has its 3 clients" in str(await join(nursery, server).rest())
    assert len(server.statistics().clients) == 3
    await pinger.sync()


async def test_clients_that_hang_up_behind_a_stuck_handler_give_up_their_places(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    gate = trio.Event()

    class Slow(Bench):
        async def clientevent(self, event: Any) -> None:
            await gate.wait()
            await super().clientevent(event)

    bench = Slow()
    server = await start(nursery, bench, maxconnections=5)
    requests = [newNumberVector("Bench", "target", {"x": float(number)}) for number in range(80)]
    clients = [join_socket(nursery, server) for _ in range(5)]
    for client in clients:
        await client.send(*requests)
    # One ends its own side only, and waits for its answers.
    *gone, waiting = clients
    await waiting.end_input()
    for client in gone:
        await client.aclose()
    await trio.sleep(KEEPALIVE + LINGER + 1)
    assert len(server.statistics().clients) == 1
    new = join_socket(nursery, server)
    await new.sync()
    # What was accepted is done (§7); what waited for room is not.
    gate.set()
    answers = [await waiting.next(setNumberVector, "target") for _ in range(4 * ACCEPTED + 80)]
    assert [event["x"] for event in answers[-80 + ACCEPTED :]] == list(range(ACCEPTED, 80))
    assert len(bench.asked) == len(answers)
    for client in (waiting, new):
        await client.aclose()


def join_socket(nursery: trio.Nursery, server: IPyServer) -> Client:
    ours, theirs = (
        trio.SocketStream(trio.socket.from_stdlib_socket(one)) for one in socket.socketpair()
    )
    nursery.start_soon(server.serve_stream, theirs)
    return Client(ours)
