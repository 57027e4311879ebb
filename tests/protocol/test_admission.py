"""Which payloads are kept: the receiver is asked before they are, and again as they come."""

from __future__ import annotations

import base64
import random
import tracemalloc
import weakref
import zlib
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, strategies as st

from trindi.errors import ProtocolError, RefusedError
from trindi.protocol import (
    MAX_BLOBS,
    Decoder,
    SizeFormat,
    State,
    UnloadedEvent,
    compress,
    decompress,
    newBLOBVector,
    pingReply,
    setBLOBVector,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MIB = 1024 * 1024
NEXT = b"<pingReply uid='1'/>"
START = b'<newBLOBVector device="d" name="n">'
END = b"</newBLOBVector>"
LARGE = base64.b64encode(random.Random(0).randbytes(6 * MIB))
HELD = 1.5 * MIB
"""Bytes that are held of any element at most, beside its payloads: its bound, and one read."""


def member(text: bytes, *, name: str = "b", size: int = 3, suffix: str = ".x") -> bytes:
    tag = f'<oneBLOB name="{name}" size="{size}" format="{suffix}">'
    return tag.encode() + text + b"</oneBLOB>"


def zipped(size: int) -> bytes:
    return base64.b64encode(zlib.compress(bytes(size)))


def pieces(data: bytes, step: int = 64 * 1024) -> Iterator[bytes]:
    return (data[at : at + step] for at in range(0, len(data), step))


def read(data: bytes, decoder: Decoder, step: int = 64 * 1024) -> tuple[list[Any], int]:
    """What a decoder returns, and the most bytes that it kept."""
    items: list[Any] = []
    kept = 0
    for piece in pieces(data, step):
        items += [item for item in decoder.items(piece) if item is not None]
        kept = max(kept, decoder.kept)
    return items, kept


def refusing(*_asked: Any) -> bool:
    raise RefusedError("it is read-only")


def limited(most: int) -> Callable[..., bool]:
    def admit(*asked: Any) -> bool:
        if asked[-1] > most:
            raise RefusedError(f"it takes at most {most} bytes")
        return True

    return admit


BODIES = {
    "one payload": member(LARGE),
    "a compressed one": member(LARGE, suffix=".z", size=5),
    "several that are not large": b"".join(
        member(LARGE[:140_000], name=str(number)) for number in range(MAX_BLOBS)
    ),
    "text": LARGE,
    "comments": b"<!-- %b -->" % LARGE,
    "tags": b"<a b='%b'/>" % (b"x" * 1000) * (6 * 1024),
    "an end tag with no end": b"</newBLOBVector" + b" " * (8 * MIB),
    "a payload in an odd tag": member(LARGE).replace(b"<oneBLOB name", b"<oneBLOB \x01 name"),
}


@pytest.mark.parametrize("name", BODIES)
def test_nothing_is_kept_of_an_element_that_is_refused(name: str) -> None:
    decoder = Decoder(admit=refusing)
    (error, last), kept = read(START + BODIES[name] + END + NEXT, decoder)
    assert isinstance(error, ProtocolError)
    assert kept < 3 * MIB if name == "an end tag with no end" else kept < HELD
    assert last == pingReply("1")
    assert decoder.kept == decoder.held == 0
    assert decoder.offset == len(START + BODIES[name] + END + NEXT)
    if BODIES[name].startswith(b"<oneBLOB"):
        assert error.reason == "it is read-only"
        assert (error.element, error.offset) == ("newBLOBVector", 0)
        assert (error.devicename, error.vectorname) == ("d", "n")
        assert error.is_request


@pytest.mark.parametrize("name", ["text", "comments", "tags"])
def test_what_is_beside_payloads_has_its_bound_while_it_comes(name: str) -> None:
    for step in (1000, 64 * 1024):
        (error, last), kept = read(START + BODIES[name] + END + NEXT, Decoder(), step)
        assert error.reason == "it is larger than 1048576 bytes beside its payloads"
        assert error.malformed
        assert last == pingReply("1")
        assert kept < HELD


def test_many_payloads_that_are_not_large_are_decoded_as_they_come() -> None:
    data = START + BODIES["several that are not large"] + END
    (event,), kept = read(data, Decoder())
    assert len(event) == MAX_BLOBS
    assert set(event.values()) == {base64.b64decode(LARGE[:140_000])}
    assert kept < 0.77 * len(data)


@pytest.mark.parametrize("step", [1000, 64 * 1024, 8 * MIB])
def test_a_vector_of_more_blobs_than_any_driver_has_is_refused_at_little_cost(step: int) -> None:
    asked: list[Any] = []

    def admit(*names: Any) -> bool:
        asked.append(names)
        return True

    members = b"".join(member(b"AA==", name=str(number)) for number in range(15_000))
    (error, last), _ = read(START + members + END + NEXT, Decoder(admit=admit), step)
    assert error.reason == "it has more than 64 BLOBs"
    assert error.malformed
    assert last == pingReply("1")
    assert len(asked) < 4 * MAX_BLOBS


@pytest.mark.parametrize("size", [1 * MIB, 10 * MIB])
def test_no_memory_is_reserved_for_more_than_may_be_sent(size: int) -> None:
    start = START + member(LARGE[: MIB // 2], size=size)
    _, kept = read(start[:-20], Decoder(admit=limited(2 * MIB)))
    assert kept < HELD


@given(st.lists(st.integers(0, len(START) + 80_000), max_size=6))
def test_an_element_is_refused_however_it_is_cut(places: list[int]) -> None:
    data = START + member(LARGE[:60_000]) + member(LARGE[:300], name="c") + END + NEXT
    ends = sorted({0, *(place % len(data) for place in places), len(data)})
    decoder = Decoder(admit=refusing)
    items = [item for start, end in pairwise(ends) for item in decoder.feed_all(data[start:end])]
    assert [str(item) for item in items[:-1]] == ["<newBLOBVector> at byte 0: it is read-only"]
    assert items[-1] == pingReply("1")


def test_the_receiver_is_asked_with_all_names_and_the_bytes_so_far() -> None:
    asked: list[Any] = []

    def admit(*names: Any) -> bool:
        asked.append(names)
        return True

    decoder = Decoder(admit=admit)
    first, second = LARGE[: 400 * 1024], zipped(5 * MIB)
    data = START + member(first, name="a") + member(second, name="b", size=5 * MIB, suffix=".z")
    read(data + END, decoder)
    assert {names[:3] for names in asked} == {(newBLOBVector, "d", "n")}
    sizes = {name: [one[4] for one in asked if one[3] == name] for name in "ab"}
    assert sizes["a"] == sorted(sizes["a"])
    assert (sizes["a"][0], sizes["a"][-1]) == (0, 300 * 1024)
    assert len(sizes["a"]) > 3
    # All that a compressed one is to have, from the start.
    assert set(sizes["b"]) == {300 * 1024 + 5 * MIB}


def test_a_payload_is_refused_as_soon_as_it_is_too_large() -> None:
    (error,), kept = read(START + member(LARGE) + END, Decoder(admit=limited(MIB)))
    assert error.reason == "it takes at most 1048576 bytes"
    assert kept < MIB + HELD
    own = Decoder(admit=limited(1 << 40), max_blob_bytes=MIB)
    (error,), kept = read(START + member(LARGE[: 2 * MIB]) + END, own)
    assert error.reason == "more than 1048576 bytes of BLOBs in one element"
    assert kept < MIB + HELD


@pytest.mark.parametrize("step", [100, 1 << 30])
def test_a_compressed_payload_is_refused_by_the_size_that_it_claims(step: int) -> None:
    data = START + member(zipped(50 * MIB), size=50 * MIB, suffix=".z") + END
    (error,), kept = read(data, Decoder(admit=limited(MIB)), step)
    assert error.reason == "it takes at most 1048576 bytes"
    assert kept < HELD


@pytest.mark.parametrize("text", [b"AAcO", LARGE, zipped(1000)])
@pytest.mark.parametrize("suffix", [".x", ".x.z"])
def test_a_payload_that_nobody_wants_is_empty(text: bytes, suffix: str) -> None:
    head = b'<setBLOBVector device="d" name="n" state="Busy" message="hello">'
    data = head + member(text, size=1000, suffix=suffix) + b"</setBLOBVector>"
    (event,), kept = read(data, Decoder(admit=lambda *_: False))
    assert kept < HELD
    about = {"b": SizeFormat(1000, suffix)}
    assert event == setBLOBVector("d", "n", {"b": b""}, about, State.BUSY, message="hello")


# What takes long ----------------------------------------------------------------------------------


def test_what_takes_long_is_left_to_the_caller() -> None:
    data = START + member(b"AAcO", name="a") + member(zipped(1000), size=1000, suffix=".z") + END
    unloaded, last = [item for item in Decoder().items(data + NEXT) if item is not None]
    assert isinstance(unloaded, UnloadedEvent)
    assert unloaded.size == 1003
    assert last == pingReply("1")
    event = unloaded.load()
    assert event == Decoder().feed(data)[0]
    assert isinstance(event, newBLOBVector)
    assert event.members == {"a": b"\x00\x07\x0e", "b": bytes(1000)}


def test_what_was_loaded_is_freed_while_its_event_waits() -> None:
    """The decoder refers to what it has read for as long as its reader waits."""
    (unloaded,) = Decoder().items(START + member(zipped(1000), suffix=".z", size=1000) + END)
    assert isinstance(unloaded, UnloadedEvent)
    (payload,) = [weakref.ref(load) for load in unloaded._loaders.values()]
    event: Any = unloaded.load()
    assert len(event["b"]) == 1000
    assert payload() is None


def test_what_cannot_be_loaded_is_an_error_of_its_element() -> None:
    data = NEXT + START + member(zipped(1000), size=999, suffix=".z") + END
    _, unloaded = [item for item in Decoder().items(data) if item is not None]
    assert isinstance(unloaded, UnloadedEvent)
    late = unloaded.load()
    first, at_once, last = Decoder().feed_all(data + NEXT)
    assert first == last == pingReply("1")
    for error in (late, at_once):
        assert isinstance(error, ProtocolError)
        assert error.reason == "b: the payload decompresses to more than the 999 bytes it claims"
        assert (error.element, error.offset, error.malformed) == ("newBLOBVector", len(NEXT), False)
        assert (error.devicename, error.vectorname) == ("d", "n")


def peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_decompressing_takes_little_more_than_the_result() -> None:
    data = compress(bytes(40 * MIB))
    assert peak(lambda: decompress(data, 40 * MIB)) < 52 * MIB


def test_a_bomb_costs_no_more_than_it_claims() -> None:
    data = compress(bytes(100 * MIB))

    def work() -> None:
        with pytest.raises(ValueError, match="more than the 1000 bytes"):
            decompress(data, 1000)

    assert peak(work) < 4 * MIB


@pytest.mark.parametrize("size", [MIB - 1, MIB, MIB + 1, 3 * MIB])
def test_what_just_fills_a_step_is_whole(size: int) -> None:
    assert decompress(compress(bytes(size)), size) == bytes(size)


def test_what_follows_a_zlib_stream_has_no_meaning() -> None:
    assert decompress(compress(b"abc") + bytes(MIB), 3) == b"abc"


def test_a_payload_that_is_refused_with_its_end_in_the_same_bytes() -> None:
    def admit(_event: object, _device: str, _vector: str, _member: str, size: int) -> bool:
        if size > MIB:
            raise RefusedError("too much")
        return True

    decoder = Decoder(admit=admit)
    head, rest = LARGE[:MIB], LARGE[MIB : 3 * MIB]
    tag = b'<oneBLOB name="b" size="9000000" format=".x">'
    assert list(decoder.items(START + tag + head))[-1:] in ([], [None])
    items = [item for item in decoder.items(rest + b"</oneBLOB>" + END + NEXT) if item is not None]
    (error, after) = items
    assert isinstance(error, ProtocolError)
    assert (error.reason, after) == ("too much", pingReply("1"))
