"""Servers that send anything, too much, or nothing."""

from __future__ import annotations

import random
import tracemalloc
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from hypothesis import given, strategies as st

from tests import strategies
from tests.kit.client import blobs, joined, numbers, report, texts
from tests.kit.peers import Server
from trindi import IPyClient, Message, Settled, SizeFormat, State, setBLOBVector
from trindi.protocol import encode, pingReply, pingRequest, replace
from trindi.testing.reproducible import at_once
from trindi.transport import BOUND, Runtime

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trio.testing import MockClock

MIB = 1024 * 1024


def look_at_everything(client: IPyClient) -> None:
    """Read all public attributes."""
    shown = [repr(client)]
    for device in client.values():
        shown += [repr(device), str(device.stale), *(one.message for one in device.messages)]
        for vector in device.values():
            assert vector.timestamp.tzinfo is not None
            assert dict(vector).keys() == vector.members.keys()
            shown += [repr(vector), vector.label, vector.group, vector.message]
            shown += [str(one) for one in (vector.perm, vector.rule, vector.state, vector.timeout)]
            for member in vector.members.values():
                shown += [member.label, member.formatted, repr(member)]
    assert all(isinstance(one, str) for one in shown)


async def play(data: Iterable[bytes], events: bool) -> None:
    near, far = trio.testing.memory_stream_pair()
    server = Server(far)
    async with trio.open_nursery() as nursery:
        client = await nursery.start(IPyClient().run_on, near)
        await client.enable_blobs("Dev")
        heard = client.events() if events else None
        for piece in data:
            await server.stream.send_all(piece)
            await trio.testing.wait_all_tasks_blocked()
        look_at_everything(client)
        # An unfinished element may swallow the next ones, but not for long.
        await server.stream.send_all(b"\0>\"'>" + encode(Message(None, "well?")))
        await server.send(numbers(device="Good", name="good"))
        await client.wait_defined("Good", "good")
        assert client.connected
        if heard is not None:
            async for event in heard:
                if getattr(event, "devicename", None) == "Good":
                    break
        nursery.cancel_scope.cancel()


@given(
    st.lists(strategies.events().map(encode) | strategies.junk(), max_size=12),
    st.integers(1, 5000),
    st.booleans(),
)
@strategies.examples(150)
def test_no_server_harms_a_client(pieces: list[bytes], size: int, events: bool) -> None:
    data = b"".join(pieces)
    cut = [data[start : start + size] for start in range(0, len(data), size)]
    trio.run(play, cut, events, clock=trio.testing.MockClock(autojump_threshold=0))


NOISE = [
    pytest.param(b"hello\r\n\r\n", id="text"),
    pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n<html><body>no</body></html>", id="HTTP"),
    pytest.param(b"\0" * 1000, id="NUL bytes"),
    pytest.param(b"<setNumberVector>" * 200, id="openings"),
    pytest.param(b"<defNumberVector device='Other' name='target'/>", id="no members"),
    pytest.param(b"<setNumberVector device='Dev' name='target' state='Fine'/>", id="no state"),
    pytest.param(
        b"<setSwitchVector device='Dev' name='target'><oneSwitch name='x'>nan</oneSwitch>"
        b"</setSwitchVector>",
        id="no switch value",
    ),
    pytest.param(b"<pingReply uid='trindi-1'/><pingReply/>" * 500, id="replies"),
]


@pytest.mark.parametrize("noise", NOISE)
async def test_noise_costs_only_itself(autojump_clock: MockClock, noise: bytes) -> None:
    async with joined(numbers()) as (client, server):
        for _ in range(5):
            await server.stream.send_all(noise)
        await server.send(Message(None, "again"), report(members={"x": 5.0}))
        await client.wait_for("Dev", "target", lambda vector: vector["x"] == 5)
        look_at_everything(client)


async def test_malformed_elements_are_counted_and_do_not_end_the_connection(
    autojump_clock: MockClock,
) -> None:
    async with joined(numbers()) as (client, server):
        assert client.errors == 0
        await server.stream.send_all(b"<setNumberVector =></setNumberVector>" * 1000)
        await server.send(report())
        await client.wait_state("Dev", "target", "Ok")
        assert client.errors == 1000
    assert client.errors == 1000


async def test_pings_of_a_server_that_reads_nothing_are_bounded() -> None:
    to_client, from_server = trio.testing.memory_stream_one_way_pair()
    to_server, from_client = trio.testing.lockstep_stream_one_way_pair()
    server = Server(trio.StapledStream(to_client, from_client))
    client = IPyClient()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.run_on, trio.StapledStream(to_server, from_server))
        many = encode(pingRequest("x" * 60_000)) * 50
        for _ in range(BOUND // len(many) + 2):
            await server.stream.send_all(many)
        # A server that does not read is not read either: the connection ends.
    assert not client.connected


def definitions_without_end(kind: str) -> Iterable[Any]:
    for number in range(40):
        match kind:
            case "members":
                yield numbers({f"{number}_{n}": 1.0 for n in range(500)}, name=f"n{number}")
            case "devices":
                for n in range(100):
                    yield numbers({"x": 1.0}, device=f"device {number} {n}")
            case "texts":
                yield texts(f"n{number}", members={"a": "x" * 500_000})
            case _:
                yield texts("note", f"device {number}", message="x" * 60_000)
                for _ in range(10):
                    yield Message(f"device {number}", "x" * 60_000)


@pytest.mark.parametrize("kind", ["members", "devices", "texts", "messages"])
async def test_the_mirror_has_a_bound(autojump_clock: MockClock, kind: str) -> None:
    limited = IPyClient(max_mirror_bytes=4 * MIB)
    async with joined(numbers(name="first"), client=limited) as (client, server):
        tracemalloc.start()
        try:
            for event in definitions_without_end(kind):
                await server.send(event)
                await trio.testing.wait_all_tasks_blocked()
            used, _peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert used < 6 * MIB
        assert client.ignored > 0
        await server.send(report(name="first", members={"x": 5.0}))
        await client.wait_for("Dev", "first", lambda vector: vector["x"] == 5)


async def test_frames_have_a_bound(autojump_clock: MockClock) -> None:
    limited = IPyClient(max_blob_bytes=3 * MIB // 4)
    names = [f"image{n}" for n in range(20)]
    async with joined(*map(blobs, names), client=limited) as (client, server):
        await client.enable_blobs("Dev")
        about = {"file": SizeFormat(MIB // 4, ".raw")}
        for name in names:
            await server.send(setBLOBVector("Dev", name, {"file": bytes(MIB // 4)}, about))
        await trio.testing.wait_all_tasks_blocked()
        kept = [name for name in names if client["Dev"][name]["file"] is not None]
        assert kept == names[-3:]
        # A single frame beyond the bound of all is not decoded.
        await server.send(setBLOBVector("Dev", names[0], {"file": bytes(MIB)}, about))
        await trio.testing.wait_all_tasks_blocked()
        assert client.errors == 1
        assert client["Dev"][names[0]]["file"] is None


async def test_what_is_said_while_an_answer_is_waited_for_has_a_bound(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """A property without a timeout may be Busy for ever, each time with a member of a new name."""
    async with joined(numbers()) as (client, server):
        nursery.start_soon(partial(client["Dev"]["target"].set_and_wait, x=5))
        await server.pong()
        await trio.testing.wait_all_tasks_blocked()
        tracemalloc.start()
        try:
            for number in range(150):
                await server.send(report(State.BUSY, members={f"{number:010000}": 1.0}))
                await trio.testing.wait_all_tasks_blocked()
            used, _peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert client["Dev"]["target"].state is State.BUSY
        assert used < MIB
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("suffix", [".raw", ".raw.z"])
async def test_nothing_is_kept_of_a_blob_that_was_not_asked_for(
    autojump_clock: MockClock, suffix: str
) -> None:
    threads: list[Any] = []

    async def noted(function: Any, *args: Any) -> Any:
        threads.append(function)
        return await at_once(function, *args)

    payload = random.Random(0).randbytes(4 * MIB)
    frame = setBLOBVector(
        "Dev", "image", {"file": payload}, {"file": SizeFormat(len(payload), suffix)}, State.BUSY
    )
    data = encode(frame)
    quiet = IPyClient(runtime=Runtime(in_thread=noted))
    async with joined(blobs(), client=quiet) as (client, server):
        tracemalloc.start()
        try:
            for at in range(0, len(data), 64 * 1024):
                await server.stream.send_all(data[at : at + 64 * 1024])
                await trio.testing.wait_all_tasks_blocked()
            _used, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 2 * MIB
        assert client["Dev"]["image"].state is State.BUSY
        assert dict(client["Dev"]["image"]) == {"file": None}
        assert (client.ignored, client.errors, threads) == (1, 0, [])
        # One that is small is not decompressed, either; one that was asked for is, in a thread.
        small = replace(frame, members={"file": b"abc"}, sizeformat={"file": SizeFormat(3, suffix)})
        await server.send(small)
        await trio.testing.wait_all_tasks_blocked()
        assert (client.ignored, threads) == (2, [])
        await client.enable_blobs("Dev")
        await server.send(frame)
        await trio.testing.wait_all_tasks_blocked()
        assert client["Dev"]["image"]["file"] == payload
        assert len(threads) == suffix.endswith(".z")


async def test_an_element_has_a_bound(autojump_clock: MockClock) -> None:
    async with joined(client=IPyClient(max_element_bytes=10_000)) as (client, server):
        await server.send(texts("long", members={"a": "x" * 20_000}), texts())
        await client.wait_defined("Dev", "note")
        assert "long" not in client["Dev"]
        assert client.errors == 1


async def test_replies_to_unknown_pings_are_ignored(autojump_clock: MockClock) -> None:
    near, far = trio.testing.memory_stream_pair()
    server = Server(far)
    async with trio.open_nursery() as nursery:
        client = await nursery.start(IPyClient().run_on, near)
        await server.send(numbers(), *[pingReply(f"trindi-{n}") for n in range(100, 200)])
        assert await client.wait_settled() is Settled.QUIET
        nursery.cancel_scope.cancel()
