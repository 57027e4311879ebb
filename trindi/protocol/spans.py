"""What a decoder has read, with its bytes.

A relay passes on the bytes of plain elements, a recorder keeps the bytes of broken ones, a checker
looks at how an element is written. This module decodes nothing.
"""

import re
from typing import Final, NamedTuple

from trindi.errors import ProtocolError
from trindi.protocol.events import Event, getProperties
from trindi.protocol.markup import BLANK, IS, MAX_ATTRIBUTES, NAME, QUOTED

# A tab or a line feed may stand between attributes and in texts; a CR is read as a line feed.
_CONTROL: Final = bytes([*range(9), *range(11, 32), 127])
# No XML parser takes these two characters: U+FFFE and U+FFFF.
_NO_CHARACTERS: Final = re.compile(b"\xef\xbf[\xbe\xbf]")
# lilxml knows these five references and no others; strict parsers refuse "]]>" in a text.
_ODD_TEXT: Final = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos);)|]]>")
# Tags without a tab or a line end in a value: XML makes it a blank, and lilxml deletes line ends.
_STRICT_QUOTED: Final = """(?:"[^"<\t\n]*+"|'[^'<\t\n]*+')"""
_STRICT_TAG: Final = re.compile(
    f"<{NAME}((?:{BLANK}++{NAME}{IS}{_STRICT_QUOTED}){{0,{MAX_ATTRIBUTES}}}){BLANK}*+/?>".encode()
)
_ATTRIBUTE_NAME: Final = re.compile(f"({NAME}){IS}{QUOTED}".encode())
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
        tags: list[bytes] = _STRICT_TAG.findall(data)
        if len(tags) < data.count(b"<") - data.count(b"</"):
            return False
        if isinstance(item, getProperties):
            attributes = dict(_ATTRIBUTE.findall(b"".join(tags)))
            if attributes.get(b"version", b"")[1:-1] != b"1.7":
                return False
        return not any(map(_has_duplicates, tags))


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return data.isascii() or not _NO_CHARACTERS.search(data)


def _has_duplicates(attributes: bytes) -> bool:
    names = _ATTRIBUTE_NAME.findall(attributes)
    return len(set(names)) < len(names)
