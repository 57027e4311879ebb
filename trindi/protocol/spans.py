"""What a decoder has read, with its bytes.

A relay passes on the bytes of plain elements, a recorder keeps the bytes of broken ones, a checker
looks at how an element is written. This module decodes nothing.
"""

import re
from typing import Final, NamedTuple

from trindi.errors import ProtocolError
from trindi.protocol.events import Event, getProperties
from trindi.protocol.markup import ATTRIBUTES, BLANK, IS, NAME, QUOTED

# A tab or a line feed may stand between attributes and in texts; a CR is read as a line feed.
_CONTROL: Final = bytes([*range(9), *range(11, 32), 127])
# No XML parser takes these two characters: U+FFFE and U+FFFF.
_NO_CHARACTERS: Final = re.compile(b"\xef\xbf[\xbe\xbf]")
# lilxml knows these five references and no others; strict parsers refuse "]]>" in a text.
_ODD_TEXT: Final = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos);)|]]>")
_TAG: Final = re.compile(f"<{NAME}({ATTRIBUTES}){BLANK}*+/?>".encode())
_ATTRIBUTE: Final = re.compile(f"({NAME}){IS}({QUOTED})".encode())


class Span(NamedTuple):
    """A stretch of a stream: an element, or what is between two elements.

    Attributes:
        item: its event or fault; None for layout, junk, comments, declarations, unknown elements.
        data: its bytes; those of an element start at its ``<`` and end after its ``>``.
        plain_form: it is an element in the form that INDI programs write, and no other XML.
    """

    item: Event | ProtocolError | None
    data: bytes
    plain_form: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether the bytes may be passed on: every INDI program reads the same event from them.

        They are UTF-8 in the plain form, without control characters (but tabs and line feeds
        outside attributes), bare ``&`` and repeated attributes; a getProperties has the version
        1.7. An element with payloads of BLOBs is never plain: its layout matters (protocol §4.2).
        """
        item, data = self.item, self.data
        if not self.plain_form or item is None or isinstance(item, ProtocolError):
            return False
        if getattr(item, "sizeformat", None) or _ODD_TEXT.search(data):
            return False
        if len(data.translate(None, _CONTROL)) < len(data) or not _is_text(data):
            return False
        tags = [_ATTRIBUTE.findall(tag[1]) for tag in _TAG.finditer(data)]
        if isinstance(item, getProperties) and dict(tags[0]).get(b"version", b"")[1:-1] != b"1.7":
            return False
        return all(map(_is_strict, tags))


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return data.isascii() or not _NO_CHARACTERS.search(data)


def _is_strict(attributes: list[tuple[bytes, bytes]]) -> bool:
    """Whether no name is repeated, and no value has a tab or a line end, which lilxml deletes."""
    return len(dict(attributes)) == len(attributes) and not any(
        b"\n" in value or b"\t" in value for _, value in attributes
    )
