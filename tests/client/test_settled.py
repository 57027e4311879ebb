"""When all definitions are here, and how that is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.kit.client import joined, numbers, report, texts
from tests.kit.peers import Client, Server
from tests.kit.processes import DEADLINE
from tests.kit.server import Bench, start
from trindi import Device, IPyClient, IPyDriver, IPyServer, NumberMember, NumberVector, Settled
from trindi.client.server_connection import FIRST_DEFINITION_FACTOR, QUIET_PERIOD
from trindi.protocol import getProperties, pingReply, pingRequest
from trindi.testing import connect, start_server
from trindi.transport.connection import MAX_HELD

if TYPE_CHECKING:
    from trio.testing import MockClock


@pytest.fixture
async def pair(nursery: trio.Nursery) -> tuple[IPyClient, Server]:
    near, far = trio.testing.memory_stream_pair()
    client = await nursery.start(IPyClient().run_on, near)
    return client, Server(far)


async def settle(client: IPyClient, into: list[Any], **options: Any) -> None:
    into.append((await client.wait_settled(**options), trio.current_time()))


async def test_a_trindi_server_settles_by_a_ping(nursery: trio.Nursery) -> None:
    server = await start(nursery, Bench("A"), Bench("B"))
    client = await nursery.start(IPyClient("127.0.0.1", server.port).run)
    assert await client.wait_settled() is Settled.PING
    assert [len(device) for device in client.values()] == [9, 9]
    assert str(Settled.PING) == "ping"


async def test_a_reply_that_all_is_sent_settles(
    pair: tuple[IPyClient, Server], nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    client, server = pair
    settled: list[Any] = []
    nursery.start_soon(settle, client, settled)
    await server.pong()
    asking = await server.next(pingRequest)
    assert asking.after == "getProperties"
    await server.send(numbers())
    # However long it takes.
    await trio.sleep(20 * QUIET_PERIOD)
    await server.send(texts())
    await trio.sleep(20 * QUIET_PERIOD)
    assert settled == []
    await server.send(pingReply(asking.uid, "getProperties"))
    await trio.testing.wait_all_tasks_blocked()
    assert [how for how, _when in settled] == [Settled.PING]


@pytest.mark.parametrize("answered", ["", "enableBLOB"])
async def test_a_plain_reply_does_not_settle(
    pair: tuple[IPyClient, Server], nursery: trio.Nursery, autojump_clock: MockClock, answered: str
) -> None:
    client, server = pair
    settled: list[Any] = []
    nursery.start_soon(settle, client, settled)
    await server.send(numbers())
    for _ in range(2):
        ping = await server.next(pingRequest)
        await server.send(pingReply(ping.uid, answered))
    await trio.sleep(0.9 * QUIET_PERIOD)
    await server.send(numbers(device="Other"))
    await trio.sleep(QUIET_PERIOD - 0.1)
    assert settled == []
    await trio.sleep(0.2)
    assert [how for how, _when in settled] == [Settled.QUIET]
    assert set(client) == {"Dev", "Other"}


async def test_a_reply_to_another_ping_does_not_settle(
    pair: tuple[IPyClient, Server], nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    client, server = pair
    settled: list[Any] = []
    nursery.start_soon(settle, client, settled)
    # Reply to the plain ping at the start, but not to the one that asks.
    first, asking = [await server.next(pingRequest) for _ in range(2)]
    assert (first.after, asking.after) == ("", "getProperties")
    await server.send(pingReply(first.uid, "getProperties"))
    await trio.sleep(20 * QUIET_PERIOD)
    assert settled == []


async def test_a_later_get_properties_is_waited_for_too(autojump_clock: MockClock) -> None:
    async with joined(numbers()) as (client, server), trio.open_nursery() as nursery:
        settled: list[Any] = []
        await client.get_properties("Other")
        nursery.start_soon(settle, client, settled)
        assert await server.next(getProperties) == getProperties("Other")
        await trio.testing.wait_all_tasks_blocked()
        assert settled == []
        await server.send(numbers(device="Other"))
        await server.pong(all_sent=True)
        await trio.testing.wait_all_tasks_blocked()
        assert [how for how, _when in settled] == [Settled.PING]
        assert "Other" in client


async def test_a_server_that_answers_pings_too_early_settles_by_quiet(
    pair: tuple[IPyClient, Server], nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    client, server = pair
    settled: list[Any] = []
    nursery.start_soon(settle, client, settled)
    await server.pong()
    await server.pong()
    began = trio.current_time()
    for number in range(10):
        await trio.sleep(0.9 * QUIET_PERIOD)
        await server.send(numbers(name=f"n{number}"))
        # Reports do not extend the quiet period.
        await trio.sleep(0.05 * QUIET_PERIOD)
        await server.send(report(name=f"n{number}"))
    await trio.sleep(2 * QUIET_PERIOD)
    ((how, when),) = settled
    assert how is Settled.QUIET
    assert when - began == pytest.approx(
        9 * 0.95 * QUIET_PERIOD + 0.9 * QUIET_PERIOD + QUIET_PERIOD
    )
    # From then on its replies do not count.
    settled.clear()
    await client.get_properties()
    nursery.start_soon(settle, client, settled)
    await server.send(numbers(device="Other"))
    await server.pong()
    await trio.sleep(QUIET_PERIOD / 2)
    assert settled == []
    await trio.sleep(QUIET_PERIOD)
    assert [how for how, _when in settled] == [Settled.QUIET]


async def test_a_server_that_never_answers_pings_settles_by_quiet(
    pair: tuple[IPyClient, Server], autojump_clock: MockClock
) -> None:
    client, server = pair
    await server.send(numbers())
    began = trio.current_time()
    assert await client.wait_settled(quiet=3) is Settled.QUIET
    assert trio.current_time() - began == pytest.approx(3)
    # The quiet period is over already.
    assert await client.wait_settled(quiet=3) is Settled.QUIET
    assert trio.current_time() - began == pytest.approx(3)


@pytest.mark.parametrize("pings", [True, False], ids=["answers pings", "does not"])
async def test_the_first_definition_may_take_longer(
    pair: tuple[IPyClient, Server], autojump_clock: MockClock, pings: bool
) -> None:
    client, server = pair
    began = trio.current_time()

    async def answer() -> None:
        for _ in range(2):
            await server.pong()

    async with trio.open_nursery() as nursery:
        if pings:
            nursery.start_soon(answer)
        assert await client.wait_settled() is Settled.QUIET
    assert trio.current_time() - began == pytest.approx(FIRST_DEFINITION_FACTOR * QUIET_PERIOD)


async def test_definitions_after_a_request_are_waited_for(
    pair: tuple[IPyClient, Server], autojump_clock: MockClock
) -> None:
    client, server = pair
    await server.send(numbers())
    await client.wait_settled()
    await client["Dev"]["target"].set(x=5)
    began = trio.current_time()
    await client.wait_settled()
    assert trio.current_time() - began == pytest.approx(QUIET_PERIOD)


async def test_a_server_may_fall_silent_for_ever(
    pair: tuple[IPyClient, Server], autojump_clock: MockClock
) -> None:
    client, server = pair
    await server.greet(numbers())
    with pytest.raises(trio.TooSlowError), trio.fail_after(20):
        await client.wait_settled()


async def test_unanswered_pings_are_bounded(
    pair: tuple[IPyClient, Server], autojump_clock: MockClock
) -> None:
    client, server = pair
    await server.send(numbers())
    await client.wait_settled()
    for _ in range(3000):
        await client.wait_settled()
    await trio.testing.wait_all_tasks_blocked()
    # The oldest is forgotten, and a reply to it does no harm.
    first = await server.next(pingRequest)
    await server.send(pingReply(first.uid), pingReply("of somebody else"), texts())
    await client.wait_defined("Dev", "note")
    assert await client.wait_settled() is Settled.QUIET


class Slow(IPyDriver):
    """Answers getProperties itself, when it has the time."""

    auto_send_def = False
    seconds = 60.0

    async def clientevent(self, event: Any) -> None:
        await trio.sleep(self.seconds)
        await event.vector.send_defVector()


def make_slow(name: str = "Slow") -> Slow:
    vectors = [NumberVector(f"n{n}", numbermembers=[NumberMember("x")]) for n in range(3)]
    return Slow([Device(name, vectors)])


async def test_a_driver_that_defines_its_properties_itself_is_waited_for(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    client = await start_server(nursery, [Bench("A"), make_slow(), Bench("B")], settle=False)
    began = trio.current_time()
    assert await client.wait_settled() is Settled.PING
    assert trio.current_time() - began == 60
    assert [len(device) for device in client.values()] == [9, 9, 3]


async def test_a_client_waits_only_for_the_devices_that_it_asked_for(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server = IPyServer([Bench("A"), make_slow()])
    await start_server(nursery, server, settle=False)
    began = trio.current_time()
    near = connect(nursery, server)
    other = await nursery.start(IPyClient(ask_for=["A"]).run_on, near)
    assert await other.wait_settled() is Settled.PING
    assert trio.current_time() == began


async def test_a_long_request_does_not_delay_settling(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    class Mount(Bench):
        async def clientevent(self, event: Any) -> None:
            await trio.sleep(3600)

    client = await start_server(nursery, [Mount("A")])
    await client["A"]["target"].set(x=5)
    began = trio.current_time()
    assert await client.wait_settled() is Settled.PING
    assert trio.current_time() == began


async def test_a_driver_that_fails_does_not_delay_settling(
    nursery: trio.Nursery, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Slow):
        async def hardware(self) -> None:
            await trio.sleep(5)
            raise OSError("unplugged")

    vectors = [NumberVector("n", numbermembers=[NumberMember("x")])]
    drivers = [Bench("A"), Failing([Device("Slow", vectors)])]
    client = await start_server(nursery, drivers, contain_errors=True, settle=False)
    began = trio.current_time()
    assert await client.wait_settled() is Settled.PING
    assert trio.current_time() - began == 5
    assert "unplugged" in caplog.text


async def test_held_pings_are_bounded_while_a_driver_answers(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    slow = make_slow()
    slow.seconds = DEADLINE / 2
    server = IPyServer([slow])
    await start_server(nursery, server, settle=False)
    peer = Client(connect(nursery, server))
    await peer.send(getProperties())
    pings = [pingRequest(str(number), "getProperties") for number in range(MAX_HELD + 2)]
    await peer.send(*pings, pingRequest("plain"))
    # Plain replies come at once to the pings beyond the bound, and to the plain ping.
    early = [pingReply(str(MAX_HELD)), pingReply(str(MAX_HELD + 1)), pingReply("plain")]
    assert [await peer.next(pingReply) for _ in early] == early
    assert trio.current_time() < 1
    held = [pingReply(str(number), "getProperties") for number in range(MAX_HELD)]
    assert [await peer.next(pingReply) for _ in held] == held
    assert trio.current_time() == DEADLINE / 2
