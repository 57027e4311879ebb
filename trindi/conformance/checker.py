"""The whole check in order: listen, ask, apply settings, ask in each form, make requests, attack.

The checks with the least effect come first. Each part is a module of its own; this one calls them,
and turns the loss of the peer into the end of the report.
"""

from __future__ import annotations

import trio

from trindi.conformance import queries, requests, robustness
from trindi.conformance.context import CheckContext, PeerLostError
from trindi.conformance.options import Options, ProgressCallback, SettingError
from trindi.conformance.report import Findings, Report
from trindi.conformance.rules import Needs
from trindi.conformance.targets import Target, UnreachableError


async def check(
    target: Target,
    options: Options = Options(),  # noqa: B008 - immutable
    progress: ProgressCallback = lambda _heading, _what: None,
) -> Report:
    """Check a driver or a server against the rules.

    `progress` is called as each step begins, with a heading of `GROUPS` and the name of a rule, or
    with another heading and what is done. If cancelled, a program that was started is killed.

    Raises:
        UnreachableError: the target cannot be started or connected to.
        SettingError: a setting of the options cannot be made.
    """
    findings = Findings(_missing_needs(target, options))
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        context = CheckContext(target, findings, options, nursery, progress)
        try:
            progress("Starting" if context.is_program else "Connecting", target.name)
            context.connection = await context.open()
            await _check_all(context)
        except (UnreachableError, SettingError) as error:
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    outcomes = findings.outcomes()
    return Report(target.name, target.kind, context.devices, outcomes, findings.ended)


def _missing_needs(target: Target, options: Options) -> frozenset[Needs]:
    is_program = target.kind == "program"
    met = {
        Needs.PROGRAM: is_program,
        Needs.SERVER: not is_program,
        Needs.WRITE: options.write,
        Needs.PRIVATE: is_program or options.write,
        Needs.HOSTILE: options.hostile,
    }
    return frozenset(need for need, is_met in met.items() if not is_met)


async def _check_all(context: CheckContext) -> None:
    """Check all rules until the peer is lost, with the most disruptive checks last."""
    options, is_program = context.options, context.is_program
    try:
        await queries.check_start(context)
        at_start = set(context.snapshot.keys)
        if not is_program:
            await queries.check_second_client(context)
        await requests.apply_settings(context)
        context.devices = context.snapshot.names_by_device()
        await queries.check_queries(context)
        await requests.check_refusals(context)
        if options.write:
            await requests.check_writing(context)
        if not is_program:
            await queries.check_idle_client(context)
            await robustness.check_half_close(context)
            await robustness.check_cut_off(context)
        await robustness.check_bad_inputs(context)
        if is_program:
            await robustness.check_exit(context, at_start)
        elif options.hostile:
            await robustness.check_slow_reader(context)
    except (PeerLostError, UnreachableError) as error:
        context.findings.ended = str(error)
    context.passive.check_times()
