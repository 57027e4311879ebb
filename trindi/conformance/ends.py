"""What a program does at the end of its input and on one socket, and a server with its clients.

These begin again with a peer of their own, or end the one there is, so they come last; but for the
second client of a server, which is there from the first to the last. This module knows no elements.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from trindi.conformance.asking import left_over, listed
from trindi.conformance.hostile import HALF
from trindi.conformance.picture import place_of
from trindi.conformance.session import definitions, is_definition
from trindi.protocol import getProperties

if TYPE_CHECKING:
    from trindi.conformance.link import Link
    from trindi.conformance.picture import Place
    from trindi.conformance.session import Session

__all__ = ["check_ends", "check_half_close", "check_idle", "check_second_client"]

_PROMPT: Final = 3.0
"""Seconds for a driver to end: a second or so, and as much again for a busy machine."""

_LONG: Final = 10.0
"""Seconds after which nobody waits for it any more."""


# A program ---------------------------------------------------------------------------------------


async def check_ends(session: Session, at_start: set[Place]) -> None:
    """End the program by the end of its input, in three ways.

    Args:
        session: the check; its link is of no use any more afterwards.
        at_start: what a program defines that was just started.

    Raises:
        UnreachableError: it cannot be started any more.
    """
    session.begin("eof")
    session.ledger.judge("eof", await _end(session, session.link, "eof"))
    session.begin("eof-cut")
    link = await session.open()
    await session.ask_all(link)
    await link.send(HALF, seconds=session.options.timeout)
    session.ledger.judge("eof-cut", await _end(session, link, "eof-cut"))
    session.begin("one-socket")
    link = await session.open(one_socket=True)
    await session.ask_all(link)
    missing = listed(at_start - {place for place in at_start if definitions(link, place)})
    session.ledger.judge("one-socket", f"not defined: {missing}" if missing else "")
    link.close()


async def _end(session: Session, link: Link, rule: str) -> str:
    """End the input of a program, and say what is wrong with how it ends, or ""."""
    start = trio.current_time()
    await link.finish(seconds=session.options.timeout)
    how = ""
    with trio.move_on_after(_LONG):
        how = await link.peer.wait_ended()
    taken = trio.current_time() - start
    link.close()
    if not how:
        return f"it has not ended after {_LONG:g} s"
    session.ledger.remark(rule, f"{how}, after {taken:.1f} s")
    if taken > _PROMPT or "SIG" in how:
        return f"{how}, after {taken:.1f} s"
    return ""


# A server ----------------------------------------------------------------------------------------


async def check_second_client(session: Session) -> Link:
    """Connect a second client that asks for everything; it stays, and is never told of BLOBs.

    Raises:
        UnreachableError: there is no second connection.
    """
    session.begin("two-clients")
    link = await session.open()
    known = set(session.picture.properties)
    missing = listed(await left_over(session, link, getProperties(), known))
    session.ledger.judge("two-clients", f"not defined: {missing}" if missing else "")
    session.judge.without_blobs = link
    return link


async def check_idle(session: Session) -> None:
    """Connect a client that asks for nothing, and see what it is told of when others ask."""
    session.begin("only-asked")
    async with session.fresh() as idle:
        await session.exchange(place=session.some_place())
        await session.pause(idle)
        told = {place_of(seen.item) for seen in idle.heard if place_of(seen.item)[0]}
    fault = f"nothing was asked for, and heard of: {listed(told)}" if told else ""
    session.ledger.judge("only-asked", fault)


async def check_half_close(session: Session) -> None:
    """Ask, and end our half of the connection at once."""
    session.begin("half-close")
    place = session.some_place()
    async with session.fresh() as link:
        await link.send(getProperties(*place), seconds=session.options.timeout)
        await link.finish(seconds=session.options.timeout)
        wanted = session.options.timeout
        answered = await link.wait_for(lambda seen: is_definition(seen, place), wanted)
    session.ledger.judge("half-close", "" if answered else "nothing came")
