"""Events to bytes: one line per element, in the layout that every INDI program reads back.

The rules are those of the protocol reference §0 and §1.4. In text only ``&`` and ``<`` are
escaped, because lilxml does not decode an entity that is the first character of a text; attributes
have ``>`` and the quote escaped too. This module only writes: it trusts the types of an event and
refuses what must never be sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

from trindi.protocol.blobs import COMPRESSED, compress, encode_base64
from trindi.protocol.events import (
    ELEMENT_OF,
    Attribute,
    Element,
    Event,
    Kind,
    NumberLabel,
    SizeFormat,
    Type,
    enableBLOB,
)
from trindi.protocol.values import clean, format_timestamp, number_to_text

__all__ = ["encode"]

_SPECIAL: Final = re.compile(r"[&<>\"\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_LINE: Final = re.compile(r"[\t\r\n]+")


def _escape(text: str) -> str:
    """Escape an attribute's value; lilxml deletes line ends there, so they become blanks."""
    if not _SPECIAL.search(text):
        return text
    text = _LINE.sub(" ", clean(text)).replace("&", "&amp;").replace("<", "&lt;")
    return text.replace(">", "&gt;").replace('"', "&quot;")


@lru_cache(maxsize=4096)
def _name(text: str) -> str:
    return _escape(text)


def _content(text: str) -> str:
    """Escape an element's text; white space around it cannot be carried (§1.2)."""
    text = text.strip(" \t\r\n")
    if not _SPECIAL.search(text):
        return text
    text = clean(text).replace("&", "&amp;").replace("<", "&lt;")
    # A strict XML parser refuses a raw "]]>" in text.
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("]]>", "]]&gt;")


_WRITE: Final[dict[Type, Callable[[Any], str]]] = {
    Type.TEXT: _escape,
    Type.STATE: str,
    Type.PERM: str,
    Type.RULE: str,
    Type.SECONDS: number_to_text,
    Type.TIMESTAMP: format_timestamp,
}


def _attribute(attribute: Attribute, event: Event) -> str:
    value = getattr(event, attribute.field)
    if value is None or (value == attribute.default and not attribute.always):
        return ""
    write = _name if attribute.required else _WRITE[attribute.type]
    return f' {attribute.xml}="{write(value)}"'


def _member(name: str, tag: str, content: str, attributes: str = "") -> str:
    return f'<{tag} name="{_name(name)}"{attributes}>{content}</{tag}>'


def _number_member(element: Element, event: Any, name: str, value: float) -> str:
    if element.member == "oneNumber":
        limits = getattr(event, "limits", {}).get(name)
        attributes = _limits(*limits) if limits else ""
    else:
        label = event.memberlabels.get(name) or NumberLabel(name, "%g", 0, 0, 0)
        attributes = (
            f' label="{_name(label.label)}" format="{_name(label.format)}"'
            f"{_limits(label.min, label.max, label.step)}"
        )
    return _member(name, element.member, number_to_text(value), attributes)


def _limits(low: float, high: float, step: float) -> str:
    low_text, high_text, step_text = map(number_to_text, (low, high, step))
    return f' min="{low_text}" max="{high_text}" step="{step_text}"'


def _plain_member(element: Element, event: Any, name: str, value: str | None) -> str:
    attributes = ""
    if element.member.startswith("def"):
        attributes = f' label="{_name(event.memberlabels.get(name, name))}"'
    return _member(name, element.member, _content(value or ""), attributes)


def _blob_member(event: Any, name: str, value: bytes) -> Iterator[bytes]:
    size, display = event.sizeformat.get(name) or SizeFormat(len(value), "")
    if len(display) < 2:
        # indi_getprop indexes before an empty string (§4.1).
        raise ValueError(f"BLOB {name!r} has the format {display!r}; give a suffix such as '.fits'")
    payload = compress(value) if display.endswith(COMPRESSED) else value
    yield (
        f'<oneBLOB name="{_name(name)}" size="{size}" format="{_escape(display)}">'.encode()
    )
    yield encode_base64(payload)
    yield b"</oneBLOB>"


def encode(event: Event) -> bytes:
    """Write one event as one line of UTF-8, ending in a newline.

    Raises:
        ValueError: a number that is NaN or infinite, or a BLOB without a format.
    """
    element = ELEMENT_OF[type(event)]
    head = "".join([_attribute(attribute, event) for attribute in element.attributes])
    fixed = f" {element.fixed}" if element.fixed else ""
    tag = element.xml
    match element.kind:
        case None:
            if isinstance(event, enableBLOB):
                return f"<{tag}{head}>{event.policy}</{tag}>\n".encode()
            return f"<{tag}{fixed}{head}/>\n".encode()
        case Kind.BLOB if element.member == "oneBLOB":
            parts = [part for item in event.items() for part in _blob_member(event, *item)]  # type: ignore[union-attr]
            return b"".join((f"<{tag}{head}>".encode(), *parts, f"</{tag}>\n".encode()))
        case kind:
            member = _number_member if kind is Kind.NUMBER else _plain_member
            body = [member(element, event, *item) for item in event.items()]  # type: ignore[union-attr]
            return f"<{tag}{head}>{''.join(body)}</{tag}>\n".encode()
