"""The properties that a peer has defined, and the rules that hold between its elements.

Whether a definition changes, or a report fits its definition, shows only beside what came before.
This module knows no streams.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast
from xml.sax.saxutils import quoteattr

from trindi.conformance.element_checks import switch_faults
from trindi.errors import ProtocolError
from trindi.protocol import (
    ELEMENT_OF,
    DefVector,
    Effect,
    Kind,
    Permission,
    Property,
    Rule,
    SetVector,
    Snapshot,
    SwitchState,
    delProperty,
    is_unknown,
)
from trindi.visible import join_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from trindi.conformance.scanner import Observation, RawElement

PropertyKey: TypeAlias = tuple[str, str]  # the names of a device and of a property
UNKNOWN_DEVICE: Final = "trindi check: nobody"  # no peer has it
UNKNOWN_NAME: Final = "TRINDI_CHECK_NOTHING"  # no peer has such a property or member
_FIXED: Final = ("label", "group", "perm", "rule")
_FIXED_OF_MEMBERS: Final = ("name", "label", "format")


def show_key(key: PropertyKey) -> str:
    return join_names(*filter(None, key))


def show_keys(keys: Iterable[PropertyKey]) -> str:
    """List the first three keys and count the others; "" for none."""
    shown = sorted(map(show_key, keys))
    more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
    return f"{', '.join(shown[:3])}{more}"


def attributes_of(key: PropertyKey) -> str:
    return f"device={quoteattr(key[0])} name={quoteattr(key[1])}"


def key_of(item: Any) -> PropertyKey:
    """Return the key of an event, or what could be read of a faulty element's key."""
    return (getattr(item, "devicename", None) or "", getattr(item, "vectorname", None) or "")


def defines(observation: Observation) -> bool:
    """Whether this is a definition, legal or not."""
    if isinstance(observation.item, ProtocolError):
        return (observation.item.element or "").startswith("def")
    return isinstance(observation.item, DefVector)


def is_definition(observation: Observation, key: PropertyKey) -> bool:
    """Whether this defines that property, legally or not."""
    return defines(observation) and key_of(observation.item) == key


class ObservedProperty(Property):
    """One property, and its latest definition as received and as written, without reports."""

    received: Any
    raw: RawElement

    @property
    def key(self) -> PropertyKey:
        return key_of(self.received)

    @property
    def labels(self) -> Mapping[str, Any]:
        return cast("Mapping[str, Any]", self.received.memberlabels)

    @property
    def rule(self) -> Rule:
        return cast("Rule", self.received.rule)

    @property
    def writable(self) -> bool:
        return self.received.perm is not Permission.RO

    def is_within(self, name: str) -> bool:
        """Whether a number is known, and within its limits, or has none."""
        label, value = self.labels[name], self.values[name]
        if label.min >= label.max:
            return not is_unknown(value)
        return bool(label.min <= value <= label.max)

    @property
    def on(self) -> list[str]:
        return [name for name, value in self.values.items() if value == SwitchState.ON]


class ObservedSnapshot(Snapshot[ObservedProperty]):
    """The properties of all devices, as far as their definitions can be read."""

    def __init__(self) -> None:
        super().__init__(ObservedProperty)
        # Reports of these are no findings: their unreadable definitions are.
        self._unreadable: set[PropertyKey] = set()

    @property
    def keys(self) -> list[PropertyKey]:
        return [(device, name) for device, names in self.devices.items() for name in names]

    def names_by_device(self) -> dict[str, tuple[str, ...]]:
        return {device: tuple(names) for device, names in self.devices.items()}

    def observe(self, observation: Observation) -> Iterator[tuple[str, str]]:
        """Update the properties; yield each rule that was checked, and its fault or ""."""
        item = observation.item
        if isinstance(item, DefVector) and observation.raw is not None:
            yield from self._observe_definition(item, observation.raw)
        elif isinstance(item, SetVector):
            yield from self._observe_report(item, observation.raw)
        elif isinstance(item, delProperty):
            self.apply(item)
        elif isinstance(item, ProtocolError):
            self._unreadable.add(key_of(item))

    def _observe_definition(
        self, definition: DefVector, raw: RawElement
    ) -> Iterator[tuple[str, str]]:
        key = key_of(definition)
        before = self.find(*key)
        if before is not None:
            yield "def-same", _difference(show_key(key), before.raw, raw)
        for known in self.apply(definition).records:
            known.received, known.raw = definition, raw
        self._unreadable.discard(key)

    def _observe_report(
        self, report: SetVector, raw: RawElement | None
    ) -> Iterator[tuple[str, str]]:
        key = key_of(report)
        known = self.find(*key)
        if known is None:
            if key not in self._unreadable:
                yield "set-defined", f"{show_key(key)} is reported, and is not defined"
            return
        yield "set-defined", _undefined(known, report)
        if self.apply(report).effect is not Effect.UPDATED:
            return
        if known.kind is not Kind.BLOB:
            # One without a legal value is not in the event; another rule finds fault with that.
            there = {member.attributes.get("name") for member in raw.members} if raw else set()
            missing = [name for name in known.values if name not in report and name not in there]
            fault = f"{show_key(key)} is reported without {', '.join(missing)}"
            yield "set-whole", fault if missing else ""
        if known.kind is Kind.SWITCH:
            faults = list(switch_faults(show_key(key), known.rule, known.on))
            yield from (("set-rule", fault) for fault in faults or [""])


def _undefined(known: ObservedProperty, report: SetVector) -> str:
    """Describe what of a report was not defined, or return ""."""
    element = ELEMENT_OF[type(report)]
    if known.kind is not element.kind:
        return f"{show_key(known.key)} is reported by {element.xml}, and is {known.raw.name}"
    names = [name for name in report if name not in known.values]
    return f"{show_key(known.key)} has no member {', '.join(names)}" if names else ""


def _difference(address: str, before: RawElement, after: RawElement) -> str:
    """Describe what a new definition changes, or return ""; limits and values may change."""
    if before.name != after.name:
        return f"{address} was {before.name}, and is {after.name}"
    for name in _FIXED:
        old, new = before.attributes.get(name), after.attributes.get(name)
        if old != new:
            return f"{address} had the {name} {old!r}, and has {new!r}"
    if _fixed_members(before) != _fixed_members(after):
        return f"{address} has other members, labels or formats than before"
    return ""


def _fixed_members(raw: RawElement) -> list[tuple[str | None, ...]]:
    return [
        tuple(member.attributes.get(name) for name in _FIXED_OF_MEMBERS) for member in raw.members
    ]
