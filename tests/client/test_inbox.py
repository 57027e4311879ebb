"""The iterators over events and frames: bounded, and the newest state survives."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.kit.client import blobs, joined, numbers, report, texts
from trindi import (
    BLOBPolicy,
    ConfigurationError,
    Frame,
    Message,
    Progress,
    SizeFormat,
    State,
    delProperty,
    enableBLOB,
    getProperties,
    newNumberVector,
    setBLOBVector,
)
from trindi.client.saving import file_name
from trindi.protocol import encode, pingReply, pingRequest
from trindi.transport import BOUND

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

    from tests.kit.peers import Server
    from trindi.client import Events


def frame(data: bytes, name: str = "image", suffix: str = ".fits", **more: Any) -> setBLOBVector:
    about = {"file": SizeFormat(len(data), suffix)}
    return setBLOBVector("Dev", name, {"file": data}, about, State.OK, **more)


async def heard(events: Events) -> list[Any]:
    """Return all queued events, and none that come later."""
    await trio.testing.wait_all_tasks_blocked()
    found = []
    with trio.move_on_after(0.001):
        async for event in events:
            found.append(event)
    return found


# Events ----------------------------------------------------------------------------------------


async def test_events_are_received_from_the_call_on(autojump_clock: MockClock) -> None:
    async with joined(numbers()) as (client, server):
        events = client.events()
        told: list[Any] = [
            numbers(),
            report(),
            texts(),
            Message("Dev", "hello"),
            delProperty("Dev", "note"),
        ]
        await server.send(*told)
        assert await heard(events) == told
        assert events.drops == 0


async def test_requests_of_other_clients_are_not_received(autojump_clock: MockClock) -> None:
    async with joined(numbers({"x": 1.0})) as (client, server):
        events = client.events()
        # indiserver forwards requests to other clients.
        await server.send(
            newNumberVector("Dev", "target", {"x": 9.0}), getProperties("Dev"), pingRequest("u")
        )
        assert await server.receive() == pingReply("u")
        assert await heard(events) == []
        assert client["Dev"]["target"]["x"] == 1.0


async def test_events_may_be_of_a_device_or_a_property(autojump_clock: MockClock) -> None:
    async with joined() as (client, server):
        device, vector = client.events("Dev"), client.events("Dev", "target")
        of_vector: list[Any] = [numbers(), report()]
        of_device: list[Any] = [texts(), Message("Dev", "hello"), delProperty("Dev", "note")]
        of_both = [delProperty("Dev", "target"), delProperty("Dev"), delProperty()]
        others: list[Any] = [numbers(device="Other"), Message(None, "x"), delProperty("Other")]
        await server.send(*of_vector, *of_device, *others, *of_both)
        assert await heard(device) == [*of_vector, *of_device, *of_both]
        assert await heard(vector) == [*of_vector, *of_both]


async def test_the_mirror_is_as_new_as_the_event(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with joined(numbers({"x": 1.0})) as (client, server):
        events = client.events()
        await server.send(report(members={"x": 2.0}))
        event: Any = await events.__anext__()
        assert client["Dev"]["target"]["x"] == event["x"] == 2.0


async def test_a_slow_iterator_gets_the_newest_state(autojump_clock: MockClock) -> None:
    async with joined(numbers(), texts()) as (client, server):
        slow, fast = client.events(high_water=50_000), client.events()
        told = [report(members={"x": float(n)}) for n in range(1000)]
        await server.send(*told[:500], texts(message="again"), *told[500:], Message("Dev", "end"))
        got = await heard(slow)
        assert len(got) < 200
        assert slow.drops == len(told) + 2 - len(got)
        assert [event for event in got if event.message] == [
            texts(message="again"),
            Message("Dev", "end"),
        ]
        values = [event["x"] for event in got if "x" in getattr(event, "members", ())]
        assert values == sorted(values)
        assert values[-1] == 999
        assert len(await heard(fast)) == len(told) + 2
        assert fast.drops == 0


async def test_an_iterator_that_keeps_up_gets_everything(autojump_clock: MockClock) -> None:
    async with joined(numbers()) as (client, server):
        events = client.events(high_water=10_000)
        for n in range(200):
            await server.send(report(members={"x": float(n)}))
            assert [event["x"] for event in await heard(events)] == [n]
        assert events.drops == 0


async def test_an_iterator_that_is_never_read_keeps_no_more_than_the_bound(
    autojump_clock: MockClock,
) -> None:
    async with joined() as (client, server):
        stuck = client.events()
        large = texts(message="x" * 65_000)
        for _ in range(BOUND // 65_000 + 50):
            await server.send(large)
            await trio.testing.wait_all_tasks_blocked()
        assert stuck.drops > BOUND // 70_000
        assert client["Dev"]["note"].message == large.message
        assert len(await heard(stuck)) < 100


async def test_an_iterator_without_references_is_forgotten(autojump_clock: MockClock) -> None:
    async with joined(numbers()) as (client, server):
        for _ in range(10):
            events = client.events()
            await server.send(report())
            async for _event in events:
                break
        del events
        gc.collect()
        assert sum(type(one).__name__ == "Events" for one in gc.get_objects()) == 0


async def test_a_cancelled_iterator_loses_nothing(autojump_clock: MockClock) -> None:
    async with joined(numbers()) as (client, server):
        events = client.events()
        got: list[Any] = []
        for n in range(200):
            await server.send(report(members={"x": float(n)}))
            with trio.CancelScope() as scope:
                scope.cancel()
                got.append(await events.__anext__())
        got += await heard(events)
        assert [event["x"] for event in got] == list(range(200))


async def test_an_iterator_lets_other_tasks_run(autojump_clock: MockClock) -> None:
    async with joined(numbers()) as (client, server):
        events = client.events()
        await server.send(*[report()] * 1000)
        await trio.testing.wait_all_tasks_blocked()
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                await trio.lowlevel.checkpoint()
                turns += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            for _ in range(1000):
                await events.__anext__()
            nursery.cancel_scope.cancel()
        assert turns >= 10


# BLOBs -----------------------------------------------------------------------------------------


async def test_blobs_are_asked_for(autojump_clock: MockClock) -> None:
    async with joined(blobs()) as (client, server):
        await client.enable_blobs("Dev")
        await client.enable_blobs("Dev", "image", BLOBPolicy.NEVER)
        await client.enable_blobs("Dev", policy="Only")
        assert await server.receive() == enableBLOB("Dev", None, BLOBPolicy.ALSO)
        assert await server.receive() == enableBLOB("Dev", "image", BLOBPolicy.NEVER)
        assert await server.receive() == enableBLOB("Dev", None, BLOBPolicy.ONLY)
        with pytest.raises(ConfigurationError, match="'Sometimes' is no BLOB policy"):
            await client.enable_blobs("Dev", policy="Sometimes")


async def test_blobs_of_a_property_without_blobs_are_refused(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    async with joined(numbers(), blobs()) as (client, server):
        vector = client["Dev"]["target"]
        with pytest.raises(ValueError, match="Dev target has no BLOBs, it is a Number vector"):
            await client.enable_blobs("Dev", "target")
        for listen in (vector.frames, lambda: vector.save_frames(tmp_path)):
            with pytest.raises(ValueError, match="has no BLOBs"):
                listen()
        # A property that is not defined yet may have BLOBs.
        client.frames("Dev", "other")
        await client.enable_blobs("Dev", "other")
        assert await server.next(enableBLOB) == enableBLOB("Dev", "other", BLOBPolicy.ALSO)


async def test_frames_are_bytes_with_their_origin(autojump_clock: MockClock) -> None:
    async with joined(blobs()) as (client, server):
        await client.enable_blobs("Dev", "image")
        frames = client["Dev"]["image"].frames()
        await server.send(frame(b"one"), frame(b""), report(), frame(b"two", suffix=".jpg"))
        first, second = await frames.__anext__(), await frames.__anext__()
        assert first == b"one"
        assert isinstance(first, bytes)
        assert isinstance(first, Frame)
        assert (first.devicename, first.vectorname, first.membername) == ("Dev", "image", "file")
        assert (first.format, first.timestamp) == (".fits", None)
        assert (second, second.format) == (b"two", ".jpg")
        assert repr(second) == "<Frame of 3 bytes .jpg>"
        assert client["Dev"]["image"]["file"] == b"two"


async def test_each_member_is_a_frame(autojump_clock: MockClock) -> None:
    async with joined(blobs(members={"a": None, "b": None})) as (client, server):
        await client.enable_blobs("Dev")
        frames = client.frames("Dev", "image")
        about = {"a": SizeFormat(1, ".x"), "b": SizeFormat(1, ".y")}
        await server.send(setBLOBVector("Dev", "image", {"a": b"1", "b": b"2"}, about))
        got = [await frames.__anext__(), await frames.__anext__()]
        assert [(one, one.membername, one.format) for one in got] == [
            (b"1", "a", ".x"),
            (b"2", "b", ".y"),
        ]


async def test_frames_of_other_properties_are_not_received(autojump_clock: MockClock) -> None:
    async with joined(blobs(), blobs("other")) as (client, server):
        await client.enable_blobs("Dev")
        frames = client.frames("Dev", "image")
        await server.send(frame(b"no", "other"), frame(b"yes"))
        assert await frames.__anext__() == b"yes"


async def test_blobs_that_are_not_enabled_are_not_kept(autojump_clock: MockClock) -> None:
    async with joined(blobs(), blobs("other")) as (client, server):
        await client.enable_blobs("Dev")
        await client.enable_blobs("Dev", "other", "Never")
        await client.enable_blobs("Cam")
        events = client.events()
        await server.send(frame(b"no", "other"), frame(b"yes"))
        assert await heard(events) == [
            setBLOBVector("Dev", "other", state=State.OK),
            frame(b"yes"),
        ]
        assert client["Dev"]["other"]["file"] is None
        assert client["Dev"]["other"].state is State.OK
        assert client.ignored == 1


async def test_a_slow_iterator_gets_the_newest_frame(autojump_clock: MockClock) -> None:
    async with joined(blobs()) as (client, server):
        await client.enable_blobs("Dev")
        slow = client.frames("Dev", "image", high_water=10_000)
        for n in range(20):
            await server.send(frame(bytes([n]) * 3_000))
        await trio.testing.wait_all_tasks_blocked()
        got = []
        with trio.move_on_after(1):
            async for one in slow:
                got.append(one[0])
        assert got[0] == 0
        assert got[-1] == 19
        assert slow.drops == 20 - len(got) > 10


async def test_a_frame_that_is_replaced_leaves_its_message_to_the_events(
    autojump_clock: MockClock,
) -> None:
    async with joined(blobs()) as (client, server):
        await client.enable_blobs("Dev", "image")
        frames = client.frames("Dev", "image", high_water=1000)
        events = client.events("Dev", "image", high_water=1000)
        for number in b"123":
            await server.send(frame(bytes([number]) * 2000, message=f"[INFO] {number}"))
        said = [event.message for event in await heard(events)]
        assert said == ["[INFO] 49", "[INFO] 50", "[INFO] 51"]
        assert (await anext(frames))[:1] == b"3"


async def test_frames_that_were_handed_out_are_not_counted(autojump_clock: MockClock) -> None:
    async with joined(blobs()) as (client, server):
        await client.enable_blobs("Dev")
        frames = client.frames("Dev", "image")
        size = 1024 * 1024
        for n in range(BOUND // size + 5):
            await server.send(frame(bytes([n]) * size))
            assert (await frames.__anext__())[0] == n
        assert frames.drops == 0


async def test_frames_end_with_the_client(autojump_clock: MockClock) -> None:
    async with joined(blobs()) as (client, server):
        await client.enable_blobs("Dev")
        frames = client.frames("Dev", "image")
        await server.send(frame(b"last"))
        await server.aclose()
        assert [one async for one in frames] == [b"last"]


# Progress --------------------------------------------------------------------------------------


async def send_slowly(server: Server, event: setBLOBVector, pieces: int = 10) -> None:
    data = encode(event)
    step = len(data) // pieces + 1
    for start in range(0, len(data), step):
        await server.stream.send_all(data[start : start + step])
        await trio.testing.wait_all_tasks_blocked()


async def test_the_progress_of_a_frame_is_reported(autojump_clock: MockClock) -> None:
    async with joined(blobs()) as (client, server):
        await client.enable_blobs("Dev")
        told: list[Progress] = []
        frames = client["Dev"]["image"].frames(told.append)
        for _ in range(2):
            await send_slowly(server, frame(b"x" * 100_000))
            assert len(await frames.__anext__()) == 100_000
            assert [one.received for one in told] == pytest.approx(
                [10_000 * n for n in range(1, 11)], abs=150
            )
            assert told[-1] == Progress("Dev", "image", 100_000, 100_000)
            assert {(one.devicename, one.vectorname, one.total) for one in told} == {
                ("Dev", "image", 100_000)
            }
            told.clear()


async def test_the_total_of_several_members_is_unknown(autojump_clock: MockClock) -> None:
    async with joined(blobs(members={"a": None, "b": None})) as (client, server):
        await client.enable_blobs("Dev")
        told: list[Progress] = []
        frames = client["Dev"]["image"].frames(told.append)
        data = {"a": b"x" * 10_000, "b": b"x" * 190_000}
        about = {name: SizeFormat(len(one), ".fits") for name, one in data.items()}
        await send_slowly(server, setBLOBVector("Dev", "image", data, about))
        assert [len(await frames.__anext__()) for _ in data] == [10_000, 190_000]
        assert [one.received for one in told] == pytest.approx(
            [20_000 * n for n in range(1, 11)], abs=300
        )
        assert {one.total for one in told[:-1]} == {None}
        assert told[-1] == Progress("Dev", "image", 200_000, 200_000)


async def test_the_total_of_a_compressed_frame_is_unknown(autojump_clock: MockClock) -> None:
    async with joined(blobs()) as (client, server):
        await client.enable_blobs("Dev")
        told: list[Progress] = []
        frames = client["Dev"]["image"].frames(told.append)
        await send_slowly(server, frame(bytes(range(256)) * 1000, suffix=".fits.z"), 3)
        assert len(await frames.__anext__()) == 256_000
        assert [one.total for one in told] == [None, None, 256_000]


async def test_the_head_may_come_in_any_pieces(autojump_clock: MockClock) -> None:
    async with joined(blobs()) as (client, server):
        await client.enable_blobs("Dev")
        told: list[Progress] = []
        frames = client["Dev"]["image"].frames(told.append)
        data = encode(frame(b"x" * 3000))
        for place in range(1, 300):
            await server.stream.send_all(data[place - 1 : place])
            await trio.testing.wait_all_tasks_blocked()
        await server.stream.send_all(data[299:])
        assert len(await frames.__anext__()) == 3000
        assert told[0].received == 0
        assert [one.received for one in told] == sorted(one.received for one in told)
        assert told[-1].received == 3000


async def test_progress_of_other_properties_is_not_reported(autojump_clock: MockClock) -> None:
    async with joined(blobs(), blobs("other"), texts()) as (client, server):
        await client.enable_blobs("Dev")
        told: list[Progress] = []
        frames = client.frames("Dev", "image", told.append)
        silent = client.frames("Dev", "image")
        await send_slowly(server, frame(b"x" * 100_000, "other"))
        await send_slowly(server, texts(message="y" * 10_000))  # type: ignore[arg-type]
        assert told == []
        await send_slowly(server, frame(b"x" * 100))
        assert await frames.__anext__() == await silent.__anext__()
        assert told != []


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError, GeneratorExit])
async def test_an_error_of_the_progress_function_ends_the_iterator(
    autojump_clock: MockClock, error: type[BaseException]
) -> None:
    def fail(progress: Progress) -> None:
        raise error(progress.received)

    async with joined(blobs(), numbers()) as (client, server):
        await client.enable_blobs("Dev")
        frames = client.frames("Dev", "image", fail)
        await send_slowly(server, frame(b"x" * 1000))
        with pytest.raises(error):
            async for _ in frames:
                pass
        # The client goes on.
        await server.send(report())
        await client.wait_state("Dev", "target", "Ok")


# Saving ----------------------------------------------------------------------------------------


def contents(directory: Path) -> list[bytes]:
    return sorted(path.read_bytes() for path in directory.iterdir())


async def test_frames_are_saved(tmp_path: Path) -> None:
    async with joined(blobs()) as (client, server):
        await client.enable_blobs("Dev")
        told: list[Progress] = []
        saved = client["Dev"]["image"].save_frames(tmp_path, told.append)
        await server.send(frame(b"one"))
        first = await saved.__anext__()
        await server.send(frame(b"two", suffix=".jpg"), frame(b"three", suffix=".fits.z"))
        rest = [await saved.__anext__(), await saved.__anext__()]
        assert [path.name for path in (first, *rest)] == [
            "Dev.image.file.0001.fits",
            "Dev.image.file.0002.jpg",
            "Dev.image.file.0003.fits",
        ]
        assert [path.read_bytes() for path in (first, *rest)] == [b"one", b"two", b"three"]
        assert [one.total for one in told] == [3, 3, 5]
        assert saved.drops == 0


async def test_no_file_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "Dev.image.file.0001.fits").write_bytes(b"old")
    (tmp_path / "Dev.image.file.0002.fits").write_bytes(b"old")
    async with joined(blobs()) as (client, server):
        await client.enable_blobs("Dev")
        saved = client.save_frames("Dev", "image", str(tmp_path))
        await server.send(frame(b"new"))
        async for path in saved:
            assert path.name == "Dev.image.file.0003.fits"
            break
    assert contents(tmp_path) == [b"new", b"old", b"old"]


@pytest.mark.parametrize(
    ("suffix", "name"),
    [
        ("/../../etc/passwd", "___._x.a_b.0001._.._.._etc_passwd"),
        ("...", "___._x.a_b.0001.bin"),
        (".z", "___._x.a_b.0001.bin"),
        (".\0é", "___._x.a_b.0001.__"),
        (".stream_jpg", "___._x.a_b.0001.stream_jpg"),
        ("." + "x" * 500, "___._x.a_b.0001." + "x" * 31),
    ],
    ids=["path", "dots", "z", "odd", "stream", "long"],
)
def test_a_server_does_not_choose_where_files_go(suffix: str, name: str) -> None:
    about = {"a/b": SizeFormat(1, suffix)}
    event = setBLOBVector("../", "\nx", {"a/b": b"1"}, about)
    assert file_name(Frame._of(event, "a/b"), 1) == name


async def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    async with joined(blobs()) as (client, server):
        await client.enable_blobs("Dev")
        saved = client.save_frames("Dev", "image", tmp_path / "missing")
        await server.send(frame(b"new"))
        with pytest.raises(FileNotFoundError):
            await saved.__anext__()
    assert contents(tmp_path) == []
