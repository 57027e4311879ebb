"""Names, attributes, references and text, as INDI programs write them in tags and between them.

Patterns for bytes, readers of what they find, and a cache of what they return. This module knows no
element.
"""

import re
from collections.abc import Callable
from typing import Final, TypeAlias, TypeVar

from trindi.protocol.values import BLANKS, MAX_ATTRIBUTE_LENGTH, clean

K = TypeVar("K")
V = TypeVar("V")

Buffer: TypeAlias = bytes | bytearray
"""The bytes that a decoder takes."""

MAX_NAME_LENGTH: Final = 256
"""Characters of the name of an element or attribute; a long wrong one crashes indiserver (§9)."""

MAX_ATTRIBUTES: Final = 32
"""Attributes of one element; the protocol knows at most eleven (§1.5)."""

_REFERENCE: Final = re.compile(r"&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#x([0-9a-fA-F]{1,6}));")
_ENTITIES: Final = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


def _character(match: re.Match[str]) -> str:
    name, decimal, hexadecimal = match.groups()
    if name:
        return _ENTITIES[name]
    code = int(decimal) if decimal else int(hexadecimal, 16)
    return chr(code) if 0 < code < 0x110000 else str(match[0])


def _resolve(text: str) -> str:
    """Resolve the five entities and character references; any other ``&`` is itself (§9)."""
    if "\0" in text:
        raise ValueError("there is a NUL byte in it")
    text = clean(_REFERENCE.sub(_character, text))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def text_of(data: bytes) -> str:
    """Read an element's text, UTF-8 or Latin-1 (§1.3); the blanks around it are layout (§0)."""
    try:
        text = data.decode().strip(BLANKS)
    except UnicodeDecodeError:
        text = data.decode("latin-1").strip(BLANKS)
    if "&" in text or not text.isprintable():
        return _resolve(text).strip(BLANKS)
    return text


def attribute_text(data: bytes) -> str:
    """Read an attribute's value, with its blanks; a line end or a tab becomes one, as in XML."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    if "&" in text or not text.isprintable():
        return _resolve(text).replace("\n", " ").replace("\t", " ")
    return text


NAME: Final = "[A-Za-z_][A-Za-z0-9_]*+"
BLANK: Final = "[ \t\r\n]"
IS: Final = f"{BLANK}*+={BLANK}*+"
QUOTED: Final = """(?:"[^"<]*+"|'[^'<]*+')"""
ATTRIBUTES: Final = f"(?:{BLANK}++{NAME}{IS}{QUOTED})*+"
_ATTRIBUTE: Final = re.compile(f"""({NAME}){IS}(?:"([^"]*+)"|'([^']*+)')""".encode())
# The timestamp has a group of its own: the rest of a tag comes again and can be remembered.
HEAD: Final = re.compile(
    f"<({NAME})"
    f"((?:{BLANK}++(?!timestamp[ \t\r\n=]){NAME}{IS}{QUOTED})*+)"
    f"(?:{BLANK}++timestamp{IS}({QUOTED}))?"
    f"({ATTRIBUTES}){BLANK}*+(/?)>".encode()
)


class Memory(dict[K, V]):
    """What keys were made into, where key and value are short; all is forgotten at `most`."""

    def __init__(self, make: Callable[[K], V], most: int, is_short: Callable[[K, V], bool]) -> None:
        self._make = make
        self._most = most
        self._is_short = is_short

    def __missing__(self, key: K) -> V:
        value = self._make(key)
        if self._is_short(key, value):
            if len(self) >= self._most:
                self.clear()
            self[key] = value
        return value


def read_attributes(data: bytes) -> dict[str, str]:
    """Read the attributes of a tag; the first of a name wins (§9). ValueError beyond a bound."""
    found = _ATTRIBUTE.findall(data)
    if len(found) > MAX_ATTRIBUTES:
        raise ValueError(f"it has more than {MAX_ATTRIBUTES} attributes")
    attributes: dict[str, str] = {}
    for name, double, single in found:
        value = attribute_text(double or single)
        if len(name) > MAX_NAME_LENGTH or len(value) > MAX_ATTRIBUTE_LENGTH:
            raise ValueError(f"the attribute {name[:40].decode()} is too long")
        attributes.setdefault(name.decode(), value)
    return attributes
