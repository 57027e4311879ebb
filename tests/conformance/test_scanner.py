"""What a peer has written, as it stands: found at any cut, and beside whatever else is there."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from hypothesis import given, strategies as st

from trindi.conformance.scanner import Scanner
from trindi.errors import ProtocolError
from trindi.protocol import Message, defTextVector, setBLOBVector

if TYPE_CHECKING:
    from trindi.conformance.scanner import Observation

STREAM = b"""<?xml version='1.0'?>
<defTextVector
  device='Weather Simulator'
  name='INFO'
  state='Idle'
  perm='ro'
>
  <defText
    name='NAME'
    label='Na>me'>
      Weather &amp; more
  </defText>
</defTextVector>
debug: x<y, and more
<trindi a='b'><bar/></trindi><!-- <message/> -->
<message device="D" message="x &lt;message>"/>
<defNumberVector device='D' state='Okay'/>
<setBLOBVector device='D' name='B'><oneBLOB name='F' size='3'
 format='.x'>AAcO</oneBLOB></setBLOBVector> and this"""


def shape(found: list[Observation]) -> list[tuple[object, ...]]:
    return [(seen.raw, str(seen.item), seen.junk) for seen in found]


def scan(*pieces: bytes) -> list[Observation]:
    scanner = Scanner()
    found = [seen for piece in pieces for seen in scanner.feed(piece)]
    return found + scanner.finish()


def test_everything_is_found_in_its_order() -> None:
    definition, junk, unknown, message, broken, blob, rest = scan(STREAM)
    assert isinstance(definition.item, defTextVector)
    assert definition.raw is not None
    assert definition.raw.address == "Weather Simulator.INFO"
    assert "group" not in definition.raw.attributes
    (member,) = definition.raw.members
    assert (member.tag, member.attributes) == ("defText", {"name": "NAME", "label": "Na>me"})
    assert member.text == "Weather & more"
    assert (junk.raw, junk.item, junk.junk) == (None, None, "debug: x<y, and more")
    assert unknown.raw is not None
    assert (unknown.raw.name, unknown.item) == ("trindi", None)
    assert message.item == Message("D", "x <message>")
    assert isinstance(broken.item, ProtocolError)
    assert broken.raw is not None
    assert broken.raw.attributes["state"] == "Okay"
    assert isinstance(blob.item, setBLOBVector)
    assert blob.raw is not None
    assert blob.raw.members[0].content == b"AAcO"
    assert rest.junk == "and this"


@given(st.lists(st.integers(0, len(STREAM)), max_size=8).map(sorted))
def test_the_cuts_make_no_difference(cuts: list[int]) -> None:
    edges = [0, *cuts, len(STREAM)]
    pieces = [STREAM[start:stop] for start, stop in pairwise(edges)]
    assert shape(scan(*pieces)) == shape(scan(STREAM))


def test_byte_by_byte() -> None:
    pieces = [STREAM[at : at + 1] for at in range(len(STREAM))]
    assert shape(scan(*pieces)) == shape(scan(STREAM))


def test_what_is_given_twice_is_named() -> None:
    (seen,) = scan(b"<message a='1' b='2' a='3'/>")
    assert seen.raw is not None
    assert seen.raw.attributes == {"a": "1", "b": "2"}
    assert seen.raw.repeated == ("a",)


def test_nul_bytes_are_no_text() -> None:
    (seen,) = scan(b"<defTextVector device='a\0'><defText name='x'>\0</defText></defTextVector>")
    assert isinstance(seen.item, ProtocolError)
    assert seen.raw is not None
    assert seen.raw.attributes["device"] == ""
    assert seen.raw.members[0].text == ""


def test_a_tag_that_cannot_be_read_is_no_element() -> None:
    (seen,) = scan(b"<message device=x/>")
    assert seen.raw is None
    assert isinstance(seen.item, ProtocolError)


def test_junk_without_an_end_does_not_grow() -> None:
    scanner = Scanner()
    found = [seen for _ in range(100) for seen in scanner.feed(b"x" * 10_000)]
    assert sum(len(seen.junk) for seen in found) > 900_000


def test_two_faults_in_one_piece() -> None:
    found = scan(b"<message a='<message b='1'/>")
    assert [type(seen.item) for seen in found][-1] is Message
