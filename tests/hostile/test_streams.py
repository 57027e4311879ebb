"""Bytes that are no INDI, too much, never finished, or never read (protocol §1.2 and §9)."""

from __future__ import annotations

import base64
import logging
import random
import struct
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.kit.peers import of
from tests.kit.server import until
from trindi.protocol import (
    MAX_IGNORED,
    BLOBPolicy,
    State,
    enableBLOB,
    encode,
    getProperties,
    pingRequest,
    setBLOBVector,
    setTextVector,
)
from trindi.transport.connection import MAX_ERRORS

if TYPE_CHECKING:
    from tests.kit.hostile import Scene

param = pytest.param

MIB = 1024 * 1024
TAKE = b'<newTextVector device="Bench" name="note"><oneText name="a">%s</oneText></newTextVector>'
GOOD = TAKE % b"good"
EVIL = TAKE % b"evil"

BOMB = b"""<?xml version="1.0"?>
<!DOCTYPE lolz [
 <!ENTITY lol "lol">
 <!ELEMENT lolz (#PCDATA)>
 <!ENTITY lol1 "&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;&lol;">
 <!ENTITY lol2 "&lol1;&lol1;&lol1;&lol1;&lol1;&lol1;&lol1;&lol1;&lol1;&lol1;">
 <!ENTITY lol3 "&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;&lol2;">
]>
"""

# Dropped without a word, whatever it is; the next message is read as if nothing had been there.
NOISE = [
    param(b"", id="nothing"),
    param(b"hello, is this a web server?\r\n\r\n", id="text"),
    param(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", id="HTTP"),
    param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)), id="TLS"),
    param(b"\0" * 1000, id="NUL bytes"),
    param(b"<1 <2> </> <> < > <= <<<", id="stray brackets"),
    param(b"if x < y then z > y", id="a comparison"),
    param(b"</newTextVector></oneText>", id="end tags only"),
    param(b"\xef\xbb\xbf\xff\xfe\x80\x81", id="byte order marks, and no UTF-8 at all"),
    param(b'<?xml version="1.0"?>' * 1000, id="XML declarations"),
    param(b"<!-- a > " + EVIL + b" -->", id="a message in a comment"),
    param(b"<!-- " + EVIL + b" > " + EVIL + b"-->", id="two messages in a comment"),
    param(b"<!>" + b"<!->" + b"<!ELEMENT x>", id="markup of no use"),
    param(b"<?php ?>", id="a processing instruction"),
    param(EVIL.replace(b"Vector", b"vector"), id="the wrong case"),
    param(EVIL.replace(b"new", b"old"), id="an unknown element"),
    param(EVIL.replace(b"newText", b"newLight"), id="there is no newLightVector"),
    param(b'<oneText name="a">evil</oneText>', id="a member without a vector"),
    param(b'<unknown name="&lol;">&bomb;</unknown>', id="unknown entities in an unknown element"),
    param(b"<getProperties version='1.7' device='Nobody'/>", id="nobody's properties"),
    param(b"<" * 1000, id="1000 brackets"),
    param(b"</a>" * 1000, id="1000 end tags"),
    param(b"<a/>" * 1000, id="1000 unknown elements"),
    param(b"&" * 1_000_000, id="a million ampersands"),
    param(b"]]>" * 1000, id="ends of CDATA"),
]

# Dropped and counted; the next message is read as if nothing had been there.
MALFORMED = [
    param(EVIL.replace(b"</oneText>", b"</oneNumber>"), id="a wrong end tag inside"),
    param(EVIL.replace(b"</newTextVector>", b"</newNumberVector>"), id="a wrong end tag"),
    param(EVIL.replace(b"</oneText>", b""), id="an end tag is missing"),
    param(EVIL.replace(b'"note"', b"note"), id="an unquoted attribute"),
    param(EVIL.replace(b'name="note"', b"name"), id="an attribute without a value"),
    param(EVIL.replace(b'name="note"', b'na-me="note"'), id="a dash in a name"),
    param(EVIL.replace(b'name="note"', b'name="note" x:y="z"'), id="a colon in a name"),
    param(EVIL.replace(b"<oneText ", b"<one:Text "), id="a colon in a member's name"),
    param(EVIL.replace(b' name="note"', b""), id="no property"),
    param(EVIL.replace(b' device="Bench"', b""), id="no device"),
    param(b"<newTextVector/><newNumberVector></newNumberVector>", id="empty elements"),
    param(b"<enableBLOB/><pingRequest/>", id="more empty elements"),
    param(EVIL.replace(b'="note">', b'="note"'), id="a start tag without its end"),
    param(EVIL.replace(b"</newTextVector>", b""), id="an element without its end"),
    param(EVIL.replace(b'"note"', b'"note'), id="a quote that is not closed"),
    param(EVIL.replace(b"evil", b"<b>evil</b>"), id="nested a little too deep"),
    param(b"<!DOCTYPE x SYSTEM 'file:///etc/passwd'>", id="an external entity"),
    param(
        EVIL.replace(b'name="note"', b'name="note" ' + b"".join(b'a%d="" ' % n for n in range(99))),
        id="99 attributes",
    ),
    # What is too large
    param(EVIL.replace(b"evil", b"x" * 5 * MIB), id="a text of 5 MB"),
    param(EVIL.replace(b'"note"', b'"' + b"x" * 20 * MIB + b'"'), id="an attribute of 20 MB"),
    param(EVIL.replace(b'"note"', b'"' + b"x" * 100_000 + b'"'), id="an attribute of 100 kB"),
    param(EVIL.replace(b" name", b" x" + b"x" * 300 + b"=''" + b" name", 1), id="a long attribute"),
    param(
        b'<newNumberVector device="Bench" name="target">'
        + b"".join(b'<oneNumber name="m%d">1</oneNumber>' % n for n in range(50_000))
        + b"</newNumberVector>",
        id="50,000 members",
    ),
    param(b"<newTextVector " + b"a='' " * 300_000 + b"/>", id="300,000 attributes"),
    param(
        EVIL.replace(b"evil", b"<a>" * 200_000 + b"</a>" * 200_000),
        id="nesting 200,000 deep, closed properly",
    ),
    param(EVIL.replace(b"evil", b"<a>" * 100_000 + b"</a>" * 100_000), id="nesting 100,000 deep"),
    param(
        EVIL.replace(b"</newTextVector>", b"</" + b"x" * 250_000 + b">"),
        id="a wrong end tag of 250 kB",
    ),
    param(
        EVIL.replace(b"</oneText>", b"</" + b"x" * 250_000 + b">"),
        id="a wrong end tag of 250 kB inside",
    ),
    param(
        b'<newBLOBVector device="Bench" name="upload">' + b"<oneBLOB " * 1000 + b"</newBLOBVector>",
        id="BLOBs that are not closed",
    ),
]


async def check_next_is_read(scene: Scene, times: int = 1) -> None:
    """What the bad client asks now is taken, and nothing of what it sent before was."""
    answer = await scene.bad.next(setTextVector)
    if answer.state is State.ALERT:
        # Of what was sound, but too large, its sender is told.
        assert "it is larger than" in answer.message
        answer = await scene.bad.next(setTextVector)
    assert (answer["a"], answer.state) == ("good", State.OK)
    assert await scene.answers() == []
    assert [event["a"] for event in scene.bench.asked] == ["good"] * times
    await scene.check_bystander()


@pytest.mark.parametrize("data", NOISE)
async def test_noise_between_messages_is_skipped(scene: Scene, data: bytes) -> None:
    await scene.play(data)
    await scene.check_ignored()
    # The good client's request is noted by now; what follows is the bad one's.
    scene.bench.asked.clear()
    await scene.play(data + GOOD)
    await check_next_is_read(scene)
    (about,) = [c for c in scene.server.statistics().clients if c.peer == name_of(scene)]
    assert about.errors == 0


@pytest.mark.parametrize("data", MALFORMED)
async def test_a_malformed_element_is_dropped_and_counted(scene: Scene, data: bytes) -> None:
    await scene.play(data + GOOD)
    await check_next_is_read(scene)
    (about,) = [c for c in scene.server.statistics().clients if c.peer == name_of(scene)]
    assert about.errors > 0


def name_of(scene: Scene) -> str:
    host, port = scene.bad.stream.socket.getsockname()  # type: ignore[attr-defined]
    return f"{host}:{port}"


@pytest.mark.parametrize("start", [b"<foo>", b"<foo a='b'>text", b"<INDI>"])
async def test_a_stray_start_tag_hides_nothing(
    scene: Scene, start: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """To indiserver the rest of the stream is inside of it: such a client is never heard again."""
    caplog.set_level(logging.INFO, "trindi.connection")
    await scene.play(start + GOOD + start + GOOD)
    await scene.bad.next(setTextVector)
    await check_next_is_read(scene, 2)
    (about,) = [c for c in scene.server.statistics().clients if c.peer == name_of(scene)]
    assert about.errors == 2
    assert caplog.text.count("its end tag is missing") == 1


@pytest.mark.parametrize("thing", [b"<", b"<!>", b"</a>", b"<a/>", b"<a>x</a>", b"<!---->"])
async def test_a_flood_of_what_no_honest_peer_sends_ends_the_connection(
    scene: Scene, thing: bytes
) -> None:
    await scene.play(thing * MAX_IGNORED * (MAX_ERRORS + 1) + EVIL)
    await scene.check_sent_away("malformed")


async def test_a_member_of_another_kind_changes_nothing(scene: Scene) -> None:
    await scene.play(
        b'<newNumberVector device="Bench" name="target"><oneText name="x">5</oneText>'
        b"</newNumberVector>"
    )
    # Whether it is told so, or what it sent is dropped as malformed.
    answers: list[Any] = await scene.answers()
    assert [answer.state for answer in answers] in ([], [State.ALERT])
    scene.check_untouched()
    await scene.check_bystander()


async def test_an_entity_bomb_stays_small(scene: Scene) -> None:
    await scene.play(BOMB + TAKE % b"&lol3;")
    assert (await scene.bad.next(setTextVector))["a"] == "&lol3;"
    await scene.check_bystander()


async def test_character_data_sections_do_not_lead_astray(scene: Scene) -> None:
    await scene.play(TAKE % b"pre<![CDATA[a<b]]>post" + GOOD)
    await scene.bad.until(lambda event: isinstance(event, setTextVector) and event["a"] == "good")
    await scene.check_bystander()


async def test_an_element_of_100_mb_is_dropped_as_it_comes(scene: Scene) -> None:
    block = b"x" * MIB

    async def attack() -> None:
        await scene.bad.send(b'<newTextVector device="Bench" name="note"><oneText name="a">')
        for _ in range(100):
            await scene.bad.send(block)
        await scene.bad.send(b"</oneText></newTextVector>" + GOOD)

    tracemalloc.start()
    try:
        await scene.during(attack())
        await check_next_is_read(scene)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The server's and the clients' together, in one process.
    assert peak < 16 * MIB


async def test_too_many_malformed_elements_end_the_connection(scene: Scene) -> None:
    await scene.play(b"<newTextVector =/>" * 1000 + EVIL)
    await scene.check_sent_away("malformed")


@pytest.mark.parametrize("seed", range(10))
async def test_garbage(scene: Scene, seed: int) -> None:
    chance = random.Random(seed)
    await scene.play(chance.randbytes(500_000))
    scene.check_untouched()
    await scene.check_bystander()


WORDS = [
    *(b"<", b">", b"</", b"/>", b'"', b"'", b"=", b" ", b"&", b";", b"<!--", b"-->", b"<?", b"?>"),
    *(b"<newTextVector", b"</newTextVector>", b"<oneText", b"</oneText>", b"<newBLOBVector"),
    *(b"<oneBLOB", b"</oneBLOB>", b"</newBLOBVector>", b"<newNumberVector", b"<oneNumber"),
    *(b' device="Bench"', b' name="target"', b' name="x"', b' name="upload"', b' size="3"'),
    *(b' format=".bin"', b' enclen="2000000000"', b' attached="true"', b"AAcO", b"nan", b"\xff"),
    *(b"\0", b"\n", b"<!DOCTYPE", b"<![CDATA[", b"]]>", b"<getProperties", b"<enableBLOB", b"x"),
]


@pytest.mark.parametrize("seed", range(20))
async def test_garbage_that_looks_like_indi(scene: Scene, seed: int) -> None:
    chance = random.Random(seed)
    await scene.play(b"".join(chance.choices(WORDS, k=20_000)))
    scene.check_untouched()
    await scene.check_bystander()


# Never finished ----------------------------------------------------------------------------------

HALVES = [
    param(b"<", id="a bracket"),
    param(b"<newText", id="half a name"),
    param(b'<newTextVector device="Be', id="half an attribute"),
    param(GOOD[:-1], id="all but the last byte"),
    param(b"<!-- ", id="half a comment"),
    param(b"<?xml ", id="half a declaration"),
    param(b'<newBLOBVector device="Bench" name="upload"><oneBLOB name="file" size="9" format=".b">'
          + base64.b64encode(bytes(3 * MIB)), id="half a BLOB"),
]  # fmt: skip


@pytest.mark.parametrize("half", HALVES)
async def test_half_an_element_then_silence(scene: Scene, half: bytes) -> None:
    await scene.play(half)
    scene.check_untouched()
    await scene.check_bystander()
    # Silence is no fault, and it is still told what it has subscribed to: nothing.
    assert len(scene.server.statistics().clients) == 2


async def test_the_other_half_may_come_late_and_byte_by_byte(scene: Scene) -> None:
    async def attack() -> None:
        for byte in GOOD:
            await scene.bad.send(bytes([byte]))
            await trio.lowlevel.checkpoint()

    await scene.during(attack())
    await check_next_is_read(scene)


@pytest.mark.parametrize("half", HALVES)
async def test_half_an_element_then_the_end(scene: Scene, half: bytes) -> None:
    await scene.play(half)
    await scene.bad.aclose()
    scene.check_untouched()
    await scene.check_bad_is_gone()


@pytest.mark.parametrize("half", HALVES)
async def test_half_an_element_then_half_a_close(scene: Scene, half: bytes) -> None:
    await scene.play(half)
    await scene.bad.stream.send_eof()  # type: ignore[attr-defined]
    assert await scene.bad.rest() == []
    scene.check_untouched()
    await scene.check_bad_is_gone()


@pytest.mark.parametrize("half", HALVES)
async def test_a_reset_in_mid_element(scene: Scene, half: bytes) -> None:
    # With this option closing sends a reset, and throws away what has not been sent.
    scene.bad.stream.setsockopt(  # type: ignore[attr-defined]
        trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    await scene.play(half)
    await scene.bad.aclose()
    scene.check_untouched()
    await scene.check_bad_is_gone()


async def test_a_reset_while_it_is_being_told_everything(scene: Scene) -> None:
    scene.bad.stream.setsockopt(  # type: ignore[attr-defined]
        trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    await scene.play(encode(getProperties()) * 200)
    await scene.bad.aclose()
    await scene.check_bad_is_gone()


async def test_half_a_close_right_after_a_request(scene: Scene) -> None:
    await scene.play(encode(getProperties()) + GOOD)
    await scene.bad.stream.send_eof()  # type: ignore[attr-defined]
    answers: list[Any] = await scene.bad.rest()
    names = [e.vectorname for e in answers if type(e).__name__.startswith("def")]
    assert names == list(scene.bench["Bench"])
    (answer,) = of(answers, setTextVector)
    assert answer["a"] == "good"
    await scene.check_bad_is_gone()


# Never read --------------------------------------------------------------------------------------


async def test_a_client_that_never_reads_while_frames_stream(scene: Scene) -> None:
    await scene.bad.send(getProperties(), enableBLOB("Bench", None, BLOBPolicy.ALSO))
    await scene.bad.sync()

    async def stream() -> None:
        for number in range(60):
            await scene.bench.expose(bytes([number]) * MIB)

    await scene.during(stream())
    await until(lambda: len(of(scene.heard, setBLOBVector)) == 60)
    frames = [frame["image"] for frame in of(scene.heard, setBLOBVector)]
    assert frames == [bytes([number]) * MIB for number in range(60)]
    # The client that asked for frames and did not take them has the newest ones waiting.
    (about,) = [c for c in scene.server.statistics().clients if c.peer == name_of(scene)]
    assert about.lagging
    assert about.drops > 0
    await scene.check_bystander()
    late = of(await scene.bad.sync(), setBLOBVector)
    assert late[-1]["image"] == bytes([59]) * MIB


@pytest.mark.parametrize("options", [{"bound": 4 * MIB, "high_water": MIB}])
async def test_a_client_that_asks_without_end_and_never_reads(scene: Scene) -> None:
    async def attack() -> None:
        try:
            while True:
                await scene.bad.stream.send_all(encode(getProperties()) * 1000)
        except trio.BrokenResourceError:
            # It was sent away, and has not even heard why.
            return

    await scene.during(attack())
    await scene.check_bad_is_gone()
    assert scene.bench.asked[:-1] == []


@pytest.mark.parametrize("options", [{"bound": 4 * MIB, "high_water": MIB}])
async def test_a_client_that_pings_without_end_and_never_reads(scene: Scene) -> None:
    async def attack() -> None:
        try:
            while True:
                await scene.bad.stream.send_all(encode(pingRequest("x" * 60_000)) * 16)
        except trio.BrokenResourceError:
            return

    await scene.during(attack())
    await scene.check_bad_is_gone()


async def test_a_crowd_over_the_bound(scene: Scene) -> None:
    address = scene.server.addresses[0]

    async def attack() -> None:
        for _ in range(100):
            stream = await trio.open_tcp_stream(*address)
            await stream.send_all(EVIL)
            await trio.aclose_forcefully(stream)

    await scene.during(attack())
    await until(lambda: len(scene.server.statistics().clients) == 2)
    # Those that came below the bound were heard: they are clients like any other.
    assert {event["a"] for event in scene.bench.asked} <= {"evil"}
    await scene.check_bystander()
