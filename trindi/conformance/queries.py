"""Checks getProperties in each of its forms, and what clients receive that ask differently.

Nothing here changes a property. To a server each form is sent on a new connection, so that the
answers to other requests cannot be mistaken for its answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trindi.conformance.context import CheckContext, PeerLostError
from trindi.conformance.observed import (
    UNKNOWN_DEVICE,
    UNKNOWN_NAME,
    PropertyKey,
    defines,
    is_definition,
    key_of,
    show_key,
    show_keys,
)
from trindi.protocol import enableBLOB, getProperties, pingReply, pingRequest
from trindi.visible import join_names

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trindi.conformance.connection import CheckedConnection
    from trindi.conformance.scanner import Observation

_MAX_UNANSWERED: Final = 5  # properties not defined by name; then sentinels are not asked for by it


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
        context.record("ask-first", f"{early[0]} came unasked for" if early else "")
    if is_answered:
        context.record("ask-all")
        context.remark("ask-all", f"{len(context.snapshot)} properties are defined")
        return
    silent = f"it has not answered for {seconds:g} s"
    end = await connection.describe_end() if connection.ended else silent
    said = f", and said: {words}" if (words := context.passive.last_words) else ""
    context.record("ask-all", f"nothing was defined: {end}{said}")
    raise PeerLostError("nothing was defined")


def _snoops(observation: Observation) -> bool:
    return isinstance(observation.item, (getProperties, enableBLOB))


async def check_queries(context: CheckContext) -> None:
    context.start_rule("ask-again")
    keys = context.snapshot.keys
    left = await _undefined_keys(context, context.connection, getProperties(), keys)
    context.record("ask-again", f"not defined again: {left}" if left else "")
    for device in context.snapshot.names_by_device():
        await _check_only(context, "ask-device", device)
        key = context.find_key(device)
        # The device may have been deleted by now.
        if key is not None:
            await _check_only(context, "ask-property", *key)
    await _check_each(context)
    context.start_rule("ask-star")
    await _check_star(context)
    await _check_unknown(context, "ask-nobody", UNKNOWN_DEVICE, None)
    await _check_unknown(context, "ask-nothing", context.any_key()[0], UNKNOWN_NAME)
    if not context.is_program:
        await _check_ping(context)


async def _undefined_keys(
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
    return [key_of(each.item) for each in connection.received if defines(each)]


async def _check_only(
    context: CheckContext, rule: str, device: str, name: str | None = None
) -> None:
    """Ask for a device, or one property, on a connection that asks for nothing else."""
    context.start_rule(rule)
    asked = (device, name) if name else (device,)
    wanted = {key for key in context.snapshot.keys if key[: len(asked)] == asked}
    async with context.borrow() as connection:
        left = await _undefined_keys(context, connection, getProperties(device, name), wanted)
        await connection.wait_unexpected()
        others = {key for key in _defined(connection) if key[: len(asked)] != asked}
        named = {key_of(each.item) for each in connection.received if key_of(each.item)[0]}
    about = f"{join_names(*asked)} was asked for, and"
    context.record(rule, f"{about} not defined: {left}" if left else "")
    context.record(rule, f"{about} defined: {show_keys(others)}" if others else "")
    if name and not context.is_program:
        more = show_keys(named - wanted)
        context.record("only-asked", f"{about} heard of: {more}" if more else "")


async def _check_each(context: CheckContext) -> None:
    """Ask for each property by name, until too many are not answered."""
    for key in context.snapshot.keys:
        if await context.exchange(sentinel=key) is not None:
            context.record("ask-property")
        elif context.snapshot.find(*key):
            end = await context.connection.describe_end()
            context.record("ask-property", f"{show_key(key)} was asked for: {end}")
            context.unanswered.add(key)
            if context.connection.ended or len(context.unanswered) == _MAX_UNANSWERED:
                context.by_name = False
                await context.ensure_alive()
                return


async def _check_star(context: CheckContext) -> None:
    keys = context.snapshot.keys
    async with context.borrow() as connection:
        left = await _undefined_keys(context, connection, getProperties("*"), keys)
        end = f" ({await connection.describe_end()})" if connection.ended else ""
    context.record("ask-star", f"not defined: {left}{end}" if left else "")
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
    context.record(rule, f"{surplus} definitions came" if surplus > 0 else end)
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
    context.record("ping", "" if answered else "it was not answered")


async def check_second_client(context: CheckContext) -> None:
    """Connect a second client that asks for everything, enables no BLOBs, and stays."""
    context.start_rule("two-clients")
    connection = await context.open()
    keys = context.snapshot.keys
    missing = await _undefined_keys(context, connection, getProperties(), keys)
    context.record("two-clients", f"not defined: {missing}" if missing else "")
    context.passive.without_blobs = connection


async def check_idle_client(context: CheckContext) -> None:
    """Connect a client that asks for nothing, and look at what it receives when others ask."""
    context.start_rule("only-asked")
    async with context.borrow() as idle:
        await context.exchange(sentinel=context.any_key())
        await idle.wait_unexpected()
        named = {key_of(each.item) for each in idle.received if key_of(each.item)[0]}
    fault = f"nothing was asked for, and heard of: {show_keys(named)}" if named else ""
    context.record("only-asked", fault)
