"""Checks how a program ends, alone or on one socket, and how a server treats several clients.

These checks end the peer or open further connections, so they come last; only the second client of
a server is opened at the start, and stays connected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trindi.conformance.observed import PropertyKey, is_definition, key_of, show_keys
from trindi.conformance.queries import undefined_keys
from trindi.conformance.robustness import UNFINISHED
from trindi.protocol import getProperties

if TYPE_CHECKING:
    from trindi.conformance.connection import CheckedConnection
    from trindi.conformance.context import CheckContext


async def check_exit(context: CheckContext, at_start: set[PropertyKey]) -> None:
    """End the program's input in two ways, and start it on one socket.

    The main connection cannot be used afterwards. A new run defines the properties `at_start`.
    """
    context.start_rule("eof")
    context.record("eof", await _end_input(context, context.connection, "eof"))
    context.start_rule("eof-cut")
    connection = await context.open()
    await context.request_all(connection)
    await connection.send(UNFINISHED, seconds=context.options.timeout)
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


async def check_second_client(context: CheckContext) -> None:
    """Connect a second client that asks for everything, enables no BLOBs, and stays."""
    context.start_rule("two-clients")
    connection = await context.open()
    keys = context.snapshot.keys
    missing = await undefined_keys(context, connection, getProperties(), keys)
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


async def check_half_close(context: CheckContext) -> None:
    """Ask for a definition, and close the sending half of the connection at once."""
    context.start_rule("half-close")
    key, seconds = context.any_key(), context.options.timeout
    async with context.borrow() as connection:
        await connection.send(getProperties(*key), seconds=seconds)
        await connection.send_eof(seconds=seconds)
        answered = await connection.wait_for(lambda each: is_definition(each, key), seconds)
    context.record("half-close", "" if answered else "nothing came")
