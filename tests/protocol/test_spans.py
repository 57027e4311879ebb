"""Spans: together they are the stream, at any cut; each says whether it may be passed on."""

import base64
from collections.abc import Callable, Iterable
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given, strategies as st

from tests.protocol.test_blob_collector import streams
from tests.protocol.test_cost import ADVERSARIAL, calls
from tests.protocol.test_hostile import THINGS
from tests.protocol.test_roundtrip import MARKUP, byte_by_byte, cut, described, fed_all, mutated
from tests.strategies import events, junk
from trindi.errors import ProtocolError
from trindi.protocol import (
    Decoder,
    Event,
    Message,
    Span,
    decoder as decoder_module,
    encode,
    getProperties,
    pingReply,
)

TEXT = b"<newTextVector device='d' name='n'><oneText name='a'>%b</oneText></newTextVector>"


def spans(pieces: Iterable[bytes], decoder: Decoder | None = None) -> list[Span]:
    decoder = decoder or Decoder()
    return [span for piece in pieces for span in decoder.feed_spans(piece)]


def check(data: bytes, places: list[int], decoder: Callable[[], Decoder] = Decoder) -> None:
    """Whatever the bytes and the cuts, the spans are the bytes, and say what `feed_all` does."""
    whole = decoder()
    expected = spans([data], whole)
    assert [span.item for span in expected if isinstance(span.item, Event)] == [
        item for item in decoder().feed_all(data) if isinstance(item, Event)
    ]
    items = [span.item for span in expected if span.item is not None]
    assert described(items) == fed_all([data], decoder())
    expected += whole.finish()
    assert b"".join(span.data for span in expected) == data
    assert whole.offset == len(data)
    assert (whole.held, whole.feed_spans(b""), whole.finish()) == (0, [], [])
    for pieces in (cut(data, places), byte_by_byte(data)):
        other = decoder()
        found = spans(pieces, other) + other.finish()
        assert same(found) == same(expected)
    offset = 0
    for span in expected:
        assert span.data
        if isinstance(span.item, ProtocolError):
            assert span.item.offset == offset
        if isinstance(span.item, Event):
            assert (span.data[:1], span.data[-1:]) == (b"<", b">")
            assert Decoder().feed(span.data) == [span.item]
        else:
            assert not span.is_plain
        offset += len(span.data)


def same(found: list[Span]) -> list[Any]:
    items = described(span.item for span in found)
    return [(item, *span[1:]) for item, span in zip(items, found, strict=True)]


@given(st.lists(st.tuples(junk(), events()), max_size=4), junk(), st.lists(st.integers(0)))
def test_events_and_junk(pairs: list[tuple[bytes, Event]], last: bytes, places: list[int]) -> None:
    check(b"".join(before + encode(event) for before, event in pairs) + last, places)


@given(st.binary(), st.lists(st.integers(0)))
def test_any_bytes(data: bytes, places: list[int]) -> None:
    check(data, places)


@given(st.lists(st.sampled_from(MARKUP), max_size=20).map(b"".join), st.lists(st.integers(0)))
def test_any_markup(data: bytes, places: list[int]) -> None:
    check(data, places)


@given(mutated(), st.lists(st.integers(0)))
def test_any_mutation(data: bytes, places: list[int]) -> None:
    check(data, places)


@given(mutated() | streams(), st.lists(st.integers(0)), st.integers(1, 300), st.integers(0, 300))
def test_small_bounds(data: bytes, places: list[int], markup: int, payloads: int) -> None:
    check(data, places, lambda: Decoder(max_element_bytes=markup, max_blob_bytes=payloads))


@given(
    st.lists(st.sampled_from([*THINGS, *MARKUP, b"<a", b">", b"</a>", b"<a b=''"])).map(b"".join),
    st.lists(st.integers(0)),
    st.integers(1, 9),
    st.integers(1, 60),
)
@example(b"<a <", [2], 2, 3)
def test_any_junk(data: bytes, places: list[int], ignored: int, markup: int) -> None:
    # Spans are found one by one; what gives none is passed over faster elsewhere.
    with mock.patch.object(decoder_module, "MAX_IGNORED", ignored):
        check(data, places)
        check(data, places, lambda: Decoder(max_element_bytes=markup))


@given(streams(), st.lists(st.integers(0)))
def test_any_blobs(data: bytes, places: list[int]) -> None:
    check(data, places)


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_cost(name: str) -> None:
    def feed(data: bytes) -> None:
        spans(cut(data, list(range(0, len(data), 100))), Decoder(max_element_bytes=2000))

    once, twice = (ADVERSARIAL[name](size) for size in (500, 1000))
    assert calls(lambda: feed(twice)) < 2.5 * calls(lambda: feed(once)) + 1000


# What a span is --------------------------------------------------------------------------------


def test_each_thing_is_a_span_of_its_own() -> None:
    parts = [
        b"\n a ",
        b"<?xml version='1.0'?>",
        b"\n",
        b"<!-- a > b -->",
        b"<pingReply uid='1'/>",
        b"\n ",
        b"<unknown> x <y/></unknown>",
        b"<",
        b" 1 ",
        b"<pingReply/>",
        b"<pingReply uid='2'></pingReply>",
        b"\n",
        b"<getProperties",
    ]
    decoder = Decoder()
    found = decoder.feed_spans(b"".join(parts))
    assert [span.data for span in found] == parts[:-1]
    items = {span.data: span.item for span in found if span.item is not None}
    assert list(items) == [parts[4], parts[9], parts[10]]
    assert items[parts[4]] == pingReply("1")
    assert isinstance(items[parts[9]], ProtocolError)
    (last,) = decoder.finish()
    assert last.data == parts[-1]
    assert isinstance(last.item, ProtocolError)
    assert str(last.item) == "<getProperties> at byte 136: it is cut short"


def test_text_is_returned_with_what_comes_after_it() -> None:
    decoder = Decoder()
    assert decoder.feed_spans(b"ab") == decoder.feed_spans(b"c") == []
    assert decoder.feed_spans(b"d<") == [Span(None, b"abcd")]
    assert decoder.feed_spans(b"!-- x") == []
    assert decoder.feed_spans(b" -->e") == [Span(None, b"<!-- x -->")]
    assert decoder.finish() == [Span(None, b"e")]


def test_long_text_is_not_held() -> None:
    data = b"x" * 200_000
    found = spans([*cut(data, list(range(0, len(data), 999))), b"<!>"])
    assert [len(span.data) for span in found] == [65536, 65536, 65536, 200_000 - 3 * 65536, 3]
    assert found == spans([data + b"<!>"])


def test_long_text_is_returned_before_it_ends() -> None:
    assert Decoder().feed_spans(b"x" * 65_536) == [Span(None, b"x" * 65_536)]


def test_a_payload_keeps_its_bytes() -> None:
    text = base64.b64encode(bytes(100_000))
    data = (
        b"<setBLOBVector device='d' name='n'><oneBLOB name='a' size='100000' format='.x'>"
        b"%b</oneBLOB></setBLOBVector>" % text
    )
    (span,) = spans(cut(data, list(range(0, len(data), 1000))))
    assert span.data == data
    assert isinstance(span.item, Event)
    assert not span.is_plain


# What may be passed on -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        TEXT % b"",
        TEXT % b"\n  x > y &amp;&lt;&gt;&quot;&apos; \t\n",
        TEXT % "é €".encode(),
        b"<newTextVector\n\tdevice = 'd>' name=\"n'\" other='x' ></newTextVector>",
        b"<getProperties version='1.7' device='*'/>",
        b"<getProperties version='1.7'> version='1.6' </getProperties>",
        b"<message message='a&amp;b'/>",
        b"<setBLOBVector device='d' name='n' state='Ok'/>",
        b"<enableBLOB device='d'>Also</enableBLOB>",
    ],
)
def test_plain(data: bytes) -> None:
    for pieces in ([data], byte_by_byte(data)):
        (span,) = spans(pieces)
        assert isinstance(span.item, Event)
        assert span.is_plain


@given(events())
def test_what_we_write_is_plain_without_payloads(event: Event) -> None:
    span = spans([encode(event)])[0]
    assert span.is_plain is not bool(getattr(event, "sizeformat", None))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(TEXT % b"a & b", id="bare ampersand"),
        pytest.param(TEXT % b"a&#65;", id="character reference"),
        pytest.param(TEXT % b"a]]>b", id="end of CDATA"),
        pytest.param(TEXT % b"a\x01b", id="control character"),
        pytest.param(TEXT % b"a\x7fb", id="DEL"),
        pytest.param(TEXT % b"a\rb", id="carriage return"),
        pytest.param(TEXT.replace(b"'a'", b"'a\nb'"), id="line end in an attribute"),
        pytest.param(TEXT.replace(b"'d'", b"'a\tb'"), id="tab in an attribute"),
        pytest.param(TEXT % b"\xe9", id="Latin-1"),
        pytest.param(TEXT % "\uffff".encode(), id="no character"),
        pytest.param(TEXT % b"a<!-- b -->", id="comment inside"),
        pytest.param(TEXT % b"<![CDATA[a]]>", id="CDATA inside"),
        pytest.param(TEXT.replace(b"'d'", b"'d' device='e'"), id="attribute twice"),
        pytest.param(TEXT.replace(b"'a'", b"'a' name='b'"), id="attribute of a member twice"),
        pytest.param(b"<getProperties/>", id="no version"),
        pytest.param(b"<getProperties version='2.0'/>", id="another version"),
        pytest.param(b"<getProperties> version='1.7'</getProperties>", id="version as text"),
        pytest.param(b"<getProperties>a='\0'</getProperties>", id="NUL in a text"),
        pytest.param(b"<newTextVector device='d' name='n'>x</newTextVector>", id="text inside"),
    ],
)
def test_not_plain(data: bytes) -> None:
    for pieces in ([data], byte_by_byte(data)):
        (span,) = spans(pieces)
        assert isinstance(span.item, Event)
        assert not span.is_plain


def test_no_control_character_is_plain() -> None:
    for code in {*range(1, 32), 127} - set(b"\t\n"):
        (span,) = spans([TEXT % bytes([code])])
        assert not span.is_plain


def test_what_follows_an_odd_element_is_plain() -> None:
    odd, plain = spans([TEXT % b"a<!-- b -->" + TEXT % b"a"])
    assert (odd.is_plain, plain.is_plain) == (False, True)


@pytest.mark.parametrize("text", [b"a='\0'", b" a='1'" * 40, b"x='%b'" % bytes(70_000)])
def test_a_text_like_attributes_is_only_text(text: bytes) -> None:
    (span,) = spans([b"<getProperties version='1.7'>%b</getProperties>" % text])
    assert span.is_plain is (b"\0" not in text)


@pytest.mark.parametrize("data", [b"<pingReply/>", b"<unknown/>", b"<!-- -->", b"x<"])
def test_what_is_no_event_is_not_plain(data: bytes) -> None:
    assert not any(span.is_plain for span in spans([data]))
    assert not Span(Message(), b"<message/>").is_plain


@example(TEXT % b"]]&gt;")
@given(mutated() | st.lists(junk(), max_size=3).map(b"".join))
def test_what_is_plain_says_the_same_to_a_strict_parser(data: bytes) -> None:
    from xml.etree import ElementTree

    for span in spans([data]):
        if span.is_plain:
            assert not isinstance(span.item, ProtocolError)
            element = ElementTree.fromstring(span.data)
            if isinstance(span.item, getProperties):
                assert element.get("version") == "1.7"
