"""Makes requests, and judges what comes back: those that must be refused, and those that must not.

Where a request is taken that had to be refused, no more of its kind are made: a driver that is so
broken may be moving something. Values are only written where the user has allowed it, and then as
they are.
"""

from __future__ import annotations

import math
from itertools import count, islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from trindi.conformance.asking import NOBODY, NOTHING
from trindi.conformance.picture import place_of, show_place
from trindi.conformance.refusals import FOREIGN, REFUSED, Request, new
from trindi.conformance.rules import Verdict
from trindi.conformance.session import BEHIND
from trindi.protocol import (
    DefVector,
    Kind,
    Message,
    Rule,
    SetVector,
    State,
    number_to_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from trindi.conformance.picture import Place, Property
    from trindi.conformance.session import Answer, Session
    from trindi.conformance.wire import Seen

__all__ = ["check_refusals", "check_writing"]

Form: TypeAlias = "Callable[[Property], dict[str, str]]"

_LATE: Final = 0.5
"""Seconds for a refusal that comes after the sentinel."""


# What must be refused ----------------------------------------------------------------------------


async def check_refusals(session: Session) -> None:
    """Make the requests that must be refused.

    Raises:
        GoneError: it has ended over one, and is not to be had again.
    """
    session.judge.echoes = not session.is_program
    for rule, requests in REFUSED:
        if session.allows(rule):
            session.begin(rule)
            await _check_rule(session, rule, requests)
    for device in session.picture.devices():
        for rule, make in FOREIGN:
            place = session.place_in(device)
            # The device may have gone over the one before.
            if place is not None:
                session.begin(rule)
                await _try(session, rule, make(place))


async def _check_rule(
    session: Session, rule: str, requests: Callable[[Property], Iterator[Request]]
) -> None:
    for place in list(session.picture.properties):
        for number in count():
            # Made anew each time: values and limits may be others by now, or the property gone.
            known = session.picture.properties.get(place)
            request = next(islice(requests(known), number, None), None) if known else None
            if request is None:
                break
            await _try(session, rule, request)
            if session.ledger.has_fault(rule):
                return


async def _try(session: Session, rule: str, request: Request) -> None:
    """Make one request; judge what became of it, and whether anybody was told."""
    with session.judge.trying(request.place):
        await _try_and_judge(session, rule, request)


async def _try_and_judge(session: Session, rule: str, request: Request) -> None:
    before = dict(session.picture.properties[request.place].values)
    deleted = session.judge.deleted
    answer = await session.exchange(request.data, place=request.place)
    what = f"{show_place(request.place)}: {request.about}"
    if answer is None:
        gone = session.judge.deleted > deleted
        session.ledger.judge(rule, f"{what}: {BEHIND if gone else await session.link.fate()}")
        await session.revive()
        return
    if answer.definition is None:
        session.ledger.judge(rule, f"{what}, and its definition cannot be read any more")
        return
    if session.judge.deleted > deleted:
        session.ledger.judge(rule, f"{what}: {BEHIND}")
        return
    fault = request.taken(before, dict(answer.definition))
    session.ledger.judge(rule, f"{what} was taken: {fault}" if fault else "")
    if fault:
        session.judge.spoil(request.place)
    if rule in dict(FOREIGN):
        _judge_foreign(session, rule, answer, what)
    else:
        await _judge_telling(session, request, what)


async def _judge_telling(session: Session, request: Request, what: str) -> None:
    """Judge whether the one who asked is told; it need not be before the sentinel."""

    def tells(seen: Seen) -> bool:
        item: Any = seen.item
        if isinstance(item, Message):
            return item.devicename in (None, request.place[0])
        return isinstance(item, SetVector) and place_of(item) == request.place

    # Once it is known that it keeps silent, there is no need to wait for it again.
    seconds = 0 if session.ledger.has_fault("refusal-said") else _LATE
    told = await session.link.wait_for(tells, seconds)
    session.ledger.judge("refusal-said", "" if told else f"{what}: no answer")


def _judge_foreign(session: Session, rule: str, answer: Answer, what: str) -> None:
    """Judge whether something came into being by being asked for."""
    for seen in answer.heard:
        device, name = place_of(seen.item)
        if isinstance(seen.item, (DefVector, SetVector)) and (device == NOBODY or name == NOTHING):
            session.ledger.judge(rule, f"{what}: it was answered by {type(seen.item).__name__}")


# What must be taken ------------------------------------------------------------------------------


async def check_writing(session: Session) -> None:
    """Write what may be written, with the values as they are.

    Raises:
        GoneError: it has ended over one, and is not to be had again.
    """
    for place in list(session.picture.properties):
        for rule, form in _FORMS:
            if await _write_as_it_is(session, place, rule, form):
                # Then there is no telling what the next form of the same request would show.
                break
        await session.mend()


async def _write_as_it_is(session: Session, place: Place, rule: str, form: Form) -> str:
    """Write a property once, with the values that it has now, and say what is wrong, or ""."""
    known = session.picture.properties.get(place)
    if known is None or not form(known):
        return ""
    session.begin(rule)
    # A value may have changed by what was written before, and the news be still on its way.
    answer = await session.exchange(place=place)
    known = session.picture.properties.get(place)
    members = form(known) if known else {}
    if known is None or not members:
        return ""
    before = dict(known.values)
    if answer is None:
        # What it is now, nobody knows: then it is not written.
        written = Written(f"it was asked for its values first: {await session.link.fate()}")
    else:
        written = await write(session, known, members)
    fault = written.fault or _cut(session, known, before)
    what = f"{show_place(place)} with {', '.join(members)}"
    # A device may well refuse what it is told now, for reasons of its own.
    mild = Verdict.WARN if written.refused and rule == "write-answered" else None
    session.ledger.judge(rule, f"{what}: {fault}" if fault else "", mild)
    return fault


def _cut(session: Session, known: Property, before: Mapping[str, Any]) -> str:
    """Say which number has lost all behind its first component, or ""."""
    now = session.picture.properties.get(known.place)
    if now is None or known.kind is not Kind.NUMBER:
        return ""
    for name, value in now.values.items():
        if value != before.get(name) and value == math.trunc(before.get(name, value)):
            return f"{name} was {before[name]:g}, and became {value:g}"
    return ""


class Written(NamedTuple):
    """What came of a request.

    Attributes:
        fault: what is wrong with the answer, or "".
        refused: that is that it is an Alert.
    """

    fault: str = ""
    refused: bool = False


def _as_it_is(known: Property) -> dict[str, str]:
    """Return all members with their values as text; none where they cannot be written."""
    if not known.writable:
        return {}
    if known.kind is Kind.NUMBER and _is_within(known):
        return {name: number_to_text(value) for name, value in known.values.items()}
    if known.kind is Kind.SWITCH and (known.on or known.rule is Rule.ANY_OF_MANY):
        return {name: str(value) for name, value in known.values.items()}
    return dict(known.values) if known.kind is Kind.TEXT else {}


def _in_part(known: Property) -> dict[str, str]:
    """Return the first of several members; of switches, that might break their rule."""
    texts = _as_it_is(known)
    if known.kind is Kind.SWITCH or len(texts) < 2:
        return {}
    return dict(islice(texts.items(), 1))


def _in_three_components(known: Property) -> dict[str, str]:
    """Return numbers, of which the first is sexagesimal."""
    texts = _as_it_is(known) if known.kind is Kind.NUMBER else {}
    return texts | {name: _sexagesimal(known.values[name]) for name in islice(texts, 1)}


_FORMS: Final[tuple[tuple[str, Form], ...]] = (
    ("write-answered", _as_it_is),
    ("write-partial", _in_part),
    ("write-sexagesimal", _in_three_components),
)
"""The rules, and what makes the members of the request, as text."""


def _is_within(known: Property) -> bool:
    """Whether the numbers are such that they can be written back."""
    labels = known.definition.memberlabels
    return all(
        labels[name].min >= labels[name].max or labels[name].min <= value <= labels[name].max
        for name, value in known.values.items()
    )


def _sexagesimal(value: float) -> str:
    """Write a number in three components; the last one to a thousandth."""
    minutes, seconds = divmod(round(abs(value) * 3600, 3), 60)
    degrees, minutes = divmod(minutes, 60)
    return f"{'-' if value < 0 else ''}{degrees:.0f}:{minutes:02.0f}:{seconds:06.3f}"


async def write(session: Session, known: Property, members: Mapping[str, str]) -> Written:
    """Write some members of a property, and wait until that has come to an end."""
    link, timeout = session.link, session.options.timeout
    timeout = max(timeout, getattr(known.definition, "timeout", 0.0))
    reports: list[Any] = []

    def reported(seen: Seen) -> bool:
        if isinstance(seen.item, SetVector) and place_of(seen.item) == known.place:
            reports.append(seen.item)
        return bool(reports)

    def ended(seen: Seen) -> bool:
        return reported(seen) and reports[-1].state is not State.BUSY

    link.forget()
    await link.send(new(known.kind, known.place, members), seconds=timeout)
    if not await link.wait_for(reported, timeout):
        return Written(await link.fate())
    if not await link.wait_for(ended, timeout):
        return Written(f"it is Busy after {timeout:g} s, and its timeout is over")
    if reports[-1].state is State.ALERT:
        return Written(f"it was answered with Alert {reports[-1].message}".rstrip(), refused=True)
    return Written()
