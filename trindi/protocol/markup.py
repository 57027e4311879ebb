"""Names, attributes, references and text, as INDI programs write them in tags and between them.

Patterns for bytes, readers of what they find, and a cache of what they return. What may be long is
read in steps: a generator that yields after each `STEP_BYTES` or so, for other work to be done
meanwhile. This module knows no element.
"""

import re
from collections.abc import Callable, Generator
from typing import Final, TypeAlias, TypeVar

from trindi.protocol.values import BLANKS, MAX_ATTRIBUTE_LENGTH, clean

K = TypeVar("K")
V = TypeVar("V")

Buffer: TypeAlias = bytes | bytearray
"""The bytes that a decoder takes."""

Steps: TypeAlias = Generator[None, None, V]
"""Work that yields after each step of it, and returns its result at the end."""

STEP_BYTES: Final = 8 * 1024
"""Bytes that are read in one step: about a millisecond's work, at the most."""

MAX_NAME_LENGTH: Final = 256
"""Characters of the name of an element or attribute; a long wrong one crashes indiserver (§9)."""

MAX_ATTRIBUTES: Final = 32
"""Attributes of one element; the protocol knows at most eleven (§1.5)."""

TOO_MANY_ATTRIBUTES: Final = f"it has more than {MAX_ATTRIBUTES} attributes"

_REFERENCE: Final = re.compile(r"&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#x([0-9a-fA-F]{1,6}));")
_LONGEST_REFERENCE: Final = len("&#1114111;")
_ENTITIES: Final = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


def _character(match: re.Match[str]) -> str:
    name, decimal, hexadecimal = match.groups()
    if name:
        return _ENTITIES[name]
    code = int(decimal) if decimal else int(hexadecimal, 16)
    return chr(code) if 0 < code < 0x110000 else str(match[0])


def _resolve(text: str) -> Steps[str]:
    """Resolve the five entities and character references; any other ``&`` is itself (§9)."""
    if "\0" in text:
        raise ValueError("there is a NUL byte in it")
    parts: list[str] = []
    start, stop = 0, len(text)
    while True:
        end = start + STEP_BYTES
        if end < stop:
            # No reference is cut in two.
            mark = text.rfind("&", end - _LONGEST_REFERENCE, end)
            end = mark if mark > 0 else end
        parts.append(clean(_REFERENCE.sub(_character, text[start:end])))
        start = end
        if start >= stop:
            return "".join(parts).replace("\r\n", "\n").replace("\r", "\n")
        yield


def finish(steps: Steps[V]) -> V:
    """Do all steps at once, and return the result."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: V = done.value
            return result


def text_of(data: bytes) -> str:
    """Read an element's text, UTF-8 or Latin-1 (§1.3); the blanks around it are layout (§0)."""
    text = _decoded(data).strip(BLANKS)
    return finish(_resolve(text)).strip(BLANKS) if _is_marked(text) else text


def text_steps(data: bytes) -> Steps[str]:
    """Read as `text_of` does, in steps."""
    text = _decoded(data).strip(BLANKS)
    return (yield from _resolve(text)).strip(BLANKS) if _is_marked(text) else text


def attribute_steps(data: bytes) -> Steps[str]:
    """Read an attribute's value, with its blanks; a line end or a tab becomes one, as in XML."""
    text = _decoded(data)
    if not _is_marked(text):
        return text
    return (yield from _resolve(text)).replace("\n", " ").replace("\t", " ")


def attribute_text(data: bytes) -> str:
    """Read as `attribute_steps` does, at once."""
    return finish(attribute_steps(data))


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _is_marked(text: str) -> bool:
    return "&" in text or not text.isprintable()


NAME: Final = "[A-Za-z_][A-Za-z0-9_]*+"
# An unknown element may have any XML name; Python's "<object at 0x7f…>" is no element.
ANY_NAME: Final = "[^\0- =<>\"'/]++"
BLANK: Final = "[ \t\r\n]"
IS: Final = f"{BLANK}*+={BLANK}*+"
QUOTED: Final = """(?:"[^"<]*+"|'[^'<]*+')"""
# One more than may be, so that too many are seen, and no more are looked at. Possessive are only
# repeats of single characters: others match what they should not before Python 3.11.5, and with
# groups in them they corrupt memory before Python 3.12.8.
_AT_MOST: Final = f"{{0,{MAX_ATTRIBUTES + 1}}}"
# Names and values in turn are parts of a tag; one that is right has fewer than these.
PARTS: Final = f"{{0,{4 * MAX_ATTRIBUTES}}}"
ATTRIBUTES: Final = f"(?:{BLANK}++{NAME}{IS}{QUOTED}){_AT_MOST}"
_ATTRIBUTE: Final = re.compile(f"""({NAME}){IS}(?:"([^"]*+)"|'([^']*+)')""".encode())


def _head(quoted: str) -> re.Pattern[bytes]:
    """Return what finds a start tag: its name, attributes, time, further attributes and slash.

    The time has a group of its own: the rest of a tag comes again and can be remembered.
    """
    return re.compile(
        f"<({NAME})"
        f"((?:{BLANK}++(?!timestamp[ \t\r\n=]){NAME}{IS}{quoted}){_AT_MOST})"
        f"(?:{BLANK}++timestamp{IS}({quoted}))?"
        f"((?:{BLANK}++{NAME}{IS}{quoted}){_AT_MOST}){BLANK}*+(/?)>".encode()
    )


HEAD: Final = _head(QUOTED)
# In a start tag whose end is known there is no "<". This one is several times as fast.
LONG_HEAD: Final = _head("""(?:"[^"]*+"|'[^']*+')""")


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


def attributes_steps(data: bytes) -> Steps[dict[str, str]]:
    """Read the attributes of a tag; the first of a name wins (§9). ValueError beyond a bound."""
    found = _ATTRIBUTE.findall(data)
    if len(found) > MAX_ATTRIBUTES:
        raise ValueError(TOO_MANY_ATTRIBUTES)
    attributes: dict[str, str] = {}
    since = 0
    for name, double, single in found:
        quoted = double or single
        since += len(quoted)
        if since > STEP_BYTES:
            since = len(quoted)
            yield
        value = yield from attribute_steps(quoted)
        if len(name) > MAX_NAME_LENGTH or len(value) > MAX_ATTRIBUTE_LENGTH:
            raise ValueError(f"the attribute {name[:40].decode()} is too long")
        attributes.setdefault(name.decode(), value)
    return attributes


def read_attributes(data: bytes) -> dict[str, str]:
    """Read as `attributes_steps` does, at once."""
    return finish(attributes_steps(data))
