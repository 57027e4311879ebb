"""Sends requests and checks the answers: requests to refuse, requests to take, and the settings.

After a request was taken that had to be refused, no more of its kind are sent: a driver that is so
broken may be moving something. Values are only written if the user allows it, and then as they are.
"""

from __future__ import annotations

import math
from itertools import count, islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from trindi.conformance.context import DRIVER_ENDED, CheckContext
from trindi.conformance.invalid_requests import (
    INVALID_REQUESTS,
    UNKNOWN_TARGET_RULES,
    InvalidRequest,
    MakeRequests,
    new_vector,
    unknown_target,
)
from trindi.conformance.observed import (
    UNKNOWN_DEVICE,
    UNKNOWN_NAME,
    ObservedProperty,
    PropertyKey,
    is_definition,
    key_of,
    show_key,
)
from trindi.conformance.options import Setting, SettingError, split_setting
from trindi.conformance.rules import Verdict
from trindi.protocol import (
    DefVector,
    Kind,
    Message,
    Rule,
    SetVector,
    State,
    SwitchState,
    number_to_text,
    parse_number,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trindi.conformance.scanner import Observation

MemberTexts: TypeAlias = "Callable[[ObservedProperty], dict[str, str]]"


async def check_refusals(context: CheckContext) -> None:
    context.passive.ignore_unknown = not context.is_program
    for rule, make_requests in INVALID_REQUESTS.items():
        if context.findings.allows(rule):
            context.start_rule(rule)
            await _check_rule(context, rule, make_requests)
    for device in context.snapshot.names_by_device():
        for rule in UNKNOWN_TARGET_RULES:
            key = context.find_key(device)
            # The request before may have ended the device.
            if key is not None:
                context.start_rule(rule)
                await _check_refusal(context, rule, unknown_target(rule, key))


async def _check_rule(context: CheckContext, rule: str, make_requests: MakeRequests) -> None:
    for key in context.snapshot.keys:
        for number in count():
            # Made anew each time: values and limits may have changed, or the property be deleted.
            known = context.snapshot.find(*key)
            request = next(islice(make_requests(known), number, None), None) if known else None
            if request is None:
                break
            await _check_refusal(context, rule, request)
            if context.findings.has_fault(rule):
                return


async def _check_refusal(context: CheckContext, rule: str, request: InvalidRequest) -> None:
    """Send one request; record whether it was refused, and whether the client was told."""
    with context.passive.deferring_values(request.key):
        known = context.snapshot.find(*request.key)
        before = dict(known.values) if known else {}
        deleted = context.passive.deleted
        answer = await context.exchange(request.data, sentinel=request.key)
        about = f"{show_key(request.key)}: {request.about}"
        driver_ended = context.passive.deleted > deleted
        definitions = [each.item for each in answer or () if is_definition(each, request.key)]
        if answer is None:
            end = DRIVER_ENDED if driver_ended else await context.connection.describe_end()
            context.record(rule, f"{about}: {end}")
            await context.restart()
        elif not isinstance(definition := definitions[-1], DefVector):
            context.record(rule, f"{about}, and its definition cannot be read any more")
        elif driver_ended:
            context.record(rule, f"{about}: {DRIVER_ENDED}")
        else:
            effect = request.effect(before, dict(definition))
            context.record(rule, f"{about} was taken: {effect}" if effect else "")
            if effect:
                context.passive.excluded.add(request.key)
            if rule in UNKNOWN_TARGET_RULES:
                _check_unknown_target(context, rule, answer, about)
            else:
                await _check_told(context, request, about)


async def _check_told(context: CheckContext, request: InvalidRequest, about: str) -> None:
    """Record whether the client is told; the message may come after the sentinel."""

    def tells(observation: Observation) -> bool:
        item: Any = observation.item
        if isinstance(item, Message):
            return item.devicename in (None, request.key[0])
        return isinstance(item, SetVector) and key_of(item) == request.key

    # After the first silent refusal, waiting for another message would only take time.
    is_known = context.findings.has_fault("refusal-said")
    told = await context.connection.wait_for(tells, 0 if is_known else context.timing.refusal)
    context.record("refusal-said", "" if told else f"{about}: no answer")


def _check_unknown_target(
    context: CheckContext, rule: str, answer: list[Observation], about: str
) -> None:
    """Record whether the request has created a device or property."""
    for item in [each.item for each in answer]:
        device, name = key_of(item)
        is_new = device == UNKNOWN_DEVICE or name == UNKNOWN_NAME
        if is_new and isinstance(item, (DefVector, SetVector)):
            context.record(rule, f"{about}: it was answered by {type(item).__name__}")


async def check_writing(context: CheckContext) -> None:
    """Write each writable property, with the values that it has."""
    for key in context.snapshot.keys:
        for rule, texts in _WRITE_RULES:
            if await _check_write(context, key, rule, texts):
                # After a fault, another form of the same request shows nothing reliable.
                break
        await context.ensure_alive()


async def _check_write(
    context: CheckContext, key: PropertyKey, rule: str, texts: MemberTexts
) -> str:
    """Write a property once with its current values; return the fault, or ""."""
    known = context.snapshot.find(*key)
    if known is None or not texts(known):
        return ""
    context.start_rule(rule)
    # An earlier write may have changed a value, and the report still be on its way.
    answer = await context.exchange(sentinel=key)
    known = context.snapshot.find(*key)
    members = texts(known) if known else {}
    if known is None or not members:
        return ""
    before = dict(known.values)
    if answer is None:
        # Without the current values, nothing is written.
        end = await context.connection.describe_end()
        fault, refused = f"it was asked for its values first: {end}", False
    else:
        fault, refused = await _write(context, known, members)
    fault = fault or _truncated(context, known, before)
    about = f"{show_key(key)} with {', '.join(members)}"
    # A device may refuse a legal request for reasons of its own.
    verdict = Verdict.WARN if refused and rule == "write-answered" else None
    context.record(rule, f"{about}: {fault}" if fault else "", verdict)
    return fault


def _truncated(context: CheckContext, known: ObservedProperty, before: Mapping[str, Any]) -> str:
    """Describe a number that lost all behind its first component, or return ""."""
    now = context.snapshot.find(*known.key)
    if now is None or known.kind is not Kind.NUMBER:
        return ""
    for name, value in now.values.items():
        if value != before.get(name) and value == math.trunc(before.get(name, value)):
            return f"{name} was {before[name]:g}, and became {value:g}"
    return ""


def _current_texts(known: ObservedProperty) -> dict[str, str]:
    """Return all members with their values; none if they cannot be written."""
    if not known.writable:
        return {}
    if known.kind is Kind.NUMBER and all(map(known.is_within, known.values)):
        return {name: number_to_text(value) for name, value in known.values.items()}
    if known.kind is Kind.SWITCH and (known.on or known.rule is Rule.ANY_OF_MANY):
        return {name: str(value) for name, value in known.values.items()}
    return dict(known.values) if known.kind is Kind.TEXT else {}


def _first_text(known: ObservedProperty) -> dict[str, str]:
    """Return the first of several members; not of switches, where that may break the rule."""
    texts = _current_texts(known)
    if known.kind is Kind.SWITCH or len(texts) < 2:
        return {}
    return dict(islice(texts.items(), 1))


def _sexagesimal_texts(known: ObservedProperty) -> dict[str, str]:
    texts = _current_texts(known) if known.kind is Kind.NUMBER else {}
    return texts | {name: _sexagesimal(known.values[name]) for name in islice(texts, 1)}


_WRITE_RULES: Final[tuple[tuple[str, MemberTexts], ...]] = (
    ("write-answered", _current_texts),
    ("write-partial", _first_text),
    ("write-sexagesimal", _sexagesimal_texts),
)


def _sexagesimal(value: float) -> str:
    minutes, seconds = divmod(round(abs(value) * 3600, 3), 60)
    degrees, minutes = divmod(minutes, 60)
    return f"{'-' if value < 0 else ''}{degrees:.0f}:{minutes:02.0f}:{seconds:06.3f}"


async def _write(
    context: CheckContext, known: ObservedProperty, members: Mapping[str, str]
) -> tuple[str, bool]:
    """Write, and wait until it is not Busy; return the fault or "", and whether it is an Alert."""
    connection, timeout = context.connection, context.options.timeout
    timeout = max(timeout, getattr(known.received, "timeout", 0.0))
    reports: list[Any] = []

    def is_reported(observation: Observation) -> bool:
        if isinstance(observation.item, SetVector) and key_of(observation.item) == known.key:
            reports.append(observation.item)
        return bool(reports)

    def is_complete(observation: Observation) -> bool:
        return is_reported(observation) and reports[-1].state is not State.BUSY

    connection.clear()
    await connection.send(new_vector(known.kind, known.key, members), seconds=timeout)
    if not await connection.wait_for(is_reported, timeout):
        return await connection.describe_end(), False
    if not await connection.wait_for(is_complete, timeout):
        return f"it is Busy after {timeout:g} s, and its timeout is over", False
    if reports[-1].state is State.ALERT:
        return f"it was answered with Alert {reports[-1].message}".rstrip(), True
    return "", False


async def apply_settings(context: CheckContext) -> None:
    """Make the settings of the options in order; raise `SettingError` if one cannot be made."""
    for each in context.options.settings:
        setting = split_setting(each) if isinstance(each, str) else each
        context.report_progress("Setting", str(setting))
        try:
            known, text = _legal_setting(context, setting)
        except ValueError as error:
            fault = str(error)
        else:
            fault, _ = await _write(context, known, {setting.member: text})
        if fault:
            raise SettingError(f"cannot set {str(setting)!r}: {fault}")
        # The setting may cause more definitions, or an image.
        await context.connection.wait_settled()


def _legal_setting(context: CheckContext, setting: Setting) -> tuple[ObservedProperty, str]:
    """Return the property, and the value as it is sent; refuse what its definition forbids."""
    known = context.snapshot.find(*setting.key)
    if known is None:
        raise ValueError(f"there is no {show_key(setting.key)}")
    if setting.member not in known.values:
        raise ValueError(f"there is no member {setting.member}")
    if not known.writable or known.kind in (Kind.BLOB, Kind.LIGHT):
        raise ValueError("it cannot be written")
    text = setting.value.capitalize() if known.kind is Kind.SWITCH else setting.value
    if known.kind is Kind.SWITCH and text not in list(SwitchState):
        raise ValueError("a switch is On or Off")
    if known.kind is Kind.NUMBER:
        parse_number(text)
    return known, text
