"""Every row of protocol §9 that concerns the decoder: survived, and the next good element read."""

import pytest

from trindi.errors import ProtocolError
from trindi.protocol import MAX_IGNORED, Decoder, Event, getProperties, newTextVector, pingReply

pytestmark = pytest.mark.usefixtures("with_and_without_collecting")

GOOD = pingReply("good")
GOOD_BYTES = b'<pingReply uid="good"/>'


def outcome(data: bytes) -> tuple[list[str], list[Event]]:
    """Reasons of errors, and events, the same whole as in small pieces."""
    whole = Decoder().feed_all(data)
    decoder = Decoder()
    step = 1 + len(data) // 1000
    pieces = (data[at : at + step] for at in range(0, len(data), step))
    in_pieces = [item for piece in pieces for item in decoder.feed_all(piece)]
    assert list(map(str, whole)) == list(map(str, in_pieces))
    assert decoder.held == 0
    errors = [item.reason for item in whole if isinstance(item, ProtocolError)]
    return errors, [item for item in whole if not isinstance(item, ProtocolError)]


TEXT = b"<newTextVector device='d' name='n'><oneText name='a'>%b</oneText></newTextVector>"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"debug output, 1 > 0 & 'more' \"", id="junk"),
        pytest.param(b"\0\xff\x80 \xe9 \n\t", id="binary junk"),
        pytest.param(b"if x < y ", id="stray less-than"),
        pytest.param(b"if x <y and ", id="stray less-than at a word"),
        pytest.param(b"<1", id="less-than and a digit"),
        pytest.param(b"<1>", id="a digit for a name"),
        pytest.param(b"<\0newTextVector device='d' name='n'>", id="NUL at the start of a name"),
        pytest.param(b"<newText\0Vector device='d' name='n'>", id="NUL inside a name"),
        pytest.param(b"<<<<", id="only less-thans"),
        pytest.param(b"< newTextVector device='d' name='n'/>", id="blank before the name"),
        pytest.param(b"</newTextVector>", id="an end without a start"),
        pytest.param(b"<oneText name='a'>x</oneText>", id="an orphan member"),
        pytest.param(b"<trindi.Thing object at 0x7f00>", id="a printed object"),
        pytest.param(b"<class 'int'>", id="a printed class"),
        pytest.param(b"<foo bar=baz>", id="an unknown element, unquoted"),
        pytest.param(b"<foo bar='", id="an unknown element, unfinished quote"),
        pytest.param(b"<INDI version='1.7'><properties/></INDI>", id="an unknown element"),
        pytest.param(b"<getproperties version='1.7'/>", id="wrong case"),
        pytest.param(b"<newLightVector device='d' name='n'/>", id="no such element"),
        pytest.param(b"<!-- a > <getProperties/> -->", id="an element in a comment"),
        pytest.param(b"<!-- a -- > <getProperties/> --- > -->", id="dashes in a comment"),
        pytest.param(b"<![CDATA[ > <getProperties/> ]> ]]>", id="an element in CDATA"),
        pytest.param(b"<?xml version='1.0'?><?xml version=\"1.0\"?>", id="declarations"),
        pytest.param(b"<?xml version='1.0'>", id="a sloppy declaration"),
        pytest.param(b"<!ENTITY a 'b'>", id="an entity declared outside of a document type"),
        pytest.param(b"<a>" * 10 + b"</a>" * 10, id="an unknown element in itself"),
    ],
)
def test_passed_over_silently(data: bytes) -> None:
    assert outcome(data + GOOD_BYTES) == ([], [GOOD])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(TEXT.replace(b"</oneText>", b"</oneTexts>"), "mismatched", id="mismatched"),
        pytest.param(TEXT.replace(b"='a'", b"=a"), "not well-formed", id="unquoted"),
        pytest.param(TEXT.replace(b"'d'", b"d"), "not well-formed", id="unquoted in the start"),
        pytest.param(TEXT.replace(b"='a'", b""), "not well-formed", id="no value"),
        pytest.param(TEXT.replace(b"'a'", b"'a' x-y='1'"), "'x-y' is no name", id="dash"),
        pytest.param(TEXT.replace(b"'a'", b"'a' x.y='1'"), "'x.y' is no name", id="point"),
        pytest.param(
            TEXT.replace(b"'d'", b"'d' x\xe9='1'"), "is no name of an attribute", id="accent"
        ),
        pytest.param(TEXT.replace(b"'d'", b"'d' x:y='1'"), "unbound prefix", id="prefix"),
        pytest.param(TEXT.replace(b"'d'", b"'d' xmlns:y='1'"), "no namespaces", id="namespace"),
        pytest.param(TEXT.replace(b"'d'", b"'d<'"), "start tag is not finished", id="less-than"),
        pytest.param(TEXT % b"a\0b", "a: there is a NUL byte in it", id="NUL in a text"),
        pytest.param(TEXT.replace(b"'a'", b"'a\0'"), "NUL byte", id="NUL in an attribute"),
        pytest.param(TEXT.replace(b"><", b">\0<"), "not well-formed", id="NUL between members"),
        pytest.param(TEXT % b"<b>c</b>", "nested more than 2 deep", id="markup in a text"),
        pytest.param(TEXT % b"<![CDATA[", "unclosed CDATA", id="CDATA without end"),
        pytest.param(TEXT % b"<!--", "unclosed token", id="a comment without end"),
        pytest.param(TEXT % b"<!DOCTYPE a>", "not well-formed", id="a document type inside"),
        pytest.param(
            TEXT.replace(b"'a'", b"'a' name='b'").replace(b"</one", b"<!-- --></one"),
            "duplicate attribute",
            id="an attribute twice, in an odd element",
        ),
        pytest.param(
            b'<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;">]>',
            "document types and entities are refused",
            id="an entity bomb",
        ),
        pytest.param(b"<!doctype indi>", "document types", id="a document type"),
        pytest.param(
            b"<newTextVector device='d' name='n'><oneText name='a'>x",
            "its end tag is missing",
            id="no end tag",
        ),
        pytest.param(b"<newTextVector device='d", "start tag is not finished", id="no end of tag"),
        pytest.param(b"<newTextVector", "start tag is not finished", id="no end of name"),
        pytest.param(
            b"<newTextVector device='d' name='n'></" + b"x" * 300_000 + b"></newTextVector>",
            "mismatched",
            id="a wrong end tag, very long",
        ),
        pytest.param(
            b"<newTextVector device='d' name='n'>" + b"<a>" * 100_000 + b"</newTextVector>",
            "does not belong in it",
            id="nested very deep",
        ),
        pytest.param(
            b"<newTextVector device='d' name='n'>"
            + b"<oneText name='a'>" * 10_000
            + b"</oneText>" * 10_000
            + b"</newTextVector>",
            "nested more than 2 deep",
            id="nested very deep, closed properly",
        ),
        pytest.param(b"<" + b"x" * 300_000 + b"/>", "more than 256 characters", id="a long name"),
    ],
)
def test_refused(data: bytes, reason: str) -> None:
    errors, events = outcome(data + GOOD_BYTES)
    assert events == [GOOD]
    assert len(errors) == 1
    assert reason in errors[0]


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(b"<foo>", id="a start tag"),
        pytest.param(b"<foo a='b'> text ", id="with text"),
        pytest.param(b"<foo><bar><baz/>", id="with unknown elements inside"),
        pytest.param(b"<INDI version='1.7'>", id="a wrapper"),
    ],
)
def test_an_unknown_element_ends_where_a_known_one_starts(start: bytes) -> None:
    """So that a stray start tag mutes nobody.

    To indiserver all that follows is inside it, until an end tag does not match: the peer is not
    heard, and nobody is told. It cannot be known whether the end tag will come; where it does, the
    elements inside are read, too.
    """
    errors, events = outcome(start + GOOD_BYTES * 2 + b"</foo>" + GOOD_BYTES)
    assert errors == ["its end tag is missing"]
    assert events == [GOOD] * 3


UNKNOWN = b"<newLightVector device='d' name='n'><oneLight name='a'>Ok</oneLight></newLightVector>"


THINGS = [
    *(b"<", b"< ", b"</a>", b"<1", b"<!>", b"<?>", b"<?xml version='1.0'?>\n", b"<!-- - -->"),
    *(b"<!-- > -->", b"<![CDATA[]]>", b"<a/>", b"<a b='>'/>", b"<a c-d=''/> ", b"<a "),
    *(b"<a>x</a>", b"<a b='c'></a >", b"<a><b/></a>", b"<a b=c>", b"<class 'a'>", UNKNOWN),
]


@pytest.mark.parametrize("thing", THINGS)
def test_more_in_a_row_than_an_honest_peer_sends_is_an_error(thing: bytes) -> None:
    """Each of these takes time. An honest peer sends INDI between them.

    libindi's drivers send one declaration for each element. A program that prints to its standard
    output has no bound of errors.
    """
    count = MAX_IGNORED - 1
    errors, events = outcome(thing * count + GOOD_BYTES + thing * count + GOOD_BYTES)
    assert (errors, events) == ([], [GOOD, GOOD])
    errors, events = outcome(thing * (3 * MAX_IGNORED + 1) + GOOD_BYTES)
    assert errors == [f"it is one of {MAX_IGNORED} things in a row that are no INDI"] * 3
    assert events == [GOOD]


def test_what_honest_peers_send_is_no_error() -> None:
    """A long session: declarations, comments, elements of a newer protocol."""
    declared = b"<?xml version='1.0'?>\n" + (TEXT % b"a") + b"\n"
    newer = b"<!-- hello -->" + UNKNOWN + b"<heartbeat/><capability name='x'/>\n"
    session = declared * 1000 + (newer * 200 + declared) * 10
    errors, events = outcome(session)
    assert errors == []
    assert len(events) == 1010


def test_a_bare_ampersand_is_itself() -> None:
    assert outcome((TEXT % b"new val & x; y") + GOOD_BYTES) == (
        [],
        [newTextVector("d", "n", {"a": "new val & x; y"}), GOOD],
    )


def test_what_indi_setprop_sends_unescaped() -> None:
    errors, events = outcome((TEXT % b"new val & <x>") + GOOD_BYTES)
    assert len(errors) == 1
    assert events == [GOOD]


def test_entities_are_never_expanded() -> None:
    data = b'<!DOCTYPE a [<!ENTITY b "boom">]>' + (TEXT % b"&b;") + (TEXT % b"&b;<!-- -->")
    errors, events = outcome(data)
    assert len(errors) == 1
    assert events == [newTextVector("d", "n", {"a": "&b;"})] * 2


def test_a_version_is_no_matter() -> None:
    data = b"<getProperties version='2.0'/><getProperties/><getProperties version=''/>"
    assert outcome(data) == ([], [getProperties()] * 3)


def test_large_but_legal() -> None:
    members = b"".join(b"<oneText name='%d'>x</oneText>" % number for number in range(30_000))
    (event,) = Decoder().feed(b"<newTextVector device='d' name='n'>%b</newTextVector>" % members)
    assert isinstance(event, newTextVector)
    assert len(event) == 30_000
    (event,) = Decoder().feed(TEXT % (b"x" * 1_000_000))
    assert isinstance(event, newTextVector)
    assert len(event["a"]) == 1_000_000


def test_too_large() -> None:
    decoder = Decoder()
    errors: list[ProtocolError] = []
    held = 0
    for piece in (TEXT[:60], *[b"x" * 65_536] * 160, TEXT[60:], GOOD_BYTES):
        items = decoder.feed_all(piece)
        errors += [item for item in items if isinstance(item, ProtocolError)]
        held = max(held, decoder.held)
    assert items == [GOOD]
    assert [error.reason for error in errors] == ["it is larger than 1048576 bytes"]
    assert (errors[0].devicename, errors[0].vectorname) == ("d", "n")
    assert held < 1_200_000


def test_many_errors_in_one_piece() -> None:
    items = Decoder().feed_all(b"<pingReply/>" * 5000 + GOOD_BYTES)
    assert len(items) == 5001
    assert items[-1] == GOOD
