"""Sends bad input and ends input, and checks that the peer survives it (protocol §9).

A program gets bad input on standard input, and must answer afterwards. A server gets it on its own
connection, which it may close; another client must notice nothing. By default a server gets nothing
that is known to kill one, or that would reach its drivers. As far as possible bad input names
unknown devices and properties, so that misreading it does little harm.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import quoteattr

import trio

from trindi.conformance.context import DRIVER_ENDED, CheckContext
from trindi.conformance.observed import (
    UNKNOWN_DEVICE,
    UNKNOWN_NAME,
    ObservedProperty,
    PropertyKey,
    attributes_of,
    is_definition,
    show_keys,
)
from trindi.conformance.rules import Verdict
from trindi.protocol import Kind, encode, getProperties

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from trindi.conformance.connection import CheckedConnection

_BYTES_PER_TIMEOUT: Final = 1_000_000  # a peer gets the timeout once more for so many
_CONTAINS_QUERY: Final = ("bad-comment", "bad-version")  # they contain a getProperties
_QUERIES: Final = 500  # without reading: the answers exceed the buffers of any kernel

_RESYNC: Final = b";</oneText></newTextVector>\n"
"""Ends a reference, if a bare ``&`` was taken for the start of one, and its element (§1.2)."""

_SILENT: Final = "it does not answer any more"
_UNFINISHED: Final = b"<newTextVector device='trindi check"
_TEXT: Final = "<newTextVector {unknown}><oneText name='{member}'>%s</oneText></newTextVector>\n"
_VECTOR: Final = "<newTextVector {unknown} %s/>\n"
_BLOB: Final = "<newBLOBVector {blob}><oneBLOB name={blob_member} %s>%s</oneBLOB></newBLOBVector>\n"
_PLACEHOLDER: Final = re.compile(r"\{([^{}]+)\}")
_GOOD: Final = _TEXT % "trindi check"
_PAYLOAD: Final = base64.b64encode(b"trindi check").decode()
_ENTITIES: Final = '<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'


def _blobs(*attributes: str) -> tuple[str, ...]:
    return tuple(_BLOB % (f"{each} format='.bin'", _PAYLOAD) for each in attributes)


BAD_INPUTS: Final[dict[str, tuple[str, ...]]] = {
    "bad-junk": ("hello, is this INDI?\r\n\r\n", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    "bad-bracket": ("if x < y then y > x\n<1 <2> </> <>\n", "\0\0\0\n", _TEXT % "a\0b"),
    "bad-tags": (
        _GOOD.replace("</oneText>", "</oneNumber>"),
        _GOOD.replace("</newTextVector>", "</newNumberVector>"),
        "</newTextVector></oneText>\n",
    ),
    "bad-attributes": (_VECTOR % "x=y", _VECTOR % "x-y='z'", _VECTOR % "x:y='z'"),
    "bad-comment": ("<!-- a > <getProperties version='1.7' {known}/> -->\n",),
    "bad-doctype": (
        f"<!DOCTYPE x [{_ENTITIES}]>\n{_TEXT % '&b;'}",
        _TEXT % "pre<![CDATA[a<b]]>post",
    ),
    "bad-ampersand": (_TEXT % "salt & pepper",),
    "bad-unknown": (
        f"<INDI device={{device}}>{_GOOD}</INDI>\n",
        _GOOD.replace("newTextVector", "newtextvector"),
        _GOOD.replace("newTextVector", "trindiCheck"),
    ),
    "bad-duplicate": ("<newTextVector {unknown} {unknown}></newTextVector>\n",),
    "bad-long-attribute": (_VECTOR % "x='{20 MB}'",),
    "bad-many-members": ("<newTextVector {unknown}>{50,000 members}</newTextVector>\n",),
    "bad-long-text": (_TEXT % "{5 MB}",),
    "bad-size-missing": _blobs("", "size='3x'", "size=''"),
    "bad-base64": (_BLOB % ("size='12' format='.bin'", "!!! this is not base64 !!!"),),
    "bad-attached": (_BLOB % ("size='12' format='.bin' len='12' attached='true'", ""),),
    "bad-version": ("<getProperties {known}/>\n", "<getProperties version='2.0' {known}/>\n"),
    "bad-nesting": (_TEXT % "{200,000 nested}",),
    "bad-end-tag": (_GOOD.replace("</newTextVector", "</{250 kB}"),),
    "bad-size": _blobs("size='abc'", f"size='{'9' * 20}'"),
    "bad-size-negative": _blobs("size='-5'"),
    "bad-size-small": (_BLOB % ("size='3' format='.bin'", "{6 MB payload}"),),
    "bad-enclen": _blobs(*(f"size='12' enclen='{text}'" for text in ("-5", "abc", "2000000000"))),
}
"""What to send, by the name of the rule; braces hold names and large contents."""

_LARGE: Final[dict[str, tuple[int, Callable[[int], str]]]] = {
    "20 MB": (20_000_000, lambda size: "x" * size),
    "50,000 members": (
        50_000,
        lambda count: "".join(f"<oneText name='m{n}'>x</oneText>" for n in range(count)),
    ),
    "5 MB": (5_000_000, lambda size: "x" * size),
    "200,000 nested": (200_000, lambda depth: "<a>" * depth + "</a>" * depth),
    "250 kB": (250_000, lambda size: "x" * size),
    "6 MB payload": (6_000_000, lambda size: base64.b64encode(bytes(size)).decode()),
}


def make_inputs(rule: str, names: dict[str, str], scale: float = 1.0) -> list[bytes]:
    """Return the bad inputs of a rule, with the names from `choose_names`."""

    def fill(match: re.Match[str]) -> str:
        if match[1] in names:
            return names[match[1]]
        size, make = _LARGE[match[1]]
        return make(max(1, int(size * scale)))

    return [_PLACEHOLDER.sub(fill, text).encode() for text in BAD_INPUTS[rule]]


def choose_names(
    known: PropertyKey, properties: Iterable[ObservedProperty], *, hostile: bool
) -> dict[str, str]:
    """Choose the names in bad input; hostile input names a known device, and a writable BLOB."""
    device = known[0] if hostile else UNKNOWN_DEVICE
    blob, member = (device, UNKNOWN_NAME), UNKNOWN_NAME
    for each in properties if hostile else ():
        if each.kind is Kind.BLOB and each.writable and each.values:
            blob, member = each.key, next(iter(each.values))
    return {
        "device": quoteattr(device),
        "unknown": attributes_of((device, UNKNOWN_NAME)),
        "member": UNKNOWN_NAME,
        "blob": attributes_of(blob),
        "blob_member": quoteattr(member),
        "known": attributes_of(known),
    }


async def check_bad_inputs(context: CheckContext) -> None:
    """Send each bad input, and restart the peer after one that it does not survive."""
    hostile = context.is_program or context.options.hostile
    for rule in BAD_INPUTS:
        if context.findings.allows(rule):
            context.start_rule(rule)
            key = context.any_key()
            names = choose_names(key, context.snapshot, hostile=hostile)
            for data in make_inputs(rule, names, context.options.input_scale):
                if not await _survives(context, rule, data, key):
                    await context.restart()
                    break


async def _survives(context: CheckContext, rule: str, data: bytes, key: PropertyKey) -> bool:
    """Send one bad input and record the result; return whether the peer survived."""
    deleted = context.passive.deleted
    async with context.borrow() as connection:
        fault = await _send(context, connection, data, key)
        if rule in _CONTAINS_QUERY:
            # The definition may answer the bad input, and the answer to the sentinel still come.
            await connection.wait_unexpected()
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
            context.remark(rule, "the connection that it came on was closed")
    context.record(rule, failure or fault, Verdict.FAIL if failure else Verdict.WARN)
    return not failure


async def _send(
    context: CheckContext, connection: CheckedConnection, data: bytes, key: PropertyKey
) -> str:
    """Send bad input, and return what is wrong with the answer to the sentinel, or ""."""
    factor = 1 + len(data) / _BYTES_PER_TIMEOUT
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


async def check_exit(context: CheckContext, at_start: set[PropertyKey]) -> None:
    """End the program's input in two ways, and start it on one socket; the connection is lost."""
    context.start_rule("eof")
    context.record("eof", await _end_input(context, context.connection, "eof"))
    context.start_rule("eof-cut")
    connection = await context.open()
    await context.request_all(connection)
    await connection.send(_UNFINISHED, seconds=context.options.timeout)
    context.record("eof-cut", await _end_input(context, connection, "eof-cut"))
    context.start_rule("one-socket")
    connection = await context.open(one_socket=True)
    await context.request_all(connection)
    received = connection.received
    defined = {key for key in at_start if any(is_definition(each, key) for each in received)}
    missing = show_keys(at_start - defined)
    context.record("one-socket", f"not defined: {missing}" if missing else "")
    connection.close()


async def _end_input(context: CheckContext, connection: CheckedConnection, rule: str) -> str:
    """End a program's input, and return what is wrong with its exit, or ""."""
    timing = context.timing
    start = trio.current_time()
    await connection.send_eof(seconds=context.options.timeout)
    end = ""
    with trio.move_on_after(timing.give_up):
        end = await connection.peer.wait_ended()
    taken = trio.current_time() - start
    connection.close()
    if not end:
        return f"it has not ended after {timing.give_up:g} s"
    result = f"{end}, after {taken:.1f} s"
    context.remark(rule, result)
    return result if taken > timing.exit or "SIG" in end else ""


async def check_half_close(context: CheckContext) -> None:
    context.start_rule("half-close")
    key, seconds = context.any_key(), context.options.timeout
    async with context.borrow() as connection:
        await connection.send(getProperties(*key), seconds=seconds)
        await connection.send_eof(seconds=seconds)
        answered = await connection.wait_for(lambda each: is_definition(each, key), seconds)
    context.record("half-close", "" if answered else "nothing came")


async def check_cut_off(context: CheckContext) -> None:
    context.start_rule("cut-off")
    async with context.borrow() as connection:
        await connection.send(_UNFINISHED, seconds=context.options.timeout)
        await connection.wait_unexpected()
    await context.connection.wait_unexpected()
    context.record("cut-off", await _check_other_client(context, context.any_key()))
    await context.ensure_alive()


async def check_slow_reader(context: CheckContext) -> None:
    """Ask again and again on a connection, and read none of the answers."""
    context.start_rule("slow-reader")
    peer = await context.target.connect()
    try:
        with trio.move_on_after(context.options.timeout):
            await peer.stream.send_all(encode(getProperties()) * _QUERIES)
    except trio.BrokenResourceError:
        context.remark("slow-reader", "it was disconnected")
    try:
        await context.connection.wait_unexpected()
        context.record("slow-reader", await _check_other_client(context, context.any_key()))
    finally:
        await peer.aclose()
    await context.ensure_alive()
