"""The lines of a recording: every event comes back as it was, and every fault is named."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings, strategies as st

from tests.strategies import EVENTS
from trindi.errors import TrindiError
from trindi.protocol import (
    NO_READING,
    Event,
    Message,
    NumberLabel,
    SizeFormat,
    defNumberVector,
    newBLOBVector,
    setBLOBVector,
    setNumberVector,
)
from trindi.recording import EndOfStream, Recording, RecordingError, Side, Unparsed
from trindi.recording.blobs import BlobReader, BlobWriter
from trindi.recording.jsonl import from_json, to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trindi.recording.jsonl import Item

HEADER = {
    "trindi recording": 1,
    "side": "client",
    "clock": "wall",
    "start": "2026-03-01T20:15:30.250000",
}
HELLO = {"time": 1.5, "from": "server", "event": "Message", "message": "hello"}


def there_and_back(event: Event) -> Item:
    line = json.dumps(to_json(event, BlobWriter(None, 10**6).keep), allow_nan=False)
    return from_json(json.loads(line), BlobReader(Path("none")).load)


@pytest.mark.parametrize("cls", EVENTS, ids=lambda cls: cls.__name__)
def test_an_event_of_each_class_comes_back(cls: type[Any]) -> None:
    @given(EVENTS[cls])
    @settings(max_examples=30, deadline=None)
    def check(event: Event) -> None:
        again = there_and_back(event)
        assert type(again) is cls
        assert again == event
        assert [str(value) for value in vars_of(again)] == [str(value) for value in vars_of(event)]

    check()


def vars_of(event: Any) -> list[Any]:
    """What an event holds; some of its fields are not compared by ``==``."""
    names = ("members", "memberlabels", "sizeformat", "limits")
    return [dict(getattr(event, name, {})) for name in names]


def write(path: Path, *lines: Mapping[str, Any] | str) -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines]
    path.write_text("".join(texts), encoding="utf-8")
    return path


def test_a_line_can_be_read_by_people(tmp_path: Path) -> None:
    event = setNumberVector(
        "Thermostat",
        "temperaturevector",
        {"temperature": 19.5},
        timestamp=datetime(2026, 3, 1, 20, 15, 40, tzinfo=UTC),
    )
    assert to_json(event, BlobWriter(None, 0).keep) == {
        "event": "setNumberVector",
        "devicename": "Thermostat",
        "vectorname": "temperaturevector",
        "members": {"temperature": 19.5},
        "timestamp": "2026-03-01T20:15:40",
    }


def test_the_first_line_says_what_it_is(tmp_path: Path) -> None:
    recording = Recording(write(tmp_path / "a", HEADER, HELLO))
    assert (recording.side, recording.clock) == (Side.CLIENT, "wall")
    assert recording.start == datetime(2026, 3, 1, 20, 15, 30, 250000, tzinfo=UTC)
    assert list(recording) == [(1.5, Side.SERVER, Message(message="hello"))]
    assert recording.said_by("server") == [Message(message="hello")]
    assert recording.said_by("client") == []


def test_what_is_no_event_comes_back_too(tmp_path: Path) -> None:
    garbled = {"garbled": "<new\xe9", "size": 70000, "reason": "it is cut short"}
    path = write(
        tmp_path / "a",
        HEADER,
        {"time": 0, "from": "client", **garbled},
        {"time": 0, "from": "client", "end": "broken"},
        {"time": 2, "from": "server", "end": "closed"},
    )
    assert list(Recording(path)) == [
        (0, Side.CLIENT, Unparsed("it is cut short", b"<new\xe9", 70000)),
        (0, Side.CLIENT, EndOfStream(broken=True)),
        (2, Side.SERVER, EndOfStream()),
    ]


@pytest.mark.parametrize(
    "first",
    ["", "\n", "hello\n", "[]\n", "{}\n", "[" * 100000 + "\n", "1\n", '{"trindi": 1}\n'],
    ids=lambda text: text[:5],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, first: str) -> None:
    path = write(tmp_path / "night.jsonl", first)
    with pytest.raises(RecordingError, match=r"night\.jsonl is not a recording made by trindi"):
        Recording(path)


@pytest.mark.parametrize("version", [2, 17, 0, "1.5", None])
def test_a_newer_version_is_refused(tmp_path: Path, version: Any) -> None:
    path = write(tmp_path / "a", {**HEADER, "trindi recording": version}, HELLO)
    with pytest.raises(RecordingError, match="none after 1: use a newer one"):
        Recording(path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"side": "both"}, "line 1: 'both' is not a valid Side"),
        ({"start": "noon"}, "line 1: 'noon' is not a time"),
        ({"start": 3}, "line 1: 3 is not a text"),
    ],
)
def test_the_first_line_must_be_whole(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    with pytest.raises(RecordingError, match=reason):
        Recording(write(tmp_path / "a", {**HEADER, **change}))
    without = {name: value for name, value in HEADER.items() if name not in change}
    with pytest.raises(RecordingError, match=f"line 1: it lacks '{next(iter(change))}'"):
        Recording(write(tmp_path / "a", without))


SET = {
    "time": 1,
    "from": "server",
    "event": "setNumberVector",
    "devicename": "D",
    "vectorname": "n",
    "members": {"a": 1},
}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("hello\n", "Expecting value"),
        ("[]\n", "it is not a JSON object"),
        ("[" * 100000 + "\n", "recursion|overflow"),
        ({"from": "server", "end": "closed"}, "it lacks 'time'"),
        ({"time": 1, "end": "closed"}, "it lacks 'from'"),
        ({"time": 1, "from": "me", "end": "closed"}, "not a valid Side"),
        ({"time": -1, "from": "server", "end": "closed"}, "its time is -1"),
        ({"time": "1", "from": "server", "end": "closed"}, "'1' is not a number"),
        ({"time": True, "from": "server", "end": "closed"}, "True is not a number"),
        ({"time": math.inf, "from": "server", "end": "closed"}, "inf is not a finite number"),
        ({"time": math.nan, "from": "server", "end": "closed"}, "nan is not a finite number"),
        ({"time": 10**400, "from": "server", "end": "closed"}, "too large"),
        ({"time": 0.5, "from": "server", "end": "closed"}, r"its time is 0\.5, after 1\.0"),
        ({"time": 1, "from": "server", "end": "exploded"}, "neither event"),
        ({"time": 1, "from": "server"}, "neither event"),
        ({**SET, "event": "setColourVector"}, "there is no event 'setColourVector'"),
        ({**SET, "colour": "red"}, "setNumberVector has no colour"),
        ({**SET, "vector": None}, "setNumberVector has no vector"),
        ({**SET, "members": {"a": "1"}}, "'1' is not a number"),
        ({**SET, "members": {"a": True}}, "True is not a number"),
        ({**SET, "members": {"a": math.nan}}, "finite"),
        ({**SET, "members": [1]}, "is not an object"),
        ({**SET, "limits": {"a": [1, 2, 3]}}, "is not an object"),
        ({**SET, "limits": {"a": {"min": 1}}}, "missing"),
        ({**SET, "state": "Great"}, "'Great' is not a valid State"),
        ({**SET, "timestamp": "noon"}, "'noon' is not a time"),
        ({**SET, "timeout": "long"}, "'long' is not a number"),
        ({**SET, "message": 7}, "7 is not a text"),
        ({**SET, "event": "defNumberVector", "perm": "rw"}, "it lacks state"),
        (
            {**SET, "event": "defBLOBVector", "state": "Ok", "perm": "ro"},
            "the BLOB of a definition is null, not 1",
        ),
        ({**SET, "event": "setSwitchVector"}, "not a valid SwitchState"),
        ({**SET, "event": "setBLOBVector"}, "1 is not a payload"),
        ({**SET, "event": "setBLOBVector", "members": {"a": {"base64": "="}}}, "padding"),
        ({**SET, "event": "setBLOBVector", "members": {"a": {"size": -1}}}, "is not a payload"),
        ({**SET, "event": "setBLOBVector", "members": {"a": {"size": 2**40}}}, "is not a payload"),
        (
            {**SET, "event": "setBLOBVector", "members": {}, "sizeformat": {"a": {"size": 1.5}}},
            "1.5 is not a number of bytes",
        ),
        ('{"time": 1, "from": "server", "end": "clo', "it is cut short"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_a_broken_line_is_named(tmp_path: Path, line: Any, reason: str) -> None:
    recording = Recording(write(tmp_path / "night.jsonl", HEADER, {**HELLO, "time": 1}, line))
    entries = iter(recording)
    assert next(entries).time == 1
    with pytest.raises(RecordingError, match=rf"night\.jsonl, line 3: .*({reason})") as raised:
        next(entries)
    assert isinstance(raised.value, TrindiError)
    assert isinstance(raised.value, ValueError)


def test_a_line_without_end_is_not_held_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trindi.recording.reader.MAX_LINE_BYTES", 1000)
    path = write(tmp_path / "a", HEADER, {**HELLO, "message": "x" * 1000})
    with pytest.raises(RecordingError, match="line 2: it is too long"):
        list(Recording(path))


def test_a_file_that_is_not_there_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Recording(tmp_path / "nothing")


def test_edited_numbers_may_be_whole(tmp_path: Path) -> None:
    label = {"label": "A", "format": "%g", "min": 0, "max": 10, "step": 1}
    defined = {
        **SET,
        "event": "defNumberVector",
        "state": "Ok",
        "perm": "rw",
        "memberlabels": {"a": label},
    }
    (entry,) = Recording(write(tmp_path / "a", HEADER, defined))
    event: Any = entry.item
    assert isinstance(event, defNumberVector)
    assert (event.label, event.group, event.members) == ("", "", {"a": 1.0})
    assert event.memberlabels == {"a": NumberLabel("A", "%g", 0.0, 10.0, 1.0)}


# Payloads --------------------------------------------------------------------------------------


def frame(data: bytes, suffix: str = ".fits") -> setBLOBVector:
    return setBLOBVector("D", "b", {"b": data}, {"b": SizeFormat(len(data), suffix)})


@given(st.binary(max_size=100))
@settings(max_examples=20)
def test_a_small_payload_stands_in_its_line(data: bytes) -> None:
    kept = BlobWriter(Path("nowhere/a.jsonl"), 1000).keep(data, ".bin")
    assert list(kept) == ["base64"]
    assert BlobReader(Path("nowhere/a.jsonl")).load(kept) == data


def test_a_large_payload_has_a_file(tmp_path: Path) -> None:
    writer = BlobWriter(tmp_path / "night.jsonl", 10**6)
    kept = [writer.keep(bytes([n]) * 5000, suffix) for n, suffix in enumerate([".fits", ".fits.z"])]
    assert kept == [
        {"file": "night.jsonl.blobs/000001.fits"},
        # The payload was decompressed when it was received.
        {"file": "night.jsonl.blobs/000002.fits"},
    ]
    reader = BlobReader(tmp_path / "night.jsonl")
    assert [reader.load(one) for one in kept] == [bytes(5000), b"\1" * 5000]


def test_recordings_of_the_same_stem_do_not_share_their_payloads(tmp_path: Path) -> None:
    kept = {}
    for name in ("night.jsonl", "night.txt", "night"):
        kept[name] = BlobWriter(tmp_path / name, 10**6).keep(name.encode() * 1000, ".bin")
    for name, one in kept.items():
        assert BlobReader(tmp_path / name).load(one) == name.encode() * 1000


def test_payloads_of_an_older_recording_are_removed(tmp_path: Path) -> None:
    writer = BlobWriter(tmp_path / "a.jsonl", 10**6)
    writer.clear()
    writer.keep(bytes(5000), ".fits")
    writer.keep(bytes(5000), ".tar.gz")
    directory = tmp_path / "a.jsonl.blobs"
    others = ["000001", "1.fits", "dark000001.fits", "000003.fits"]
    for name in others[:3]:
        (directory / name).write_text("of somebody else")
    (directory / others[3]).mkdir()
    BlobWriter(tmp_path / "a.jsonl", 10**6).clear()
    assert sorted(path.name for path in directory.iterdir()) == sorted(others)
    BlobWriter(tmp_path / "b.jsonl", 10**6).keep(bytes(5000), ".fits")
    BlobWriter(tmp_path / "b.jsonl", 10**6).clear()
    assert not (tmp_path / "b.jsonl.blobs").exists()


@pytest.mark.parametrize("suffix", ["", "fits", "/../../x", ".a/b", "." + "x" * 200, ".é", "..."])
def test_the_suffix_of_a_peer_names_no_other_file(tmp_path: Path, suffix: str) -> None:
    kept = BlobWriter(tmp_path / "a.jsonl", 10**6).keep(bytes(5000), suffix)
    assert kept == {"file": "a.jsonl.blobs/000001.bin"}


@pytest.mark.parametrize(
    "name",
    [
        "a.jsonl.blobs/missing.bin",
        "a.jsonl.blobs/../secret",
        "../secret",
        "secret",
        "/etc/passwd",
        "a.jsonl.blobs/",
        "a.jsonl.blobs/..",
        "a.jsonl.blobs//etc/passwd",
        "secret/a",
        "a.jsonl.blobs/.",
        "",
    ],
)
def test_a_recording_reads_none_but_its_own_files(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.jsonl.blobs").mkdir()
    (tmp_path / "secret").write_text("secret")
    line = {**SET, "event": "setBLOBVector", "members": {"b": {"file": name}}}
    with pytest.raises(RecordingError, match="line 2: "):
        list(Recording(write(tmp_path / "a.jsonl", HEADER, line)))


def test_a_recording_can_be_renamed_with_its_payloads(tmp_path: Path) -> None:
    kept = BlobWriter(tmp_path / "a.jsonl", 10**6).keep(bytes(5000), ".bin")
    (tmp_path / "a.jsonl.blobs").rename(tmp_path / "b.txt.blobs")
    assert BlobReader(tmp_path / "b.txt").load(kept) == bytes(5000)


def test_without_blobs_no_file_is_read(tmp_path: Path) -> None:
    line = {**SET, "event": "setBLOBVector", "members": {"b": {"file": "a.jsonl.blobs/gone"}}}
    (entry,) = Recording(write(tmp_path / "a.jsonl", HEADER, line)).without_blobs()
    event: Any = entry.item
    assert dict(event) == {"b": b""}


def test_past_its_bound_only_the_size_is_kept(tmp_path: Path) -> None:
    writer = BlobWriter(tmp_path / "a.jsonl", 6000)
    assert "file" in writer.keep(bytes(5000), ".bin")
    left_out = writer.keep(b"\1" * 2000, ".bin")
    assert (left_out["size"], len(left_out["sha256"])) == (2000, 64)
    assert "base64" in writer.keep(b"\1" * 1000, ".bin")
    assert BlobReader(tmp_path / "a.jsonl").load(left_out) == bytes(2000)


def test_without_a_path_there_are_no_files() -> None:
    BlobWriter(None, 10**6).clear()
    assert BlobWriter(None, 10**6).keep(bytes(5000), ".bin").keys() == {"size", "sha256"}


def test_an_upload_is_kept_as_well() -> None:
    upload = newBLOBVector("D", "b", {"b": b"flat"}, {"b": SizeFormat(4, ".bin")})
    assert there_and_back(upload) == upload


def test_no_reading_is_null() -> None:
    event = setNumberVector("D", "n", {"a": NO_READING, "b": 1.0})
    line = json.dumps(to_json(event, BlobWriter(None, 10**6).keep), allow_nan=False)
    assert json.loads(line)["members"] == {"a": None, "b": 1.0}
    assert from_json(json.loads(line), lambda _: b"") == event
    asked = json.loads(line) | {"event": "newNumberVector"}
    with pytest.raises(ValueError, match="None is not a number"):
        from_json(asked, lambda _: b"")
