"""Any XML of one whole element, rewritten in the plain form.

An element that is not in the plain form goes to defusedxml, which reads any XML, refuses document
types and entities, and names faults. The result is read as what came in the plain form, so that a
name or a value is read in one place only. The parser is given the element in steps, none of which
takes long, and no tag that would take long.
"""

import re
from typing import Final

from defusedxml.ElementTree import DefusedXMLParser

from trindi.protocol.blob_collector import PAYLOAD_TAG, too_much_markup
from trindi.protocol.blobs import Collected
from trindi.protocol.elements import Element
from trindi.protocol.markup import (
    ANY_NAME,
    BLANK,
    IS,
    MAX_ATTRIBUTES,
    NAME,
    PARTS,
    QUOTED,
    STEP_BYTES,
    TOO_MANY_ATTRIBUTES,
    Steps,
)

MAX_DEPTH: Final = 2
"""A vector and its members (§1.1)."""

MAX_ODD_TAG: Final = 256 * 1024
"""Bytes of one tag, where the element is not in the plain form: the parser reads it in one go."""

# Characters that no XML parser takes, without NUL, which is an error (§9).
_CONTROL: Final = bytes([*range(1, 9), 11, 12, *range(14, 32), 127])
_PAYLOAD: Final = re.compile(b"(" + PAYLOAD_TAG + b")([^<]*+)")
_LONG_TAG: Final = re.compile(f"""<(?![!?/])(?:[^<>"']++|"[^"<]*+"|'[^'<]*+'){PARTS}""".encode())
_MANY_ATTRIBUTES: Final = re.compile(
    f"<{ANY_NAME}(?:{BLANK}++{ANY_NAME}{IS}{QUOTED}){{{MAX_ATTRIBUTES + 1}}}".encode()
)
_NAME: Final = re.compile(NAME)


class Rewriter:
    """Rewrites one element in the plain form: the target of an XML parser.

    The bytes of the element are Latin-1 characters here, so that they come out as they went in.
    Its `payloads` are by placeholder, those that are `collected` by offset: first by that in the
    element, at the end by that in the plain `form`.
    """

    def __init__(
        self, element: Element, payloads: dict[str, tuple[int, bytes]], collected: Collected
    ) -> None:
        self._element = element
        self._payloads = payloads
        self._decoded = collected
        self._depth = 0
        self._text: list[str] = []
        self.form = bytearray()
        self.collected: Collected = {}

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError(f"elements are nested more than {MAX_DEPTH} deep")
        if self._depth > 1 and name != self._element.member:
            raise ValueError(f"a <{name[:40]}> does not belong in it")
        tag = "<" + name
        for attribute, value in attributes.items():
            if not _NAME.fullmatch(attribute):
                raise ValueError(f"{attribute[:40]!r} is no name of an attribute")
            tag += f""" {attribute}="{value.replace('"', "&quot;")}\""""
        self.form += f"{tag}>".encode("latin-1")
        self._text.clear()

    def start_ns(self, prefix: str, _uri: str) -> None:
        raise ValueError(f"there are no namespaces such as {prefix[:40]!r} in INDI")

    def data(self, text: str) -> None:
        self._text.append(text)

    def end(self, name: str) -> None:
        self._depth -= 1
        # Text beside members has no meaning.
        if self._depth or not self._element.member:
            self._content("".join(self._text))
        self.form += f"</{name}>".encode()
        self._text.clear()

    def _content(self, text: str) -> None:
        if not self._element.has_blobs:
            self.form += text.replace("<", "&lt;").encode("latin-1")
            return
        if not (mark := text.strip()):
            return
        # Each only once: repetition would take more memory than the bounds allow.
        payload = self._payloads.pop(mark, None)
        if payload is None:
            raise ValueError("there is markup in a payload")
        place, data = payload
        if place in self._decoded:
            self.collected[len(self.form)] = self._decoded[place]
        else:
            self.form += data


def rewrite(
    data: bytes, element: Element, max_markup: int, collected: Collected
) -> Steps[Rewriter]:
    """Rewrite any element; ParseError where it is no XML, ValueError where it is no INDI."""
    payloads: dict[str, tuple[int, bytes]] = {}
    start = markup = 0

    def cut(match: re.Match[bytes]) -> bytes:
        mark = f"[{len(payloads) + 1}]"
        payloads[mark] = start + match.start(2), match[2]
        return match[1] + mark.encode()

    rewriter = Rewriter(element, payloads, collected)
    parser = DefusedXMLParser(target=rewriter, forbid_dtd=True)
    while start < len(data):
        # Each piece begins with a tag, so that none is cut, and no payload is.
        end = data.find(b"<", start + STEP_BYTES)
        end = len(data) if end < 0 else end
        piece = data[start:end]
        if element.has_blobs:
            piece = _PAYLOAD.sub(cut, piece)
        markup += len(piece)
        if markup > max_markup:
            raise ValueError(too_much_markup(max_markup))
        start = end
        yield from _parse(piece.translate(None, _CONTROL), parser)
    parser.close()
    return rewriter


def _parse(piece: bytes, parser: DefusedXMLParser) -> Steps[None]:
    if _MANY_ATTRIBUTES.search(piece):
        raise ValueError(TOO_MANY_ATTRIBUTES)
    if len(piece) > MAX_ODD_TAG:
        last = piece.rfind(b"<")
        tag = _LONG_TAG.match(piece, last, last + MAX_ODD_TAG)
        if tag is not None and len(tag[0]) == MAX_ODD_TAG:
            raise ValueError(f"it has a tag of {MAX_ODD_TAG} bytes or more")
    for start in range(0, len(piece), STEP_BYTES):
        # References are resolved later, by the rules of INDI; a bare "&" is no fault there (§9).
        part = piece[start : start + STEP_BYTES].replace(b"&", b"&amp;")
        parser.feed(part.decode("latin-1"))
        yield
