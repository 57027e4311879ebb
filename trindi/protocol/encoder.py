"""Events to bytes: one line per element, in a layout that every INDI program reads back.

The rules are those of the protocol, §0 and §1.4. In text only ``&`` and ``<`` are escaped, because
lilxml does not decode an entity that is the first character of a text; in attributes ``>`` and the
quote are escaped too. Each row of the table of elements has one writer, made once.

This module only writes: it trusts the types of an event, and refuses what must never be sent.
"""

import re
from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Any, Final

from trindi.protocol import events
from trindi.protocol.blobs import COMPRESSED, Base64, compress
from trindi.protocol.elements import ELEMENT_OF, Attribute, Element, Kind
from trindi.protocol.markup import Memory
from trindi.protocol.values import BLANKS, clean, format_timestamp, number_to_text, reading_to_text

# indi_getprop indexes before an empty string: a format has two characters at least (§4.1).
_UNKNOWN_FORMAT: Final = ".bin"

_SPECIAL: Final = re.compile('[&<>"\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]')
_LINE_ENDS: Final = re.compile("[\t\r\n]+")


def _escape(text: str) -> str:
    """Escape an attribute's value; lilxml deletes line ends there, so they become blanks."""
    if not _SPECIAL.search(text):
        return text
    text = _LINE_ENDS.sub(" ", clean(text)).replace("&", "&amp;").replace("<", "&lt;")
    return text.replace(">", "&gt;").replace('"', "&quot;")


def _content(text: str) -> str:
    """Escape an element's text; blanks around it cannot be carried (§1.2)."""
    if _SPECIAL.search(text):
        text = clean(text).replace("&", "&amp;").replace("<", "&lt;")
        # A strict XML parser refuses a raw "]]>" in text.
        text = text.replace("\r\n", "\n").replace("\r", "\n").replace("]]>", "]]&gt;")
    return text.strip(BLANKS)


# How the value of an attribute is written, as Python for `_compile_head`.
_WRITE: Final[dict[type[Any], str]] = {
    str: "escape({})",
    float: "number_to_text({} + 0.0)",
    datetime: "format_timestamp({})",
}

# Most tags that a driver sends it has sent before: this many of each kind are remembered, and none
# that is longer.
_MAX_REMEMBERED: Final = 4096
_MAX_REMEMBERED_LENGTH: Final = 1024

# These attributes are likely to differ in each event.
_VOLATILE: Final = {"timestamp", "message", "uid"}


def _remember(write: Callable[[Any], str]) -> Memory[Any, str]:
    return Memory(write, _MAX_REMEMBERED, lambda _, text: len(text) <= _MAX_REMEMBERED_LENGTH)


def _compile_head(element: Element) -> Callable[[Any], str]:
    """Make the function that writes the start tag of an element, up to its ``>``.

    It is compiled from the table of elements, as `dataclasses` makes an ``__init__``; a loop over
    the attributes takes twice as long. What hardly changes is written once and remembered.
    """
    lasting = [one for one in element.attributes if one.field not in _VOLATILE]
    volatile = [one for one in element.attributes if one.field in _VOLATILE]
    space: dict[str, Any] = {
        "escape": _escape,
        "number_to_text": number_to_text,
        "format_timestamp": format_timestamp,
        "remember": _remember,
    }
    lines = [
        "def write_start(values):",
        f"    {''.join(f'{one.field}, ' for one in lasting) or '()'} = values",
        f"    text = {f'<{element.xml} {element.fixed}'.rstrip()!r}",
        *(_append(one, one.field) for one in lasting),
        "    return text",
        "start = remember(write_start)",
        "def head(event):",
        f"    text = start[{''.join(f'event.{one.field},' for one in lasting) or '()'}]",
        *(_append(one, f"event.{one.field}") for one in volatile),
        "    return text",
    ]
    exec("\n".join(lines), space)
    head: Callable[[Any], str] = space["head"]
    return head


def _append(attribute: Attribute, value: str) -> str:
    written = _WRITE.get(attribute.type, "{}").format(value)
    line = f"text += ' {attribute.xml}=\"' + {written} + '\"'"
    if not (attribute.required or attribute.always):
        # Of the optional ones only a text may be left out for being empty.
        given = value if attribute.type is str else f"{value} is not None"
        line = f"if {given}: {line}"
    return f"    {line}"


class _Writer:
    """Writes the events of one element: here, of one without members."""

    def __init__(self, element: Element) -> None:
        self._head = _compile_head(element)
        self._content = attrgetter(element.content) if element.content else None
        self._end = f"</{element.xml}>\n"

    def write(self, event: Any) -> bytes:
        if self._content is None:
            return f"{self._head(event)}/>\n".encode()
        return f"{self._head(event)}>{self._content(event)}{self._end}".encode()


def _label(name: str, label: str | None) -> str:
    return f' label="{_escape(name if label is None else label)}"'


def _limits(*limits: float) -> str:
    # A zero has no sign here: 0.0 and -0.0 are remembered as one.
    low, high, step = (number_to_text(limit + 0.0) for limit in limits)
    return f' min="{low}" max="{high}" step="{step}"'


def _number_label(name: str, label: events.NumberLabel | None) -> str:
    text, display, *limits = label or (name, "%g", 0, 0, 0)
    return f' label="{_escape(text)}" format="{_escape(display)}"{_limits(*limits)}'


def _new_limits(_name: str, limits: events.Limits | None) -> str:
    return _limits(*limits) if limits else ""


def _details_writer(element: Element) -> Callable[[str, Any], str]:
    if element.details == "memberlabels":
        return _number_label if element.kind is Kind.NUMBER else _label
    return _new_limits


_WRITE_VALUE: Final[dict[Kind | None, Callable[[Any], str]]] = {
    Kind.SWITCH: str,
    Kind.TEXT: _content,
    Kind.NUMBER: reading_to_text,
    Kind.LIGHT: str,
    Kind.BLOB: lambda _: "",
}


class _VectorWriter(_Writer):
    """Writes a vector of any kind, but for payloads of BLOBs."""

    def __init__(self, element: Element) -> None:
        super().__init__(element)
        details = _details_writer(element)
        self._details: Callable[[Any], Any] = (
            attrgetter(element.details) if element.details else lambda _: {}
        )
        self._write_value = _WRITE_VALUE[element.kind]
        if element.cls is events.newNumberVector:
            self._write_value = number_to_text  # Nobody can ask for no reading.
        self._close = f"</{element.member}>"

        def open_member(values: tuple[str, Any]) -> str:
            return f'<{element.member} name="{_escape(values[0])}"{details(*values)}>'

        self._open = _remember(open_member)

    def write(self, event: Any) -> bytes:
        open_member, write, close = self._open, self._write_value, self._close
        detail = self._details(event).get
        members = ""
        for name, value in event.members.items():
            members += f"{open_member[name, detail(name)]}{write(value)}{close}"
        return f"{self._head(event)}>{members}{self._end}".encode()


class _BLOBWriter(_Writer):
    """Writes a vector of BLOBs: each payload one unbroken line (§4.2, §4.3)."""

    def write(self, event: Any) -> bytes:
        pieces: list[bytes] = []
        for part in self.parts(event):
            pieces += part.pieces() if isinstance(part, Base64) else (part,)
        return b"".join(pieces)

    def parts(self, event: Any) -> list[bytes | Base64]:
        parts: list[bytes | Base64] = [f"{self._head(event)}>".encode()]
        for name, value in event.members.items():
            size, suffix = event.sizeformat.get(name) or events.SizeFormat(len(value), "")
            payload = value
            if suffix.endswith(COMPRESSED):
                # The receiver reserves this many bytes before it decompresses (§4.1).
                size, payload = len(value), compress(value)
            if len(suffix) < 2:
                suffix = _UNKNOWN_FORMAT
            tag = f'<oneBLOB name="{_escape(name)}" size="{size}" format="{_escape(suffix)}">'
            parts += (tag.encode(), Base64(payload), b"</oneBLOB>")
        parts.append(self._end.encode())
        return parts


def _writer(element: Element) -> _Writer:
    vector = _BLOBWriter if element.has_blobs else _VectorWriter
    return vector(element) if element.kind else _Writer(element)


class _Writers(dict[type[Any], _Writer]):
    """The writers by class of event; each is made when it is first needed."""

    def __missing__(self, cls: type[Any]) -> _Writer:
        return self.setdefault(cls, _writer(ELEMENT_OF[cls]))


_WRITERS: Final = _Writers()


def encode(event: events.Event) -> bytes:
    """Write one event as one line of UTF-8; ValueError where a number is infinite.

    A request may hold no NaN, either.
    """
    return _WRITERS[type(event)].write(event)


def encode_parts(event: events.setBLOBVector | events.newBLOBVector) -> list[bytes | Base64]:
    """Write one event with BLOBs as `encode` does, its payloads compressed but not encoded yet."""
    writer = _WRITERS[type(event)]
    assert isinstance(writer, _BLOBWriter)
    return writer.parts(event)
