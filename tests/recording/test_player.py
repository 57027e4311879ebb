"""Playing one side of a recording to the peer at the other end of a stream."""

from __future__ import annotations

import contextlib
import io
import json
import math
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import trio
import trio.testing

import thermostat_target
from tests.kit.peers import Client
from trindi import IPyServer
from trindi.protocol import (
    Decoder,
    Event,
    Message,
    SizeFormat,
    encode,
    getProperties,
    newBLOBVector,
    newNumberVector,
    pingReply,
    pingRequest,
    setBLOBVector,
    setNumberVector,
)
from trindi.recording import EndOfStream, Entry, Recording, RecordingError, Side, record, replay
from trindi.testing.reproducible import at_once, virtual_now
from trindi.transport import Runtime

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

ASK = newNumberVector("D", "n", {"a": 2.0})
ANSWER = setNumberVector("D", "n", {"a": 2.0})
BROKEN = b'<setSwitchVector device="D"><oneSwitch name="a">x</oneSwitch></setSwitchVector>'


Said: TypeAlias = tuple[float, str, Event | bytes | None]


async def make(path: Path, *said: Said) -> Recording:
    """Record these items, each at its time; None is the end of a side."""
    text = io.StringIO()
    await write(text, *said)
    return save(text, path)


def save(text: io.StringIO, path: Path) -> Recording:
    path.write_text(text.getvalue(), encoding="utf-8")
    return Recording(path)


async def write(text: io.StringIO, *said: Said) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    start = trio.current_time()
    # It is not closed, as if the program had been killed.
    stream = record(ours, text)
    for time, source, item in said:
        await trio.sleep_until(start + time)
        sender = stream if source == "client" else theirs
        if item is None:
            await sender.send_eof()
        else:
            await sender.send_all(item if isinstance(item, bytes) else encode(item))
        if source == "server":
            await stream.receive_some()


async def received(stream: trio.abc.Stream) -> list[tuple[float, bytes]]:
    """Return all that comes, with its times."""
    found = []
    start = trio.current_time()
    while data := await stream.receive_some():
        found.append((round(trio.current_time() - start, 6), bytes(data)))
    return found


@pytest.mark.parametrize("speed", [1.0, 10.0])
async def test_what_a_client_said_is_said_at_its_times(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery, speed: float
) -> None:
    session: list[Said] = [
        (1.0, "client", ASK),
        (3.0, "server", ANSWER),
        (8.0, "client", BROKEN),
    ]
    recording = await make(tmp_path / "a", *session)
    ours, theirs = trio.testing.memory_stream_pair()
    nursery.start_soon(partial(replay, recording, ours, speed=speed))
    assert await received(theirs) == [(1.0 / speed, encode(ASK)), (8.0 / speed, BROKEN)]


async def test_what_a_server_said_is_said_to_a_client(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    session: list[Said] = [(3.0, "server", ANSWER), (8.0, "server", None)]
    recording = await make(tmp_path / "a", (1.0, "client", ASK), *session)
    ours, theirs = trio.testing.memory_stream_pair()
    nursery.start_soon(partial(replay, recording, ours, source="server"))
    start = trio.current_time()
    assert await received(theirs) == [(3.0, encode(ANSWER))]
    assert trio.current_time() - start == 8


async def test_the_end_of_a_connection_is_not_that_of_a_recording_that_goes_on(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    recording = await make(tmp_path / "a", (1.0, "client", ASK), (2.0, "client", None))
    again = {"time": 5.0, "from": "client", "event": "getProperties"}
    with recording.path.open("a") as file:
        file.write(json.dumps(again) + "\n")
    ours, theirs = trio.testing.memory_stream_pair()
    nursery.start_soon(partial(replay, recording, ours))
    assert await received(theirs) == [(1.0, encode(ASK)), (5.0, encode(getProperties()))]


async def test_what_the_peer_says_is_returned(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    recording = await make(tmp_path / "a", (1.0, "client", ASK), (9.0, "server", ANSWER))
    ours, theirs = trio.testing.memory_stream_pair()

    async def peer() -> None:
        assert await theirs.receive_some() == encode(ASK)
        await trio.sleep(2)
        await theirs.send_all(encode(ANSWER) + encode(pingRequest("p1")))
        assert await theirs.receive_some() == encode(pingReply("p1"))
        await trio.sleep_forever()

    nursery.start_soon(peer)
    start = trio.current_time()
    assert await replay(recording, ours) == [Entry(3.0, Side.SERVER, ANSWER)]
    assert trio.current_time() - start == pytest.approx(9.5)


async def test_large_payloads_of_its_own_side_are_read_in_a_thread(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    threads: list[Any] = []

    async def noted(function: Any, *args: Any) -> Any:
        threads.append(function)
        return await at_once(function, *args)

    def blob(size: int) -> newBLOBVector:
        return newBLOBVector("D", "b", {"b": bytes(size)}, {"b": SizeFormat(size, ".x")})

    def frame(size: int) -> setBLOBVector:
        return setBLOBVector("D", "b", {"b": bytes(size)}, {"b": SizeFormat(size, ".x")})

    sent = [blob(100), blob(10_000), blob(100_000)]
    ours, theirs = trio.testing.memory_stream_pair()
    async with record(ours, tmp_path / "a", now=virtual_now) as stream:
        for event in sent:
            await stream.send_all(encode(event))
        await theirs.send_all(encode(frame(200_000)))
        await stream.receive_some(300_000)
    ours, theirs = trio.testing.memory_stream_pair()
    runtime = Runtime(in_thread=noted)
    await replay(Recording(tmp_path / "a"), ours, runtime=runtime)
    received = bytes(await theirs.receive_some(1_000_000))
    assert Decoder().feed(received) == sent
    assert len(threads) == 1


async def test_a_driver_answers_as_it_did(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    async def join() -> trio.abc.Stream:
        ours, theirs = trio.testing.lockstep_stream_pair()
        server = await nursery.start(
            partial(IPyServer([thermostat_target.make_driver()]).run, listen=False)
        )
        nursery.start_soon(server.serve_stream, theirs)
        return ours

    async with record(await join(), tmp_path / "a") as stream:
        client = Client(stream)
        await client.subscribe()
        for target in (25.0, 31.0):
            await client.send(newNumberVector("Thermostat", "targetvector", {"target": target}))
            with trio.move_on_after(44):
                await client.rest()
    recording = Recording(tmp_path / "a")
    heard = await replay(recording, await join())
    said = [e for e in recording if e.source == "server" and not is_ping(e)]
    assert outline(heard) == outline(said)
    # The room may cool down before or after a report of the same moment.
    first, second = (
        [entry for entry in entries if place(entry) != "temperaturevector"]
        for entries in (heard, said)
    )
    assert without_time_of_day(first) == without_time_of_day(second)
    answers: list[Any] = [entry.item for entry in said if place(entry) == "targetvector"]
    assert [answer.state for answer in answers] == ["Ok", "Ok", "Alert"]


def is_ping(entry: Entry) -> bool:
    return isinstance(entry.item, (pingRequest, pingReply))


def place(entry: Any) -> str:
    return str(getattr(entry.item, "vectorname", ""))


def outline(entries: list[Entry]) -> list[Any]:
    return [
        (round(entry.time, 6), entry.source, type(entry.item), place(entry))
        for entry in entries
        if not isinstance(entry.item, EndOfStream)
    ]


def without_time_of_day(entries: list[Entry]) -> list[Any]:
    return [
        (round(entry.time, 6), str(entry.source), repr(entry.item).partition("timestamp=")[0])
        for entry in entries
        if not isinstance(entry.item, EndOfStream)
    ]


async def test_without_pauses_the_answers_are_waited_for(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    session = [(time, "client", ASK) for time in (0.0, 100.0, 1000.0)]
    recording = await make(tmp_path / "a", *session)
    ours, theirs = trio.testing.memory_stream_pair()

    async def peer() -> None:
        client = Client(theirs)
        for _ in range(3):
            assert await client.receive() == ASK
        ping = await client.receive()
        assert isinstance(ping, pingRequest)
        await trio.sleep(1)
        await client.send(ANSWER, pingReply("another"), pingReply(ping.uid))
        assert await client.receive() is None

    nursery.start_soon(peer)
    start = trio.current_time()
    heard = await replay(recording, ours, speed=math.inf)
    assert [entry.item for entry in heard] == [ANSWER]
    assert 1 <= trio.current_time() - start < 2


@pytest.mark.parametrize("linger", [0.0, 10.0])
async def test_a_peer_has_the_time_that_it_is_given(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery, linger: float
) -> None:
    recording = await make(tmp_path / "a", (0.0, "client", ASK), (100.0, "client", None))
    ours, theirs = trio.testing.memory_stream_pair()
    ends: list[float] = []

    async def peer() -> None:
        client = Client(theirs)
        assert await client.receive() == ASK
        ping = await client.receive()
        assert isinstance(ping, pingRequest)
        await client.send(pingReply(ping.uid))
        await trio.sleep(6)
        with contextlib.suppress(trio.BrokenResourceError):
            await client.send(ANSWER)
        # The replay has not returned before.
        assert await client.receive() is None
        ends.append(trio.current_time() - start)

    start = trio.current_time()
    nursery.start_soon(peer)
    heard = await replay(recording, ours, speed=math.inf, linger=linger)
    assert [entry.item for entry in heard] == ([ANSWER] if linger else [])
    assert trio.current_time() - start == 2 * linger
    await trio.testing.wait_all_tasks_blocked()
    assert ends == ([10] if linger else [])


async def test_a_peer_that_answers_no_ping_is_not_waited_for_for_ever(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    recording = await make(tmp_path / "a", (0.0, "client", ASK))
    ours, _theirs = trio.testing.memory_stream_pair()
    start = trio.current_time()
    assert await replay(recording, ours, speed=math.inf) == []
    assert trio.current_time() - start < 10


async def test_pings_are_not_repeated(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    said = [(0.0, "client", item) for item in (pingRequest("1"), getProperties(), pingReply("2"))]
    recording = await make(tmp_path / "a", *said)
    ours, theirs = trio.testing.memory_stream_pair()
    nursery.start_soon(replay, recording, ours)
    assert await received(theirs) == [(0, encode(getProperties()))]


@pytest.mark.parametrize("resets", [True, False])
async def test_it_ends_when_the_peer_has_gone(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery, resets: bool
) -> None:
    said = [(time, "client", Message("D", str(time))) for time in (1.0, 2.0, 1000.0)]
    recording = await make(tmp_path / "a", *said, (2000.0, "client", None))
    ours, theirs = trio.testing.lockstep_stream_pair()

    async def peer() -> None:
        await theirs.receive_some()
        if resets:
            await trio.sleep(5)
        await theirs.aclose()

    nursery.start_soon(peer)
    start = trio.current_time()
    assert await replay(recording, ours) == []
    assert trio.current_time() - start < 10


async def test_the_end_of_a_side_is_played_as_far_as_the_stream_can(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    recording = await make(tmp_path / "a", (1.0, "client", None), (4.0, "server", ANSWER))
    ours, theirs = trio.testing.memory_stream_pair()

    class Whole(trio.abc.Stream):
        """A stream that cannot be closed by halves."""

        send_all = ours.send_all
        wait_send_all_might_not_block = ours.wait_send_all_might_not_block
        receive_some = ours.receive_some
        aclose = ours.aclose

    nursery.start_soon(replay, recording, Whole())
    start = trio.current_time()
    assert await theirs.receive_some() == b""
    assert trio.current_time() - start == 4.5


async def test_a_broken_recording_is_no_group_of_exceptions(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    await make(tmp_path / "a", (1.0, "client", ASK))
    with (tmp_path / "a").open("a") as file:
        file.write("{}\n")
    ours, theirs = trio.testing.memory_stream_pair()
    with pytest.raises(RecordingError, match="line 3: it lacks 'time'"):
        await replay(Recording(tmp_path / "a"), ours)
    assert await theirs.receive_some() == encode(ASK)
    assert await theirs.receive_some() == b""


@pytest.mark.parametrize("speed", [0, -1, math.nan])
async def test_a_speed_is_above_zero(tmp_path: Path, speed: float) -> None:
    recording = await make(tmp_path / "a")
    ours, _ = trio.testing.memory_stream_pair()
    with pytest.raises(ValueError, match="speed is above 0"):
        await replay(recording, ours, speed=speed)
    with pytest.raises(ValueError, match="not a valid Side"):
        await replay(recording, ours, source="both")
    with pytest.raises(ValueError, match="linger is a number of seconds, not -1"):
        await replay(recording, ours, linger=-1)


async def test_cancelled_it_closes_the_stream(tmp_path: Path, autojump_clock: MockClock) -> None:
    recording = await make(tmp_path / "a", (0.0, "client", ASK), (1000.0, "client", ASK))
    ours, theirs = trio.testing.memory_stream_pair()
    with trio.move_on_after(10) as scope:
        await replay(recording, ours)
    assert scope.cancelled_caught
    assert await theirs.receive_some() == encode(ASK)
    assert await theirs.receive_some() == b""


async def test_a_recording_can_be_written_by_hand(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    lines = [
        {"trindi recording": 1, "side": "client", "clock": "virtual", "start": "2026-03-01"},
        {"time": 5, "from": "client", "event": "getProperties"},
    ]
    path = tmp_path / "by hand"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    ours, theirs = trio.testing.memory_stream_pair()
    nursery.start_soon(replay, Recording(path), ours)
    assert await received(theirs) == [(5, encode(getProperties()))]
