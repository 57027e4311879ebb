"""Sends bad input, and sees whether it is survived (protocol §9).

A program is fed on its standard input, and must answer afterwards. A server is fed on a connection
of its own, which it may close; another client must notice nothing. By default nothing is sent to a
server that is known to kill one, or that would reach its drivers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from trindi.conformance.hostile import HALF, INPUTS, aim_at
from trindi.conformance.rules import Verdict
from trindi.conformance.session import BEHIND, definitions
from trindi.protocol import encode, getProperties

if TYPE_CHECKING:
    from trindi.conformance.link import Link
    from trindi.conformance.picture import Place
    from trindi.conformance.session import Session

__all__ = ["check_cut_off", "check_inputs", "check_slow_reader"]

_MB: Final = 1000 * 1000

_SILENT: Final = "it does not answer any more"

_QUESTIONS_THEMSELVES: Final = ("bad-comment", "bad-version")

_QUESTIONS: Final = 500
"""How often is asked without reading: more than the buffers of any kernel hold of the answers."""

_RESYNC: Final = b";</oneText></newTextVector>\n"
"""Where a bare ``&`` is taken for a reference, this ends that, and the element it is in (§1.2)."""


async def check_inputs(session: Session) -> None:
    """Send each bad input, until one is not survived, and begin again for the next rule.

    Raises:
        GoneError: it is not to be had again.
    """
    for rule, make in INPUTS.items():
        if not session.allows(rule):
            continue
        session.begin(rule)
        place = session.some_place()
        hostile = session.is_program or session.options.hostile
        for data in make(aim_at(place, session.properties, hostile=hostile)):
            survived = await _attack(session, rule, data, place)
            if not survived:
                await session.revive()
                break


async def _attack(session: Session, rule: str, data: bytes, place: Place) -> bool:
    """Send one bad input and judge what comes of it; returns whether it was survived."""
    deleted = session.judge.deleted
    async with session.fresh() as link:
        fault = await _feed(session, link, data, place)
        if rule in _QUESTIONS_THEMSELVES:
            # The sentinel may be the answer to the bad input, and what comes of that still to come.
            await session.pause(link)
        if rule == "bad-comment" and len(definitions(link, place)) > 1:
            fault = "what stood in the comment was carried out"
        fate = await link.fate() if link.ended else ""
    if session.is_program:
        gone = fate or (fault if fault == _SILENT else "")
    else:
        gone = await _bystander(session, place)
        if session.judge.deleted > deleted:
            gone = gone or BEHIND
        if fate and not gone:
            session.ledger.remark(rule, "the connection that it came on was closed")
    session.ledger.judge(rule, gone or fault, Verdict.FAIL if gone else Verdict.WARN)
    return not gone


async def _feed(session: Session, link: Link, data: bytes, place: Place) -> str:
    """Send it, and say what became of the question behind it, or ""."""
    timeout = 1 + len(data) / _MB
    if await session.exchange(data, place=place, link=link, timeout=timeout) or link.ended:
        return ""
    if await session.exchange(_RESYNC, place=place, link=link) or link.ended:
        return "the element behind it was lost"
    return _SILENT


async def _bystander(session: Session, place: Place) -> str:
    """Say why another client is not answered, or ""."""
    if await session.exchange(place=place):
        return ""
    return f"another client is not answered: {await session.link.fate()}"


# What only a server is given ---------------------------------------------------------------------


async def check_cut_off(session: Session) -> None:
    """Close a connection in the middle of an element."""
    session.begin("cut-off")
    async with session.fresh() as link:
        await link.send(HALF, seconds=session.options.timeout)
        await session.pause(link)
    await session.pause()
    session.ledger.judge("cut-off", await _bystander(session, session.some_place()))
    await session.mend()


async def check_slow_reader(session: Session) -> None:
    """Ask again and again on a connection, and read nothing of what comes."""
    session.begin("slow-reader")
    peer = await session.target.connect()
    try:
        with trio.move_on_after(session.options.timeout):
            await peer.stream.send_all(encode(getProperties()) * _QUESTIONS)
    except trio.BrokenResourceError:
        session.ledger.remark("slow-reader", "it was sent away")
    try:
        await session.pause()
        session.ledger.judge("slow-reader", await _bystander(session, session.some_place()))
    finally:
        await peer.aclose()
    await session.mend()
