"""IPyServer on real sockets: who hears what, and what a client may not do."""

from __future__ import annotations

import gc
import logging
import math
import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.kit.peers import of
from tests.kit.processes import DEADLINE
from tests.kit.server import Bench, Connect, make_device, start, until
from trindi import ConfigurationError, IPyDriver, IPyServer
from trindi.driver import DriverCore, core_of
from trindi.host import run_on_stream
from trindi.protocol import (
    BLOBPolicy,
    Message,
    State,
    defNumberVector,
    delProperty,
    enableBLOB,
    encode,
    getProperties,
    newBLOBVector,
    newNumberVector,
    newSwitchVector,
    newTextVector,
    setBLOBVector,
    setNumberVector,
    setSwitchVector,
    setTextVector,
)
from trindi.server.clients import CHECK_INTERVAL
from trindi.transport import StdioStream, tcp
from trindi.transport.connection import FAREWELL

if TYPE_CHECKING:
    from trio.testing import MockClock

    from trindi.protocol import ClientEvent
    from trindi.transport import EncodedBatch

PROPERTIES = ["count", "target", "serial", "note", "mode", "abort", "lamp", "frame", "upload"]


def defined(events: list[Any]) -> list[tuple[str, str]]:
    return [
        (event.devicename, event.vectorname)
        for event in events
        if type(event).__name__.startswith("def")
    ]


# Subscriptions -----------------------------------------------------------------------------------


async def test_a_client_that_asks_nothing_is_told_nothing(
    nursery: trio.Nursery, connect: Connect
) -> None:
    bench = Bench()
    client = await connect(await start(nursery, bench))
    await client.sync()
    await bench.count()
    await bench["Bench"].send_device_message("hello")
    assert len(await client.sync()) == 1


@pytest.mark.parametrize("asked", [getProperties(), getProperties("*")], ids=["all", "chained"])
async def test_everything_is_defined_each_time_it_is_asked_for(
    nursery: trio.Nursery, connect: Connect, asked: getProperties
) -> None:
    client = await connect(await start(nursery, Bench("A"), Bench("B")))
    for _ in range(3):
        await client.send(asked)
        expected = [(device, name) for device in ("A", "B") for name in PROPERTIES]
        assert defined(await client.sync()) == expected


async def test_one_device_or_one_property_is_defined_where_it_is_asked_for(
    nursery: trio.Nursery,
    connect: Connect,
) -> None:
    client = await connect(await start(nursery, Bench("A"), Bench("B")))
    await client.send(getProperties("B"))
    assert defined(await client.sync()) == [("B", name) for name in PROPERTIES]
    await client.send(getProperties("A", "count"))
    assert defined(await client.sync()) == [("A", "count")]
    await client.send(getProperties("A", "nothing"), getProperties("nobody"))
    assert defined(await client.sync()) == []


async def test_answers_go_to_the_asker_alone(nursery: trio.Nursery, connect: Connect) -> None:
    server = await start(nursery, Bench())
    first, second = await connect(server), await connect(server)
    await first.subscribe()
    await second.subscribe()
    assert len(await first.sync()) == 1


async def test_a_report_goes_to_those_who_subscribed(
    nursery: trio.Nursery, connect: Connect
) -> None:
    one, other = Bench("A"), Bench("B")
    server = await start(nursery, one, other)
    clients = {asked: await connect(server) for asked in [(), ("A",), ("A", "count"), ("B",)]}
    for asked, client in clients.items():
        await client.subscribe(*asked)
    await one.count()
    await other.count()
    heard = {
        asked: [event.devicename for event in of(await client.sync(), setNumberVector)]
        for asked, client in clients.items()
    }
    assert heard == {(): ["A", "B"], ("A",): ["A"], ("A", "count"): ["A"], ("B",): ["B"]}


async def test_a_message_without_device_goes_to_every_client(
    nursery: trio.Nursery, connect: Connect
) -> None:
    bench = Bench()
    client = await connect(await start(nursery, bench))
    await client.sync()
    await bench.send_message("fire")
    assert (await client.next(Message)).message == "[INFO] fire"


async def test_a_request_subscribes_and_is_answered(
    nursery: trio.Nursery, connect: Connect
) -> None:
    bench = Bench()
    client = await connect(await start(nursery, bench))
    await client.send(newNumberVector("Bench", "target", {"x": 45.0}))
    answer = await client.next(setNumberVector)
    assert (answer.vectorname, answer.state, dict(answer)) == (
        "target",
        State.OK,
        {"x": 45.0, "free": 1.0},
    )
    await bench.count()
    assert len(await client.sync()) == 1


async def test_requests_are_not_echoed_to_other_clients(
    nursery: trio.Nursery, connect: Connect
) -> None:
    server = await start(nursery, Bench())
    first, second = await connect(server), await connect(server)
    await second.subscribe()
    await first.send(newNumberVector("Bench", "target", {"x": 45.0}))
    await first.next(setNumberVector)
    assert [type(event) for event in await second.until(lambda e: "taken" in e.message)] == [
        setNumberVector
    ]


async def test_requests_for_others_and_reports_from_clients_are_ignored(
    nursery: trio.Nursery,
    connect: Connect,
) -> None:
    bench = Bench()
    server = await start(nursery, bench)
    client, witness = await connect(server), await connect(server)
    await witness.subscribe()
    before = bench.shown()
    await client.send(
        newNumberVector("nobody", "target", {"x": 1.0}),
        setNumberVector("Bench", "count", {"n": 99.0}, State.OK),
        setTextVector("Bench", "note", {"a": "x"}, State.OK),
        bench["Bench"]["target"].definition(),
        delProperty("Bench"),
        Message("Bench", "I am the bench"),
        Message(None, "I am the server"),
    )
    assert len(await client.sync()) == 1
    assert len(await witness.sync()) == 1
    assert bench.shown() == before
    assert bench.asked == []


async def test_a_wish_for_blobs_is_shown_to_the_driver_for_information(
    nursery: trio.Nursery,
    connect: Connect,
) -> None:
    bench = Bench()
    client = await connect(await start(nursery, bench))
    await client.send(
        enableBLOB("Bench", None, BLOBPolicy.ALSO), enableBLOB("Bench", "frame", BLOBPolicy.ONLY)
    )
    await client.sync()
    await client.send(newTextVector("Bench", "note", {"a": "x"}))
    await client.next(setTextVector)
    wishes = {(e.vectorname, e.policy) for e in bench.asked if isinstance(e, enableBLOB)}
    # That for the device comes for each of its BLOB vectors.
    also = {("frame", BLOBPolicy.ALSO), ("upload", BLOBPolicy.ALSO)}
    assert wishes == {*also, ("frame", BLOBPolicy.ONLY)}


# BLOBs -------------------------------------------------------------------------------------------


async def test_blobs_go_to_those_who_want_them(nursery: trio.Nursery, connect: Connect) -> None:
    bench = Bench()
    server = await start(nursery, bench, maxconnections=10)
    wishes: dict[str, list[enableBLOB]] = {
        "never": [],
        "device": [enableBLOB("Bench", None, BLOBPolicy.ALSO)],
        "every device": [enableBLOB("*", None, BLOBPolicy.ALSO)],
        "property": [enableBLOB("Bench", "frame", BLOBPolicy.ALSO)],
        "other property": [enableBLOB("Bench", "upload", BLOBPolicy.ALSO)],
        "only": [enableBLOB("Bench", None, BLOBPolicy.ONLY)],
        "but this": [
            enableBLOB("Bench", None, BLOBPolicy.ALSO),
            enableBLOB("Bench", "frame", BLOBPolicy.NEVER),
        ],
    }
    clients = {name: await connect(server) for name in wishes}
    for name, client in clients.items():
        await client.subscribe()
        await client.send(*wishes[name])
        await client.sync()
    await bench.expose(b"stars" * 100)
    await bench.count()
    heard = {name: await client.sync() for name, client in clients.items()}
    with_blob = {name for name, events in heard.items() if of(events, setBLOBVector)}
    with_count = {name for name, events in heard.items() if of(events, setNumberVector)}
    assert with_blob == {"device", "every device", "property", "only"}
    assert with_count == set(wishes) - {"only"}
    (frame,) = of(heard["only"], setBLOBVector)
    assert frame["image"] == b"stars" * 100


async def test_an_upload_is_answered_and_echoed_to_nobody(
    nursery: trio.Nursery, connect: Connect
) -> None:
    bench = Bench()
    server = await start(nursery, bench)
    client, witness = await connect(server), await connect(server)
    await witness.subscribe()
    await client.send(enableBLOB("Bench", None, BLOBPolicy.ALSO))
    await client.send(
        newBLOBVector("Bench", "upload", {"file": b"firmware"}, {"file": (8, ".bin")})  # type: ignore[dict-item]
    )
    answer = await client.next(setBLOBVector)
    assert answer["file"] == b"firmware"
    assert len(await witness.sync()) == 1


# Coming and going --------------------------------------------------------------------------------


async def test_a_client_that_sends_a_request_and_leaves_is_heard(
    nursery: trio.Nursery, connect: Connect
) -> None:
    bench = Bench()
    server = await start(nursery, bench)
    witness = await connect(server)
    await witness.subscribe()
    client = await connect(server)
    await client.send(newSwitchVector("Bench", "mode", {"fast": "On"}))  # type: ignore[dict-item]
    await client.aclose()
    answer = await witness.next(setSwitchVector)
    assert dict(answer) == {"slow": "Off", "fast": "On"}


async def test_a_client_that_closes_its_half_still_gets_its_answers(
    nursery: trio.Nursery,
    connect: Connect,
) -> None:
    class Slow(Bench):
        async def clientevent(self, event: ClientEvent) -> None:
            await trio.lowlevel.checkpoint()
            await super().clientevent(event)

    client = await connect(await start(nursery, Slow()))
    await client.send(getProperties(), newNumberVector("Bench", "target", {"x": 3.0}))
    await client.stream.send_eof()  # type: ignore[attr-defined]
    answers = await client.rest()
    assert [name for _, name in defined(answers)] == PROPERTIES
    (answer,) = of(answers, setNumberVector)
    assert answer["x"] == 3.0


async def test_clients_over_the_bound_are_told_so_and_closed(
    nursery: trio.Nursery, connect: Connect
) -> None:
    server = await start(nursery, Bench(), maxconnections=2)
    first, second = await connect(server), await connect(server)
    await first.sync()
    await second.sync()
    for _ in range(3):
        third = await connect(server)
        (farewell,) = await third.rest()
        assert isinstance(farewell, Message)
        assert "2 clients" in farewell.message
        await third.aclose()
    assert server.statistics().turned_away == 3
    await second.aclose()
    await until(lambda: len(server.statistics().clients) == 1)
    fourth = await connect(server)
    await fourth.sync()
    await first.sync()


async def test_a_client_that_is_turned_away_is_told_even_while_it_talks(
    nursery: trio.Nursery,
    connect: Connect,
) -> None:
    server = await start(nursery, Bench(), maxconnections=1)
    first = await connect(server)
    await first.sync()
    second = await connect(server)
    # More than the buffers of both kernels hold: only a server that reads on gets it all.
    await second.send(encode(getProperties()) * 500_000)
    (farewell,) = await second.rest()
    assert isinstance(farewell, Message)


async def test_many_clients_over_the_bound_do_no_harm(
    nursery: trio.Nursery, connect: Connect
) -> None:
    server = await start(nursery, Bench(), maxconnections=1)
    first = await connect(server)
    await first.sync()
    crowd = [await connect(server) for _ in range(40)]
    for client in crowd:
        with trio.fail_after(DEADLINE):
            try:
                while await client.stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass
    await first.sync()
    assert server.statistics().turned_away == 40


async def test_a_client_whose_machine_has_vanished_gives_up_its_place(
    nursery: trio.Nursery,
    connect: Connect,
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    autojump_clock.autojump_threshold = math.inf
    server = await start(nursery, Bench(), maxconnections=2)
    clients = [await connect(server) for _ in range(2)]
    for client in clients:
        await client.subscribe()
    gone, _stays = [one.peer for one in server.statistics().clients]

    def is_gone(stream: trio.abc.Stream) -> bool:
        assert isinstance(stream, trio.SocketStream)
        return gone.endswith(f":{stream.socket.getpeername()[1]}")

    monkeypatch.setattr(tcp, "unacknowledged", lambda _stream: 1)
    monkeypatch.setattr(tcp, "last_acknowledged", lambda stream: 1e6 if is_gone(stream) else 120)
    autojump_clock.autojump_threshold = 0
    await trio.sleep(tcp.ACKNOWLEDGED_WITHIN)
    assert len(server.statistics().clients) == 2
    await trio.sleep(2 * CHECK_INTERVAL + FAREWELL)
    autojump_clock.autojump_threshold = math.inf
    await until(lambda: len(server.statistics().clients) == 1)
    (logged,) = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert logged == (
        f"{gone} is disconnected: its machine has acknowledged nothing that was sent to it in 180 s"
    )
    assert (await clients[0].rest())[-1].message.startswith("[ERROR] its machine")
    await clients[1].sync()
    await (await connect(server)).sync()


async def test_a_fault_in_serving_one_client_is_logged_and_costs_only_that_client(
    nursery: trio.Nursery, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    class FaultyCore(DriverCore):
        def encoded_definitions(
            self, devicename: str | None = None, vectorname: str | None = None
        ) -> EncodedBatch:
            if vectorname == "trap":
                raise LookupError("a bug")
            return super().encoded_definitions(devicename, vectorname)

    bench = Bench()
    bench._core = FaultyCore(bench, bench._by_name, [])
    bench._sink = bench._core.sink
    server = await start(nursery, bench)
    good, bad = await connect(server), await connect(server)
    await good.subscribe()
    with caplog.at_level(logging.ERROR, "trindi.server"):
        await bad.send(getProperties("Bench", "trap"))
        assert await bad.rest() == []
        await until(lambda: "a bug" in caplog.text)
    await bench.count(3)
    assert len(of(await good.sync(), setNumberVector)) == 3


async def test_cancelling_closes_every_socket(nursery: trio.Nursery, connect: Connect) -> None:
    bench = Bench()
    async with trio.open_nursery() as inner:
        server = await start(inner, bench, maxconnections=1)
        address = server.addresses[0]
        client = await connect(server)
        await client.sync()
        turned_away = await connect(server)
        await turned_away.next(Message)
        inner.cancel_scope.cancel()
    assert not bench.running
    assert server.statistics().clients == ()
    assert await client.rest() == []
    with pytest.raises(OSError, match="connect"):
        await trio.open_tcp_stream(*address)


async def test_a_server_can_run_again(nursery: trio.Nursery, connect: Connect) -> None:
    server = IPyServer([Bench()], "127.0.0.1", 0)
    for _ in range(2):
        async with trio.open_nursery() as inner:
            await inner.start(server.run)
            client = await connect(server)
            await client.send(getProperties())
            assert len(defined(await client.sync())) == len(PROPERTIES)
            inner.cancel_scope.cancel()


# What an author can get wrong --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("drivers", "options", "message"),
    [
        pytest.param([Bench("A"), Bench("A")], {}, "'A' is in two drivers", id="one name twice"),
        pytest.param([Bench()], {"maxconnections": 0}, "at least 1", id="no clients"),
        pytest.param([Bench()], {"port": -1}, "at least 0", id="negative port"),
        pytest.param([Bench()], {"port": 65536}, "at most 65535", id="port too high"),
        pytest.param([Bench()], {"max_restarts": -1}, "at least 0", id="negative restarts"),
        pytest.param([Bench()], {"restart_delay": -1}, "seconds", id="negative delay"),
        pytest.param([Bench()], {"restart_delay": float("nan")}, "seconds", id="no delay"),
        pytest.param([Bench()], {"high_water": -1}, "at least 0", id="negative mark"),
        pytest.param([Bench()], {"bound": 0}, "bound is at least 1", id="no bound"),
        pytest.param([Bench()], {"max_element_bytes": 0}, "at least 1", id="no elements"),
        pytest.param([Bench()], {"max_blob_bytes": -1}, "at least 0", id="negative BLOBs"),
    ],
)
def test_wrong_values_are_refused_at_once(
    drivers: list[IPyDriver], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        IPyServer(drivers, **options)


@pytest.mark.parametrize(
    ("drivers", "options"),
    [
        (Bench(), {}),
        ([make_device()], {}),
        (None, {}),
        ([Bench()], {"maxconnections": "5"}),
        ([Bench()], {"port": True}),
        ([Bench()], {"bound": 1e6}),
    ],
)
def test_wrong_types_are_refused_at_once(drivers: Any, options: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        IPyServer(drivers, **options)


@pytest.mark.parametrize("maxconnections", [1, 11, 1000])
def test_any_number_of_clients_may_be_allowed(maxconnections: int) -> None:
    assert IPyServer([Bench()], maxconnections=maxconnections).maxconnections == maxconnections


async def test_a_driver_that_runs_already_cannot_be_served(nursery: trio.Nursery) -> None:
    bench = Bench()
    server = IPyServer([bench], "127.0.0.1", 0)
    here, there = socket.socketpair()
    with here, there:
        await nursery.start(run_on_stream, bench, StdioStream(there.fileno(), there.fileno()))
        with pytest.raises(RuntimeError, match="running already"):
            await server.run()
        nursery.cancel_scope.cancel()


def test_a_driver_in_two_servers_is_refused_at_once() -> None:
    bench, other = Bench(), Bench("Other")
    server = IPyServer([bench])
    with pytest.raises(ConfigurationError, match="<Bench of Bench> is in another server"):
        IPyServer([other, bench])
    # What could not be made has none.
    second = IPyServer([other])
    with pytest.raises(ConfigurationError, match="is in another server"):
        second.add_driver(bench)
    assert second.drivers == (other,)
    assert server.drivers == (bench,)


async def test_a_driver_is_free_once_its_server_has_ended() -> None:
    bench = Bench()
    first = IPyServer([bench], "127.0.0.1", 0)
    async with trio.open_nursery() as nursery:
        await nursery.start(first.run)
        nursery.cancel_scope.cancel()
    second = IPyServer([bench], "127.0.0.1", 0)
    with pytest.raises(ConfigurationError, match="is in another server"):
        await first.run()
    async with trio.open_nursery() as nursery:
        await nursery.start(second.run)
        await second.remove(bench)
        third = IPyServer([bench])
        nursery.cancel_scope.cancel()
    assert third.drivers == (bench,)


async def test_a_driver_is_free_after_a_removal_that_was_not_waited_for(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    bench = Bench()
    first = IPyServer([bench], "127.0.0.1", 0)
    await nursery.start(first.run)
    with trio.move_on_after(0):
        await first.remove(bench)
    await trio.testing.wait_all_tasks_blocked()
    second = IPyServer([bench], "127.0.0.1", 0)
    await nursery.start(second.run)
    assert bench.running


def test_a_driver_is_free_once_its_server_is_forgotten() -> None:
    bench = Bench()
    server = IPyServer([bench])
    del server
    gc.collect()
    assert IPyServer([bench]).drivers == (bench,)


async def test_a_server_that_cannot_listen_gives_its_drivers_back(nursery: trio.Nursery) -> None:
    taken, bench = await start(nursery, Bench("A")), Bench("B")
    server = IPyServer([bench], "127.0.0.1", taken.port)
    with pytest.raises(OSError, match="in use"):
        await server.run()
    assert IPyServer([bench]).drivers == (bench,)


async def test_a_driver_cannot_speak_for_a_device_of_another(
    nursery: trio.Nursery, connect: Connect
) -> None:
    thief, owner = Bench("A"), Bench("B")
    client = await connect(await start(nursery, thief, owner))
    await client.subscribe()
    with pytest.raises(ConfigurationError, match="'B'"):
        core_of(thief).sink.publish(setNumberVector("B", "count", {"n": 99.0}))
    with pytest.raises(ConfigurationError, match="'B'"):
        await core_of(thief).sink.publish_blob(setBLOBVector("B", "frame"))
    await owner.count()
    (report,) = of(await client.sync(), setNumberVector)
    assert report["n"] == 1


async def test_what_cannot_be_sent_is_the_drivers_error_not_the_clients(
    nursery: trio.Nursery,
    connect: Connect,
) -> None:
    bench = Bench()
    client = await connect(await start(nursery, bench))
    await client.subscribe()
    with pytest.raises(ValueError, match="inf"):
        core_of(bench).sink.publish(setNumberVector("Bench", "count", {"n": float("inf")}))
    await bench.count()
    assert len(of(await client.sync(), setNumberVector)) == 1


# Statistics --------------------------------------------------------------------------------------


async def test_statistics(nursery: trio.Nursery, connect: Connect) -> None:
    bench, other = Bench("A"), Bench("B")
    server = await start(nursery, bench, other)
    before = server.statistics()
    assert (before.clients, before.queue_bytes, before.restarts) == ((), 0, 0)
    assert [driver.devices for driver in before.drivers] == [("A",), ("B",)]
    assert all(driver.running for driver in before.drivers)

    client = await connect(server)
    await client.send(getProperties("A"), b"<newTextVector =/>")
    await client.sync()
    await bench.count(5)
    await client.sync()
    now = server.statistics()
    (about,) = now.clients
    host, port = client.stream.socket.getsockname()  # type: ignore[attr-defined]
    assert about.peer == f"{host}:{port}"
    assert (about.events_in, about.errors, about.drops, about.lagging) == (1, 1, 0, False)
    # Nine definitions, five reports, two replies to pings.
    assert about.events_out == now.events_out == 16
    assert [driver.events_in for driver in now.drivers] == [1, 0]
    assert now.drivers[0].events_out - before.drivers[0].events_out == 5

    await client.aclose()
    await until(lambda: not server.statistics().clients)
    after = server.statistics()
    assert (after.events_in, after.events_out) == (1, 16)


async def test_definitions_before_reports_even_in_a_single_breath(
    nursery: trio.Nursery, connect: Connect
) -> None:
    client = await connect(await start(nursery, Bench()))
    await client.send(getProperties())
    assert isinstance(await client.receive(), defNumberVector)
