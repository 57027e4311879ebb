"""Checks getProperties in each of its forms.

Nothing here changes a property. To a server each form is sent on a new connection, so that the
answers to other requests cannot be mistaken for its answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trindi.conformance.context import PeerLostError
from trindi.conformance.observed import (
    UNKNOWN_DEVICE,
    UNKNOWN_NAME,
    defines,
    is_definition,
    key_of,
    show_key,
    show_keys,
)
from trindi.protocol import enableBLOB, getProperties, pingReply, pingRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trindi.conformance.connection import CheckedConnection
    from trindi.conformance.context import CheckContext
    from trindi.conformance.observed import PropertyKey
    from trindi.conformance.scanner import Observation

__all__ = ["check_queries", "check_start", "undefined_keys"]

_MAX_UNANSWERED: Final = 5
"""Properties not defined by name, after which sentinels are not asked for by name any more."""


async def check_start(context: CheckContext) -> None:
    """Listen before the first request, then ask for everything."""
    connection = context.connection
    # A server is there already, but a program has to start.
    seconds = context.start_timeout if context.is_program else context.options.timeout
    context.start_rule("ask-first")
    await connection.wait_quiet(context.timing.early, context.timing.early)
    early = [each.raw.address for each in connection.received if each.raw and not _snoops(each)]
    context.start_rule("ask-all")
    is_answered = await context.request_all(seconds=seconds)
    if connection.received:
        # A silent peer passes this rule trivially; do not count it.
        context.findings.record("ask-first", f"{early[0]} came unasked for" if early else "")
    if is_answered:
        context.findings.record("ask-all")
        context.findings.remark("ask-all", f"{len(context.snapshot)} properties are defined")
        return
    words = context.passive.last_words
    end = f"it has not answered for {seconds:g} s"
    end = await connection.describe_end() if connection.ended else end
    fault = f"nothing was defined: {end}{f', and said: {words}' if words else ''}"
    context.findings.record("ask-all", fault)
    raise PeerLostError("nothing was defined")


def _snoops(observation: Observation) -> bool:
    return isinstance(observation.item, (getProperties, enableBLOB))


async def check_queries(context: CheckContext) -> None:
    """Send getProperties in each form."""
    context.start_rule("ask-again")
    await _check_again(context)
    for device in context.snapshot.names_by_device():
        context.start_rule("ask-device")
        await _check_device(context, device)
        key = context.key_of_device(device)
        # The device may have been deleted by now.
        if key is not None:
            context.start_rule("ask-property")
            await _check_alone(context, key)
    await _check_each(context)
    context.start_rule("ask-star")
    await _check_star(context)
    await _check_unknown(context, "ask-nobody", UNKNOWN_DEVICE, None)
    await _check_unknown(context, "ask-nothing", context.any_key()[0], UNKNOWN_NAME)
    if not context.is_program:
        await _check_ping(context)


async def undefined_keys(
    context: CheckContext,
    connection: CheckedConnection,
    request: getProperties,
    keys: Iterable[PropertyKey],
) -> str:
    """Send a request, and list those of the keys that are not defined in time."""
    left = set(keys)
    seconds = context.options.timeout

    def look(observation: Observation) -> bool:
        key = key_of(observation.item)
        if is_definition(observation, key):
            left.discard(key)
        return not left

    connection.clear()
    await connection.send(request, seconds=seconds)
    await connection.wait_for(look, seconds)
    # A property may have been deleted by now.
    return show_keys(left.intersection(context.snapshot.keys))


def _defined(connection: CheckedConnection) -> list[PropertyKey]:
    """Return the key of each definition since `clear`."""
    return [key_of(each.item) for each in connection.received if defines(each)]


async def _check_again(context: CheckContext) -> None:
    keys = context.snapshot.keys
    left = await undefined_keys(context, context.connection, getProperties(), keys)
    context.findings.record("ask-again", f"not defined again: {left}" if left else "")


async def _check_device(context: CheckContext, device: str) -> None:
    known = {key for key in context.snapshot.keys if key[0] == device}
    async with context.borrow() as connection:
        left = await undefined_keys(context, connection, getProperties(device), known)
        await connection.wait_unexpected()
        others = show_keys({key for key in _defined(connection) if key[0] != device})
    asked = f"{device} was asked for, and"
    context.findings.record("ask-device", f"{asked} not defined: {left}" if left else "")
    context.findings.record("ask-device", f"{asked} defined: {others}" if others else "")


async def _check_alone(context: CheckContext, key: PropertyKey) -> None:
    """Ask for one property on a connection that asks for nothing else."""
    async with context.borrow() as connection:
        left = await undefined_keys(context, connection, getProperties(*key), [key])
        await connection.wait_unexpected()
        others = show_keys(set(_defined(connection)) - {key})
        named = {key_of(each.item) for each in connection.received if key_of(each.item)[0]}
    asked = f"{show_key(key)} was asked for, and"
    context.findings.record("ask-property", f"{asked} not defined" if left else "")
    context.findings.record("ask-property", f"{asked} defined: {others}" if others else "")
    if not context.is_program:
        more = show_keys(named - {key})
        context.findings.record("only-asked", f"{asked} heard of: {more}" if more else "")


async def _check_each(context: CheckContext) -> None:
    """Ask for each property by name, until too many are not answered."""
    for key in context.snapshot.keys:
        if await context.exchange(sentinel=key) is not None:
            context.findings.record("ask-property")
        elif context.snapshot.find(*key):
            end = await context.connection.describe_end()
            context.findings.record("ask-property", f"{show_key(key)} was asked for: {end}")
            context.unanswered.add(key)
            if context.connection.ended or len(context.unanswered) == _MAX_UNANSWERED:
                context.by_name = False
                await context.ensure_alive()
                return


async def _check_star(context: CheckContext) -> None:
    keys = context.snapshot.keys
    async with context.borrow() as connection:
        left = await undefined_keys(context, connection, getProperties("*"), keys)
        end = f" ({await connection.describe_end()})" if connection.ended else ""
    context.findings.record("ask-star", f"not defined: {left}{end}" if left else "")
    await context.ensure_alive()


async def _check_unknown(context: CheckContext, rule: str, device: str, name: str | None) -> None:
    """Ask for an unknown name; more definitions than the sentinel brings are its answer."""
    context.start_rule(rule)
    async with context.borrow() as connection:
        usual = await _count_definitions(context, connection)
        count = await _count_definitions(context, connection, getProperties(device, name))
        unanswered = connection.ended or not count
        end = await connection.describe_end() if unanswered else ""
    surplus = count - usual
    context.findings.record(rule, f"{surplus} definitions came" if surplus > 0 else end)
    await context.ensure_alive()


async def _count_definitions(
    context: CheckContext, connection: CheckedConnection, *requests: getProperties
) -> int:
    await context.exchange(*requests, sentinel=context.any_key(), connection=connection)
    await connection.wait_unexpected()
    return len(_defined(connection))


async def _check_ping(context: CheckContext) -> None:
    context.start_rule("ping")
    reply = pingReply("trindi check")
    seconds = context.options.timeout
    async with context.borrow() as connection:
        await connection.send(pingRequest(reply.uid), seconds=seconds)
        answered = await connection.wait_for(lambda each: each.item == reply, seconds)
    context.findings.record("ping", "" if answered else "it was not answered")
