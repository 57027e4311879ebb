"""The server's seam: upstreams of a second kind, learned from what they say, that come and go."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.kit.peers import Client, of
from tests.kit.server import Bench, start
from tests.kit.upstream import Elsewhere, StreamUpstream
from trindi import IPyServer
from trindi.protocol import (
    BLOBPolicy,
    Decoder,
    Message,
    Permission,
    Property,
    SizeFormat,
    Snapshot,
    State,
    defNumberVector,
    defTextVector,
    delProperty,
    enableBLOB,
    encode,
    getProperties,
    newBLOBVector,
    newNumberVector,
    newTextVector,
    pingReply,
    pingRequest,
    setBLOBVector,
    setNumberVector,
    setTextVector,
)
from trindi.server.router import RESERVATION
from trindi.server.upstream.relayed import MAX_QUESTIONS, OpenQuestions
from trindi.transport import EventQueue

if TYPE_CHECKING:
    from trindi.protocol import Event


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def join(nursery: trio.Nursery, server: IPyServer) -> Client:
    ours, theirs = trio.testing.memory_stream_pair()
    nursery.start_soon(server.serve_stream, theirs)
    await settle()
    return Client(ours)


async def asker(nursery: trio.Nursery, server: IPyServer) -> tuple[Client, list[Event]]:
    """A client that has asked for everything, and what it was told."""
    client = await join(nursery, server)
    await client.send(getProperties())
    await settle()
    return client, await client.sync()


class Raw:
    """A peer that says just what a test makes it say."""

    def __init__(self) -> None:
        self.streams: list[trio.testing.MemoryReceiveStream] = []
        self.stream: Any = None

    async def open_stream(self) -> trio.abc.Stream:
        ours, self.stream = trio.testing.memory_stream_pair()
        return ours

    async def say(self, *items: Any) -> None:
        await self.stream.send_all(b"".join(map(encode, items)))
        await settle()


def text(device: str, name: str = "note", value: str = "") -> defTextVector:
    members = {"a": value}
    return defTextVector(device, name, name, "Main", State.OK, Permission.RW, members, {"a": "a"})


# Coming and going --------------------------------------------------------------------------------


async def test_a_server_without_drivers_gets_its_upstreams_later(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    server = await start(nursery)
    client, told = await asker(nursery, server)
    assert of(told, defNumberVector) == []
    server.add_upstream(Elsewhere(nursery, Bench("Far")).upstream())
    server.add_driver(Bench("Near"))
    await settle()
    names = {
        (event.devicename, event.vectorname) for event in of(await client.sync(), defNumberVector)
    }
    assert names == {(d, n) for d in ("Far", "Near") for n in ("count", "target", "serial")}


async def test_its_devices_are_learned_and_requests_reach_it(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    far = Bench("Far")
    server = await start(nursery, Bench("Near"))
    server.add_upstream(Elsewhere(nursery, far).upstream())
    await settle()
    client, told = await asker(nursery, server)
    assert {event.devicename for event in of(told, defNumberVector)} == {"Near", "Far"}
    await client.send(newNumberVector("Far", "target", {"x": 12.0}))
    report = await client.next(setNumberVector, "target")
    assert (report.devicename, report["x"], report.state) == ("Far", 12, State.OK)
    assert [type(event) for event in far.asked] == [newNumberVector]
    assert [one.devices for one in server.statistics().drivers] == [("Near",), ("Far",)]


async def test_what_is_removed_is_withdrawn_and_its_tasks_have_ended(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    near, far = Bench("Near"), Bench("Far")
    server = await start(nursery, near)
    upstream = Elsewhere(nursery, far).upstream()
    server.add_upstream(upstream)
    await settle()
    client, _ = await asker(nursery, server)
    await server.remove(upstream)
    assert not upstream.running
    await settle()
    assert not far.running
    await server.remove(near)
    assert not near.running
    gone = of(await client.sync(), delProperty)
    assert [event.devicename for event in gone if not event.vectorname] == ["Far", "Near"]
    assert (server.drivers, server.statistics().drivers) == ((), ())
    with pytest.raises(ValueError, match="does not have"):
        await server.remove(near)
    server.add_driver(near)
    await settle()
    assert near.running


async def test_what_is_removed_before_the_server_runs_is_never_started(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    driver = Bench("Near")
    server = IPyServer([driver], "127.0.0.1", 0)
    await server.remove(driver)
    await nursery.start(server.run)
    assert not driver.running


async def test_what_is_down_is_removed_without_being_withdrawn_again(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(Bench):
        async def hardware(self) -> None:
            await trio.sleep(1)
            raise OSError("the cable is out")

    driver = Failing("Near")
    server = await start(nursery, driver, restart_delay=60)
    client, _ = await asker(nursery, server)
    await trio.sleep(2)
    ends = of(await client.sync(), delProperty)
    assert [event.vectorname for event in ends] == list(driver["Near"])
    await server.remove(driver)
    (end,) = of(await client.sync(), delProperty)
    assert (end.devicename, end.vectorname) == ("Near", None)
    assert server.statistics().drivers == ()


async def test_a_device_of_another_driver_cannot_be_added(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    server = await start(nursery, Bench("Near"))
    with pytest.raises(ValueError, match="device 'Near' is in two drivers"):
        server.add_driver(Bench("Near"))
    with pytest.raises(TypeError, match="IPyDriver"):
        server.add_driver("Near")  # type: ignore[arg-type]
    other = Bench("Other")
    await start(nursery, other)
    with pytest.raises(ValueError, match="<Bench of Other> is in another server"):
        server.add_driver(other)
    assert [driver.name for driver in server.drivers] == ["Near"]  # type: ignore[attr-defined]


async def test_one_that_dies_is_withdrawn_and_comes_back(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    far = Elsewhere(nursery, Bench("Far"))
    server = await start(nursery, restart_delay=2)
    server.add_upstream(far.upstream())
    await settle()
    client, _ = await asker(nursery, server)
    await far.kill()
    await settle()
    told, *ends = (await client.sync())[:-1]
    assert (told.devicename, told.message) == ("Far", "[ERROR] the driver of Far has failed")
    assert [event.vectorname for event in of(ends, delProperty)] == list(far.driver["Far"])
    await client.send(newNumberVector("Far", "target", {"x": 12.0}))
    (answer,) = of(await client.sync(), Message)
    assert answer.message == "[ERROR] the driver of Far is not running"
    await trio.sleep(2.5)
    assert len(of(await client.sync(), defNumberVector)) == 3
    assert server.statistics().restarts == 1
    assert caplog.text.count("elsewhere has failed") == 1


# Who is told what --------------------------------------------------------------------------------


async def test_one_that_has_defined_nothing_yet_is_asked(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    raw = Raw()
    server = await start(nursery, Bench("Near"))
    server.add_upstream(StreamUpstream("raw", raw.open_stream))
    await settle()
    client = await join(nursery, server)
    program = Client(raw.stream)
    assert await program.receive() == getProperties()
    await client.send(getProperties("Later"), getProperties("Near", "count"), getProperties())
    assert await program.receive() == getProperties("Later")
    # That of a device that another one owns does not go there.
    assert await program.receive() == getProperties()
    await client.sync()
    await raw.say(text("Later", "note", "hello"))
    assert of(await client.sync(), defTextVector) == [text("Later", "note", "hello")]


async def test_a_repeated_definition_goes_to_those_who_asked_alone(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    raw = Raw()
    server = await start(nursery)
    server.add_upstream(StreamUpstream("raw", raw.open_stream))
    await settle()
    await raw.say(text("Far"), text("Far", "other"))
    first, _ = await asker(nursery, server)
    await raw.say(text("Far"), text("Far", "other"))
    assert len(of(await first.sync(), defTextVector)) == 2
    second, _ = await asker(nursery, server)
    await raw.say(text("Far"))
    assert of(await second.sync(), defTextVector) == [text("Far")]
    assert of(await first.sync(), defTextVector) == []
    # Asked once, answered once; the other question is still open.
    await raw.say(text("Far"), text("Far", "other"))
    assert of(await second.sync(), defTextVector) == [text("Far", "other")]
    # What is new goes to everybody.
    await raw.say(text("Far", "note", "new"))
    assert of(await first.sync(), defTextVector) == [text("Far", "note", "new")]
    assert of(await second.sync(), defTextVector) == [text("Far", "note", "new")]


async def test_a_client_that_left_is_no_longer_answered(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    raw = Raw()
    server = await start(nursery)
    upstream = StreamUpstream("raw", raw.open_stream)
    server.add_upstream(upstream)
    await settle()
    await raw.say(text("Far"))
    client, _ = await asker(nursery, server)
    await client.aclose()
    await settle()
    assert upstream.questions.answer(text("Far")) == set()


async def test_a_late_snooper_gets_the_snapshot_with_later_values(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    raw, snooper = Raw(), Bench("Near")
    server = await start(nursery, snooper)
    server.add_upstream(StreamUpstream("raw", raw.open_stream))
    await settle()
    await raw.say(text("Far"), setTextVector("Far", "note", {"a": "later"}, State.BUSY))
    await snooper.send_getProperties("Far", "note")
    await settle()
    (definition,) = of(snooper.snooped, defTextVector)
    assert (definition["a"], definition.state) == ("later", State.BUSY)
    await raw.say(setTextVector("Far", "note", {"a": "latest"}, State.OK))
    assert [event["a"] for event in of(snooper.snooped, setTextVector)] == ["latest"]


async def test_what_is_behind_a_stream_snoops_on_drivers_of_the_process(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    raw, near = Raw(), Bench("Near")
    server = await start(nursery, near)
    server.add_upstream(StreamUpstream("raw", raw.open_stream))
    await settle()
    program = Client(raw.stream)
    await program.receive()
    await raw.say(getProperties("Near", "count"), enableBLOB("Near", "frame", BLOBPolicy.ALSO))
    await near.count(2)
    definition = await program.receive()
    assert isinstance(definition, defNumberVector)
    assert [type(await program.receive()), (await program.receive())["n"]] == [setNumberVector, 2]


async def test_blobs_pass_with_their_payloads(nursery: trio.Nursery, autojump_clock: Any) -> None:
    far = Bench("Far")
    server = await start(nursery)
    server.add_upstream(Elsewhere(nursery, far).upstream())
    await settle()
    client, _ = await asker(nursery, server)
    await client.send(enableBLOB("Far", "frame", BLOBPolicy.ALSO))
    await client.sync()
    await far.expose(bytes(range(256)) * 1000)
    assert (await client.next(setBLOBVector))["image"] == bytes(range(256)) * 1000


# What it may not say -----------------------------------------------------------------------------


async def test_an_owned_device_cannot_be_taken(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "trindi.server")
    raw = Raw()
    server = await start(nursery, Bench("Near"))
    upstream = StreamUpstream("raw", raw.open_stream)
    server.add_upstream(upstream)
    client, _ = await asker(nursery, server)
    await raw.say(
        text("Near"),
        setTextVector("Near", "note", {"a": "stolen"}),
        delProperty("Near"),
        Message("Near", "I am near"),
        # Only a definition teaches ownership.
        setTextVector("New", "note", {"a": "unheard of"}),
        newNumberVector("Near", "target", {"x": 1.0}),
    )
    assert [event for event in await client.sync() if getattr(event, "devicename", "")] == []
    assert upstream.dropped == 6
    assert caplog.text.count("may not send") == 1
    await raw.say(Message(None, "hello, all"))
    assert of(await client.sync(), Message) == [Message(None, "hello, all")]


async def test_the_end_of_everything_is_the_end_of_its_own_devices(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    raw = Raw()
    server = await start(nursery, Bench("Near"))
    server.add_upstream(StreamUpstream("raw", raw.open_stream))
    client, _ = await asker(nursery, server)
    await raw.say(text("One"), text("Two"), delProperty())
    gone = of(await client.sync(), delProperty)
    assert [event.devicename for event in gone] == ["One", "Two"]


async def test_a_withdrawn_name_is_kept_for_its_owner_for_a_while(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    one, other = Raw(), Raw()
    server = await start(nursery)
    server.add_upstream(StreamUpstream("one", one.open_stream))
    server.add_upstream(StreamUpstream("other", other.open_stream))
    client, _ = await asker(nursery, server)
    await one.say(text("Far", value="one"), delProperty("Far"))
    await other.say(text("Far", value="other"))
    await one.say(text("Far", value="one again"), delProperty("Far"))
    await trio.sleep(RESERVATION)
    await other.say(text("Far", value="other at last"))
    told = of(await client.sync(), defTextVector)
    assert [event["a"] for event in told] == ["one", "one again", "other at last"]


# What the server survives ------------------------------------------------------------------------


async def test_an_upstream_may_be_removed_before_its_task_has_begun(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    near, raw = Bench("Near"), Raw()
    server = await start(nursery)
    server.add_driver(near)
    await server.remove(near)
    upstream = StreamUpstream("raw", raw.open_stream)
    server.add_upstream(upstream)
    await server.remove(upstream)
    await settle()
    assert (near.running, upstream.running, server.statistics().drivers) == (False, False, ())
    server.add_driver(near)
    await settle()
    assert near.running


async def test_an_upstream_that_hangs_in_its_start_keeps_nobody_from_being_served(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    near = Bench("Near")
    hanging = StreamUpstream("hanging", trio.sleep_forever)
    server = IPyServer([], "127.0.0.1", 0)
    server.add_upstream(hanging)
    server.add_driver(near)
    await nursery.start(server.run)
    assert (trio.current_time(), near.running) == (0, True)
    await server.remove(hanging)
    assert server.drivers == (near,)


async def test_an_upstream_is_added_once_and_only_it_is_removed(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    upstream = Elsewhere(nursery, Bench("Far")).upstream()
    server = IPyServer([Bench("Near")], "127.0.0.1", 0)
    server.add_upstream(upstream)
    with pytest.raises(ValueError, match="already"):
        server.add_upstream(upstream)
    await nursery.start(server.run)
    await settle()
    with pytest.raises(ValueError, match="does not have None"):
        await server.remove(None)  # type: ignore[arg-type]
    assert [one.running for one in server.statistics().drivers] == [True, True]


async def test_a_server_runs_once_at_a_time(nursery: trio.Nursery, autojump_clock: Any) -> None:
    server = IPyServer([], "127.0.0.1", 0)
    await nursery.start(server.run)
    with pytest.raises(RuntimeError, match="running already"):
        await server.run()


async def test_a_second_run_knows_nothing_of_what_the_first_has_learned(
    autojump_clock: Any,
) -> None:
    raw, near = Raw(), Bench("Near")
    server = IPyServer([near], "127.0.0.1", 0)
    upstream = StreamUpstream("raw", raw.open_stream)
    server.add_upstream(upstream)
    for device in ("Old", "New"):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            await settle()
            await near.send_getProperties()
            await raw.say(text(device))
            await settle()
            assert [event.devicename for event in of(near.snooped, defTextVector)] == [device]
            near.snooped.clear()
            nursery.cancel_scope.cancel()
    assert upstream.defined_names() == {}


async def test_one_that_fails_as_it_is_removed_is_forgotten(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    class Short(Bench):
        async def hardware(self) -> None:
            await trio.sleep(1)
            raise OSError("the cable is out")

    driver = Short("Near")
    server = await start(nursery, driver, max_restarts=0)
    await trio.sleep(1)
    await server.remove(driver)
    assert server.statistics().drivers == ()


async def test_a_request_for_which_there_is_no_room_is_refused(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    class Stuck(StreamUpstream):
        async def _write(self, stream: trio.abc.Stream) -> None:
            await trio.sleep_forever()

    raw = Raw()
    server = await start(nursery)
    queue = EventQueue(high_water=20_000)
    upstream = Stuck("raw", raw.open_stream, queue)
    assert upstream.queue is queue
    server.add_upstream(upstream)
    await settle()
    await raw.say(text("Far"))
    client, _ = await asker(nursery, server)
    for _ in range(40):
        await client.send(newTextVector("Far", "note", {"a": "x" * 50}))
    refused = of(await client.sync(), Message)
    kept = of([encoded.event for encoded in queue.take(10**6)], newTextVector)
    assert len(kept) + len(refused) == 40
    assert len(kept) > 10
    assert {message.devicename for message in refused} == {"Far"}
    assert "raw does not read what is sent to it" in refused[0].message


async def test_uploads_pass_with_their_payloads(nursery: trio.Nursery) -> None:
    far = Bench("Far")
    server = await start(nursery)
    server.add_upstream(Elsewhere(nursery, far).upstream())
    await settle()
    client, _ = await asker(nursery, server)
    about = {"file": SizeFormat(5000, ".bin.z")}
    await client.send(newBLOBVector("Far", "upload", {"file": bytes(5000)}, about))
    with trio.fail_after(60):
        while not far.asked:  # noqa: ASYNC110 - it is compressed in a thread
            await trio.sleep(0.01)
    assert far.asked[0]["file"] == bytes(5000)


async def test_where_an_upstream_cannot_say_that_it_has_defined_all_the_server_does_not(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    raw = Raw()
    server = await start(nursery, Bench("Near"))
    client = await join(nursery, server)
    ping = pingRequest("1", "getProperties")
    await client.send(getProperties(), ping)
    assert (await client.next(pingReply)).answered == "getProperties"
    server.add_upstream(StreamUpstream("raw", raw.open_stream))
    await settle()
    await client.send(getProperties("Near"), ping)
    assert (await client.next(pingReply)).answered == "getProperties"
    await client.send(getProperties(), ping)
    assert (await client.next(pingReply)).answered == ""


# Names -------------------------------------------------------------------------------------------


async def test_no_device_stands_for_all_devices(nursery: trio.Nursery, autojump_clock: Any) -> None:
    raw = Raw()
    server = await start(nursery, Bench("Near"))
    server.add_upstream(StreamUpstream("raw", raw.open_stream))
    client, _ = await asker(nursery, server)
    await raw.say(text("*"), text("Far"), text("Other", "other"), delProperty("*", "note"))
    told = await client.sync()
    assert [event.devicename for event in of(told, defTextVector)] == ["Far", "Other"]
    assert of(told, delProperty) == [delProperty("Far", "note")]
    await raw.say(delProperty(None, "other"))
    assert of(await client.sync(), delProperty) == [delProperty("Other", "other")]


async def test_a_device_without_properties_is_withdrawn(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    one, other = Raw(), Raw()
    server = await start(nursery)
    server.add_upstream(StreamUpstream("one", one.open_stream))
    server.add_upstream(StreamUpstream("other", other.open_stream))
    client, _ = await asker(nursery, server)
    await one.say(text("Far"), delProperty("Far", "note"))
    await trio.sleep(RESERVATION)
    await client.send(getProperties("Far"))
    await settle()
    # Both may have it now, and so may a driver of this process.
    for raw in (one, other):
        assert Decoder().feed(await raw.stream.receive_some())[-1] == getProperties("Far")
    server.add_driver(Bench("Far"))


async def test_what_the_snapshot_has_no_room_for_is_not_passed_on(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    raw = Raw()
    server = await start(nursery)
    upstream = StreamUpstream("raw", raw.open_stream)
    upstream.snapshot = Snapshot(Property, max_bytes=10_000)
    server.add_upstream(upstream)
    client, _ = await asker(nursery, server)
    await raw.say(text("Far"), text("Far", "large", "x" * 10_000))
    # Neither is a report of a property that is not defined.
    await raw.say(setTextVector("Far", "large", {"a": "y"}))
    told = await client.sync()
    assert [event.vectorname for event in of(told, defTextVector)] == ["note"]
    assert of(told, setTextVector) == []
    assert upstream.dropped == 2


async def test_a_message_of_a_device_that_is_not_defined_yet_is_passed_on(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    raw = Raw()
    server = await start(nursery)
    server.add_upstream(StreamUpstream("raw", raw.open_stream))
    client, _ = await asker(nursery, server)
    await raw.say(Message("Far", "looking for the camera"))
    assert of(await client.sync(), Message) == [Message("Far", "looking for the camera")]


def test_many_questions_of_one_client_are_one_for_all() -> None:
    questions = OpenQuestions()
    for number in range(MAX_QUESTIONS + 1):
        questions.ask("client", "Far", f"p{number}")
    assert questions.answer(text("Elsewhere")) == {"client"}
