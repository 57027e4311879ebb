"""Reading takes time in proportion to the bytes, whatever they are and however they are cut.

And it is done in steps, each of which takes little time, so that one peer keeps no other waiting.

Time is counted, not measured: calls of functions, Python's and C's, and the bytes that the framer
searches through, each for an input and for one twice as long.
"""

import inspect
import sys
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

import pytest

from trindi.protocol import Decoder
from trindi.protocol.framing import Framer

pytestmark = pytest.mark.usefixtures("with_and_without_collecting")

VECTOR = b"<newTextVector device='d' name='n'>"
BLOBS = b"<newBLOBVector device='d' name='n'>"
ADVERSARIAL: dict[str, Callable[[int], bytes]] = {
    "less-thans": lambda n: b"<" * n,
    "start tags unfinished": lambda n: b"<a " * n,
    "start tags": lambda n: b"<a>" * n,
    "start tags of known elements": lambda n: VECTOR * n,
    "known names": lambda n: b"<newTextVector " * n,
    "nested": lambda n: VECTOR + b"<a>" * n + b"</a>" * n + b"</newTextVector>",
    "nested members": lambda n: VECTOR + b"<oneText name='a'>" * n,
    "members": lambda n: VECTOR + b"<oneText name='a'/>" * n,
    "members, whole": lambda n: VECTOR + b"<oneText name='a'/>" * n + b"</newTextVector>",
    "members, odd": lambda n: VECTOR + b"<oneText name='a'/><!---->" * n + b"</newTextVector>",
    "members of BLOBs": lambda n: (
        BLOBS + b"<oneBLOB name='a' size='0' format='.x'/>" * n + b"</newBLOBVector>"
    ),
    "many vectors": lambda n: (VECTOR + b"<oneText name='a'/></newTextVector>") * n,
    "many faults": lambda n: b"<pingReply/>" * n,
    "quotes": lambda n: b"<newTextVector device='" * n,
    "quotes in turn": lambda n: b"<newTextVector a=\"'\" b='\"'" + b"\"'\"'" * n,
    "comments": lambda n: b"<!--" * n,
    "comments inside": lambda n: VECTOR + b"<!--" * n + b"</newTextVector>",
    "comments that nearly end": lambda n: b"<!--" + b"--" * n,
    "declarations": lambda n: b"<?" * n,
    "CDATA": lambda n: b"<![CDATA[" * n,
    "greater-thans": lambda n: VECTOR + b">" * n,
    "an open tag inside": lambda n: VECTOR + b"<a" + b" " * n,
    "less-thans inside": lambda n: VECTOR + b"<" * n,
    "end tags unfinished": lambda n: VECTOR + b"</newTextVector " * n,
    "a long wrong end tag": lambda n: VECTOR + b"</" + b"x" * n + b"></newTextVector>",
    "blanks in an end tag": lambda n: (
        VECTOR + b"</newTextVector" + b" " * n + b"x></newTextVector>"
    ),
    "a long name": lambda n: b"<" + b"x" * n,
    "a large attribute": lambda n: b"<message message='" + b"x" * n + b"'/>",
    "blanks in a tag": lambda n: b"<message" + b" " * n + b"/>",
    "blanks around an equals sign": lambda n: b"<message a" + b" " * n + b"=" + b" " * n + b"'",
    "attributes": lambda n: b"<message" + b" a=''" * n + b"/>",
    "attributes with timestamps": lambda n: b"<message" + b" timestamp='x'" * n + b">",
    "ampersands": lambda n: (
        VECTOR + b"<oneText name='a'>" + b"&#" * n + b"</oneText></newTextVector>"
    ),
    "members of BLOBs, unfinished": lambda n: BLOBS + b"<oneBLOB name='a'>A" * n,
    "blanks in a payload": lambda n: BLOBS + b"<oneBLOB name='a'>" + b"A \n" * n,
    "greater-thans in a payload": lambda n: BLOBS + b"<oneBLOB name='a'>" + b"A>" * n,
    "a member of BLOBs, large": lambda n: BLOBS + b"<oneBLOB name='" + b">" * n + b"'>AAAA",
    "a payload": lambda n: BLOBS + b"<oneBLOB name='a' size='0' format='.x'>" + b"A" * n,
}
IDS = list(ADVERSARIAL)


def calls(work: Callable[[], object]) -> int:
    """How many functions are called, of Python's and of C's."""
    count = 0

    def profiler(_frame: FrameType, event: str, _arg: Any) -> None:
        nonlocal count
        if event in {"call", "c_call"}:
            count += 1

    before = sys.getprofile()
    sys.setprofile(profiler)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def feed(pieces: Iterable[bytes]) -> None:
    decoder = Decoder(max_element_bytes=2000, max_blob_bytes=2000)
    for piece in pieces:
        decoder.feed_all(piece)


@pytest.mark.parametrize("name", IDS)
def test_calls_whole(name: str) -> None:
    once, twice = (ADVERSARIAL[name](size) for size in (1000, 2000))
    # The reader of an element is made when the first such element comes.
    feed([once])
    assert calls(lambda: feed([twice])) < 2.5 * calls(lambda: feed([once])) + 1000


@pytest.mark.parametrize("name", IDS)
def test_calls_byte_by_byte(name: str) -> None:
    data = ADVERSARIAL[name](1000)
    feed([data])
    per_byte = calls(lambda: feed(data[at : at + 1] for at in range(len(data)))) / len(data)
    assert per_byte < 50


class Counted(bytes):
    """Bytes that count how many of them are searched through, copied or compared."""

    looked_at = 0

    def _count(self, start: int, stop: int) -> None:
        Counted.looked_at += max(0, min(stop, len(self)) - start)

    def find(self, sub: Any, start: Any = 0, stop: Any = sys.maxsize) -> int:
        found = super().find(sub, start, stop)
        self._count(start, stop if found < 0 else found + len(sub))
        return found

    def rfind(self, sub: Any, start: Any = 0, stop: Any = sys.maxsize) -> int:
        found = super().rfind(sub, start, stop)
        self._count(max(start, found), stop)
        return found

    def __getitem__(self, key: Any) -> Any:
        piece = super().__getitem__(key)
        if isinstance(key, slice):
            self._count(0, len(piece))
        return piece


@pytest.mark.parametrize("name", IDS)
def test_bytes_searched_byte_by_byte(name: str) -> None:
    data = ADVERSARIAL[name](300)
    framer = Framer(lambda _name: 100_000)
    Counted.looked_at = start = 0
    for stop in range(1, len(data) + 1):
        seen = Counted(data[:stop])
        if not framer.begun:
            start = data.find(b"<", start, stop)
            if start < 0:
                start = stop
                continue
        frame = framer.advance(seen, start)
        if frame is not None:
            start = frame.end
    assert Counted.looked_at < 25 * len(data)


# In steps ----------------------------------------------------------------------------------------

STEP_CALLS = 20_000  # of functions, some milliseconds at the most
MIB = 1024 * 1024
TEXT = VECTOR + b"<oneText name='a'>%b</oneText></newTextVector>"
NUMBERS = b"<newNumberVector device='d' name='n'>%b</newNumberVector>"


def distinct(member: bytes, length: int) -> bytes:
    return b"".join(member % number for number in range(length // len(member)))


FLOODS: dict[str, bytes] = {
    "<": b"<" * MIB,
    "<!>": b"<!>" * (MIB // 3),
    "<?>": b"<?>" * (MIB // 3),
    "comments": b"<!---->" * (MIB // 7),
    "end tags": b"</a>" * (MIB // 4),
    "empty elements": b"<a/>" * (MIB // 4),
    "elements": b"<a>x</a>" * (MIB // 8),
    "start tags": b"<a>" * (MIB // 3),
    "unfinished start tags": b"<a " * (MIB // 3),
    "members": VECTOR + distinct(b"<oneText name='%07d'/>", 900_000) + b"</newTextVector>",
    "members, odd": VECTOR + distinct(b"<oneText name='%07d'/><!---->", 900_000)
    + b"</newTextVector>",
    "numbers": NUMBERS % distinct(b"<oneNumber name='%07d'>1:2</oneNumber>", 900_000),
    "BLOBs": BLOBS + distinct(b"<oneBLOB name='%07d' size='0' format=''/>", 900_000)
    + b"</newBLOBVector>",
    "small BLOBs": BLOBS + distinct(b"<oneBLOB name='%07d' size='0' format=''></oneBLOB>", 900_000)
    + b"</newBLOBVector>",
    "references": TEXT % (b"&#38;" * 200_000),
    "references, odd": TEXT % (b"<!---->" + b"&#38;" * 200_000),
    "ampersands": TEXT % (b"&" * 1_000_000),
    "line ends, odd": TEXT % (b"<!---->" + b"\n" * 1_000_000 + b"x"),
    "control characters": TEXT % (b"\1" * 1_000_000),
    "comments inside": VECTOR + b"<!---->" * 140_000 + b"</newTextVector>",
    "CDATA inside": TEXT % (b"<![CDATA[]]>" * 80_000),
    "references in attributes": b"<message %b/>"
    % b" ".join(b"a%d='%b'" % (number, b"&#38;" * 6000) for number in range(31)),
    "references in attributes, each less than a step": b"<message %b/>"
    % b" ".join(b"a%d='%b'" % (number, b"&#38;" * 1600) for number in range(31)),
    "attributes": b"<message" + b" a=''" * 200_000 + b"/>",
    "greater-thans inside": VECTOR + b">" * 1_000_000 + b"</newTextVector>",
    "start tags inside": VECTOR + b"<x>" * 300_000 + b"</newTextVector>",
}  # fmt: skip


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_read_in_small_steps_at_little_cost(name: str) -> None:
    """The work between two steps is bounded, and so is that for a byte."""
    data = FLOODS[name]
    decoder = Decoder(admit=lambda *_: True)
    most = total = 0
    # The largest reads are these.
    for start in range(0, len(data), 262144):
        items = decoder.items(data[start : start + 262144])
        ended = False
        while not ended:
            count = calls(lambda: next(items, False))  # noqa: B023 - called at once
            ended = inspect.getgeneratorstate(items) == inspect.GEN_CLOSED
            most = max(most, count)
            total += count
    assert most < STEP_CALLS
    assert total < 3 * len(data)
