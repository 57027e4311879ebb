"""Bad input that must be survived, as data (protocol §9).

Each rule has what is to be sent for it, piece by piece. Where it can be, it is about what there is
not, so that what is read wrongly does as little harm as can be. This module sends nothing itself.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final, NamedTuple
from xml.sax.saxutils import quoteattr

from trindi.conformance.asking import NOBODY, NOTHING
from trindi.protocol import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trindi.conformance.picture import Place, Property

__all__ = ["HALF", "INPUTS", "Aim", "aim_at"]

_MB: Final = 1000 * 1000

_PAYLOAD: Final = base64.b64encode(b"trindi check").decode()

HALF: Final = b"<newTextVector device='trindi check"
"""An element that is never finished."""


class Aim(NamedTuple):
    """What bad input is about.

    Attributes:
        device: a device, as an attribute's value with its quotes.
        place: the attributes of a property that there is not.
        blob: the attributes of a property of BLOBs; one that there is not, unless it may be real.
        member: the attribute of one of its members.
        real: the attributes of a property that there is.
    """

    device: str
    place: str
    blob: str
    member: str
    real: str


def aim_at(real: Place, properties: Iterable[Property], *, hostile: bool) -> Aim:
    """Choose what bad input is about.

    Args:
        real: a property that there is, which may be asked for.
        properties: all of them.
        hostile: it may be about a device that there is, and about BLOBs that can be written.
    """
    device = real[0] if hostile else NOBODY
    blob, member = (device, NOTHING), NOTHING
    for known in properties if hostile else ():
        if known.kind is Kind.BLOB and known.writable and known.values:
            blob, member = known.place, next(iter(known.values))
    return Aim(
        quoteattr(device),
        _attributes_of((device, NOTHING)),
        _attributes_of(blob),
        quoteattr(member),
        _attributes_of(real),
    )


def _attributes_of(place: Place) -> str:
    return f"device={quoteattr(place[0])} name={quoteattr(place[1])}"


def _text(aim: Aim, text: str = "trindi check", tag: str = "newTextVector") -> str:
    return f"<{tag} {aim.place}><oneText name='{NOTHING}'>{text}</oneText></{tag}>"


def _blob(aim: Aim, attributes: str, payload: str = _PAYLOAD) -> bytes:
    one = f"<oneBLOB name={aim.member} {attributes}>{payload}</oneBLOB>"
    return f"<newBLOBVector {aim.blob}>{one}</newBLOBVector>\n".encode()


def _junk(_aim: Aim) -> list[bytes]:
    return [b"hello, is this INDI?\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"]


def _bracket(aim: Aim) -> list[bytes]:
    return [b"if x < y then y > x\n<1 <2> </> <>\n", b"\0\0\0\n", _text(aim, "a\0b").encode()]


def _tags(aim: Aim) -> list[bytes]:
    good = _text(aim)
    return [
        good.replace("</oneText>", "</oneNumber>").encode(),
        good.replace("</newTextVector>", "</newNumberVector>").encode(),
        b"</newTextVector></oneText>\n",
    ]


def _attributes(aim: Aim) -> list[bytes]:
    return [
        f"<newTextVector {aim.place} x=y/>\n".encode(),
        f"<newTextVector {aim.place} x-y='z'/>\n".encode(),
        f"<newTextVector {aim.place} x:y='z'/>\n".encode(),
    ]


def _comment(aim: Aim) -> list[bytes]:
    return [f"<!-- a > <getProperties version='1.7' {aim.real}/> -->\n".encode()]


def _doctype(aim: Aim) -> list[bytes]:
    entities = '<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    return [
        f"<!DOCTYPE x [{entities}]>\n{_text(aim, '&b;')}\n".encode(),
        (_text(aim, "pre<![CDATA[a<b]]>post") + "\n").encode(),
    ]


def _ampersand(aim: Aim) -> list[bytes]:
    return [(_text(aim, "salt & pepper") + "\n").encode()]


def _unknown(aim: Aim) -> list[bytes]:
    return [
        f"<INDI device={aim.device}>{_text(aim)}</INDI>\n".encode(),
        (_text(aim, tag="newtextvector") + "\n").encode(),
        (_text(aim, tag="trindiCheck") + "\n").encode(),
    ]


def _duplicate(aim: Aim) -> list[bytes]:
    return [f"<newTextVector {aim.place} {aim.place}></newTextVector>\n".encode()]


def _long_attribute(aim: Aim) -> list[bytes]:
    return [f"<newTextVector {aim.place} x='{'x' * 20 * _MB}'/>\n".encode()]


def _many_members(aim: Aim) -> list[bytes]:
    ones = "".join(f"<oneText name='m{number}'>x</oneText>" for number in range(50_000))
    return [f"<newTextVector {aim.place}>{ones}</newTextVector>\n".encode()]


def _long_text(aim: Aim) -> list[bytes]:
    return [(_text(aim, "x" * 5 * _MB) + "\n").encode()]


def _size_missing(aim: Aim) -> list[bytes]:
    texts = ("format='.bin'", "size='3x' format='.bin'", "size='' format='.bin'")
    return [_blob(aim, text) for text in texts]


def _no_base64(aim: Aim) -> list[bytes]:
    return [_blob(aim, "size='12' format='.bin'", "!!! this is not base64 !!!")]


def _attached(aim: Aim) -> list[bytes]:
    return [_blob(aim, "size='12' format='.bin' len='12' attached='true'", "")]


def _version(aim: Aim) -> list[bytes]:
    return [
        f"<getProperties {aim.real}/>\n".encode(),
        f"<getProperties version='2.0' {aim.real}/>\n".encode(),
    ]


def _nesting(aim: Aim) -> list[bytes]:
    return [_text(aim, "<a>" * 200_000 + "</a>" * 200_000).encode()]


def _end_tag(aim: Aim) -> list[bytes]:
    return [_text(aim).replace("</newTextVector>", f"</{'x' * 250_000}>\n").encode()]


def _size(aim: Aim) -> list[bytes]:
    return [_blob(aim, f"size='{size}' format='.bin'") for size in ("abc", "9" * 20)]


def _size_negative(aim: Aim) -> list[bytes]:
    return [_blob(aim, "size='-5' format='.bin'")]


def _size_small(aim: Aim) -> list[bytes]:
    return [_blob(aim, "size='3' format='.bin'", base64.b64encode(bytes(6 * _MB)).decode())]


def _enclen(aim: Aim) -> list[bytes]:
    return [
        _blob(aim, f"size='12' format='.bin' enclen='{enclen}'")
        for enclen in ("-5", "abc", "2000000000")
    ]


INPUTS: Final[dict[str, Callable[[Aim], list[bytes]]]] = {
    "bad-junk": _junk,
    "bad-bracket": _bracket,
    "bad-tags": _tags,
    "bad-attributes": _attributes,
    "bad-comment": _comment,
    "bad-doctype": _doctype,
    "bad-ampersand": _ampersand,
    "bad-unknown": _unknown,
    "bad-duplicate": _duplicate,
    "bad-long-attribute": _long_attribute,
    "bad-many-members": _many_members,
    "bad-long-text": _long_text,
    "bad-size-missing": _size_missing,
    "bad-base64": _no_base64,
    "bad-attached": _attached,
    "bad-version": _version,
    "bad-nesting": _nesting,
    "bad-end-tag": _end_tag,
    "bad-size": _size,
    "bad-size-negative": _size_negative,
    "bad-size-small": _size_small,
    "bad-enclen": _enclen,
}
"""What to send, by the name of the rule."""
