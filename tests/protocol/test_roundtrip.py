"""What holds of every event and of any bytes: identity, indifference to cuts, one kind of error."""

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from tests.strategies import EVENTS, events, examples, junk
from trindi.errors import ProtocolError
from trindi.protocol import Decoder, Event, SizeFormat, encode, getProperties, setBLOBVector

GOOD = getProperties("Good", "one")


def described(items: Iterable[Any]) -> list[Any]:
    """Describe events and errors so that they can be compared; a `ProtocolError` cannot."""
    return [repr(vars(item)) if isinstance(item, ProtocolError) else item for item in items]


def fed(pieces: Iterable[bytes], decoder: Decoder | None = None) -> list[Any]:
    """Feed in pieces, with `feed`, which raises."""
    decoder = decoder or Decoder()
    items: list[Any] = []
    for piece in pieces:
        data = piece
        while True:
            try:
                items += decoder.feed(data)
                break
            except ProtocolError as error:
                items += error.events
                error.events = ()
                items.append(error)
                data = b""
    return described(items)


def fed_all(pieces: Iterable[bytes], decoder: Decoder | None = None) -> list[Any]:
    """Feed in pieces, with `feed_all`, which does not."""
    decoder = decoder or Decoder()
    items = [item for piece in pieces for item in decoder.feed_all(piece)]
    for item in items:
        if isinstance(item, ProtocolError):
            item.events = ()
    return described(items)


def byte_by_byte(data: bytes) -> Iterator[bytes]:
    return (data[at : at + 1] for at in range(len(data)))


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in itertools.pairwise(edges)]


# Encode, then decode ---------------------------------------------------------------------------


@pytest.mark.parametrize("cls", EVENTS)
@examples(60)
@given(st.data())
def test_there_and_back(cls: type[Any], data: st.DataObject) -> None:
    event = data.draw(EVENTS[cls])
    assert Decoder().feed(encode(event)) == [event]


@given(EVENTS[setBLOBVector])
def test_a_blob_there_and_back_in_pieces(event: Event) -> None:
    assert fed(byte_by_byte(encode(event))) == [event]


# Any cuts --------------------------------------------------------------------------------------


@given(st.lists(st.tuples(junk(), events()), max_size=4), junk(), st.lists(st.integers(0)))
def test_any_split(pairs: list[tuple[bytes, Event]], last: bytes, places: list[int]) -> None:
    data = b"".join(before + encode(event) for before, event in pairs) + last
    expected = [event for _, event in pairs]
    assert Decoder().feed(data) == expected
    assert fed(cut(data, places)) == expected
    assert fed_all(byte_by_byte(data)) == expected


# Any bytes -------------------------------------------------------------------------------------

MARKUP = [b"<", b">", b"/", b'"', b"'", b"&", b"<!--", b"-->", b"]]>", b"<![CDATA[", b"\0", b"\n"]
MARKUP += [b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"</newTextVector>", b"<newTextVector>", b"<oneBLOB>"]
MARKUP += [
    b"<oneText name='x'/>",
    b"\xff",
    b"\x01",
    b" ",
    b"=",
    b"<a",
    b"</a>",
    b"<?",
    b"?>",
    b"x:y",
]
MARKUP += [b' timestamp="2026-01-02"', b' name="x"', b"<pingReply uid='1'/>", b"</oneBLOB", b"[1]"]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Valid streams with deletions, insertions and swaps."""
    data = b"".join(map(encode, draw(st.lists(events(), min_size=1, max_size=3))))
    for _ in range(draw(st.integers(1, 5))):
        start, end = sorted([draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))])
        match draw(st.sampled_from(["delete", "delete one", "insert", "swap"])):
            case "delete":
                data = data[:start] + data[end:]
            case "delete one":
                data = data[:start] + data[start + 1 :]
            case "insert":
                data = data[:start] + draw(st.sampled_from(MARKUP)) + data[start:]
            case _:
                data = data[end:] + data[start:end] + data[:start]
    return data


def check_any_bytes(data: bytes, places: list[int]) -> None:
    whole = fed([data])
    assert fed_all([data]) == whole
    assert fed(byte_by_byte(data)) == whole
    assert fed_all(cut(data, places)) == whole


@given(st.binary(), st.lists(st.integers(0)))
def test_any_bytes(data: bytes, places: list[int]) -> None:
    check_any_bytes(data, places)


@given(st.lists(st.sampled_from(MARKUP), max_size=20).map(b"".join), st.lists(st.integers(0)))
def test_any_markup(data: bytes, places: list[int]) -> None:
    check_any_bytes(data, places)


@examples(300)
@given(mutated(), st.lists(st.integers(0)))
@example(
    b'<newBLOBVector device="d" name="n"><oneBLOB name="a" size="1" format=".x">1<!---->34'
    b"</oneBLOB ></newBLOBVector>",
    [],
)
@example(
    b'<newBLOBVector device="d" name="n"><oneBLOB name="a" size="1" format=".x"><![CDATA[[1]]]>'
    b"</oneBLOB></newBLOBVector>",
    [],
)
@example(b'<pingReply uid="1" timestampx="2"/><pingReply timestamp="1" uid="2" timestamp=""/>', [])
@example(b"<message\x0bfoo/><message\x0cdevice='d'/><mess\x01age/><message \x01device='d'/>", [])
@example(b'<<message device="a" timestamp="2000-01-01T00:00:00.000001<"></message>', [])
@example(b"<newTextVector device='d' name='n' <!-- <message/> --></newTextVector>", [])
def test_any_mutation(data: bytes, places: list[int]) -> None:
    check_any_bytes(data, places)


@given(mutated(), st.lists(st.integers(0)), st.integers(1, 300))
def test_any_mutation_in_small_bounds(data: bytes, places: list[int], bound: int) -> None:
    def decoder() -> Decoder:
        return Decoder(max_element_bytes=bound, max_blob_bytes=bound // 2)

    whole = fed([data], decoder())
    assert fed(byte_by_byte(data), decoder()) == whole
    assert fed_all(cut(data, places), decoder()) == whole


@given(mutated())
def test_whatever_is_decoded_can_be_encoded(data: bytes) -> None:
    for item in Decoder().feed_all(data):
        if not isinstance(item, ProtocolError):
            (back,) = Decoder().feed(encode(item))
            # A size or a format that must never be sent is mended.
            assert type(back) is type(item)
            if not hasattr(item, "sizeformat"):
                assert back == item


PARTS = [
    " device='d'",
    ' device="d"',
    ' device="e"',
    ' message=""',
    " x = '>'",
    " y='<'",
    "\n",
    "/",
]
PARTS += [
    ' timestamp="2026-01-01T00:00:00"',
    " timestamp='2026-01-01'",
    ' timestamp = "2026-01-01"',
]
PARTS += [' timestamp=""', 'timestamp="2026-01-01"', ' timestamp="2026-01-01T00:00:00Z"', ' z=""']
PARTS += [""" message=' timestamp="2026-01-01T00:00:00" '""", ' timestamp="now"', ' timestamp="<"']
PARTS += [""" message='say timestamp="2026-01-01' w='" '""", ' timestamp="2026-01-01T00:00:00>"']


@examples(500)
@given(st.lists(st.sampled_from(PARTS), max_size=5).map("".join), st.sampled_from(["/>", ">"]))
def test_a_start_tag_that_is_remembered_says_the_same(parts: str, end: str) -> None:
    def said(start: str, times: int) -> list[Any]:
        data = f"{start}{parts}{end}</message>".encode() * times
        items = Decoder().feed_all(data)
        return [isinstance(item, ProtocolError) or item for item in items]

    # A long one is not remembered; twice, so that the short one is.
    assert said("<message a=''", 2) == said(f"<message a='{'a' * 1000}'", 1) * 2


# Finding back ----------------------------------------------------------------------------------


@given(st.binary().map(lambda data: data.replace(b"<", b"")))
def test_garbage_without_markup_hides_nothing(data: bytes) -> None:
    assert Decoder().feed(data + encode(GOOD)) == [GOOD]


@given(events(), st.integers(0))
def test_an_element_cut_short_hides_nothing(event: Event, place: int) -> None:
    data = encode(event).rstrip()
    start = data[: place % len(data)]
    decoder = Decoder()
    items = decoder.feed_all(start + encode(GOOD))
    assert items[-1] == GOOD
    assert len(items) <= 2
    assert decoder.held == 0


@given(events())
def test_an_element_with_a_nul_byte_hides_nothing(event: Event) -> None:
    data = encode(event)
    for place in (len(data) // 3, len(data) // 2, len(data) - 3):
        spoilt = data[:place] + b"\0" + data[place:]
        assert Decoder().feed_all(spoilt + encode(GOOD))[-1] == GOOD


# The plain form and any other ------------------------------------------------------------------


def odd_forms(line: bytes) -> Iterator[bytes]:
    """Write an element in ways that say the same, but that no INDI program uses."""
    yield re.sub(rb"</(\w+)>", rb"</\1 >", line)
    yield re.sub(rb"(<\w+Vector [^>]*>)", rb"\1<!-- > -->", line)
    yield re.sub(rb"(<\w+Vector [^>]*>)", rb"\1 some text", line)
    yield re.sub(rb"</(\w+)>", b"<?target?>" + rb"</\1>", line)
    yield re.sub(rb"</(\w+)>", b"<![CDATA[]]>" + rb"</\1>", line)


@given(events())
def test_every_form_says_the_same(event: Event) -> None:
    for form in odd_forms(encode(event)):
        if b"<oneBLOB" in form and re.search(rb"<[?!][^<]*</oneBLOB", form):
            continue  # markup in a payload is refused
        assert Decoder().feed(form) == [event]


@given(events())
def test_the_forms_of_indi_programs_say_the_same(event: Event) -> None:
    line = encode(event)
    # indiserver: text on lines of its own. libindi: single quotes, a line for each attribute.
    lines = re.sub(rb"(<\w+(?:[^>]*[^/>])?>)([^<]*)</", rb"\1\n\2\n    </", line)
    assert Decoder().feed(lines) == [event]
    quoted = re.sub(
        rb'="([^"]*)"', lambda match: b"='" + match[1].replace(b"'", b"&apos;") + b"'", line
    )
    if b"<oneText" not in line and b"<defText" not in line:
        assert Decoder().feed(b"<?xml version='1.0'?>\n" + quoted) == [event]


@given(st.binary(max_size=300), st.integers(0, 10**18 - 1))
def test_payloads_in_every_form(data: bytes, size: int) -> None:
    event = setBLOBVector(
        "d", "n", {"a": data, "b": data}, dict.fromkeys("ab", SizeFormat(size, ".x"))
    )
    for form in odd_forms(encode(event)):
        if not re.search(rb"<[?!][^<]*</oneBLOB", form):
            assert Decoder().feed(form) == [event]
