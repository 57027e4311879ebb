"""Bytes to events: what INDI programs really write, values, BLOBs (protocol §1 to §4, §11)."""

import base64
import binascii
import zlib
from datetime import UTC, datetime
from typing import Any

import pytest

from trindi.errors import ConfigurationError, ProtocolError
from trindi.protocol import (
    NO_READING,
    BLOBPolicy,
    Decoder,
    Event,
    Limits,
    Loader,
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

pytestmark = pytest.mark.usefixtures("with_and_without_collecting")


def decoded(data: str | bytes) -> Any:
    """The one event of these bytes, whole and in small pieces."""
    data = data.encode() if isinstance(data, str) else data
    (event,) = Decoder().feed(data)
    decoder = Decoder()
    step = 1 + len(data) // 2000
    pieces = (data[at : at + step] for at in range(0, len(data), step))
    assert [one for piece in pieces for one in decoder.feed(piece)] == [event]
    return event


def refusal(data: str | bytes, decoder: Decoder | None = None) -> ProtocolError:
    """The one error of these bytes, after which the decoder goes on."""
    data = data.encode() if isinstance(data, str) else data
    decoder = decoder or Decoder()
    error, good = decoder.feed_all(data + b"<pingReply uid='good'/>")
    assert good == pingReply("good")
    assert isinstance(error, ProtocolError)
    return error


# §11: what is really on the wire ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "event"),
    [
        (
            "<?xml version='1.0'?>\n<defTextVector\n  device='Weather Simulator'\n"
            "  name='DRIVER_INFO'\n  label='Driver Info'\n  group='General Info'\n"
            "  state='Idle'\n  perm='ro'\n  timeout='60'\n  timestamp='2026-11-22T12:14:36'\n>\n"
            "  <defText\n    name='DRIVER_NAME'\n    label='Name'>\n      Weather Simulator\n"
            "  </defText>\n</defTextVector>\n",
            defTextVector(
                "Weather Simulator",
                "DRIVER_INFO",
                "Driver Info",
                "General Info",
                State.IDLE,
                Permission.RO,
                {"DRIVER_NAME": "Weather Simulator"},
                {"DRIVER_NAME": "Name"},
                60.0,
                datetime(2026, 11, 22, 12, 14, 36, tzinfo=UTC),
            ),
        ),
        ("<pingRequest uid='SetBLOB/1' />\n", pingRequest("SetBLOB/1")),
        (
            "<?xml version='1.0'?>\n<getProperties version='1.7' device='GPS Simulator' "
            "name='GEOGRAPHIC_COORD'/>\n",
            getProperties("GPS Simulator", "GEOGRAPHIC_COORD"),
        ),
        ('<getProperties version="1.7"/>\n', getProperties()),
        (
            '<newTextVector device="DevA" name="T">\n    <oneText name="X">\nq\n    </oneText>\n'
            "</newTextVector>\n",
            newTextVector("DevA", "T", {"X": "q"}),
        ),
        ('<pingReply uid="abc1"/>\n', pingReply("abc1")),
        (
            '<setBLOBVector device="DevF" name="BL" state="Ok">\n    <oneBLOB name="b" size="3" '
            'format=".bin" len="3">\nAAcO\n    </oneBLOB>\n</setBLOBVector>\n',
            setBLOBVector(
                "DevF", "BL", {"b": b"\x00\x07\x0e"}, {"b": SizeFormat(3, ".bin")}, State.OK
            ),
        ),
        ('<delProperty device="DevA"/>\n', delProperty("DevA")),
        ("<enableBLOB device='D'>Also</enableBLOB>\n", enableBLOB("D", None, BLOBPolicy.ALSO)),
        (
            "<newSwitchVector device='D' name='CONNECTION'>\n  <oneSwitch name='CONNECT'>\n"
            "      On\n  </oneSwitch>\n</newSwitchVector>\n",
            newSwitchVector("D", "CONNECTION", {"CONNECT": SwitchState.ON}),
        ),
        (
            "<newNumberVector device='D' name='N'>\n  <oneNumber name='a'>1:30</oneNumber>\n"
            "</newNumberVector>\n",
            newNumberVector("D", "N", {"a": 1.5}),
        ),
        ('<getProperties device="*" version="1.7"/>\n', getProperties("*")),
        (
            '<setNumberVector device="D" name="N" state="Ok" timeout="0" '
            'timestamp="2026-01-02T03:04:05"><oneNumber name="A">1.5</oneNumber>'
            "</setNumberVector>\n",
            setNumberVector(
                "D",
                "N",
                {"A": 1.5},
                State.OK,
                0.0,
                datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            ),
        ),
    ],
)
def test_samples(data: str, event: Event) -> None:
    assert decoded(data) == event


def test_upload_of_a_libindi_client() -> None:
    payload = bytes(range(100))
    encoded = base64.b64encode(payload).decode()
    event = decoded(
        "<newBLOBVector\n  device='D'\n  name='BL'\n  timestamp='2024-01-01T00:00:00'\n>\n"
        "  <oneBLOB\n    name='b'\n    size='100'\n    enclen='136'\n    format='.bin'>\n"
        f"{encoded[:72]}\n{encoded[72:]}\n  </oneBLOB>\n</newBLOBVector>\n"
    )
    assert event == newBLOBVector(
        "D",
        "BL",
        {"b": payload},
        {"b": SizeFormat(100, ".bin")},
        datetime(2024, 1, 1, tzinfo=UTC),
    )


# Streams ---------------------------------------------------------------------------------------


def test_an_element_is_complete_at_its_last_byte() -> None:
    decoder = Decoder()
    assert decoder.feed(b"<getProperties version='1.7'") == []
    assert decoder.feed(b"/>") == [getProperties()]
    assert decoder.feed(b"<message message='a'>\n</mess") == []
    assert decoder.feed(b"age>") == [Message(None, "a")]


def test_held_and_offset() -> None:
    decoder = Decoder()
    decoder.feed(b"junk<getProp")
    assert (decoder.held, decoder.offset) == (8, 4)
    decoder.feed(b"erties/>\n<x")
    assert (decoder.held, decoder.offset) == (2, 21)
    decoder.feed(b"/>junk")
    assert (decoder.held, decoder.offset) == (0, 29)


def test_an_error_carries_what_was_read_before_it() -> None:
    decoder = Decoder()
    with pytest.raises(ProtocolError) as caught:
        decoder.feed(b"<pingReply uid='1'/> <pingReply/> <pingReply uid='2'/><pingRep")
    assert caught.value.events == (pingReply("1"),)
    assert caught.value.offset == 21
    assert decoder.feed(b"") == [pingReply("2")]
    assert decoder.feed(b"ly uid='3'/>") == [pingReply("3")]


def test_feed_all_keeps_errors_in_their_places() -> None:
    first, error, last = Decoder().feed_all(b"<pingReply uid='1'/><pingReply/><pingReply uid='2'/>")
    assert (first, last) == (pingReply("1"), pingReply("2"))
    assert isinstance(error, ProtocolError)


def test_a_bytearray_may_be_fed() -> None:
    data = bytearray(b"<pingReply uid='1'/><pingReply uid='2'")
    decoder = Decoder()
    assert decoder.feed(data) == [pingReply("1")]
    data.clear()
    assert decoder.feed(bytearray(b"/>")) == [pingReply("2")]


def test_unknown_elements_are_passed_over_whole_and_counted() -> None:
    decoder = Decoder()
    data = b"<INDI><properties/></INDI> <newtextvector/><un-known a:b='>'>x</un-known >"
    assert decoder.feed(data) == []
    assert decoder.skipped == 3
    assert decoder.feed(b"<newLightVector device='d' name='n'></newLightVector>") == []
    assert decoder.skipped == 4


# Every element ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "event"),
    [
        # What may be missing in a definition, and what it then is.
        (
            "<defSwitchVector device='d' name='n'/>",
            defSwitchVector(
                "d", "n", "n", "", State.OK, Permission.RO, Rule.ONE_OF_MANY, {}, {}
            ),
        ),
        (
            "<defNumberVector device='d' name='n' label='' state='' timeout='soon'>"
            "<defNumber name='a'>0:30</defNumber>"
            "<defNumber name='b' label='' format='%g' min='-1:30' max='x' step='2'>1</defNumber>"
            "</defNumberVector>",
            defNumberVector(
                "d",
                "n",
                "",
                "",
                State.OK,
                Permission.RO,
                {"a": 0.5, "b": 1.0},
                {"a": NumberLabel("a", "", 0, 0, 0), "b": NumberLabel("", "%g", -1.5, 0, 2)},
            ),
        ),
        (
            "<defLightVector device='d' name='n' group='g' perm='rw' timeout='5' rule='x'>"
            "<defLight name='a'>Alert</defLight></defLightVector>",
            defLightVector("d", "n", "n", "g", State.OK, {"a": State.ALERT}, {"a": "a"}),
        ),
        (
            "<defBLOBVector device='d' name='n' perm='wo'><defBLOB name='a' label='A'/>"
            "<defBLOB name='b'>what</defBLOB></defBLOBVector>",
            defBLOBVector(
                "d",
                "n",
                "n",
                "",
                State.OK,
                Permission.WO,
                {"a": None, "b": None},
                {"a": "A", "b": "b"},
            ),
        ),
        # What may be missing in a report is unchanged.
        ("<setSwitchVector device='d' name='n'/>", setSwitchVector("d", "n")),
        (
            "<setLightVector device='d' name='n' state='Idle' message=''>"
            "<oneLight name='a'> Busy\n</oneLight></setLightVector>",
            setLightVector("d", "n", {"a": State.BUSY}, State.IDLE),
        ),
        (
            "<setTextVector device='d' name='n'><oneText name='a'/><oneText name='b'> </oneText>"
            "<oneText name='c'> x  y\n z </oneText></setTextVector>",
            setTextVector("d", "n", {"a": "", "b": "", "c": "x  y\n z"}),
        ),
        (
            "<setNumberVector device='d' name='n'><oneNumber name='a' min='0' max='5'>1</oneNumber>"
            "<oneNumber name='b' min='0'>2</oneNumber></setNumberVector>",
            setNumberVector("d", "n", {"a": 1.0, "b": 2.0}, limits={"a": Limits(0, 5, 0)}),
        ),
        # The version is ignored, and so is what no element of that name has.
        ("<getProperties version='2.0' timestamp='2026-01-01' x='y'/>", getProperties()),
        ("<getProperties name='n'>text</getProperties>", getProperties(None, "n")),
        ("<delProperty/>", delProperty()),
        ("<pingRequest uid='1' timestamp='2026-01-01'/>", pingRequest("1")),
        ("<message/>", Message()),
        ("<message timestamp='yesterday' message='m'>text</message>", Message(None, "m")),
        (
            "<enableBLOB device='d' name='n'>\n Only \n</enableBLOB>",
            enableBLOB("d", "n", BLOBPolicy.ONLY),
        ),
        # Members may be none, and may come twice: the last one counts.
        ("<newNumberVector device='d' name='n'></newNumberVector>", newNumberVector("d", "n")),
        (
            "<newTextVector device='d' name='n'><oneText name='a'>1</oneText>"
            "<oneText name='a'>2</oneText></newTextVector>",
            newTextVector("d", "n", {"a": "2"}),
        ),
    ],
)  # fmt: skip
def test_element(data: str, event: Event) -> None:
    assert decoded(data) == event


def test_numbers_keep_the_text_as_received() -> None:
    event = decoded(
        "<newNumberVector device='d' name='n'><oneNumber name='a'>\n -0:30 </oneNumber>"
        "</newNumberVector>"
    )
    assert event["a"] == -0.5
    assert event.text == {"a": "-0:30"}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("<newTextVector name='n'/>", "the attribute device is missing"),
        ("<newTextVector device='' name='n'/>", "the attribute device is missing"),
        ("<setTextVector device='d'/>", "the attribute name is missing"),
        ("<enableBLOB>Also</enableBLOB>", "the attribute device is missing"),
        ("<pingRequest/>", "the attribute uid is missing"),
        ("<enableBLOB device='d'/>", "'' is no BLOB policy (Never, Also, Only)"),
        ("<enableBLOB device='d'>also</enableBLOB>", "'also' is no BLOB policy"),
        (
            "<newSwitchVector device='d' name='n'><oneSwitch name='a'>on</oneSwitch>"
            "</newSwitchVector>",
            "a: 'on' is no switch value (Off, On)",
        ),
        (
            "<newNumberVector device='d' name='n'><oneNumber name='a'></oneNumber>"
            "</newNumberVector>",
            "a: '' is not a number",
        ),
        (
            "<newNumberVector device='d' name='n'><oneNumber name='a'>NaN</oneNumber>"
            "</newNumberVector>",
            "a: 'NaN' is not a number",
        ),
        (
            "<newTextVector device='d' name='n'><oneText>x</oneText></newTextVector>",
            "a <oneText> has no name",
        ),
        (
            "<newTextVector device='d' name='n'><oneText name=''>x</oneText></newTextVector>",
            "a <oneText> has no name",
        ),
        (
            "<newBLOBVector device='d' name='n'><oneBLOB size='0' format='.x'/></newBLOBVector>",
            "a <oneBLOB> has no name",
        ),
        (
            "<newBLOBVector device='d'><oneBLOB name='a' size='0' format='.x'/></newBLOBVector>",
            "the attribute name is missing",
        ),
        (
            "<newTextVector device='d'><oneText name='a'>x</oneText></newTextVector>",
            "the attribute name is missing",
        ),
        (
            "<newTextVector device='d' timestamp='x'><oneText name='a'/></newTextVector >",
            "the attribute name is missing",
        ),
        (
            "<newTextVector device='d' name='n'><oneNumber name='a'>1</oneNumber></newTextVector>",
            "a <oneNumber> does not belong in it",
        ),
        (
            "<setTextVector device='d' name='n'><defText name='a'>1</defText></setTextVector>",
            "a <defText> does not belong in it",
        ),
    ],
)
def test_no_such_value(data: str, reason: str) -> None:
    assert reason in refusal(data).reason


def test_an_error_says_what_and_where() -> None:
    error = refusal(
        "<pingReply "
        "<newNumberVector device='Dev &amp; Co' name='N' timestamp='2026-01-01T00:00:00'>"
        "<oneNumber name='a'>x</oneNumber></newNumberVector>".replace("<pingReply ", "junk ")
    )
    assert error.element == "newNumberVector"
    assert error.offset == 5
    assert (error.devicename, error.vectorname) == ("Dev & Co", "N")
    assert str(error) == "<newNumberVector> at byte 5: a: 'x' is not a number"


# Text and attributes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"a &amp; b &lt; &gt; &quot; &apos;", "a & b < > \" '"),
        (b"&lt;b", "<b"),
        (b"&amp;lt;", "&lt;"),
        (b"&#65;&#x42;&#x63;", "ABc"),
        # What is no reference is itself.
        (b"&", "&"),
        (b"a & b; c", "a & b; c"),
        (b"&foo; &#; &#x; &#xg; &#0; &AMP;", "&foo; &#; &#x; &#xg; &#0; &AMP;"),
        (b"&#99999999; &#1114112; &#x110000;", "&#99999999; &#1114112; &#x110000;"),
        # UTF-8, and Latin-1 where it is not.
        ("é 𝄞".encode(), "é 𝄞"),
        (b"caf\xe9", "café"),
        (b"\xc3\xa9 \xe9", "Ã© é"),
        # Control characters are dropped, and no line end is one.
        (b"a\x01\x08\x0b\x1b\x7fb", "ab"),
        (b"a&#1;&#27;b", "ab"),
        (b"\x01 a \x02", "a"),
        (b"a&#xD800;b", "ab"),
        (b"a\xef\xbf\xbfb", "ab"),
        (b"a\r\nb\rc\nd\te", "a\nb\nc\nd\te"),
        (b" \r\n a \t", "a"),
        (b"]]> > ' \"", "]]> > ' \""),
    ],
)  # fmt: skip
def test_text(raw: bytes, text: str) -> None:
    start, end = b"<newTextVector device='d' name='n'><oneText name='a'>", b"</newTextVector>"
    assert decoded(start + raw + b"</oneText>" + end)["a"] == text
    if b"]]>" not in raw:
        # The same, where it is no plain element.
        assert decoded(start + raw + b"</oneText >" + end)["a"] == text


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"a &amp; b &lt; &gt; &quot; &apos; &#65;", "a & b < > \" ' A"),
        (b"a & b &foo;", "a & b &foo;"),
        (b" a > b ", " a > b "),
        ("é".encode(), "é"),
        (b"\xe9", "é"),
        (b"a\x01b", "ab"),
        (b"a\nb\tc\r\nd\re", "a b c d e"),
        (b"a&#10;b", "a b"),
        (b"x timestamp= y /> z", "x timestamp= y /> z"),
    ],
)
def test_attribute(raw: bytes, text: str) -> None:
    for quote, other in ((b'"', b"'"), (b"'", b'"')):
        for middle in (b"", b"<!-- -->"):
            data = b"<message message = %b%b%b%b>%b</message>" % (quote, raw, other, quote, middle)
            assert decoded(data).message == text + other.decode()


def test_the_first_of_two_attributes_counts() -> None:
    event = decoded("<message message='a' device='d' message='b' device='e'/>")
    assert event == Message("d", "a")


def test_the_timestamp_may_stand_anywhere() -> None:
    when = datetime(2026, 1, 2, tzinfo=UTC)
    stamp = "timestamp = '2026-01-02T00:00:00Z'"
    assert decoded(f"<message {stamp} device='d' message='m'/>") == Message("d", "m", when)
    assert decoded(f"<message device='d' {stamp} message='m'/>") == Message("d", "m", when)
    assert decoded(f"<message device='d' message='m' {stamp} />") == Message("d", "m", when)
    assert decoded("<message timestampx='1' timestamp=''/>") == Message()


def test_cdata_is_text_and_comments_are_none() -> None:
    event = decoded(
        "<newTextVector device='d' name='n'><!-- <oneText/> -->"
        "<oneText name='a'>x<![CDATA[<b> &amp; ]]>y<!-- z --></oneText><?pi > ?>"
        "</newTextVector>"
    )
    assert event == newTextVector("d", "n", {"a": "x<b> &amp; y"})


def test_long_attributes_and_many_members() -> None:
    text = "x" * 10_000
    members = {f"m{number}": text for number in range(50)}
    body = "".join(f"<oneText name='{name}'>{text}</oneText>" for name in members)
    event = decoded(f"<newTextVector device='{text}' name='n'>{body}</newTextVector>")
    assert event == newTextVector(text, "n", members)


# §4: BLOBs -------------------------------------------------------------------------------------


def blob(content: str, attributes: str, tag: str = "setBLOBVector") -> str:
    return f"<{tag} device='d' name='n'><oneBLOB name='b' {attributes}>{content}</oneBLOB></{tag}>"


@pytest.mark.parametrize("size", [100, 300, 1000, 5000, 100_000])
@pytest.mark.parametrize("wrap", [0, 72, 76])
@pytest.mark.parametrize("enclen", [False, True])
def test_every_layout(size: int, wrap: int, enclen: bool) -> None:
    payload = bytes(range(256)) * (size // 256 + 1)
    payload = payload[:size]
    encoded = base64.b64encode(payload).decode()
    length = f"enclen='{len(encoded)}'" if enclen else ""
    if wrap:
        lines = [encoded[at : at + wrap] for at in range(0, len(encoded), wrap)]
        encoded = "\n" + "\n".join(lines) + "\n"
    data = blob(encoded, f"size='{size}' {length} format='.bin'").encode()
    expected = setBLOBVector("d", "n", {"b": payload}, {"b": SizeFormat(size, ".bin")})
    assert Decoder().feed(data) == [expected]
    decoder = Decoder()
    pieces = [data[at : at + 1000] for at in range(0, len(data), 1000)]
    assert [event for piece in pieces for event in decoder.feed(piece)] == [expected]


@pytest.mark.parametrize("enclen", ["-5", "abc", "2000000000"])
def test_enclen_is_ignored(enclen: str) -> None:
    event = decoded(blob("AAcO", f"size='3' format='.x' enclen='{enclen}' len='99'"))
    assert event["b"] == b"\x00\x07\x0e"


def test_the_decoded_bytes_count_and_not_the_size() -> None:
    # libindi compresses a frame to ".fits.fz" and gives the size of the frame.
    event = decoded(blob("AAcO", "size='11520' format='.fits.fz'"))
    assert event["b"] == b"\x00\x07\x0e"
    assert event.sizeformat["b"] == (11520, ".fits.fz")


def test_a_state_without_data() -> None:
    event = decoded(blob("\n", "size='0' enclen='0' format='.fits'"))
    assert event == setBLOBVector("d", "n", {"b": b""}, {"b": SizeFormat(0, ".fits")})
    assert decoded(blob("", "size='0' format='.fits.z'"))["b"] == b""
    event = decoded(
        "<setBLOBVector device='d' name='n'><oneBLOB name='b' size='0' format=''/></setBLOBVector>"
    )
    assert event == setBLOBVector("d", "n", {"b": b""}, {"b": SizeFormat(0, "")})


@pytest.mark.parametrize(
    "size", ["", "3x", "abc", "-5", "+3", "3.0", "1e3", " 3", "0x3", "\u0663", "9" * 19]
)
def test_a_size_must_be_a_plain_decimal(size: str) -> None:
    reason = refusal(blob("AAcO", f"size='{size}' format='.x'")).reason
    assert reason.startswith("b: the size")


def test_size_and_format_must_be_there() -> None:
    assert refusal(blob("AAcO", "format='.x'")).reason.startswith("b: the size ''")
    assert refusal(blob("AAcO", "size='3'")).reason == "b: a BLOB has no format"


@pytest.mark.parametrize("content", ["AAc", "A", "!!!!", "AAcO=", "AA&#65;A", "AAcO&lt;"])
@pytest.mark.parametrize("suffix", [".x", ".z"])
def test_bad_base64(content: str, suffix: str) -> None:
    error = refusal(blob(content, f"size='3' format='{suffix}'"))
    assert error.reason == "b: the payload is not base64"
    assert (error.devicename, error.vectorname) == ("d", "n")


@pytest.mark.parametrize(
    "content", ["A<!-- -->AcO", "<![CDATA[AAcO]]>", "<![CDATA[[1]]]>", "A<?x?>A"]
)
def test_no_markup_in_a_payload(content: str) -> None:
    assert refusal(blob(content, "size='3' format='.x'")).reason == "there is markup in a payload"


def test_no_payload_counts_twice() -> None:
    # Control characters are dropped, and so are the names of these members mended; many of them
    # would each be as large as the one payload.
    other = "<one\x01BLOB name='c' size='3' format='.x'>[1]</one\x01BLOB>"
    data = blob("AAcO", "size='3' format='.x'").replace("</set", other + "</set")
    assert refusal(data).reason == "there is markup in a payload"


def test_several_blobs_in_an_odd_form() -> None:
    event = decoded(
        "<newBLOBVector device='d' name='n'><!-- <oneBLOB name='x'>AAAA</oneBLOB> -->"
        "<oneBLOB name='a>b' size='3' format='.x'>AAcO</oneBLOB >"
        "<oneBLOB name='/' format='.x' size='3'> AAc P </oneBLOB>"
        "<oneBLOB name='c' size='0' format='.x'/></newBLOBVector>"
    )
    assert event.members == {"a>b": b"\x00\x07\x0e", "/": b"\x00\x07\x0f", "c": b""}


def test_an_odd_form_refused() -> None:
    assert refusal(blob("AA", "size='3' format='.x'").replace("</one", "<!----></one")).reason
    error = refusal(blob("AAcO", "size='x' format='.x'").replace("</oneBLOB>", "</oneBLOB >"))
    assert error.reason == "b: the size 'x' of a BLOB is no number of bytes"


# .z: compressed


def zipped(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


def test_compressed() -> None:
    event = decoded(blob(zipped(bytes(1000)), "size='1000' format='.fits.z'"))
    assert event["b"] == bytes(1000)
    assert event.sizeformat["b"] == SizeFormat(1000, ".fits.z")
    assert decoded(blob(zipped(b"abc"), "size='5' format='.z'"))["b"] == b"abc"


def test_a_bomb_is_not_unpacked() -> None:
    bomb = zipped(bytes(10_000_000))
    reason = refusal(blob(bomb, "size='100' format='.z'")).reason
    assert reason == "b: the payload decompresses to more than the 100 bytes it claims"
    decoder = Decoder(max_blob_bytes=100_000)
    reason = refusal(blob(bomb, "size='10000000' format='.z'"), decoder).reason
    assert reason == "b: more than 100000 bytes of BLOBs in one element"


def test_a_bad_zlib_stream() -> None:
    assert "no" in refusal(blob("AAcO", "size='3' format='.z'")).reason
    cut = base64.b64encode(zlib.compress(b"abc")[:-1]).decode()
    assert "cut short" in refusal(blob(cut, "size='3' format='.z'")).reason


# Attached (§4.5)


ATTACHED = "<newBLOBVector device='DevA' name='BL'>\n    <oneBLOB name='b' size='100' format='.bin' attached='true'/>\n</newBLOBVector>\n"  # fmt: skip  # noqa: E501 - as it is on the wire


def test_attached() -> None:
    asked: list[int] = []

    def take(size: int) -> Loader:
        asked.append(size)
        return lambda: bytes(size)

    decoder = Decoder(attachments=take)
    assert decoder.feed(ATTACHED[:-20].encode()) == []
    assert asked == []
    assert decoder.feed(ATTACHED[-20:].encode()) == [
        newBLOBVector("DevA", "BL", {"b": bytes(100)}, {"b": SizeFormat(100, ".bin")})
    ]
    assert asked == [100]
    odd = ATTACHED.replace("</new", "<!-- --></new").replace("true", "TRUE")
    assert len(decoder.feed(odd.encode())) == 1
    assert decoder.feed(blob("AAcO", "size='3' format='.x' attached='false'").encode())
    assert asked == [100, 100]


def test_attached_and_compressed() -> None:
    plain = b"picture" * 20
    handed_over = zlib.compress(plain).ljust(len(plain), b"\0")
    decoder = Decoder(attachments=lambda size: lambda: handed_over[:size])
    tag = f"size='{len(plain)}' format='.fits.z' attached='true'"
    (event,) = decoder.feed(blob("", tag, "newBLOBVector").encode())
    assert isinstance(event, newBLOBVector)
    assert event["b"] == plain
    assert event.sizeformat["b"] == (len(plain), ".fits.z")


def test_attached_where_it_cannot_be() -> None:
    assert refusal(ATTACHED).reason == "b: a BLOB cannot be attached on this connection"


def test_attached_and_missing() -> None:
    def take(_size: int) -> Loader:
        raise ValueError("the descriptor is missing")

    error = refusal(ATTACHED, Decoder(attachments=take))
    assert error.reason == "b: the descriptor is missing"
    assert error.devicename == "DevA"


def test_attached_and_too_large() -> None:
    decoder = Decoder(attachments=lambda size: lambda: bytes(size), max_blob_bytes=99)
    assert "more than 99 bytes" in refusal(ATTACHED, decoder).reason


# Bounds ----------------------------------------------------------------------------------------


def message(length: int) -> bytes:
    """A message element of that length in bytes."""
    empty = len(b"<message message=''/>")
    return b"<message message='%b'/>" % (b"x" * (length - empty))


def test_the_bound_of_an_element() -> None:
    assert len(Decoder(max_element_bytes=100).feed(message(100))) == 1
    error = refusal(message(101), Decoder(max_element_bytes=100))
    assert error.reason == "it is larger than 100 bytes"
    assert error.element == "message"


@pytest.mark.parametrize("bounds", [{"max_element_bytes": 0}, {"max_blob_bytes": -1}])
def test_a_bound_that_cannot_be_is_refused(bounds: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=f"{next(iter(bounds))} is at least"):
        Decoder(**bounds)  # type: ignore[arg-type]


def test_an_element_without_end_is_not_held_for_ever() -> None:
    for start in (
        b"<message message='",
        b"<newTextVector device='d' name='n'>",
        b"<!--",
        b"<x>",
        b"<x",
    ):
        decoder = Decoder(max_element_bytes=1000)
        decoder.feed_all(start)
        for _ in range(100):
            decoder.feed_all(b" filling, filling" * 10)
            assert decoder.held < 1200
        assert decoder.feed(b"--><!--'--><pingReply uid='1'/>") == [pingReply("1")]


def payload_of(size: int) -> str:
    return base64.b64encode(bytes(size)).decode()


def test_the_bound_of_payloads() -> None:
    def sent(*sizes: int) -> str:
        members = "".join(
            f"<oneBLOB name='{number}' size='{size}' format='.x'>{payload_of(size)}</oneBLOB>"
            for number, size in enumerate(sizes)
        )
        return f"<setBLOBVector device='d' name='n'>{members}</setBLOBVector>"

    def decoder() -> Decoder:
        return Decoder(max_blob_bytes=5000, max_element_bytes=1000)

    assert len(decoder().feed(sent(5000).encode())) == 1
    assert len(decoder().feed(sent(2000, 3000).encode())) == 1
    assert (
        refusal(sent(5001), decoder()).reason == "0: more than 5000 bytes of BLOBs in one element"
    )
    assert refusal(sent(2000, 3001), decoder()).reason.startswith("1: more than 5000 bytes")
    assert "larger than" in refusal(sent(9000), decoder()).reason


def test_a_wrapped_payload_just_within_the_bound() -> None:
    encoded = binascii.b2a_base64(bytes(6000), newline=False)
    wrapped = b"\r\n".join(encoded[at : at + 72] for at in range(0, len(encoded), 72)).decode()
    decoder = Decoder(max_blob_bytes=6000, max_element_bytes=200)
    assert len(decoder.feed(blob(wrapped, "size='6000' format='.x'").encode())) == 1


def test_a_payload_that_is_mostly_blanks_is_too_large_however_it_comes() -> None:
    data = blob("AAcO" + " " * 10_000, "size='3' format='.x'")
    decoder = Decoder(max_blob_bytes=100, max_element_bytes=500)
    assert refusal(data, decoder).reason == "it is larger than 637 bytes"
    for step in (1, 100, 1000):
        decoder = Decoder(max_blob_bytes=100, max_element_bytes=500)
        pieces = [data[at : at + step].encode() for at in range(0, len(data), step)]
        (error,) = (item for piece in pieces for item in decoder.feed_all(piece))
        assert isinstance(error, ProtocolError)
        assert error.reason == "it is larger than 637 bytes"


def test_the_bound_of_all_but_payloads() -> None:
    # Members without payloads must not make use of the large bound of payloads.
    member = "<oneBLOB name='b' size='0' format='.x'></oneBLOB>"
    many = f"<setBLOBVector device='d' name='n'>{member * 30}</setBLOBVector>"
    assert len(Decoder(max_element_bytes=len(many)).feed(many.encode())) == 1
    decoder = Decoder(max_element_bytes=len(many) - 1)
    assert (
        refusal(many, decoder).reason
        == f"it is larger than {len(many) - 1} bytes beside its payloads"
    )
    padded = many.replace("</set", " <!-- --></set")
    assert "beside its payloads" in refusal(padded, Decoder(max_element_bytes=len(many))).reason


def test_a_start_tag_of_blobs_has_the_bound_of_other_elements() -> None:
    padded = blob("AAcO", "size='3' format='.x'").replace(" device", " " * 1000 + "device")
    assert "larger than 1000 bytes" in refusal(padded, Decoder(max_element_bytes=1000)).reason


def test_the_number_of_attributes() -> None:
    def attributes(count: int) -> str:
        return " ".join(f"a{number}='1'" for number in range(count))

    assert decoded(f"<message {attributes(32)}/>") == Message()
    assert refusal(f"<message {attributes(33)}/>").reason == "it has more than 32 attributes"
    member = f"<oneText name='a' {attributes(32)}/>"
    vector = f"<newTextVector device='d' name='n'>{member}</newTextVector>"
    assert refusal(vector).reason == "it has more than 32 attributes"


def test_the_length_of_attributes() -> None:
    longest = "x" * 65_536
    assert decoded(f"<message message='{longest}'/>") == Message(None, longest)
    assert refusal(f"<message message='{longest}x'/>").reason == "the attribute message is too long"
    assert decoded(f"<message {'x' * 256}='1'/>") == Message()
    assert refusal(f"<message {'x' * 257}='1'/>").reason.endswith("x is too long")


def test_the_depth() -> None:
    deep = "<newTextVector device='d' name='n'><oneText name='a'><oneText name='b'/></oneText>"
    error = refusal(f"{deep}</newTextVector>")
    assert error.reason == "elements are nested more than 2 deep"
    assert (error.devicename, error.vectorname) == ("d", "n")


def test_the_length_of_names() -> None:
    assert Decoder().feed(f"<{'x' * 256}/>".encode()) == []
    error = refusal(f"<{'x' * 257}/>")
    assert error.reason == "a name of more than 256 characters"


@pytest.mark.parametrize("text", ["nan", "NaN", "-nan", "None", "12,5", "", "inf", "1e999", "0x1A"])
@pytest.mark.parametrize("verb", ["set", "def"])
def test_a_number_of_a_driver_that_is_none_is_unknown_and_hides_nothing(
    verb: str, text: str
) -> None:
    member = "oneNumber" if verb == "set" else "defNumber"
    data = (
        f"<{verb}NumberVector device='D' name='N' label='N' group='G' state='Busy' perm='ro'>"
        f"<{member} name='a'>1.5</{member}><{member} name='b'>\n{text}\n</{member}>"
        f"<{member} name='c'>-2:30</{member}></{verb}NumberVector>"
    )
    event: Any = Decoder().feed(data.encode())[0]
    assert dict(event) == {"a": 1.5, "b": NO_READING, "c": -2.5}
    assert (event.state, event.text["b"]) == (State.BUSY, text)
    (again,) = Decoder().feed(encode(event))
    assert again == event


# What libindi's clients make of a word: crackISState, crackIPState, crackIPerm and crackISRule look
# only at the start of some, and leave what they do not know as it was.
@pytest.mark.parametrize(
    ("kind", "text", "meaning"),
    [
        ("Switch", "on", None),
        ("Switch", "ON ", None),
        ("Switch", "maybe", None),
        ("Switch", "", None),
        ("Switch", "Ono", SwitchState.ON),
        ("Switch", "Offline", None),
        ("Light", "ok", None),
        ("Light", "Okay", State.OK),
        ("Light", "On", None),
        ("Light", "", None),
    ],
)
def test_a_word_of_a_driver_that_is_none_hides_nothing(kind: str, text: str, meaning: Any) -> None:
    good = {"Switch": "On", "Light": "Alert"}[kind]

    def read(verb: str, member: str) -> Any:
        events: list[Any] = Decoder().feed(
            f"<{verb}{kind}Vector device='D' name='N' state='Busy'><{member} name='a'>{text}"
            f"</{member}><{member} name='b'>{good}</{member}></{verb}{kind}Vector>".encode()
        )
        (event,) = events
        assert event.state is State.BUSY
        (again,) = Decoder().feed(encode(event))
        assert again == event
        return event

    unknown = {"Switch": SwitchState.OFF, "Light": State.IDLE}[kind]
    assert dict(read("def", f"def{kind}")) == {"a": meaning or unknown, "b": good}
    # In a report such a member is as it was.
    assert dict(read("set", f"one{kind}")) == ({"a": meaning} if meaning else {}) | {"b": good}


@pytest.mark.parametrize(
    ("attribute", "field", "meaning"),
    [
        ("state='Okay'", "state", State.OK),
        ("state='busy'", "state", State.OK),
        ("state='Fine'", "state", State.OK),
        ("perm='wr'", "perm", Permission.RO),
        ("perm='rw+'", "perm", Permission.RW),
        ("rule='One'", "rule", Rule.ONE_OF_MANY),
        ("rule='anyofmany'", "rule", Rule.ONE_OF_MANY),
    ],
)
def test_an_attribute_of_a_driver_that_is_not_legal_hides_nothing(
    attribute: str, field: str, meaning: str
) -> None:
    member = "<defSwitch name='a'>On</defSwitch></defSwitchVector>"
    data = f"<defSwitchVector device='D' name='N' {attribute}>{member}"
    event: Any = Decoder().feed(data.encode())[0]
    assert (getattr(event, field), dict(event)) == (meaning, {"a": "On"})


def test_a_state_in_a_report_that_is_none_changes_none() -> None:
    member = b"<oneText name='a'>x</oneText></setTextVector>"
    (event,) = Decoder().feed(b"<setTextVector device='D' name='N' state='Fine'>" + member)
    assert isinstance(event, setTextVector)
    assert (event.state, dict(event)) == (None, {"a": "x"})


def test_a_request_for_a_number_that_is_none_is_illegal() -> None:
    asked = (
        b"<newNumberVector device='D' name='N'><oneNumber name='a'>nan</oneNumber>"
        b"</newNumberVector>"
    )
    with pytest.raises(ProtocolError, match="a: 'nan' is not a number"):
        Decoder().feed(asked)


LONG = b"x" * 20_000  # more than is read in one step


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        (b"<newNumberVector device='d' name='n'><oneNumber name='a'>%b</oneNumber>", "a: 'xxx"),
        (b"<newTextVector device='d' name='n'><oneText>%b</oneText>", "a <oneText> has no name"),
    ],
)
def test_a_long_member_that_is_wrong(element: bytes, reason: str) -> None:
    end = b"</" + element[1 : element.index(b" ")] + b">"
    (error,) = Decoder().feed_all(element % LONG + end)
    assert isinstance(error, ProtocolError)
    assert error.reason.startswith(reason)


def test_a_long_text_with_a_label() -> None:
    (event,) = Decoder().feed_all(
        b"<defTextVector device='d' name='n' state='Ok' perm='ro'>"
        b"<defText name='a' label='A'>%b</defText></defTextVector>" % LONG
    )
    assert isinstance(event, defTextVector)
    assert (event["a"], event.memberlabels) == (LONG.decode(), {"a": "A"})


def test_a_long_word_of_a_driver_hides_nothing_else() -> None:
    (event,) = Decoder().feed_all(
        b"<setSwitchVector device='d' name='n'><oneSwitch name='a'>%b</oneSwitch>"
        b"<oneSwitch name='b'>On</oneSwitch></setSwitchVector>" % LONG
    )
    assert isinstance(event, setSwitchVector)
    assert event.members == {"b": "On"}


def test_a_tag_in_another_form_has_a_bound() -> None:
    blanks = b" " * 300_000
    (error,) = Decoder().feed_all(
        b"<newTextVector device='d' name='n'><!-- --><oneText name='a'%b/></newTextVector>" % blanks
    )
    assert isinstance(error, ProtocolError)
    assert error.reason == "it has a tag of 262144 bytes or more"
