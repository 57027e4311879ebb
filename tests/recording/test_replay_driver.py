"""A recording that clients look at."""

from __future__ import annotations

import json
import math
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.kit.peers import Client
from trindi import IPyServer
from trindi.protocol import (
    BLOBPolicy,
    Event,
    Limits,
    Message,
    NumberLabel,
    Permission,
    Rule,
    SizeFormat,
    State,
    SwitchState,
    defBLOBVector,
    defLightVector,
    defNumberVector,
    defSwitchVector,
    delProperty,
    enableBLOB,
    getProperties,
    newBLOBVector,
    newNumberVector,
    newSwitchVector,
    setBLOBVector,
    setLightVector,
    setNumberVector,
    setSwitchVector,
)
from trindi.recording import Recording, RecordingError, ReplayDriver
from trindi.recording.blobs import BlobWriter
from trindi.recording.jsonl import to_json
from trindi.testing.reproducible import at_once
from trindi.transport import Runtime

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

NUMBER = defNumberVector(
    "Dev",
    "n",
    "Number",
    "Main",
    State.IDLE,
    Permission.RW,
    {"a": 1.0, "b": 2.0},
    {"a": NumberLabel("A", "%g", 0, 10, 1), "b": NumberLabel("B", "%g", 0, 10, 1)},
)
SWITCH = defSwitchVector(
    "Other",
    "s",
    "Switch",
    "Main",
    State.OK,
    Permission.RW,
    Rule.ANY_OF_MANY,
    {"x": SwitchState.OFF},
    {"x": "X"},
)
LIGHT = defLightVector("Dev", "l", "Light", "Main", State.OK, {"x": State.OK}, {"x": "X"})
BLOB = defBLOBVector(
    "Dev", "b", "Frame", "Main", State.OK, Permission.RO, {"f": None}, {"f": "Frame"}
)
FRAME = setBLOBVector("Dev", "b", {"f": b"data"}, {"f": SizeFormat(4, ".bin")}, State.OK)


def number(time: float, a: float, **more: Any) -> tuple[float, Event]:
    return time, setNumberVector("Dev", "n", {"a": a}, **more)


def write(path: Path, *said: tuple[float, Event], source: str = "server") -> Recording:
    """Write a recording of what a server has sent."""
    header = {"trindi recording": 1, "side": "client", "clock": "wall", "start": "2026-03-01"}
    keep = BlobWriter(path, 10**6).keep
    lines = [{"time": time, "from": source, **to_json(event, keep)} for time, event in said]
    path.write_text("".join(json.dumps(line) + "\n" for line in [header, *lines]))
    return Recording(path)


async def serve(nursery: trio.Nursery, driver: ReplayDriver) -> IPyServer:
    server: IPyServer = await nursery.start(partial(IPyServer([driver]).run, listen=False))
    return server


def join(nursery: trio.Nursery, server: IPyServer) -> Client:
    ours, theirs = trio.testing.lockstep_stream_pair()
    nursery.start_soon(server.serve_stream, theirs)
    return Client(ours, timeout=math.inf)


async def hears(client: Client, seconds: float) -> list[tuple[float, Any]]:
    """Return all that a client receives from now on, with its times."""
    start, heard = trio.current_time(), []
    with trio.move_on_after(seconds):
        while True:
            event = await client.receive()
            heard.append((round(trio.current_time() - start, 6), event))
    return heard


async def test_definitions_are_the_answer_and_reports_follow_at_their_times(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    recording = write(
        tmp_path / "a",
        (3.0, NUMBER),
        number(3.25, 1.5),
        (3.5, SWITCH),
        number(13.0, 2.5),
        (14.0, Message("Dev", "hello")),
    )
    driver = ReplayDriver(recording)
    assert set(driver) == {"Dev", "Other"}
    client = join(nursery, await serve(nursery, driver))
    # It begins when it is asked.
    await trio.sleep(1000)
    await client.send(getProperties())
    assert await hears(client, 60) == [
        (0, NUMBER),
        (0, SWITCH),
        number(0.25, 1.5),
        number(10.0, 2.5),
        (11.0, Message("Dev", "hello")),
    ]
    assert driver.finished.is_set()


@pytest.mark.parametrize(("speed", "time"), [(10.0, 1.0), (math.inf, 0.0)])
async def test_it_can_go_faster(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery, speed: float, time: float
) -> None:
    recording = write(tmp_path / "a", (3.0, NUMBER), number(13.0, 2.5))
    client = join(nursery, await serve(nursery, ReplayDriver(recording, speed)))
    await client.send(getProperties())
    assert await hears(client, 60) == [(0, NUMBER), number(time, 2.5)]


@pytest.mark.parametrize("speed", [0.0, -2.0, math.nan])
def test_a_speed_is_above_zero(tmp_path: Path, speed: float) -> None:
    with pytest.raises(ValueError, match="speed is above 0"):
        ReplayDriver(write(tmp_path / "a"), speed)


async def test_who_comes_later_sees_what_is_so_by_then(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    recording = write(
        tmp_path / "a",
        (0.0, NUMBER),
        (0.0, LIGHT),
        (0.0, BLOB),
        number(
            10.0,
            2.5,
            state=State.BUSY,
            timeout=7.0,
            limits={"a": Limits(1, 5, 0.5), "unknown": Limits(0, 0, 0)},
        ),
        (10.0, setNumberVector("Dev", "n", {"unknown": 1.0})),
        (10.0, setNumberVector("Dev", "unknown", {"a": 1.0})),
        (10.0, setLightVector("Dev", "l", {"x": State.ALERT}, State.ALERT)),
        (10.0, FRAME),
        (20.0, SWITCH),
        (30.0, delProperty("Dev", "l")),
        (40.0, delProperty("Other")),
        (50.0, delProperty()),
    )
    server = await serve(nursery, ReplayDriver(recording))
    first, second = join(nursery, server), join(nursery, server)
    await first.subscribe()
    nursery.start_soon(hears, first, 1000)
    await trio.sleep(11)
    label = NumberLabel("A", "%g", 1, 5, 0.5)
    changed = {
        "n": (State.BUSY, {"a": 2.5, "b": 2.0}),
        "l": (State.ALERT, {"x": State.ALERT}),
        "b": (State.OK, {"f": None}),
    }
    seen = await ask(second, getProperties("Dev"))
    assert {event.vectorname: (event.state, dict(event)) for event in seen} == changed
    assert seen[0].memberlabels["a"] == label
    assert seen[0].timeout == 7.0
    assert [event.vectorname for event in await ask(second, getProperties("Dev", "l"))] == ["l"]
    assert [event.vectorname for event in await ask(second, getProperties("Nobody"))] == []
    await trio.sleep(10)
    assert (await ask(second, getProperties("*")))[-1] == SWITCH
    await trio.sleep(10)
    names = {event.vectorname for event in await ask(second, getProperties())}
    assert names == {"n", "b", "s"}
    await trio.sleep(10)
    names = {event.vectorname for event in await ask(second, getProperties())}
    assert names == {"n", "b"}
    await trio.sleep(10)
    assert await ask(second, getProperties()) == []


async def test_after_a_new_connection_only_what_is_defined_anew_is_there(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    recording = write(tmp_path / "a", (0.0, NUMBER), (0.0, LIGHT))
    again = [
        {"time": 20.0, "from": "server", "end": "broken"},
        {"time": 25.0, "from": "client", "event": "getProperties"},
        {"time": 30.0, "from": "server", **to_json(LIGHT, lambda _data, _format: {})},
    ]
    with recording.path.open("a") as file:
        file.write("".join(json.dumps(line) + "\n" for line in again))
    client = join(nursery, await serve(nursery, ReplayDriver(recording)))
    await client.send(getProperties())
    assert await hears(client, 60) == [
        (0, NUMBER),
        (0, LIGHT),
        (25.0, delProperty("Dev", "n")),
        (25.0, delProperty("Dev", "l")),
        (30.0, LIGHT),
    ]
    assert await ask(client, getProperties()) == [LIGHT]


async def ask(client: Client, event: Event) -> list[Any]:
    """Return the definitions that a client gets as an answer."""
    await client.sync()
    await client.send(event)
    return [event for event in await client.sync() if hasattr(event, "label")]


async def test_blobs_go_to_those_who_want_them(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    large = setBLOBVector("Dev", "b", {"f": bytes(9000)}, {"f": SizeFormat(9000, ".fits")})
    recording = write(tmp_path / "a.jsonl", (0.0, BLOB), (5.0, FRAME), (6.0, large))
    server = await serve(nursery, ReplayDriver(recording))
    fond, other = join(nursery, server), join(nursery, server)
    await other.subscribe()
    await fond.send(getProperties(), enableBLOB("Dev", None, BLOBPolicy.ALSO))
    assert await hears(fond, 60) == [(0, BLOB), (5, FRAME), (6, large)]
    assert await hears(other, 60) == []


async def test_large_frames_are_read_in_a_thread(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    threads: list[Any] = []

    async def noted(function: Any, *args: Any) -> Any:
        threads.append(function)
        return await at_once(function, *args)

    large = setBLOBVector("Dev", "b", {"f": bytes(90_000)}, {"f": SizeFormat(90_000, ".fits")})
    recording = write(tmp_path / "a.jsonl", (0.0, BLOB), (5.0, FRAME), (6.0, large))
    server = IPyServer([ReplayDriver(recording)])
    runtime = Runtime(in_thread=noted)
    await nursery.start(partial(server.run, listen=False, runtime=runtime))
    fond = join(nursery, server)
    await fond.send(getProperties(), enableBLOB("Dev", None, BLOBPolicy.ALSO))
    assert await hears(fond, 60) == [(0, BLOB), (5, FRAME), (6, large)]
    assert len(threads) == 1


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (newNumberVector("Dev", "n", {"a": 9.0}), setNumberVector("Dev", "n", NUMBER.members)),
        (
            newSwitchVector("Other", "s", {"x": SwitchState.ON}),
            setSwitchVector("Other", "s", SWITCH.members),
        ),
        (newBLOBVector("Dev", "b", {"f": b""}, {}), setBLOBVector("Dev", "b")),
        (newNumberVector("Dev", "nothing", {"a": 9.0}), Message("Dev")),
    ],
    ids=["number", "switch", "blob", "unknown"],
)
async def test_what_clients_want_set_is_refused(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery, asked: Any, answer: Any
) -> None:
    recording = write(tmp_path / "a", (0.0, NUMBER), (0.0, SWITCH), (0.0, BLOB))
    client = join(nursery, await serve(nursery, ReplayDriver(recording)))
    await client.subscribe()
    await client.send(asked)
    said: Any
    said, _ping = await client.sync()
    assert "this is a recording" in said.message
    assert type(said) is type(answer)
    assert getattr(said, "members", None) == getattr(answer, "members", None)


async def test_the_light_and_the_light_only_has_no_timeout(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    recording = write(tmp_path / "a", (0.0, LIGHT))
    client = join(nursery, await serve(nursery, ReplayDriver(recording)))
    await client.subscribe()
    await client.send(newNumberVector("Dev", "l", {"x": 1.0}))
    answer = await client.next(setLightVector)
    assert (answer.state, dict(answer)) == (State.ALERT, {"x": State.OK})


async def test_devices_may_have_any_name(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    odd = defLightVector("Düse 1 ", "l", "Light", "", State.OK, {"x": State.OK}, {"x": "X"})
    recording = write(tmp_path / "a", (0.0, odd), (5.0, delProperty("Düse 1 ")))
    client = join(nursery, await serve(nursery, ReplayDriver(recording)))
    await client.send(getProperties())
    assert await hears(client, 60) == [(0, odd), (5, delProperty("Düse 1 "))]


async def test_what_the_client_said_is_not_shown(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    recording = write(tmp_path / "a", (0.0, NUMBER), source="client")
    driver = ReplayDriver(recording)
    assert len(driver) == 0
    client = join(nursery, await serve(nursery, driver))
    await client.send(getProperties())
    assert await hears(client, 60) == []


def test_a_broken_recording_is_refused_at_once(tmp_path: Path) -> None:
    recording = write(tmp_path / "a", (0.0, NUMBER))
    with recording.path.open("a") as file:
        file.write("nonsense\n")
    with pytest.raises(RecordingError, match="line 3"):
        ReplayDriver(recording)
