"""Sends bad input, and checks that the peer survives it (protocol §9).

A program gets it on standard input, and must answer afterwards. A server gets it on a connection of
its own, which it may close; another client must notice nothing. By default a server gets nothing
that is known to kill one, or that would reach its drivers. As far as possible bad input names
unknown devices and properties, so that misreading it does little harm.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final, NamedTuple
from xml.sax.saxutils import quoteattr

import trio

from trindi.conformance.context import DRIVER_ENDED
from trindi.conformance.observed import UNKNOWN_DEVICE, UNKNOWN_NAME, is_definition
from trindi.conformance.rules import Verdict
from trindi.protocol import Kind, encode, getProperties

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trindi.conformance.connection import CheckedConnection
    from trindi.conformance.context import CheckContext
    from trindi.conformance.observed import ObservedProperty, PropertyKey

__all__ = ["BAD_INPUTS", "UNFINISHED", "check_bad_inputs", "check_cut_off", "check_slow_reader"]

_MB: Final = 1000 * 1000

_PAYLOAD: Final = base64.b64encode(b"trindi check").decode()

UNFINISHED: Final = b"<newTextVector device='trindi check"
"""The start of an element."""

_SILENT: Final = "it does not answer any more"

_CONTAINS_QUERY: Final = ("bad-comment", "bad-version")
"""Rules whose input contains a getProperties itself."""

_QUERIES: Final = 500
"""How often to ask without reading: the answers exceed the buffers of any kernel."""

_RESYNC: Final = b";</oneText></newTextVector>\n"
"""Ends a reference, if a bare ``&`` was taken for the start of one, and its element (§1.2)."""


# The inputs --------------------------------------------------------------------------------------


class InputNames(NamedTuple):
    """The names in bad input, as attributes with their quotes.

    Attributes:
        device: the value of a device attribute.
        unknown: the attributes of an unknown property.
        blob: the attributes of a BLOB property, unknown unless the check is hostile.
        member: the value of the name attribute of one of its members.
        known: the attributes of a known property.
        scale: the size of large inputs, as a share of their full size.
    """

    device: str
    unknown: str
    blob: str
    member: str
    known: str
    scale: float

    def count(self, full: int) -> int:
        """Scale a length or number of repetitions."""
        return max(1, int(full * self.scale))


def choose_names(
    known: PropertyKey, properties: Iterable[ObservedProperty], *, hostile: bool, scale: float = 1.0
) -> InputNames:
    """Choose the names in bad input.

    Args:
        known: a property that can be asked for.
        properties: all properties.
        hostile: name a known device, and a writable BLOB property.
        scale: the size of large inputs.
    """
    device = known[0] if hostile else UNKNOWN_DEVICE
    blob, member = (device, UNKNOWN_NAME), UNKNOWN_NAME
    for each in properties if hostile else ():
        if each.kind is Kind.BLOB and each.writable and each.values:
            blob, member = each.key, next(iter(each.values))
    unknown = _attributes_of((device, UNKNOWN_NAME))
    of_blob, of_known = _attributes_of(blob), _attributes_of(known)
    return InputNames(quoteattr(device), unknown, of_blob, quoteattr(member), of_known, scale)


def _attributes_of(key: PropertyKey) -> str:
    return f"device={quoteattr(key[0])} name={quoteattr(key[1])}"


def _text(names: InputNames, text: str = "trindi check", tag: str = "newTextVector") -> str:
    one = f"<oneText name='{UNKNOWN_NAME}'>{text}</oneText>"
    return f"<{tag} {names.unknown}>{one}</{tag}>\n"


def _vector(names: InputNames, attributes: str, content: str = "") -> str:
    head = f"<newTextVector {names.unknown} {attributes}"
    return f"{head}>{content}</newTextVector>\n" if content else f"{head}/>\n"


def _blobs(names: InputNames, *attributes: str, payload: str = _PAYLOAD) -> list[str]:
    return [
        f"<newBLOBVector {names.blob}><oneBLOB name={names.member} {each}>{payload}</oneBLOB>"
        "</newBLOBVector>\n"
        for each in attributes
    ]


def _doctype(names: InputNames) -> list[str]:
    entities = '<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    return [
        f"<!DOCTYPE x [{entities}]>\n{_text(names, '&b;')}",
        _text(names, "pre<![CDATA[a<b]]>post"),
    ]


def _many_members(names: InputNames) -> list[str]:
    numbers = range(names.count(50_000))
    return [_vector(names, "", "".join(f"<oneText name='m{n}'>x</oneText>" for n in numbers))]


def _nesting(names: InputNames) -> list[str]:
    depth = names.count(200_000)
    return [_text(names, "<a>" * depth + "</a>" * depth)]


def _small_size(names: InputNames) -> list[str]:
    payload = base64.b64encode(bytes(names.count(6 * _MB))).decode()
    return _blobs(names, "size='3' format='.bin'", payload=payload)


BAD_INPUTS: Final[dict[str, Callable[[InputNames], list[str]]]] = {
    "bad-junk": lambda _names: [
        "hello, is this INDI?\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    "bad-bracket": lambda names: [
        "if x < y then y > x\n<1 <2> </> <>\n",
        "\0\0\0\n",
        _text(names, "a\0b"),
    ],
    "bad-tags": lambda names: [
        _text(names).replace("</oneText>", "</oneNumber>"),
        _text(names).replace("</newTextVector>", "</newNumberVector>"),
        "</newTextVector></oneText>\n",
    ],
    "bad-attributes": lambda names: [
        _vector(names, attribute) for attribute in ("x=y", "x-y='z'", "x:y='z'")
    ],
    "bad-comment": lambda names: [f"<!-- a > <getProperties version='1.7' {names.known}/> -->\n"],
    "bad-doctype": _doctype,
    "bad-ampersand": lambda names: [_text(names, "salt & pepper")],
    "bad-unknown": lambda names: [
        f"<INDI device={names.device}>{_text(names)}</INDI>\n",
        _text(names, tag="newtextvector"),
        _text(names, tag="trindiCheck"),
    ],
    "bad-duplicate": lambda names: [
        f"<newTextVector {names.unknown} {names.unknown}></newTextVector>\n"
    ],
    "bad-long-attribute": lambda names: [_vector(names, f"x='{'x' * names.count(20 * _MB)}'")],
    "bad-many-members": _many_members,
    "bad-long-text": lambda names: [_text(names, "x" * names.count(5 * _MB))],
    "bad-size-missing": lambda names: _blobs(
        names, "format='.bin'", "size='3x' format='.bin'", "size='' format='.bin'"
    ),
    "bad-base64": lambda names: _blobs(
        names, "size='12' format='.bin'", payload="!!! this is not base64 !!!"
    ),
    "bad-attached": lambda names: _blobs(
        names, "size='12' format='.bin' len='12' attached='true'", payload=""
    ),
    "bad-version": lambda names: [
        f"<getProperties {names.known}/>\n",
        f"<getProperties version='2.0' {names.known}/>\n",
    ],
    "bad-nesting": _nesting,
    "bad-end-tag": lambda names: [
        _text(names).replace("</newTextVector", f"</{'x' * names.count(250_000)}")
    ],
    "bad-size": lambda names: _blobs(
        names, *(f"size='{size}' format='.bin'" for size in ("abc", "9" * 20))
    ),
    "bad-size-negative": lambda names: _blobs(names, "size='-5' format='.bin'"),
    "bad-size-small": _small_size,
    "bad-enclen": lambda names: _blobs(
        names,
        *(f"size='12' format='.bin' enclen='{each}'" for each in ("-5", "abc", "2000000000")),
    ),
}
"""What to send, by the name of the rule."""


# Sending them ------------------------------------------------------------------------------------


async def check_bad_inputs(context: CheckContext) -> None:
    """Send each bad input, and restart the peer after one that it does not survive.

    Raises:
        PeerLostError: it cannot be restarted.
    """
    hostile = context.is_program or context.options.hostile
    scale = context.options.input_scale
    for rule, make in BAD_INPUTS.items():
        if not context.findings.allows(rule):
            continue
        context.start_rule(rule)
        key = context.any_key()
        names = choose_names(key, context.snapshot, hostile=hostile, scale=scale)
        for text in make(names):
            if not await _survives(context, rule, text.encode(), key):
                await context.restart()
                break


async def _survives(context: CheckContext, rule: str, data: bytes, key: PropertyKey) -> bool:
    """Send one bad input and record the result; return whether the peer survived."""
    deleted = context.passive.deleted
    async with context.borrow() as connection:
        fault = await _send(context, connection, data, key)
        if rule in _CONTAINS_QUERY:
            # The definition may answer the bad input, and the answer to the sentinel still come.
            await context.wait_unexpected(connection)
        answers = sum(is_definition(each, key) for each in connection.received)
        if rule == "bad-comment" and answers > 1:
            fault = "what stood in the comment was carried out"
        end = await connection.describe_end() if connection.ended else ""
    if context.is_program:
        failure = end or (fault if fault == _SILENT else "")
    else:
        failure = await _check_other_client(context, key)
        if context.passive.deleted > deleted:
            failure = failure or DRIVER_ENDED
        if end and not failure:
            context.findings.remark(rule, "the connection that it came on was closed")
    context.findings.record(rule, failure or fault, Verdict.FAIL if failure else Verdict.WARN)
    return not failure


async def _send(
    context: CheckContext, connection: CheckedConnection, data: bytes, key: PropertyKey
) -> str:
    """Send bad input, and return what is wrong with the answer to the sentinel, or ""."""
    factor = 1 + len(data) / _MB
    exchange = context.exchange
    answer = await exchange(data, sentinel=key, connection=connection, timeout_factor=factor)
    if answer or connection.ended:
        return ""
    if await exchange(_RESYNC, sentinel=key, connection=connection) or connection.ended:
        return "the element behind it was lost"
    return _SILENT


async def _check_other_client(context: CheckContext, key: PropertyKey) -> str:
    """Return why the main connection is not answered, or ""."""
    if await context.exchange(sentinel=key):
        return ""
    return f"another client is not answered: {await context.connection.describe_end()}"


# Servers only ------------------------------------------------------------------------------------


async def check_cut_off(context: CheckContext) -> None:
    """Close a connection in the middle of an element."""
    context.start_rule("cut-off")
    async with context.borrow() as connection:
        await connection.send(UNFINISHED, seconds=context.options.timeout)
        await context.wait_unexpected(connection)
    await context.wait_unexpected()
    context.findings.record("cut-off", await _check_other_client(context, context.any_key()))
    await context.ensure_alive()


async def check_slow_reader(context: CheckContext) -> None:
    """Ask again and again on a connection, and read none of the answers."""
    context.start_rule("slow-reader")
    peer = await context.target.connect()
    try:
        with trio.move_on_after(context.options.timeout):
            await peer.stream.send_all(encode(getProperties()) * _QUERIES)
    except trio.BrokenResourceError:
        context.findings.remark("slow-reader", "it was disconnected")
    try:
        await context.wait_unexpected()
        fault = await _check_other_client(context, context.any_key())
        context.findings.record("slow-reader", fault)
    finally:
        await peer.aclose()
    await context.ensure_alive()
