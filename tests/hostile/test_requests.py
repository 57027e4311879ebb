"""Requests that must be refused, or taken in spite of their looks (protocol §3 and §9)."""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.kit.peers import of
from tests.kit.server import until
from trindi.protocol import (
    MAX_ELEMENT_BYTES,
    defNumberVector,
    defTextVector,
    newBLOBVector,
    newNumberVector,
    newSwitchVector,
    newTextVector,
    setBLOBVector,
    setNumberVector,
    setTextVector,
)

if TYPE_CHECKING:
    from tests.kit.hostile import Scene

param = pytest.param

PAYLOAD = base64.b64encode(b"firmware")


def new(kind: str, name: str, members: bytes) -> bytes:
    """A request, written by hand."""
    head = f'<new{kind}Vector device="Bench" name="{name}">'.encode()
    return head + members + f"</new{kind}Vector>\n".encode()


def one(kind: str, name: str, value: bytes, attributes: bytes = b"") -> bytes:
    """A member of a request, written by hand."""
    return (
        f'<one{kind} name="{name}" '.encode() + attributes + b">" + value + f"</one{kind}>".encode()
    )


def number(text: bytes, name: str = "x") -> bytes:
    return new("Number", "target", one("Number", name, text))


def text(value: bytes, name: str = "a") -> bytes:
    return new("Text", "note", one("Text", name, value))


def switches(**values: str) -> bytes:
    members = [one("Switch", name, value.encode()) for name, value in values.items()]
    return new("Switch", "mode", b"".join(members))


def upload(attributes: bytes, payload: bytes = PAYLOAD) -> bytes:
    return new("BLOB", "upload", one("BLOB", "file", payload, attributes))


REFUSED = [
    # The wrong kind
    param(new("Text", "target", one("Text", "x", b"5")), "target", "Number vector", id="text"),
    param(new("Number", "note", one("Number", "a", b"5")), "note", "Text vector", id="number"),
    param(new("Number", "mode", one("Number", "fast", b"1")), "mode", "Switch vector", id="num"),
    param(new("Switch", "upload", one("Switch", "file", b"On")), "upload", "BLOB", id="switch"),
    param(
        new("Text", "lamp", one("Text", "power", b"Ok")), "lamp", "Light vector", id="to a light"
    ),
    # What there is not, and what may not be set
    param(number(b"5", "y"), "target", "no member y", id="unknown member"),
    param(number(b"5", "y" * 60_000), "target", "no member y", id="unknown member of 60 kB"),
    param(
        new("Number", "serial", one("Number", "number", b"5")),
        "serial",
        "read-only",
        id="ro number",
    ),
    param(
        new("BLOB", "frame", one("BLOB", "image", PAYLOAD, b'size="8" format=".fits"')),
        "frame",
        "read-only",
        id="ro BLOB",
    ),
    # Numbers
    *(
        param(number(value), "target", "not within", id=f"number {value.decode()}")
        for value in (b"90.1", b"-91", b"1e300", b"-90:00:01")
    ),
    *(
        param(number(value), "target", "x: ", id=f"number {value.decode()}")
        for value in (
            *(b"nan", b"NaN", b"inf", b"-inf", b"Infinity", b"1e999", b"0x1A", b"1_000", b"1,5"),
            *(b"abc", b"5abc", b"--5", b":30", b"12:34:56:78", b"5-6", b"1e", b".", b"-"),
            *(b"&#53;&#48", b"&amp;"),
        )
    ),
    param(number(b"9" * 500_000), "target", "x: ", id="a number of 500 kB"),
    param(number(b"1:" * 100_000), "target", "x: ", id="a sexagesimal of 100,000 parts"),
    param(number(b"caf\xe9"), "target", "x: ", id="a number that is not UTF-8"),
    param(
        new("Number", "target", one("Number", "free", b"5") + one("Number", "x", b"91")),
        "target",
        "not within",
        id="one good and one bad number",
    ),
    # Switches
    param(switches(slow="On", fast="On"), "mode", "too many", id="two On in OneOfMany"),
    param(switches(slow="Off"), "mode", "no switch is On", id="none On in OneOfMany"),
    param(switches(fast="on"), "mode", "'on'", id="on for On"),
    param(switches(fast="1"), "mode", "'1'", id="1 for On"),
    # Empty elements
    param(new("Number", "target", b""), "target", "no members", id="no members"),
    param(b'<newNumberVector device="Bench" name="target"/>', "target", "no members", id="closed"),
    param(number(b""), "target", "x: ", id="an empty number"),
    param(new("Number", "target", b'<oneNumber name="x"/>'), "target", "x: ", id="closed number"),
    param(switches(fast=""), "mode", "''", id="an empty switch"),
    param(new("Text", "note", b"<oneText>x</oneText>"), "note", "no name", id="no member name"),
    param(new("Text", "note", b'<oneText name="">x</oneText>'), "note", "no name", id="empty name"),
    # Control characters
    param(text(b"a\0b"), "note", "NUL", id="NUL in a text"),
    # BLOBs
    param(upload(b'format=".bin"'), "upload", "size", id="size missing"),
    param(upload(b'size="" format=".bin"'), "upload", "size", id="size empty"),
    param(upload(b'size="3x" format=".bin"'), "upload", "size", id="size 3x"),
    param(upload(b'size="abc" format=".bin"'), "upload", "size", id="size abc"),
    param(upload(b'size="-5" format=".bin"'), "upload", "size", id="size -5"),
    param(upload(b'size="0x10" format=".bin"'), "upload", "size", id="size 0x10"),
    param(upload(b'size="1.5" format=".bin"'), "upload", "size", id="size 1.5"),
    param(upload(b'size="\xd9\xa3" format=".bin"'), "upload", "size", id="size in Arabic digits"),
    param(
        upload(b'size="99999999999999999999" format=".bin"'), "upload", "size", id="size > 64 bits"
    ),
    param(upload(b'size="%s" format=".bin"' % (b"9" * 5000)), "upload", "size", id="size 5 kB"),
    param(upload(b'size="8"'), "upload", "format", id="format missing"),
    param(upload(b'size="8" format=".bin"', b"fir!ware"), "upload", "base64", id="bad base64"),
    param(upload(b'size="8" format=".bin"', b"ZmlybXdhc"), "upload", "base64", id="cut base64"),
    param(upload(b'size="8" format=".bin"', b"\xff" * 8), "upload", "base64", id="binary"),
    param(
        upload(b'size="8" format=".bin" attached="true"', b""), "upload", "attached", id="attached"
    ),
    param(
        upload(b'size="8" format=".bin" attached="true"'), "upload", "attached", id="attached, too"
    ),
    param(upload(b'size="8" format=".bin.z"'), "upload", "zlib", id="not compressed"),
    param(
        upload(b'size="8" format=".bin.z"', base64.b64encode(zlib.compress(bytes(10_000_000)))),
        "upload",
        "more than the 8 bytes",
        id="a compressed bomb",
    ),
    param(
        upload(
            b'size="999999999999" format=".bin.z"', base64.b64encode(zlib.compress(bytes(1000)))
        ),
        "upload",
        "more than",
        id="a compressed size of a terabyte",
    ),
    # Too much, though below the bound of an element
    param(
        new("Number", "target", b"".join(one("Number", f"m{n}", b"1") for n in range(20_000))),
        "target",
        "no member m0",
        id="20,000 members",
    ),
]


@pytest.mark.parametrize(("request_", "vectorname", "reason"), REFUSED)
async def test_is_refused_with_an_alert_and_a_reason(
    scene: Scene, request_: bytes, vectorname: str, reason: str
) -> None:
    await scene.play(request_)
    await scene.check_refused(vectorname, reason)


async def test_every_refusal_is_answered(scene: Scene) -> None:
    """A hundred are no reason to send anyone away; a client that is up for weeks makes them."""
    await scene.play(number(b"abc") * 150)
    answers = await scene.answers()
    assert len(answers) == 150
    scene.check_untouched()
    await scene.check_bystander()


async def test_a_property_there_is_none_of(scene: Scene) -> None:
    await scene.play(new("Number", "nothing", one("Number", "x", b"5")))
    (answer,) = await scene.answers()
    assert "no property nothing" in answer.message
    scene.check_untouched()
    await scene.check_bystander()


async def test_a_device_there_is_none_of(scene: Scene) -> None:
    await scene.play(number(b"5").replace(b"Bench", b"Nobody"), number(b"5").replace(b"Bench", b""))
    await scene.check_ignored()


FULL = {"x": 7.0, "free": 1.0}

TAKEN = [
    # Text that other programs stumble over
    param(text(b"a & b"), newTextVector, {"a": "a & b"}, id="a bare ampersand"),
    param(text(b"a &foo; &#65; &amp;"), newTextVector, {"a": "a &foo; A &"}, id="references"),
    param(text(b"caf\xc3\xa9"), newTextVector, {"a": "café"}, id="UTF-8"),
    param(text(b"caf\xe9"), newTextVector, {"a": "café"}, id="invalid UTF-8 is Latin-1"),
    param(text(b"a\x01\x7fb"), newTextVector, {"a": "ab"}, id="control characters"),
    param(text(b""), newTextVector, {"a": ""}, id="an empty text"),
    param(new("Text", "note", b'<oneText name="a"/>'), newTextVector, {"a": ""}, id="closed text"),
    param(text(b"x" * 900_000), newTextVector, {"a": "x" * 900_000}, id="a text of 900 kB"),
    # Tags that other programs stumble over
    param(
        number(b"5").replace(b'device="Bench"', b'device="Bench" device="Other"'),
        newNumberVector,
        {"x": 5.0},
        id="duplicate attributes: the first wins",
    ),
    param(
        number(b"5").replace(b'"', b"'").replace(b" ", b"\n\t "),
        newNumberVector,
        {"x": 5.0},
        id="single quotes and line ends",
    ),
    # Numbers as the protocol allows them
    param(number(b"-10:30:18"), newNumberVector, {"x": -10.505}, id="sexagesimal"),
    param(
        number(b" \n -90 \n"), newNumberVector, {"x": -90.0}, id="white space and the very limit"
    ),
    param(number(b"1e300", "free"), newNumberVector, {"free": 1e300}, id="no limits"),
    # BLOBs: the data are trusted, and nothing that is said about them
    param(upload(b'size="3" format=".bin"'), newBLOBVector, {"file": b"firmware"}, id="size 3"),
    param(upload(b'size="9999999999" format=".x"'), newBLOBVector, {"file": b"firmware"}, id="9 G"),
    *(
        param(
            upload(b'size="8" format=".bin" enclen="%s"' % enclen),
            newBLOBVector,
            {"file": b"firmware"},
            id=f"enclen {enclen.decode()!r}",
        )
        for enclen in (b"12", b"-5", b"abc", b"2000000000", b"0", b"", b"9" * 40)
    ),
    param(
        upload(
            b'size="8" format=".bin" len="-1" attached="false"', b"\r\n Zmly\nbXdh \t\r\ncmU= \n"
        ),
        newBLOBVector,
        {"file": b"firmware"},
        id="wrapped base64",
    ),
    param(
        upload(b'size="3" format=".bin"', base64.b64encode(bytes(6_000_000))),
        newBLOBVector,
        {"file": bytes(6_000_000)},
        id="6 MB of data with size 3",
    ),
    param(upload(b'size="0" format=".bin"', b""), newBLOBVector, {"file": b""}, id="no data"),
]


@pytest.mark.parametrize(("request_", "cls", "members"), TAKEN)
async def test_is_taken_for_what_it_says(
    scene: Scene, request_: bytes, cls: type[Any], members: dict[str, Any]
) -> None:
    await scene.play(request_)
    if cls is newBLOBVector:
        # It is told nothing of the BLOB: it has not asked for BLOBs.
        assert await scene.answers() == []
        await scene.check_bystander()
        # A large one is encoded in a thread, while other things are told.
        await until(lambda: bool(of(scene.heard, setBLOBVector)))
        (answer,) = of(scene.heard, setBLOBVector)
    else:
        answers: dict[type[Any], type[Any]]
        answers = {newTextVector: setTextVector, newNumberVector: setNumberVector}
        answer = await scene.bad.next(answers[cls])
        await scene.check_bystander()
    assert {name: answer[name] for name in members} == members
    event = scene.bench.asked[0]
    assert type(event) is cls
    assert dict(event) == members


@pytest.mark.parametrize(
    "raw",
    [
        param(b"&", id="written as references"),
        param("é".encode("latin-1") * 2, id="Latin-1, written as UTF-8"),
        param(b"<![CDATA[" + b"<" * 100 + b"]]>", id="markup"),
    ],
)
async def test_texts_that_could_not_be_sent_back(scene: Scene, raw: bytes) -> None:
    long = raw * (300_000 // len(raw))
    await scene.play(new("Text", "note", one("Text", "a", long) + one("Text", "b", long)))
    await scene.check_refused("note", "could not be sent: 983040 at most; use shorter texts")
    # Whoever comes now is still shown the property.
    await scene.bad.ask("Bench", "note")
    assert (await scene.bad.next(defTextVector, "note"))["a"] == ""


async def test_a_text_larger_than_an_element_may_be(scene: Scene) -> None:
    """It is thrown away as it comes, but its sender is told: otherwise it would wait for ever."""
    await scene.play(new("Text", "note", text(b"x" * MAX_ELEMENT_BYTES)))
    await scene.check_refused("note", f"it is larger than {MAX_ELEMENT_BYTES} bytes")


async def test_a_switch_by_its_only_member(scene: Scene) -> None:
    await scene.play(switches(fast="On"))
    (answer,) = await scene.answers()
    assert dict(answer) == {"slow": "Off", "fast": "On"}
    assert isinstance(scene.bench.asked[0], newSwitchVector)
    await scene.check_bystander()


@pytest.mark.parametrize(
    "attributes",
    [
        b"",
        b' version="2.0"',
        b' version="1.7"',
        b' version="abc"',
        b' version=""',
        b' version="1.7" device=""',
        b' version="1.7" device="*"',
        b' device="Bench"',
        b' version="1.7" strange="yes"',
    ],
)
async def test_any_version_is_answered(scene: Scene, attributes: bytes) -> None:
    await scene.play(b"<getProperties" + attributes + b"/>")
    answers = await scene.answers()
    definitions = [e for e in answers if type(e).__name__.startswith("def")]
    assert [event.vectorname for event in definitions] == list(scene.bench["Bench"])
    assert isinstance(definitions[0], defNumberVector)
    await scene.check_bystander()


@pytest.mark.parametrize("policy", [b"Maybe", b"", b"also", b"Also Only"])
async def test_an_unknown_blob_policy_is_ignored(scene: Scene, policy: bytes) -> None:
    await scene.play(b'<enableBLOB device="Bench">' + policy + b"</enableBLOB>")
    await scene.check_ignored()
