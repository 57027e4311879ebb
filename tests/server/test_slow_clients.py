"""What a client does to the others and to the memory by asking much or reading little: nothing."""

from __future__ import annotations

import gc
from functools import partial
from typing import Any
from weakref import ref

import pytest
import trio
import trio.testing

from tests.kit.peers import Client, of
from tests.kit.processes import DEADLINE
from tests.kit.server import Bench, Connect, start, until
from trindi import Device, IPyDriver, IPyServer, TextMember, TextVector
from trindi.protocol import (
    BLOBPolicy,
    Message,
    State,
    defBLOBVector,
    defTextVector,
    delProperty,
    enableBLOB,
    encode,
    getProperties,
    newNumberVector,
    newTextVector,
    pingReply,
    pingRequest,
    setBLOBVector,
    setNumberVector,
    setTextVector,
)

KIB = 1024
MIB = 1024 * KIB


def squeeze(client: Any) -> None:
    """Make the buffers of the kernel small, so that a client that does not read is soon noticed."""
    client.stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 16 * KIB)


async def test_a_client_that_asks_and_never_reads_is_sent_away_at_the_bound(
    nursery: trio.Nursery, connect: Connect
) -> None:
    bench = Bench()
    server = await start(nursery, bench, high_water=256 * KIB, bound=MIB)
    good, bad = await connect(server), await connect(server)
    squeeze(bad)
    await good.subscribe()
    await bad.sync()
    largest = 0

    async def look() -> None:
        nonlocal largest
        while True:
            about = [client.queue_bytes for client in server.statistics().clients]
            largest = max(largest, *about)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as inner:
        inner.start_soon(look)
        inner.start_soon(bad.stream.send_all, encode(getProperties()) * 2_000)
        await bench.count(100)
        await until(lambda: len(server.statistics().clients) == 1)
        inner.cancel_scope.cancel()
    # Definitions are never dropped, so the bound ends it; one element may be over.
    assert 256 * KIB < largest < MIB + 16 * KIB
    await bench.count(100)
    heard = [event["n"] for event in of(await good.sync(), setNumberVector)]
    assert heard == list(range(1, 201))


async def test_a_client_that_asks_without_end_does_not_keep_others_waiting(
    nursery: trio.Nursery, connect: Connect
) -> None:
    """Between the answers to one client's flood another one is answered, long before its end."""
    bench = Bench()
    server = await start(nursery, bench)
    good, bad = await connect(server), await connect(server)
    answered = 0

    async def flood() -> None:
        await bad.stream.send_all(encode(getProperties()) * 5_000)

    async def count_answers() -> None:
        nonlocal answered
        while True:
            event = await bad.receive()
            answered += getattr(event, "vectorname", "") == "count"

    async with trio.open_nursery() as inner:
        inner.start_soon(flood)
        inner.start_soon(count_answers)
        await until(lambda: answered > 0)
        for _ in range(10):
            await good.sync()
        assert answered < 5_000
        inner.cancel_scope.cancel()


async def test_a_client_that_floods_a_property_does_not_keep_others_waiting(
    nursery: trio.Nursery, connect: Connect
) -> None:
    """Between the requests of one client's flood those of another one are answered."""
    bench = Bench()
    server = await start(nursery, bench)
    good, bad = await connect(server), await connect(server)
    flood = [newTextVector("Bench", "note", {"a": str(number)}) for number in range(5_000)]
    async with trio.open_nursery() as inner:
        inner.start_soon(bad.send, *flood)
        await until(lambda: server.statistics().drivers[0].events_in > 0)
        for value in range(10):
            await good.send(newNumberVector("Bench", "target", {"x": float(value)}))
            answer = await good.next(setNumberVector, "target")
            assert answer["x"] == value
        assert server.statistics().drivers[0].events_in < 5_000
    # Nothing of the flood is lost for that.
    assert [event["a"] for event in await taken(bad, 5_000)] == [event["a"] for event in flood]


async def test_a_lagging_client_gets_the_newest_state_when_it_reads_again(
    nursery: trio.Nursery, connect: Connect
) -> None:
    bench = Bench()
    server = await start(nursery, bench, high_water=512 * KIB, bound=4 * MIB)
    good, slow = await connect(server), await connect(server)
    squeeze(slow)
    await good.subscribe()
    await slow.subscribe()
    heard: list[float] = []

    async def listen() -> None:
        while True:
            heard.append((await good.next(setNumberVector))["n"])

    nursery.start_soon(listen)
    while not server.statistics().drops:
        await bench.count(100)
        await until(lambda: len(heard) == bench.counted)
    await bench.count()
    await until(lambda: len(heard) == bench.counted)
    assert heard == list(range(1, bench.counted + 1))
    assert [client.lagging for client in server.statistics().clients] == [False, True]

    seen = [event["n"] for event in of(await slow.sync(), setNumberVector)]
    assert seen == sorted(seen)
    assert seen[-1] == bench.counted
    assert len(seen) == bench.counted - server.statistics().drops
    await until(lambda: not any(client.lagging for client in server.statistics().clients))


async def test_what_is_published_beside_a_large_frame_reaches_a_client_that_reads(
    nursery: trio.Nursery, connect: Connect
) -> None:
    bench = Bench()
    server = await start(nursery, bench, high_water=MIB)
    good = await connect(server)
    await good.subscribe()
    await good.send(enableBLOB("Bench", None, BLOBPolicy.ALSO))
    await good.sync()
    async with trio.open_nursery() as inner:
        inner.start_soon(expose, bench, 3)
        for _ in range(3):
            await until(lambda: server.statistics().queue_bytes > MIB)
            await bench.count(100)
            await good.next(setBLOBVector)
    assert server.statistics().drops == 0


async def test_a_client_that_goes_while_a_frame_waits_for_it_frees_the_driver(
    nursery: trio.Nursery, connect: Connect
) -> None:
    bench = Bench()
    server = await start(nursery, bench, high_water=MIB)
    gone = await connect(server)
    squeeze(gone)
    await gone.subscribe()
    await gone.send(enableBLOB("Bench", None, BLOBPolicy.ALSO))
    await gone.sync()
    # The first is on its way, the second waits below the high-water mark, the third for room.
    with trio.fail_after(DEADLINE):
        async with trio.open_nursery() as inner:
            inner.start_soon(expose, bench, 3)
            await until(lambda: server.statistics().queue_bytes > 0)
            await gone.aclose()
    await until(lambda: not server.statistics().clients)
    # It was not waited for until it counted as lagging.
    assert server.statistics().drops == 0


async def expose(bench: Bench, frames: int) -> None:
    for number in range(frames):
        await bench.expose(bytes([number]) * 8 * MIB)


async def test_a_full_queue_of_one_property_holds_up_only_the_client_that_filled_it(
    nursery: trio.Nursery, connect: Connect
) -> None:
    gate = trio.Event()

    class Slow(Bench):
        async def clientevent(self, event: Any) -> None:
            if event.vectorname == "note":
                await gate.wait()
            await super().clientevent(event)

    bench = Slow()
    server = await start(nursery, bench)
    good, bad = await connect(server), await connect(server)
    await good.subscribe()
    notes = [newTextVector("Bench", "note", {"a": str(number)}) for number in range(1000)]
    await bad.send(*notes)
    await until(lambda: server.statistics().drivers[0].events_in >= 65)
    await bench.count(100)
    heard = [event["n"] for event in of(await good.sync(), setNumberVector)]
    assert heard == list(range(1, 101))
    assert server.statistics().drivers[0].events_in < 100
    gate.set()
    answers = [event["a"] for event in await taken(good, 1000)]
    assert answers == [str(number) for number in range(1000)]


async def taken(client: Any, number: int) -> list[setTextVector]:
    return [await client.next(setTextVector) for _ in range(number)]


async def test_names_without_end_are_not_kept(nursery: trio.Nursery, connect: Connect) -> None:
    bench = Bench()
    client = await connect(await start(nursery, bench))
    for number in range(100):
        await client.send(getProperties("x" * 60_000 + str(number)))
    await client.sync()
    # Such a client hears everything; it would have been told less.
    await bench.count()
    assert (await client.next(setNumberVector))["n"] == 1


async def start_in_lockstep(
    nursery: trio.Nursery, bench: Bench, **options: Any
) -> tuple[IPyServer, trio.abc.Stream]:
    """Start a server with one client, which is sent nothing before it reads; return its stream."""
    server = IPyServer([bench], **options)
    await nursery.start(partial(server.run, listen=False))
    ours, theirs = trio.testing.lockstep_stream_pair()
    nursery.start_soon(server.serve_stream, ours)
    await trio.testing.wait_all_tasks_blocked()
    return server, theirs


@pytest.mark.parametrize("by_itself", [True, False])
async def test_what_waits_for_a_client_is_freed_when_it_has_gone(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, by_itself: bool
) -> None:
    """At once, not when garbage is collected: a small machine has not so much to spare."""
    server, theirs = await start_in_lockstep(nursery, Bench(), bound=MIB)
    pings = 1_000 if by_itself else 10_000
    gc.collect()
    gc.disable()
    try:
        (client,) = server._clients
        kept = [ref(part) for part in (client, client.connection, client.queue)]
        del client
        with trio.move_on_after(1):
            await theirs.send_all(b"".join(encode(pingRequest(str(one))) for one in range(pings)))
        await trio.testing.wait_all_tasks_blocked()
        if by_itself:
            assert server.statistics().queue_bytes > 400 * pings
            await trio.aclose_forcefully(theirs)
        await trio.sleep(10)
        assert not server.statistics().clients
        assert [part() for part in kept] == [None, None, None]
    finally:
        gc.enable()


async def test_a_refusal_reaches_a_client_that_lags_as_one(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    bench = Bench()
    server, theirs = await start_in_lockstep(nursery, bench, high_water=10_000)
    client = Client(theirs)
    await client.subscribe()
    await bench.count(100)
    await client.send(newNumberVector("Bench", "target", {"x": 1000.0}))
    vector: Any = bench["Bench"]["target"]
    for value in range(20):
        vector["x"] = value
        await vector.send_setVector(state="Ok")
    assert server.statistics().clients[0].lagging
    await trio.sleep(1)
    heard = [
        (event.state, event["x"])
        for event in of(await client.sync(), setNumberVector)
        if event.vectorname == "target"
    ]
    assert heard == [(State.ALERT, 7), (State.OK, 19)]


async def test_a_frame_of_a_property_that_is_deleted_meanwhile_is_not_sent(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    bench = Bench()
    _server, theirs = await start_in_lockstep(nursery, bench, high_water=10_000)
    client = Client(theirs)
    await client.subscribe()
    await client.send(enableBLOB("Bench", "frame", BLOBPolicy.ALSO))
    await client.sync()
    vector: Any = bench["Bench"]["frame"]
    await bench.expose(b"1" * 2000)
    await bench.expose(b"2" * 2000)
    async with trio.open_nursery() as inner:
        inner.start_soon(bench.expose, b"3" * 2000)
        await trio.testing.wait_all_tasks_blocked()
        await vector.send_delProperty()
        vector.enable = True
        await vector.send_defVector()
    heard = await client.sync()
    assert [event["image"][:1] for event in of(heard, setBLOBVector)] == [b"1", b"2"]
    assert [type(event) for event in heard[-3:-1]] == [delProperty, defBLOBVector]


async def test_messages_are_never_dropped(nursery: trio.Nursery, connect: Connect) -> None:
    bench = Bench()
    server = await start(nursery, bench, high_water=64 * KIB, bound=32 * MIB)
    slow = await connect(server)
    squeeze(slow)
    await slow.subscribe()
    device = bench["Bench"]
    for number in range(3000):
        await device.send_device_message(f"{number} " + "x" * 1_980)
        await bench.count()
    assert server.statistics().drops > 0
    texts = [event.message.split()[1] for event in of(await slow.sync(), Message)]
    assert texts == [str(number) for number in range(3000)]


async def test_each_client_gets_definitions_beyond_its_bound(
    nursery: trio.Nursery, connect: Connect
) -> None:
    """All at once they are more than the writer can send before its first turn."""
    bench = Bench()
    texts = [
        TextVector(f"text {number}", textmembers=[TextMember("t", membervalue="x" * 60 * KIB)])
        for number in range(14)
    ]
    driver = IPyDriver([Device("Large", texts)])
    server = await start(nursery, bench, driver, high_water=64 * KIB, bound=256 * KIB)
    clients = [await connect(server) for _ in range(3)]
    for client in clients:
        squeeze(client)
        await client.send(getProperties(), pingRequest("all", "getProperties"))
    await bench.count(100)
    for client in clients:
        events = await client.until(lambda event: event == pingReply("all", "getProperties"))
        defined = [event.vectorname for event in of(events, defTextVector)]
        assert defined == ["note", *(vector.name for vector in texts)]
        await client.until(lambda event: getattr(event, "vectorname", "") == "count")
    assert len(server.statistics().clients) == 3
    # The same where they are sent to all, since the driver starts.
    await server.remove(driver)
    server.add_driver(IPyDriver([Device("Large", [copy_of(vector) for vector in texts])]))
    for client in clients:
        await client.next(delProperty, None, devicename="Large")
        for vector in texts:
            await client.next(defTextVector, vector.name)
        await client.sync()


def copy_of(vector: TextVector) -> TextVector:
    members = [TextMember(name, membervalue=value) for name, value in vector.items()]
    return TextVector(vector.name, textmembers=members)
