"""Recording what passes through a stream, without changing any of it."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from hypothesis import given, strategies as st

from tests.strategies import examples
from trindi.errors import ConfigurationError
from trindi.protocol import (
    Event,
    Message,
    SizeFormat,
    encode,
    getProperties,
    newNumberVector,
    setBLOBVector,
    setNumberVector,
)
from trindi.recording import EndOfStream, Recording, RecordingError, Side, Unparsed, record
from trindi.recording.recorder import RecordingFile
from trindi.transport import Runtime

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ASK = newNumberVector("D", "n", {"a": 2.0})
ANSWER = setNumberVector("D", "n", {"a": 2.0})
BROKEN = b'<setSwitchVector device="D"><oneSwitch name="a">x</oneSwitch></setSwitchVector>'


def entries(path: Path) -> list[tuple[float, str, Any]]:
    return [(entry.time, str(entry.source), entry.item) for entry in Recording(path)]


async def test_both_sides_are_recorded_with_their_times(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    path = tmp_path / "session.jsonl"
    ours, theirs = trio.testing.memory_stream_pair()
    await trio.sleep(100)
    async with record(ours, path, now=lambda: NOON) as stream:
        await stream.wait_send_all_might_not_block()
        await stream.send_all(encode(ASK))
        assert await theirs.receive_some() == encode(ASK)
        await trio.sleep(2.5)
        await theirs.send_all(encode(ANSWER) + encode(ANSWER))
        assert await stream.receive_some() == encode(ANSWER) * 2
    recording = Recording(path)
    assert (recording.side, recording.clock, recording.start) == (Side.CLIENT, "virtual", NOON)
    assert entries(path) == [
        (0, "client", ASK),
        (2.5, "server", ANSWER),
        (2.5, "server", ANSWER),
        (2.5, "client", EndOfStream()),
    ]
    assert repr(recording) == f"<Recording {path}>"


async def test_at_a_servers_end_it_is_the_other_way_round(tmp_path: Path) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    async with record(ours, str(tmp_path / "a"), side="server") as stream:
        await stream.send_all(encode(ANSWER))
        await theirs.send_all(encode(ASK))
        await stream.receive_some(100000)
    assert [source for _, source, _ in entries(tmp_path / "a")] == ["server", "client", "server"]
    assert Recording(tmp_path / "a").clock == "wall"
    with pytest.raises(ValueError, match="'both' is not a valid Side"):
        record(ours, tmp_path / "b", side="both")


async def test_the_ends_are_recorded(tmp_path: Path, autojump_clock: MockClock) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    async with record(ours, tmp_path / "a") as stream:
        await stream.send_eof()
        assert await theirs.receive_some() == b""
        await theirs.aclose()
        assert await stream.receive_some() == b""
        assert await stream.receive_some() == b""
    assert entries(tmp_path / "a") == [(0, "client", EndOfStream()), (0, "server", EndOfStream())]


class BrokenStream(trio.abc.Stream):
    """A connection that the peer has reset; it cannot be closed by halves."""

    async def send_all(self, data: object) -> None:
        await trio.lowlevel.checkpoint()
        raise trio.BrokenResourceError

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        raise trio.BrokenResourceError

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("sends", [True, False])
async def test_a_broken_connection_is_recorded(
    tmp_path: Path, sends: bool, autojump_clock: MockClock
) -> None:
    async with record(BrokenStream(), tmp_path / "a") as stream:
        use = stream.send_all(encode(ASK)) if sends else stream.receive_some()
        with pytest.raises(trio.BrokenResourceError):
            await use
        await stream.send_eof()
    first = [(0, "client", ASK)] if sends else []
    ends = [(0, "server", EndOfStream(broken=True)), (0, "client", EndOfStream())]
    assert entries(tmp_path / "a") == [*first, *ends]


async def test_it_is_written_as_it_is_said(tmp_path: Path) -> None:
    ours, _theirs = trio.testing.memory_stream_pair()
    async with record(ours, tmp_path / "a") as stream:
        await stream.send_all(encode(ASK))
        assert [item for _, _, item in entries(tmp_path / "a")] == [ASK]


# What cannot be read ----------------------------------------------------------------------------


async def heard(path: Path, *pieces: bytes) -> list[Any]:
    """Return what is recorded when bytes arrive in these pieces."""
    ours, theirs = trio.testing.lockstep_stream_pair()
    async with record(ours, path) as stream, trio.open_nursery() as nursery:

        async def send() -> None:
            for piece in pieces:
                await theirs.send_all(piece)
            await theirs.aclose()

        nursery.start_soon(send)
        while await stream.receive_some(100_000):
            pass
    return [item for _, source, item in entries(path) if source == "server"]


async def test_what_is_no_indi_is_kept_as_it_was(tmp_path: Path, autojump_clock: MockClock) -> None:
    garbled = Unparsed("the attribute name is missing", BROKEN, len(BROKEN))
    stream = encode(ANSWER) + b"junk" + BROKEN + b"\n" + encode(ANSWER) + BROKEN
    assert await heard(tmp_path / "a", stream) == [ANSWER, garbled, ANSWER, garbled, EndOfStream()]


@given(st.data())
@examples(60)
def test_however_it_is_cut(data: st.DataObject) -> None:
    stream = encode(ANSWER) + b"junk" + BROKEN + b"\n" + encode(ANSWER) + BROKEN + BROKEN + b"<set"
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=5).map(sorted))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True) if a < b]

    async def main() -> list[Any]:
        ours, theirs = trio.testing.memory_stream_pair()
        text = io.StringIO()
        async with record(ours, text) as recorded:
            for piece in pieces:
                await theirs.send_all(piece)
                await recorded.receive_some()
            await theirs.aclose()
            await recorded.receive_some()
        return [json.loads(line) for line in text.getvalue().splitlines()[1:-1]]

    lines = trio.run(main)
    garbled = [line["garbled"].encode("latin-1") for line in lines if "garbled" in line]
    assert garbled == [BROKEN, BROKEN, BROKEN, b"<set"]
    assert [line["size"] for line in lines if "size" in line] == [len(one) for one in garbled]
    assert len([line for line in lines if "event" in line]) == 2


async def test_of_what_is_long_the_first_bytes_are_kept(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    text = b"y" * 100_000
    broken = BROKEN.replace(b"x", text)
    pieces = [broken[i : i + 1000] for i in range(0, len(broken), 1000)]
    for number, cut in enumerate([[broken], pieces, [*pieces[:3], b"".join(pieces[3:])]]):
        garbled, end = await heard(tmp_path / str(number), *cut)
        assert garbled.data == broken[:4096]
        assert garbled.size == len(broken)
        assert end == EndOfStream()


async def test_an_element_that_is_cut_short_is_kept(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    cut = BROKEN[:50]
    assert await heard(tmp_path / "a", cut[:20], cut[20:]) == [
        Unparsed("it is cut short", cut, 50),
        EndOfStream(),
    ]


# Bounds ----------------------------------------------------------------------------------------


async def test_a_thread_writes_blobs_and_all_stands_in_its_order(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others go on; what the other side says while it works stands behind the BLOB."""
    ready, threads = trio.Event(), []

    async def waiting(function: Callable[..., Any], *args: Any) -> Any:
        await ready.wait()
        threads.append(function)
        return function(*args)

    runtime = Runtime(in_thread=waiting)
    monkeypatch.setattr("trindi.recording.recorder.DEFAULT_RUNTIME", runtime)
    frame = setBLOBVector("D", "b", {"b": bytes(90_000)}, {"b": SizeFormat(90_000, ".fits")})
    ours, theirs = trio.testing.memory_stream_pair()
    async with record(ours, tmp_path / "a") as stream, trio.open_nursery() as nursery:
        data = encode(frame)
        await theirs.send_all(data)
        # If cancelled, nothing is lost: neither for the caller nor for the recording.
        with trio.move_on_after(1):
            await stream.receive_some(200_000)
        assert entries(tmp_path / "a") == []
        nursery.start_soon(stream.receive_some, 200_000)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(stream.send_all, encode(ASK))
        await trio.testing.wait_all_tasks_blocked()
        assert entries(tmp_path / "a") == []
        ready.set()
    assert len(threads) == 1
    assert entries(tmp_path / "a") == [
        (1, "server", frame),
        (1, "client", ASK),
        (1, "client", EndOfStream()),
    ]


async def test_a_recording_that_is_closed_while_it_writes_is_whole(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(function: Callable[..., Any], *args: Any) -> Any:
        with trio.CancelScope(shield=True):
            await trio.sleep(5)
        return function(*args)

    monkeypatch.setattr("trindi.recording.recorder.DEFAULT_RUNTIME", Runtime(in_thread=slow))
    frame = setBLOBVector("D", "b", {"b": bytes(9000)}, {"b": SizeFormat(9000, ".fits")})
    ours, theirs = trio.testing.memory_stream_pair()
    stream = record(ours, tmp_path / "a")
    await theirs.send_all(encode(frame))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.receive_some)
        await trio.testing.wait_all_tasks_blocked()
        await trio.aclose_forcefully(stream)
    assert [item for _, _, item in entries(tmp_path / "a")] == [frame, EndOfStream()]
    assert trio.current_time() == 5


async def test_blobs_are_kept_beside_it(tmp_path: Path) -> None:
    frame = setBLOBVector("D", "b", {"b": bytes(9000)}, {"b": SizeFormat(9000, ".fits")})
    assert await heard(tmp_path / "night.jsonl", encode(frame)) == [frame, EndOfStream()]
    payloads = tmp_path / "night.jsonl.blobs"
    assert (payloads / "000001.fits").read_bytes() == bytes(9000)
    assert await heard(tmp_path / "night.jsonl", encode(ANSWER)) == [ANSWER, EndOfStream()]
    assert not payloads.exists()


async def test_a_full_recording_stops_and_harms_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    async with record(ours, tmp_path / "a", max_bytes=300) as stream:
        for _ in range(10):
            await stream.send_all(encode(ASK))
        assert "its bound" in stream.stopped
        await theirs.receive_some(1_000_000)
    assert 0 < len(entries(tmp_path / "a")) < 4
    assert (tmp_path / "a").stat().st_size <= 300
    assert caplog.text.count("recording stops") == 1


async def test_what_is_no_recording_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("another night")
    ours, _ = trio.testing.memory_stream_pair()
    with pytest.raises(RecordingError, match="a is not a recording made by trindi"):
        record(ours, tmp_path / "a")
    assert (tmp_path / "a").read_text() == "another night"


async def note(file: RecordingFile, *sent: Any, close: bool = True) -> None:
    """Record one connection, whose server sends this."""
    ours, theirs = trio.testing.memory_stream_pair()
    async with file.record(ours) as stream:
        await stream.send_all(encode(getProperties()))
        for item in sent:
            await theirs.send_all(encode(item))
            await stream.receive_some()
    if close:
        file.close()


def anything(_event: Event) -> bool:
    return True


async def test_a_file_is_made_when_there_are_news(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    path = tmp_path / "a"
    file = RecordingFile(path, lambda event: event == ANSWER)
    await note(file, Message("D", "no news"), close=False)
    assert not path.exists()
    await trio.sleep(5)
    await note(file, ANSWER)
    # Requests are held, with their times; of what others say only news are.
    assert entries(path) == [
        (0, "client", getProperties()),
        (0, "client", EndOfStream()),
        (5, "client", getProperties()),
        (5, "server", ANSWER),
        (5, "client", EndOfStream()),
    ]


async def test_payloads_of_a_recording_that_goes_on_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a"
    frames = [setBLOBVector("D", "b", {"f": bytes([at]) * 10_000}) for at in range(2)]
    for frame in frames:
        await note(RecordingFile(path, anything, append=True), frame)
    said: list[Any] = Recording(path).said_by("server")
    assert [event.members for event in said] == [frame.members for frame in frames]
    with pytest.raises(RecordingError, match="a is there already"):
        RecordingFile(path, anything)


async def test_the_bound_is_that_of_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    await note(RecordingFile(path, anything), ANSWER)
    size = path.stat().st_size
    file = RecordingFile(path, anything, append=True, max_bytes=size + 10)
    await note(file, ANSWER)
    assert file.stopped == "it has reached its bound"
    assert path.stat().st_size == size


async def test_a_recording_made_at_a_servers_end_does_not_go_on_at_a_clients(
    tmp_path: Path,
) -> None:
    ours, _ = trio.testing.memory_stream_pair()
    await record(ours, tmp_path / "a", side="server").aclose()
    with pytest.raises(RecordingError, match="a was recorded at the end of a server"):
        RecordingFile(tmp_path / "a", anything, append=True)


async def test_a_file_that_has_come_meanwhile_is_not_touched(tmp_path: Path) -> None:
    file = RecordingFile(tmp_path / "a", anything)
    (tmp_path / "a").write_text("another night")
    await note(file, ANSWER)
    assert file.stopped == "it is there by now"
    assert (tmp_path / "a").read_text() == "another night"


async def test_a_recording_without_room_for_its_first_line_overwrites_none(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("another night")
    ours, _ = trio.testing.memory_stream_pair()
    with pytest.raises(ConfigurationError, match=r"max_bytes is at least [0-9]+, not 10"):
        record(ours, tmp_path / "a", max_bytes=10)
    assert (tmp_path / "a").read_text() == "another night"


async def test_a_recording_that_cannot_begin_leaves_no_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    files: list[Any] = []
    open_it = Path.open

    def open_and_note(*args: Any, **options: Any) -> Any:
        files.append(open_it(*args, **options))
        return files[-1]

    ours, _ = trio.testing.memory_stream_pair()
    (tmp_path / "a.blobs").mkdir()
    monkeypatch.setattr(Path, "iterdir", refuse)
    monkeypatch.setattr(Path, "open", open_and_note)
    with pytest.raises(PermissionError):
        record(ours, tmp_path / "a")
    assert [file.closed for file in files] == [True]


class FullDisk(io.StringIO):
    """A file on a disk that has room for the first line only."""

    def write(self, text: str) -> int:
        if self.getvalue():
            raise OSError(28, "No space left on device")
        return super().write(text)


async def test_a_full_disk_does_not_either(caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    file = FullDisk()
    async with record(ours, file) as stream:
        assert stream.stopped == ""
        await stream.send_all(encode(ASK))
        await theirs.send_all(encode(ANSWER))
        assert await stream.receive_some() == encode(ANSWER)
        assert "No space left" in stream.stopped
    assert not file.closed
    assert "No space left" in caplog.text


class Wordless(io.StringIO):
    """A file that fails with an exception without a message."""

    def flush(self) -> None:
        if self.getvalue().count("\n") > 1:
            raise RuntimeError


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(io.StringIO, "I/O operation on closed file"), (Wordless, "RuntimeError")],
)
async def test_a_file_of_others_may_fail_as_it_likes(
    caplog: pytest.LogCaptureFixture, kind: type[io.StringIO], reason: str
) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    file = kind()
    async with record(ours, file) as stream:
        if kind is io.StringIO:
            file.close()
        await stream.send_all(encode(ASK))
        assert await theirs.receive_some() == encode(ASK)
        await theirs.send_all(encode(ANSWER))
        assert await stream.receive_some() == encode(ANSWER)
        assert stream.stopped == reason
    assert caplog.text.count(f"recording stops: {reason}") == 1


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
async def test_a_file_of_others_may_have_any_encoding(tmp_path: Path, encoding: str) -> None:
    said = Message("D", "Thermost\u00e4t \u2028 \U0001d11e")
    ours, _theirs = trio.testing.memory_stream_pair()
    with (tmp_path / "a").open("w", encoding=encoding) as file:
        async with record(ours, file) as stream:
            await stream.send_all(encode(said))
            assert stream.stopped == ""
    assert [item for _, _, item in entries(tmp_path / "a")] == [said, EndOfStream()]


async def test_text_of_all_kinds_is_written(tmp_path: Path) -> None:
    said = Message("D", "ünïcode \u2028 \x85 <&> 𝄞")
    assert await heard(tmp_path / "a", encode(said)) == [said, EndOfStream()]
    assert "ünïcode" in (tmp_path / "a").read_text(encoding="utf-8")


async def test_a_file_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    ours, _ = trio.testing.memory_stream_pair()
    with pytest.raises(FileNotFoundError):
        record(ours, tmp_path / "nowhere" / "a")


async def test_a_request_is_one_line(tmp_path: Path) -> None:
    ours, _ = trio.testing.memory_stream_pair()
    async with record(ours, tmp_path / "a") as stream:
        await stream.send_all(memoryview(encode(getProperties("D"))))
    _, line, _ = (tmp_path / "a").read_text().splitlines()
    found = json.loads(line)
    assert found.pop("time") < 10
    assert found == {"from": "client", "event": "getProperties", "devicename": "D"}
