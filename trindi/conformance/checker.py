"""The whole check, in its order: listen, ask, set, ask in every way, try, write, attack, end.

What does least comes first. Each part is a module of its own; this one only calls them, and sees to
it that a peer that goes away ends the check and not the checker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from trindi.conformance.asking import check_asking, check_beginning
from trindi.conformance.ends import (
    check_ends,
    check_half_close,
    check_idle,
    check_second_client,
)
from trindi.conformance.report import Ledger, Report
from trindi.conformance.rules import Needs
from trindi.conformance.session import GoneError, Options, Progress, Session
from trindi.conformance.settings import SettingError, apply_settings
from trindi.conformance.surviving import check_cut_off, check_inputs, check_slow_reader
from trindi.conformance.targets import UnreachableError
from trindi.conformance.writing import check_refusals, check_writing

if TYPE_CHECKING:
    from trindi.conformance.picture import Place
    from trindi.conformance.targets import Target

__all__ = ["check"]


def _tell_nobody(_heading: str, _what: str) -> None:
    """Show no progress."""


async def check(
    target: Target,
    options: Options = Options(),  # noqa: B008 - frozen
    progress: Progress = _tell_nobody,
) -> Report:
    """Check a driver or a server against the rules.

    Args:
        target: what to check.
        options: how.
        progress: is called as each part begins, with the heading of `GROUPS`, or another one, and
            with the name of the rule, or something else that is done.

    Returns:
        What was found. If cancelled, the program that was started is killed.

    Raises:
        UnreachableError: it cannot be started, or connected to.
        SettingError: a setting of the options cannot be made.
    """
    ledger = Ledger(_missing(target, options))
    trouble: Exception | None = None
    async with trio.open_nursery() as nursery:
        session = Session(target, ledger, options, nursery, progress)
        try:
            progress("Starting" if session.is_program else "Connecting", target.name)
            session.link = await session.open()
            await _check_all(session)
        except (UnreachableError, SettingError) as error:
            trouble = error
        nursery.cancel_scope.cancel()
    if trouble is not None:
        raise trouble
    return Report(target.name, target.kind, session.devices, ledger.outcomes(), ledger.ended)


def _missing(target: Target, options: Options) -> frozenset[Needs]:
    """Return what is not there that a rule may need."""
    is_program = target.kind == "program"
    there = {
        Needs.PROGRAM: is_program,
        Needs.SERVER: not is_program,
        Needs.WRITE: options.write,
        Needs.PRIVATE: is_program or options.write,
        Needs.HOSTILE: options.hostile,
    }
    return frozenset(need for need, is_there in there.items() if not is_there)


async def _check_all(session: Session) -> None:
    """Check everything, as far as the peer lasts."""
    try:
        await check_beginning(session)
        at_start = set(session.picture.properties)
        if not session.is_program:
            await check_second_client(session)
        await apply_settings(session)
        session.devices = session.picture.devices()
        await check_asking(session)
        await check_refusals(session)
        if session.options.write:
            await check_writing(session)
        await _check_the_worst(session, at_start)
    except (GoneError, UnreachableError) as error:
        session.ledger.end_early(str(error))
    session.judge.judge_times()


async def _check_the_worst(session: Session, at_start: set[Place]) -> None:
    """Check what may end it, and its end."""
    if not session.is_program:
        await check_idle(session)
        await check_half_close(session)
        await check_cut_off(session)
    await check_inputs(session)
    if session.is_program:
        await check_ends(session, at_start)
    elif session.options.hostile:
        await check_slow_reader(session)
