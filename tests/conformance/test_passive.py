"""What is found wrong with single elements, and with elements beside each other."""

from __future__ import annotations

import base64
import zlib
from datetime import UTC, datetime, timedelta

import pytest
import trio.testing

from trindi.conformance import RULES, Verdict
from trindi.conformance.observed import ObservedSnapshot
from trindi.conformance.passive import PassiveChecks
from trindi.conformance.report import Findings
from trindi.conformance.scanner import Scanner
from trindi.properties import message_text
from trindi.protocol import format_timestamp

param = pytest.param

HEAD = "device='D' name='P' label='L' group='G' state='Ok'"
TEXTS = f"<defTextVector {HEAD} perm='rw'>%s</defTextVector>"
TEXT = "<defText name='T' label='T'>text</defText>"
NUMBERS = f"<defNumberVector {HEAD} perm='rw'>%s</defNumberVector>"
NUMBER = "<defNumber name='N' label='N' format='%g' min='0' max='9' step='1'>5</defNumber>"
SWITCHES = f"<defSwitchVector {HEAD} perm='rw' rule='OneOfMany'>%s</defSwitchVector>"
SWITCH = "<defSwitch name='X' label='X'>On</defSwitch><defSwitch name='Y' label='Y'>%s</defSwitch>"
LIGHTS = f"<defLightVector {HEAD}>%s</defLightVector>"
LIGHT = "<defLight name='L' label='L'>Idle</defLight>"
BLOBS = f"<defBLOBVector {HEAD} perm='ro'>%s</defBLOBVector>"
BLOB = "<defBLOB name='B' label='B'/>"
ONE_BLOB = "<oneBLOB name='B' %s>%s</oneBLOB>"
SET_BLOB = f"<setBLOBVector device='D' name='P' state='Ok'>{ONE_BLOB}</setBLOBVector>"
DATA = bytes(range(256)) * 2
PAYLOAD = base64.b64encode(DATA).decode()
LINES = "\n".join(PAYLOAD[start : start + 72] for start in range(0, len(PAYLOAD), 72))
PACKED = base64.b64encode(zlib.compress(DATA)).decode()


def judged(*texts: str | bytes, of_server: bool = False, times: bool = False) -> Findings:
    """Judge what a peer has written; its times only where the test is about them."""
    findings = Findings()
    checks = PassiveChecks(findings, ObservedSnapshot(), of_server=of_server)
    scanner = Scanner()
    for text in texts:
        data = text if isinstance(text, bytes) else text.encode()
        for seen in scanner.feed(data):
            checks.observe(None, seen)
    if times:
        checks.check_times()
    return findings


def faults(findings: Findings) -> dict[str, tuple[str, ...]]:
    return {name: each.seen for name, each in findings.outcomes().items() if each.is_finding}


SOUND = [
    param(TEXTS % TEXT, id="texts"),
    param(NUMBERS % NUMBER, id="numbers"),
    param(SWITCHES % (SWITCH % "Off"), id="switches"),
    param(LIGHTS % LIGHT, id="lights"),
    param(BLOBS % BLOB, id="BLOBs"),
    param("<?xml version='1.0'?>\n<!-- hello -->\n" + TEXTS % TEXT, id="declaration and comment"),
    param("<message device='D' message='hello'/><delProperty device='D'/>", id="message"),
    param(TEXTS.replace("rw'", "ro' timeout='1.5'") % TEXT, id="timeout"),
    param(NUMBERS % NUMBER.replace(">5<", ">\n 5.0e0\n <"), id="exponent and blanks"),
    param(NUMBERS % NUMBER.replace("%g", "%10.6m"), id="sexagesimal format"),
    param(NUMBERS % NUMBER.replace("max='9'", "max='0'"), id="no limits"),
    param(SWITCHES.replace("OneOf", "AnyOf") % (SWITCH % "On"), id="AnyOfMany"),
    param(BLOBS % BLOB + SET_BLOB % ("size='512' format='.bin'", PAYLOAD), id="a BLOB"),
    param(BLOBS % BLOB + SET_BLOB % ("size='0' format='.bin'", ""), id="no BLOB, but a state"),
    param(BLOBS % BLOB + SET_BLOB % ("size='512' format='.bin.z'", PACKED), id="a zlib stream"),
    param(BLOBS % BLOB + SET_BLOB % ("size='9999' format='.fits.fz'", PAYLOAD), id="fpack"),
    param(
        BLOBS % BLOB + SET_BLOB % (f"size='512' enclen='{len(PAYLOAD)}' format='.bin'", LINES),
        id="libindi's lines",
    ),
]


@pytest.mark.parametrize("text", SOUND)
def test_nothing_is_found_in_what_is_sound(text: str) -> None:
    assert faults(judged(text)) == {}
    # Nor however it is cut.
    assert faults(judged(*(text[at : at + 1] for at in range(len(text))))) == {}


BROKEN = [
    param(TEXTS.replace("device='D' ", "") % TEXT, "def-required", "no device", id="no device"),
    param(TEXTS.replace("state='Ok'", "state=''") % TEXT, "def-required", "no state", id="state"),
    param(
        SWITCHES.replace("rule='OneOfMany'", "") % (SWITCH % "Off"),
        "def-required",
        "defSwitchVector D.P has no rule",
        id="no rule",
    ),
    param(TEXTS.replace("Ok", "Okay") % TEXT, "def-legal", "the state 'Okay'", id="Okay"),
    param(TEXTS.replace("rw", "wr") % TEXT, "def-legal", "the perm 'wr'", id="wr"),
    param(
        SWITCHES.replace("OneOfMany", "One") % (SWITCH % "Off"), "def-legal", "rule 'One'", id="One"
    ),
    param(TEXTS.replace("perm", "timeout='-1' perm") % TEXT, "def-legal", "'-1'", id="timeout -1"),
    param(TEXTS.replace("group='G'", "") % TEXT, "def-label", "D.P has no group", id="no group"),
    param(
        TEXTS % TEXT.replace("label='T'", ""), "def-label", "D.P.T has no label", id="member label"
    ),
    param(TEXTS % "", "def-members", "no members", id="no members"),
    param(TEXTS % TEXT.replace("name='T' ", ""), "def-members", "without a name", id="no name"),
    param(TEXTS % (TEXT * 2), "def-members", "2 members T", id="two of a name"),
    param(TEXTS % LIGHT, "def-members", "a defLight: it can have defText", id="wrong member"),
    param(
        NUMBERS % NUMBER.replace("min='0'", "").replace("step='1'", ""),
        "def-number",
        "D.P.N has no min and no step",
        id="no min, no step",
    ),
    param(NUMBERS % NUMBER.replace("'9'", "'inf'"), "def-number", "the max 'inf'", id="inf"),
    param(NUMBERS % NUMBER.replace(">5<", ">five<"), "def-number", "value 'five'", id="five"),
    param(NUMBERS % NUMBER.replace("'9'", "'9:30'"), "def-plain", "the max '9:30'", id="9:30"),
    param(NUMBERS % NUMBER.replace(">5<", ">5 30<"), "def-plain", "'5 30'", id="5 30"),
    param(NUMBERS % NUMBER.replace("'9'", "'-9'"), "def-range", "min 0 and max -9", id="min > max"),
    param(NUMBERS % NUMBER.replace("'1'", "'-1'"), "def-range", "step -1", id="step < 0"),
    param(NUMBERS % NUMBER.replace(">5<", ">10<"), "def-within", "0 and 9", id="over max"),
    param(NUMBERS % NUMBER.replace("%g", "%d"), "def-format", "'%d'", id="%d"),
    param(SWITCHES % (SWITCH % "off"), "def-value", "the value 'off'", id="off"),
    param(LIGHTS % LIGHT.replace("Idle", "On"), "def-value", "the value 'On'", id="light On"),
    param(SWITCHES % (SWITCH % "On"), "def-rule", "these are On: X, Y", id="two On"),
    param(
        SWITCHES.replace("OneOfMany", "AtMostOne") % (SWITCH % "On"),
        "def-rule",
        "X, Y",
        id="AtMost",
    ),
    param(SWITCHES % (SWITCH.replace("On", "Off") % "Off"), "def-rule", "none is On", id="none On"),
    param(
        SWITCHES.replace("'P'", "'CONNECTION'") % (SWITCH % "Off"),
        "std-connection",
        "has X, Y",
        id="CONNECTION",
    ),
    param(
        TEXTS.replace("'P'", "'DRIVER_INFO'") % TEXT,
        "std-driver-info",
        "no DRIVER_INTERFACE",
        id="DRIVER_INFO",
    ),
    param(TEXTS.replace("'P'", "'P.Q'") % TEXT, "names", "'P.Q'", id="dot"),
    param(TEXTS.replace("'P'", "'Größe'") % TEXT, "names", "'Größe'", id="umlaut"),
    param(f"<message message='{'m' * 2001}'/>", "lengths", "2001 bytes", id="long message"),
    param(TEXTS % TEXT.replace("text", "\udce9"), "encoding", "0xe9", id="Latin-1"),
    param("<message timestamp='2026-01-02 03:04:05'/>", "time-form", "03:04:05'", id="blank in it"),
    param("<message timestamp='2026-13-02T03:04:05'/>", "time-form", "2026-13", id="no such month"),
    param("<message/>hello<message/>", "nothing-else", "'hello'", id="hello"),
    param("<message a='1' a='2'/>", "well-formed", "message has the attribute a twice", id="twice"),
    param(
        TEXTS % TEXT.replace("label='T'", "label='T' label='U'"),
        "well-formed",
        "attribute label twice",
        id="twice in a member",
    ),
    param("<delProperty device=D/>", "well-formed", "delProperty", id="no quotes"),
    param("<pingRequest/>", "well-formed", "uid is missing", id="no uid"),
    param(TEXTS % "<defText name='T' label='a\0b'/>", "well-formed", "NUL", id="NUL"),
    param(TEXTS % TEXT.replace("text", "te\0xt"), "well-formed", "NUL", id="NUL in text"),
    param("<newtextvector device='D'/>", "known-elements", "<newtextvector>", id="unknown"),
]


@pytest.mark.parametrize(("text", "rule", "seen"), BROKEN)
def test_what_is_broken_is_found_and_nothing_else(text: str, rule: str, seen: str) -> None:
    data = text.encode(errors="surrogateescape")
    found = faults(judged(data))
    assert found.keys() == {rule}
    assert seen in " | ".join(found[rule])


BLOB_FAULTS = [
    param("size='511' format='.b'", PAYLOAD, "blob-size", "size 511, and has 512 bytes", id="size"),
    param("size='3x' format='.b'", PAYLOAD, "blob-size", "the size '3x'", id="3x"),
    param("format='.b'", PAYLOAD, "blob-size", "the size ''", id="no size"),
    param("size='9' format='.b.z'", PACKED, "blob-size", "more than the 9 bytes", id="zlib small"),
    param("size='999' format='.b.z'", PACKED, "blob-size", "has 512 bytes", id="zlib large"),
    param("size='512'", PAYLOAD, "blob-format", "the format ''", id="no format"),
    param("size='512' format='.'", PAYLOAD, "blob-format", "the format '.'", id="short format"),
    param("size='512' format='.b'", "!" + PAYLOAD, "blob-base64", "D.P.B", id="no base64"),
    param("size='512' format='.b'", LINES, "blob-layout", "lines without enclen", id="lines"),
    param(
        f"size='512' enclen='{len(PAYLOAD)}' format='.b'",
        PAYLOAD,
        "blob-layout",
        "not of 72",
        id="one line with enclen",
    ),
    param("size='512' enclen='9' format='.b'", LINES, "blob-layout", "enclen 9", id="enclen"),
    param(
        "size='512' format='.b' attached='true'", "", "blob-layout", "is attached", id="attached"
    ),
]


@pytest.mark.parametrize(("attributes", "payload", "rule", "seen"), BLOB_FAULTS)
def test_what_is_wrong_with_a_blob(attributes: str, payload: str, rule: str, seen: str) -> None:
    found = faults(judged(BLOBS % BLOB, SET_BLOB % (attributes, payload)))
    assert found.keys() == {rule}
    assert seen in found[rule][0]


ONE = "<set%sVector device='D' name='P' state='Ok'>%s</set%sVector>"


def report(kind: str, members: str) -> str:
    return ONE % (kind, members, kind)


BETWEEN = [
    param(
        [report("Text", "<oneText name='T'>x</oneText>")],
        "set-defined",
        "D.P is reported, and is not defined",
        id="not defined",
    ),
    param(
        [TEXTS % TEXT, report("Text", "<oneText name='T'/><oneText name='U'/>")],
        "set-defined",
        "D.P has no member U",
        id="no such member",
    ),
    param(
        [TEXTS % TEXT, report("Number", "<oneNumber name='T'>1</oneNumber>")],
        "set-defined",
        "is reported by setNumberVector, and is defTextVector",
        id="another kind",
    ),
    param(
        [TEXTS % TEXT, "<delProperty device='D' name='P'/>", report("Text", "<oneText name='T'/>")],
        "set-defined",
        "not defined",
        id="deleted",
    ),
    param(
        [TEXTS % (TEXT + TEXT.replace("'T'", "'U'")), report("Text", "<oneText name='T'/>")],
        "set-whole",
        "without U",
        id="not whole",
    ),
    param(
        [
            SWITCHES % (SWITCH % "Off"),
            report(
                "Switch", "<oneSwitch name='X'>Off</oneSwitch><oneSwitch name='Y'>Off</oneSwitch>"
            ),
        ],
        "set-rule",
        "none is On",
        id="rule",
    ),
    param(
        [LIGHTS % LIGHT, report("Light", "<oneLight name='L'>Red</oneLight>")],
        "set-legal",
        "the value 'Red'",
        id="light",
    ),
    param(
        [NUMBERS % NUMBER, report("Number", "<oneNumber name='N'>x</oneNumber>")],
        "set-legal",
        "the value 'x'",
        id="number",
    ),
    param(
        [
            SWITCHES % (SWITCH % "Off"),
            report(
                "Switch", "<oneSwitch name='X'>ON</oneSwitch><oneSwitch name='Y'>Off</oneSwitch>"
            ),
        ],
        "set-legal",
        "the value 'ON'",
        id="switch",
    ),
    param([TEXTS % TEXT, LIGHTS % LIGHT], "def-same", "was defTextVector", id="another kind again"),
    param([TEXTS % TEXT, TEXTS.replace("rw", "ro") % TEXT], "def-same", "the perm 'rw'", id="perm"),
    param(
        [TEXTS % TEXT, TEXTS % TEXT.replace("'T'", "'U'")],
        "def-same",
        "other members",
        id="members",
    ),
]


@pytest.mark.parametrize(("texts", "rule", "seen"), BETWEEN)
def test_what_does_not_fit_what_came_before(texts: list[str], rule: str, seen: str) -> None:
    found = faults(judged(*texts))
    assert found.keys() == {rule}
    assert seen in found[rule][0]


def test_names_with_dots_are_quoted_as_commands_take_them() -> None:
    text = TEXTS.replace("'D'", "'ST-8.1'") % TEXT.replace("'T'", "'T.1'", 1)
    found = faults(
        judged(
            text.replace("label='T'", ""),
            report("Text", "<oneText name='X'>x</oneText>").replace("'D'", "'ST-8.1'"),
        )
    )
    assert found["def-label"] == ('"ST-8.1".P."T.1" has no label',)
    assert found["set-defined"] == ('"ST-8.1".P has no member X',)


def test_the_longest_message_of_trindis_drivers_is_no_fault() -> None:
    text = message_text("m" * 5000)
    assert len(text.encode()) == 2000
    assert faults(judged(f"<message message='{text}'/>")) == {}


def test_what_may_change_and_what_is_deleted_first() -> None:
    limits = NUMBER.replace("'9'", "'99'").replace(">5<", ">50<")
    assert faults(judged(NUMBERS % NUMBER, NUMBERS % limits)) == {}
    gone = "<delProperty device='D'/>"
    assert faults(judged(NUMBERS % NUMBER, gone, TEXTS % TEXT)) == {}
    assert faults(judged(NUMBERS % NUMBER, "<delProperty/>", TEXTS % TEXT)) == {}


def test_nothing_is_said_twice_of_a_definition_that_cannot_be_read() -> None:
    broken = TEXTS.replace("Ok", "Okay") % TEXT
    found = faults(judged(broken, report("Text", "<oneText name='T'/>")))
    assert found.keys() == {"def-legal"}


def test_what_clients_say_is_no_fault_of_a_server() -> None:
    echo = "<newTextVector device='D' name='P'><oneText name='T.T'>é</oneText></newTextVector>"
    assert "names" in faults(judged(echo))
    assert faults(judged(echo, of_server=True)) == {}
    # But what no client says is its own.
    assert "def-legal" in faults(judged(TEXTS.replace("Ok", "Okay") % TEXT, of_server=True))
    assert "nothing-else" in faults(judged("hello<message/>", of_server=True))


# Times -------------------------------------------------------------------------------------------


def stamped(*seconds: float) -> list[str]:
    now = datetime.now(UTC)
    times = [format_timestamp(now + timedelta(seconds=each)) for each in seconds]
    return [f"<message timestamp='{time}'/>" for time in times]


def test_values_may_be_old_where_one_is_not() -> None:
    findings = judged(*stamped(-86400, -3600, -2), times=True)
    assert faults(findings) == {}
    (seen,) = findings.outcome(RULES["time-utc"]).seen
    assert seen == "the nearest to now is off by -2.0 s"


@pytest.mark.parametrize(
    "seconds",
    # The last one is off by whole quarters, but no zone is so far from UTC.
    [[-61.0], [-300.0, -86400.0], [-915.0], [-3580.0], [-7230.0, -7300.0], [-57600.0]],
)
def test_values_may_all_be_old(seconds: list[float]) -> None:
    assert faults(judged(*stamped(*seconds), times=True)) == {}


@pytest.mark.parametrize(
    ("seconds", "seen"),
    [
        ([5400.2, 5401.2], "all are off, by 1:30:00 at least: is it local time?"),
        ([-19800.4], "all are off, by -5:30:00 at least: is it local time?"),
        ([-86400.0, -7205.4, -9000.0], "all are off, by -2:00:05 at least: is it local time?"),
        ([0.0, 120.2], "one is 0:02:00 ahead: it is from the future"),
        ([120.2, 500.0], "one is 0:08:20 ahead: it is from the future"),
        ([-300.0, 400.2], "one is 0:06:40 ahead: it is from the future"),
        ([86400.2], "one is 24:00:00 ahead: it is from the future"),
    ],
)
def test_times_that_are_not_near_now(seconds: list[float], seen: str) -> None:
    assert faults(judged(*stamped(*seconds), times=True)) == {"time-utc": (seen,)}


def test_without_times_there_is_nothing_to_judge() -> None:
    outcome = judged("<message/>", times=True).outcome(RULES["time-utc"])
    assert outcome.verdict is Verdict.NOT_APPLICABLE


# What the checker has done ----------------------------------------------------------------------

BEYOND = (NUMBERS % NUMBER).replace(">5<", ">10<").encode()


@pytest.mark.parametrize("taken", [True, False])
def test_what_a_request_has_spoiled_is_not_judged(taken: bool) -> None:
    findings = Findings()
    checks, scanner = PassiveChecks(findings, ObservedSnapshot(), of_server=False), Scanner()

    def see(data: bytes) -> None:
        for seen in scanner.feed(data):
            checks.observe(None, seen)

    with checks.deferring_values(("D", "P")):
        see(BEYOND)
        # Whether it is to blame for that shows only now; of others it is known.
        assert faults(findings) == {}
        see(BEYOND.replace(b"'P'", b"'Q'").replace(b">10<", b">11<"))
        assert len(faults(findings)["def-within"]) == 1
        see(BEYOND.replace(b" label='L'", b""))
        assert "def-label" in faults(findings)
        if taken:
            checks.excluded.add(("D", "P"))
    see(BEYOND.replace(b">10<", b">12<"))
    expected = ["D.Q.N is 11"] if taken else ["D.Q.N is 11", "D.P.N is 10", "D.P.N is 12"]
    seen = faults(findings)["def-within"]
    assert [fault.partition(",")[0] for fault in seen] == expected


# Standard error ----------------------------------------------------------------------------------


async def read_stderr(*pieces: bytes) -> tuple[Findings, PassiveChecks]:
    findings = Findings()
    checks = PassiveChecks(findings, ObservedSnapshot(), of_server=False)
    stream = trio.testing.MemoryReceiveStream()
    for piece in pieces:
        stream.put_data(piece)
    stream.put_eof()
    await checks.read_stderr(stream)
    return findings, checks


async def test_lines_on_standard_error() -> None:
    findings, checks = await read_stderr(b"one\ntw", b"o\n" + b"x" * 1023 + b"\n", b"last words")
    assert faults(findings) == {}
    assert checks.last_words == "last words"


async def test_a_line_that_is_too_long_for_indiserver() -> None:
    findings, _checks = await read_stderr(b"x" * 1024 + b"\n")
    assert "1024 bytes or more" in faults(findings)["stderr"][0]


async def test_a_line_without_an_end() -> None:
    findings, _checks = await read_stderr(b"x" * 600, b"x" * 600)
    assert faults(findings).keys() == {"stderr"}
