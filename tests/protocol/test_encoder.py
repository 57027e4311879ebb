"""Events to bytes, in the layout that every INDI program reads (protocol §0, §1.4)."""

import itertools
import math
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given

from tests.strategies import EVENTS, events
from trindi.protocol import (
    ELEMENT_OF,
    Base64,
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
    defTextVector,
    delProperty,
    enableBLOB,
    encode,
    encode_parts,
    getProperties,
    newBLOBVector,
    newNumberVector,
    newSwitchVector,
    newTextVector,
    pingReply,
    pingRequest,
    setBLOBVector,
    setLightVector,
    setNumberVector,
    setSwitchVector,
    setTextVector,
)

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STAMP = 'timestamp="2026-01-02T03:04:05"'


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (getProperties(), '<getProperties version="1.7"/>'),
        (getProperties("D", "N"), '<getProperties version="1.7" device="D" name="N"/>'),
        (enableBLOB("D"), '<enableBLOB device="D">Never</enableBLOB>'),
        (
            enableBLOB("D", "N", BLOBPolicy.ONLY),
            '<enableBLOB device="D" name="N">Only</enableBLOB>',
        ),
        (Message(), "<message/>"),
        (Message("D", "[INFO] hi", WHEN), f'<message device="D" {STAMP} message="[INFO] hi"/>'),
        (delProperty("D"), '<delProperty device="D"/>'),
        (
            delProperty("D", "N", WHEN, "bye"),
            f'<delProperty device="D" name="N" {STAMP} message="bye"/>',
        ),
        (pingRequest("SetBLOB/1"), '<pingRequest uid="SetBLOB/1"/>'),
        (pingReply("SetBLOB/1"), '<pingReply uid="SetBLOB/1"/>'),
        (
            newSwitchVector("D", "N", {"a": SwitchState.ON}),
            '<newSwitchVector device="D" name="N"><oneSwitch name="a">On</oneSwitch>'
            "</newSwitchVector>",
        ),
        (
            newTextVector("D", "N", {"a": "x y", "b": ""}, WHEN),
            f'<newTextVector device="D" name="N" {STAMP}><oneText name="a">x y</oneText>'
            '<oneText name="b"></oneText></newTextVector>',
        ),
        (
            newNumberVector("D", "N", {"a": -0.5}),
            '<newNumberVector device="D" name="N"><oneNumber name="a">-0.5</oneNumber>'
            "</newNumberVector>",
        ),
        (
            newBLOBVector("D", "N", {"b": b"\x00\x07\x0e"}, {"b": SizeFormat(3, ".bin")}),
            '<newBLOBVector device="D" name="N"><oneBLOB name="b" size="3" format=".bin">AAcO'
            "</oneBLOB></newBLOBVector>",
        ),
        (
            defSwitchVector(
                "D", "N", "L", "G", State.IDLE, Permission.WO, Rule.AT_MOST_ONE,
                {"a": SwitchState.OFF}, {"a": "A"}, 60.0, WHEN, "m",
            ),
            '<defSwitchVector device="D" name="N" label="L" group="G" state="Idle" perm="wo" '
            f'rule="AtMostOne" timeout="60" {STAMP} message="m">'
            '<defSwitch name="a" label="A">Off</defSwitch></defSwitchVector>',
        ),
        (
            defTextVector("D", "N", "", "", State.OK, Permission.RW, {"a": "x"}),
            '<defTextVector device="D" name="N" label="" group="" state="Ok" perm="rw" '
            'timeout="0"><defText name="a" label="a">x</defText></defTextVector>',
        ),
        (
            defNumberVector(
                "D", "N", "L", "G", State.BUSY, Permission.RO,
                {"a": 1.0, "b": 2.0}, {"a": NumberLabel("A", "%10.6m", -90, 90, 0.5)},
            ),
            '<defNumberVector device="D" name="N" label="L" group="G" state="Busy" perm="ro" '
            'timeout="0">'
            '<defNumber name="a" label="A" format="%10.6m" min="-90" max="90" step="0.5">1'
            '</defNumber><defNumber name="b" label="b" format="%g" min="0" max="0" step="0">2'
            "</defNumber></defNumberVector>",
        ),
        (
            defLightVector("D", "N", "L", "G", State.ALERT, {"a": State.BUSY}, {"a": ""}),
            '<defLightVector device="D" name="N" label="L" group="G" state="Alert">'
            '<defLight name="a" label="">Busy</defLight></defLightVector>',
        ),
        (
            defBLOBVector("D", "N", "L", "G", State.OK, Permission.RO, {"a": None}, {"a": "A"}),
            '<defBLOBVector device="D" name="N" label="L" group="G" state="Ok" perm="ro" '
            'timeout="0"><defBLOB name="a" label="A"></defBLOB></defBLOBVector>',
        ),
        (
            setSwitchVector("D", "N", {"a": SwitchState.ON}, State.OK, 0.0),
            '<setSwitchVector device="D" name="N" state="Ok" timeout="0">'
            '<oneSwitch name="a">On</oneSwitch></setSwitchVector>',
        ),
        (
            setTextVector("D", "N", {"a": "x"}, message="m"),
            '<setTextVector device="D" name="N" message="m"><oneText name="a">x</oneText>'
            "</setTextVector>",
        ),
        (
            setNumberVector("D", "N", {"A": 1.5}, State.OK, 0.0, WHEN),
            f'<setNumberVector device="D" name="N" state="Ok" timeout="0" {STAMP}>'
            '<oneNumber name="A">1.5</oneNumber></setNumberVector>',
        ),
        (
            setNumberVector("D", "N", {"a": 1.0, "b": 2.0}, limits={"b": Limits(0, 10, 1)}),
            '<setNumberVector device="D" name="N"><oneNumber name="a">1</oneNumber>'
            '<oneNumber name="b" min="0" max="10" step="1">2</oneNumber></setNumberVector>',
        ),
        (
            setLightVector("D", "N", {"a": State.OK}, State.IDLE),
            '<setLightVector device="D" name="N" state="Idle"><oneLight name="a">Ok</oneLight>'
            "</setLightVector>",
        ),
        (
            setBLOBVector("D", "N", {"b": b""}, {"b": SizeFormat(0, ".fits")}, State.BUSY),
            '<setBLOBVector device="D" name="N" state="Busy"><oneBLOB name="b" size="0" '
            'format=".fits"></oneBLOB></setBLOBVector>',
        ),
    ],
)  # fmt: skip
def test_line(event: Event, line: str) -> None:
    assert encode(event) == line.encode() + b"\n"


@given(events())
def test_one_line_of_xml(event: Event) -> None:
    data = encode(event)
    assert data.endswith(b">\n")
    assert not re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", data)
    root = ElementTree.fromstring(data.decode())
    element = ELEMENT_OF[type(event)]
    assert root.tag == element.xml
    for attribute in element.attributes:
        value = getattr(event, attribute.field)
        if isinstance(value, str):
            assert root.get(attribute.xml, "") == value
    if not element.member:
        return
    members: Any = event
    assert [child.tag for child in root] == [element.member] * len(members)
    assert [child.get("name") for child in root] == list(members)
    for child, value in zip(root, members.values(), strict=True):
        if isinstance(value, str):
            assert (child.text or "") == value
        if isinstance(value, bytes):
            assert "\n" not in (child.text or "")
            assert {*child.attrib} == {"name", "size", "format"}


@given(EVENTS[newTextVector])
def test_text_has_no_more_escapes_than_needed(event: Event) -> None:
    # An entity at the start of a text is not decoded by lilxml, so the fewer the better.
    for text in re.findall(rb"<oneText [^>]*>([^<]*)<", encode(event)):
        assert not re.search(rb"&(?!amp;|lt;)", text.replace(b"]]&gt;", b""))
        assert not re.search(rb"]]>", text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a & b < c > d \" e ' f", "a &amp; b &lt; c > d \" e ' f"),
        ("&amp;", "&amp;amp;"),
        ("a]]>b", "a]]&gt;b"),
        ("a\r\nb\rc\nd\te", "a\nb\nc\nd\te"),
        ("  a\n", "a"),
        ("\x01 a \x02", "a"),
        ("a\x00\x1b\x7f\ud800\ufffeb", "ab"),
        ("𝄞é", "𝄞é"),
    ],
)
def test_text(text: str, written: str) -> None:
    data = encode(newTextVector("D", "N", {"a": text})).decode()
    assert re.findall('<oneText name="a">(.*)</oneText>', data, re.DOTALL) == [written]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a & b < c > d \" e ' f", "a &amp; b &lt; c &gt; d &quot; e ' f"),
        ("a\r\nb\tc", "a b c"),
        ("a\x00\x1b\x7f\ud800b", "ab"),
        (" a ", " a "),
    ],
)
def test_attribute(text: str, written: str) -> None:
    expected = f'<message device="{written}" message="{written}"/>\n'
    assert encode(Message(text, text)).decode() == expected


def test_no_reading_is_nan_in_what_a_driver_tells() -> None:
    """As libindi's drivers write it."""
    nan = float("nan")
    assert b'<oneNumber name="a">nan</oneNumber>' in encode(setNumberVector("D", "N", {"a": nan}))
    defined = defNumberVector("D", "N", "", "", State.OK, Permission.RO, {"a": nan})
    assert b">nan</defNumber>" in encode(defined)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_never_sent(value: float) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        encode(newNumberVector("D", "N", {"a": value}))
    if not math.isnan(value):
        with pytest.raises(ValueError, match="cannot be sent"):
            encode(setNumberVector("D", "N", {"a": value}))
    with pytest.raises(ValueError, match="cannot be sent"):
        encode(setTextVector("D", "N", timeout=value))


def test_timestamps_are_utc_to_the_microsecond() -> None:
    east = timezone(timedelta(hours=1))
    when = datetime(2026, 1, 2, 3, 4, 5, 60, tzinfo=east)
    assert b'timestamp="2026-01-02T02:04:05.000060"' in encode(Message(timestamp=when))


def test_a_blob_is_one_unbroken_line_of_true_size() -> None:
    data = bytes(range(256)) * 10
    line = encode(setBLOBVector("D", "N", {"b": data}, {"b": SizeFormat(len(data), ".fits")}))
    assert line.count(b"\n") == 1
    assert b"enclen" not in line
    assert b'size="2560"' in line


@given(EVENTS[setBLOBVector])
def test_a_blob_in_parts_is_the_same_line(event: setBLOBVector) -> None:
    parts = encode_parts(event)
    pieces = (part.pieces() if isinstance(part, Base64) else [part] for part in parts)
    assert b"".join(itertools.chain.from_iterable(pieces)) == encode(event)


def test_a_compressed_blob_says_what_it_decompresses_to() -> None:
    line = encode(setBLOBVector("D", "N", {"b": bytes(5000)}, {"b": SizeFormat(1, ".fits.z")}))
    assert b'size="5000" format=".fits.z"' in line
    assert len(line) < 200


@pytest.mark.parametrize("about", [{}, {"b": SizeFormat(3, "")}, {"b": SizeFormat(3, ".")}])
def test_a_blob_always_has_a_size_and_a_format(about: dict[str, SizeFormat]) -> None:
    line = encode(setBLOBVector("D", "N", {"b": b"abc"}, about))
    assert b'<oneBLOB name="b" size="3" format=".bin">YWJj</oneBLOB>' in line


def test_what_is_remembered_changes_nothing_however_much_there_is() -> None:
    long = "x" * 5000
    for number in range(10_000):
        name = f"{long}{number}" if number % 1000 == 0 else f"n{number}"
        data = encode(getProperties("Dev", name))
        assert data == f'<getProperties version="1.7" device="Dev" name="{name}"/>\n'.encode()
