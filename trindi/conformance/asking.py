"""Asking for definitions in each form that getProperties has, and what comes of it.

All of this only reads. The forms are asked on connections that have asked nothing else, where that
can be, so that what other clients ask for cannot be mistaken for an answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trindi.conformance.picture import Place, place_of, show_place
from trindi.conformance.session import GoneError, is_definition
from trindi.protocol import enableBLOB, getProperties, pingReply, pingRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trindi.conformance.link import Link
    from trindi.conformance.session import Session
    from trindi.conformance.wire import Seen

__all__ = ["NOBODY", "NOTHING", "check_asking", "check_beginning", "left_over", "listed"]

NOBODY: Final = "trindi check: nobody"
"""A device that there is not."""

NOTHING: Final = "TRINDI_CHECK_NOTHING"
"""A property, or a member, that there is not."""

_PATIENCE: Final = 5
"""Properties that are not defined by name, after which no more are asked for so."""

_FIRST: Final = 0.5
"""Seconds in which something may be said before it is asked for."""


async def check_beginning(session: Session) -> None:
    """Say nothing at first, then ask for everything.

    Raises:
        GoneError: nothing is defined.
    """
    link, seconds = session.link, session.first_patience
    session.begin("ask-first")
    await link.wait_quiet(_FIRST, _FIRST)
    early = [seen.raw.place for seen in link.heard if seen.raw and not _is_snooping(seen)]
    session.begin("ask-all")
    is_answered = await session.ask_all(seconds=seconds)
    if link.heard:
        # Who never says anything says nothing too early, but that is no merit.
        session.ledger.judge("ask-first", f"{early[0]} came unasked for" if early else "")
    if is_answered:
        session.ledger.judge("ask-all")
        count = len(session.picture.properties)
        session.ledger.remark("ask-all", f"{count} properties are defined")
        return
    said = f", and said: {session.judge.last_words}" if session.judge.last_words else ""
    fate = await link.fate() if link.ended else f"it has not answered for {seconds:g} s"
    session.ledger.judge("ask-all", f"nothing was defined: {fate}{said}")
    raise GoneError("nothing was defined")


def _is_snooping(seen: Seen) -> bool:
    return isinstance(seen.item, (getProperties, enableBLOB))


async def check_asking(session: Session) -> None:
    """Ask in each form.

    Raises:
        GoneError: it has ended over it, and is not to be had again.
    """
    session.begin("ask-again")
    await _check_again(session)
    for device in session.picture.devices():
        session.begin("ask-device")
        await _check_device(session, device)
        place = session.place_in(device)
        # It may have gone meanwhile.
        if place is not None:
            session.begin("ask-property")
            await _check_alone(session, place)
    await _check_each(session)
    session.begin("ask-star")
    await _check_star(session)
    await _check_none(session, "ask-nobody", NOBODY, None)
    await _check_none(session, "ask-nothing", session.some_place()[0], NOTHING)
    if not session.is_program:
        await _check_ping(session)


# By definitions ----------------------------------------------------------------------------------


async def left_over(
    session: Session, link: Link, question: getProperties, places: set[Place]
) -> set[Place]:
    """Ask, and return those of the places that are not defined in time."""
    left = set(places)
    seconds = session.options.timeout

    def look(seen: Seen) -> bool:
        place = place_of(seen.item)
        if is_definition(seen, place):
            left.discard(place)
        return not left

    link.forget()
    await link.send(question, seconds=seconds)
    await link.wait_for(look, seconds)
    # It may have been deleted meanwhile.
    return left & session.picture.properties.keys()


def _defined(link: Link) -> list[Place]:
    """Return what was defined, each time that it was."""
    places = [(seen, place_of(seen.item)) for seen in link.heard]
    return [place for seen, place in places if is_definition(seen, place)]


def listed(places: Iterable[Place]) -> str:
    """Show some of the places; "" for none."""
    shown = sorted(map(show_place, places))
    more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
    return f"{', '.join(shown[:3])}{more}"


async def _check_again(session: Session) -> None:
    known = set(session.picture.properties)
    left = listed(await left_over(session, session.link, getProperties(), known))
    session.ledger.judge("ask-again", f"not defined again: {left}" if left else "")


async def _check_device(session: Session, device: str) -> None:
    known = {place for place in session.picture.properties if place[0] == device}
    async with session.fresh() as link:
        left = listed(await left_over(session, link, getProperties(device), known))
        await session.pause(link)
        others = listed({place for place in _defined(link) if place[0] != device})
    asked = f"{device} was asked for"
    session.ledger.judge("ask-device", f"{asked}, and not defined: {left}" if left else "")
    session.ledger.judge("ask-device", f"{asked}, and defined: {others}" if others else "")


async def _check_alone(session: Session, place: Place) -> None:
    """Ask for one property, where nothing else was asked for, and see that nothing else comes."""
    async with session.fresh() as link:
        left = await left_over(session, link, getProperties(*place), {place})
        await session.pause(link)
        others = listed(set(_defined(link)) - {place})
        about = {place_of(seen.item) for seen in link.heard if place_of(seen.item)[0]}
    asked = f"{show_place(place)} was asked for"
    session.ledger.judge("ask-property", f"{asked}, and not defined" if left else "")
    session.ledger.judge("ask-property", f"{asked}, and defined: {others}" if others else "")
    if not session.is_program:
        more = listed(about - {place})
        session.ledger.judge("only-asked", f"{asked}, and heard of: {more}" if more else "")


async def _check_each(session: Session) -> None:
    """Ask for each property by its name; where that does not help, ask no more like that."""
    for place in list(session.picture.properties):
        if await session.exchange(place=place) is not None:
            session.ledger.judge("ask-property")
        elif place in session.picture.properties:
            fate = await session.link.fate()
            session.ledger.judge("ask-property", f"{show_place(place)} was asked for: {fate}")
            session.nameless.add(place)
            if session.link.ended or len(session.nameless) == _PATIENCE:
                session.by_name = False
                await session.mend()
                return


async def _check_star(session: Session) -> None:
    known = set(session.picture.properties)
    async with session.fresh() as link:
        left = listed(await left_over(session, link, getProperties("*"), known))
        fate = f" ({await link.fate()})" if link.ended else ""
    session.ledger.judge("ask-star", f"not defined: {left}{fate}" if left else "")
    await session.mend()


# By nothing --------------------------------------------------------------------------------------


async def _check_none(session: Session, rule: str, device: str, name: str | None) -> None:
    """Ask for what there is not, and count what is defined that else is not."""
    session.begin(rule)
    async with session.fresh() as link:
        usual = await _count(session, link)
        count = await _count(session, link, getProperties(device, name))
        fate = await link.fate() if link.ended or not count else ""
    surplus = count - usual
    session.ledger.judge(rule, f"{surplus} definitions came" if surplus > 0 else fate)
    await session.mend()


async def _count(session: Session, link: Link, *questions: getProperties) -> int:
    """Ask, and return how often something is defined, with the sentinel."""
    await session.exchange(*questions, place=session.some_place(), link=link)
    await session.pause(link)
    return len(_defined(link))


async def _check_ping(session: Session) -> None:
    session.begin("ping")
    reply = pingReply("trindi check")
    async with session.fresh() as link:
        await link.send(pingRequest(reply.uid), seconds=session.options.timeout)
        answered = await link.wait_for(lambda seen: seen.item == reply, session.options.timeout)
    session.ledger.judge("ping", "" if answered else "it was not answered")
