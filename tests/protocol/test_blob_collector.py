"""Payloads that are decoded while they come: nothing changes but what is held."""

import base64
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from hypothesis import example, given, strategies as st

from tests.protocol.test_roundtrip import byte_by_byte, cut, described, mutated
from tests.strategies import EVENTS, examples
from trindi.errors import ProtocolError
from trindi.protocol import (
    Decoder,
    SizeFormat,
    UnloadedEvent,
    blob_collector,
    encode,
    newBLOBVector,
    setBLOBVector,
)
from trindi.protocol.blobs import Incoming, decode_base64

START = b'<setBLOBVector device="d" name="n">'
END = b"</setBLOBVector>"


def one(text: bytes, attributes: bytes = b'name="b" size="3" format=".x"') -> bytes:
    return b"<oneBLOB %b>%b</oneBLOB>" % (attributes, text)


@contextmanager
def enough(count: int) -> Iterator[None]:
    """Take payloads out as soon as so much is held of them."""
    with mock.patch.object(blob_collector, "_MIN_BYTES", count):
        yield


def course(pieces: Iterable[bytes], decoder: Decoder) -> list[Any]:
    """What can be seen of a decoder after each piece: events, errors and counts."""
    seen: list[Any] = []
    for piece in pieces:
        items = decoder.feed_all(piece)
        for item in items:
            if isinstance(item, ProtocolError):
                item.events = ()
        seen.append((described(items), decoder.offset, decoder.held, decoder.skipped))
    return seen


def check(pieces: list[bytes], decoder: Callable[[], Decoder] = Decoder) -> None:
    with enough(1 << 40):
        expected = course(pieces, decoder())
    for count in (-1, 60):
        with enough(count):
            assert course(pieces, decoder()) == expected


# The same, whatever comes -----------------------------------------------------------------------

TEXTS = [b"AAcO", b"AAc=", b"AA==", b"A", b"=", b" ", b"\r\n", b"AAcO" * 30, b"\nAAcO" * 20]
TEXTS += [b"!", b"\0", b"\x0b", b">", b"&#65;", b"\xff", b"[1]", b" " * 100]
TAGS = [
    b'<oneBLOB name="b" size="3" format=".x">',
    b"<oneBLOB name='c' size='99999999' format='.x' >",
    b'<oneBLOB\n name="d" size="8" format=".z">',
    b'<oneBLOB name="e>f" size="3" format=".x">',
    b'<oneBLOB name="g" size="x" format=".x">',
    b'<oneBLOB name="h" size="3" format=".x"/>',
    b'<oneBLOB name="i" size="3" format=".x" attached="true">',
    b'<oneBLOB name=j size="3" format=".x">',
    b"<oneBLOB>",
    b"<oneBLOB/>",
    b"<one\x01BLOB name='k' size='3' format='.x'>",
    b'<oneText name="l">',
]
OTHERS = [b"</oneBLOB>"] * 5 + [b"</oneBLOB >", b"</oneBLOB", END, b"</setBLOBVector >", b"<!--"]
OTHERS += [b"-->", b"<!---->", b"<![CDATA[", b"]]>", b"<?x?>", b"<", b">", b'"', b"<pingReply"]
OTHERS += [START, b'<newTextVector device="d" name="n">', b"<pingReply uid='1'/>"]
ZIPPED = base64.b64encode(zlib.compress(b"12345678"))


def streams() -> st.SearchStrategy[bytes]:
    tags, texts = st.sampled_from(TAGS), st.sampled_from([*TEXTS, ZIPPED])
    texts = st.lists(texts, max_size=4).map(b"".join)
    members = st.builds(lambda tag, text: tag + text + b"</oneBLOB>", tags, texts)
    parts = st.one_of(members, members, tags, texts, st.sampled_from(OTHERS))
    ends = st.sampled_from([END, END, b""])
    elements = st.builds(
        lambda parts, end: START + b"".join(parts) + end, st.lists(parts, max_size=8), ends
    )
    return st.lists(elements, min_size=1, max_size=3).map(b"".join)


@examples(500)
@given(streams(), st.lists(st.integers(0)))
@example(START + one(b"AAcO", TAGS[3][9:-1]) + one(b"A<!---->AcO") + END, [60])
@example(START + b"<!-- " + one(b"AAcO") + b" -->" + one(b" AAcP") + END, [70, 120])
@example(START + b"<![CDATA[" + one(b"AAcO]]>") + END, [85])
@example(START + one(b"AAcO").replace(b"</", b"<!----></") + END, [80, 81])
def test_any_stream(data: bytes, places: list[int]) -> None:
    check(cut(data, places))
    check(list(byte_by_byte(data)))


@examples(500)
@given(streams(), st.lists(st.integers(0)), st.integers(1, 300), st.integers(0, 300))
def test_any_stream_in_small_bounds(
    data: bytes, places: list[int], markup: int, payloads: int
) -> None:
    def decoder() -> Decoder:
        return Decoder(max_element_bytes=markup, max_blob_bytes=payloads)

    check(cut(data, places), decoder)
    check(list(byte_by_byte(data)), decoder)


@given(mutated(), st.lists(st.integers(0)), st.none() | st.integers(1, 300))
def test_any_mutation(data: bytes, places: list[int], bound: int | None) -> None:
    def decoder() -> Decoder:
        if bound is None:
            return Decoder()
        return Decoder(max_element_bytes=bound, max_blob_bytes=bound // 2)

    check(cut(data, places), decoder)


@given(EVENTS[newBLOBVector], st.lists(st.integers(0)))
def test_any_event(event: newBLOBVector, places: list[int]) -> None:
    check(cut(encode(event), places))


def test_a_payload_that_passes_the_bound_ends_at_the_same_byte() -> None:
    good = b"<pingReply uid='1'/>"
    for length in range(100, 180):
        data = START + TAGS[0] + b"A" * length + good
        check([data[:80], data[80:90], data[90:], b"", END + good], lambda: Decoder(**SMALL))
        check([data[:100], data[100:]], lambda: Decoder(**SMALL))


SMALL: dict[str, Any] = {"max_element_bytes": 80, "max_blob_bytes": 60}


# What changes -----------------------------------------------------------------------------------


def test_little_is_held_of_a_large_payload() -> None:
    payload = bytes(range(256)) * 4096
    event = setBLOBVector("d", "n", {"b": payload}, {"b": SizeFormat(len(payload), ".x")})
    data = encode(event)
    decoder = Decoder()
    for at in range(0, len(data) - 1000, 1000):
        assert decoder.feed(data[at : at + 1000]) == []
        assert decoder.held == at + 1000
        assert decoder.kept <= decoder.held
        assert at < 40_000 or decoder.kept < 0.76 * decoder.held
    assert decoder.feed(data[at + 1000 :]) == [event]
    assert (decoder.held, decoder.kept) == (0, 0)


def test_what_is_still_to_be_decompressed_is_left_to_the_caller() -> None:
    for count in (0, 1 << 40):
        with enough(count):
            decoder = Decoder()
            decoder.feed(START + b"<oneBLOB name='b' size='8' format='.x.z'>" + ZIPPED[:5])
            decoder.feed(ZIPPED[5:])
            (unloaded,) = [item for item in decoder.items(b"</oneBLOB>" + END) if item is not None]
            assert isinstance(unloaded, UnloadedEvent)
            assert unloaded.size == 8
            event = setBLOBVector("d", "n", {"b": b"12345678"}, {"b": SizeFormat(8, ".x.z")})
            assert unloaded.load() == event


def test_a_size_that_is_not_true_takes_no_memory() -> None:
    # One that is too large, and one that is too small.
    for size in (10**17, 5):
        payload = bytes(100_000)
        event = setBLOBVector("d", "n", {"b": payload}, {"b": SizeFormat(size, ".x")})
        data = encode(event).replace(b'size="100000"', b'size="%d"' % size)
        decoder = Decoder()
        items = [
            item for at in range(0, len(data), 9999) for item in decoder.feed(data[at:][:9999])
        ]
        assert items == [event]


# Base64 in pieces -------------------------------------------------------------------------------


def decoded(pieces: Iterable[bytes]) -> bytes | None:
    incoming = Incoming(wanted=True)
    for piece in pieces:
        incoming.take(memoryview(piece))
    return incoming.finish()


@examples(500)
@given(
    st.lists(st.sampled_from(TEXTS), max_size=8).map(b"".join) | st.binary().map(base64.b64encode),
    st.lists(st.integers(0)),
)
@example(b"AA==AAAA", [4])
@example(b"AAA=AAAA", [3])
@example(b"AA==\n\n", [2, 4])
@example(b"AA== =", [4])
def test_base64_in_pieces(text: bytes, places: list[int]) -> None:
    try:
        expected = decode_base64(text)
    except ValueError:
        expected = None
    assert decoded(cut(text, places)) == expected
    assert decoded(byte_by_byte(text)) == expected


def test_a_long_payload_in_pieces() -> None:
    data = bytes(range(256)) * 1024
    text = base64.b64encode(data)
    assert decoded(text[at : at + 5000] for at in range(0, len(text), 5000)) == data
