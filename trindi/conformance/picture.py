"""What a peer has defined and said since: its properties, and the rules between elements.

Whether a definition changes, and whether a report fits its definition, shows only beside what came
before. This module knows no streams.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from trindi.conformance.elements import switch_faults
from trindi.errors import ProtocolError
from trindi.protocol import (
    ELEMENT_OF,
    DefVector,
    Kind,
    Permission,
    Rule,
    SetVector,
    State,
    defSwitchVector,
    delProperty,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trindi.conformance.wire import Raw, Seen

__all__ = ["Finding", "Picture", "Place", "Property", "place_of", "show_place"]

Place: TypeAlias = tuple[str, str]
"""A device and the name of a property."""

Finding: TypeAlias = tuple[str, str]
"""The name of a rule that was looked at, and what is wrong, or ""."""

_FIXED: Final = ("label", "group", "perm", "rule")
_FIXED_OF_MEMBERS: Final = ("name", "label", "format")


def show_place(place: Place) -> str:
    """Return a place as the command-line tools write it."""
    return ".".join(filter(None, place))


def place_of(item: Any) -> Place:
    """Return what an event, or what could be read of an element, is about."""
    return (getattr(item, "devicename", None) or "", getattr(item, "vectorname", None) or "")


class Property:
    """One property: its definition, and its values as they were said last.

    Attributes:
        place: its device and its name.
        definition: the last one.
        values: of its members, by name.
        state: its state.
    """

    def __init__(self, definition: DefVector, raw: Raw) -> None:
        self.place: Place = place_of(definition)
        self.definition: Any = definition
        self.raw = raw
        self.values: dict[str, Any] = dict(definition)
        self.state: State | None = definition.state

    @property
    def kind(self) -> Kind:
        """What its members are."""
        kind = ELEMENT_OF[type(self.definition)].kind
        assert kind is not None, "it is a vector"
        return kind

    @property
    def rule(self) -> Rule:
        """How many of its switches may be On."""
        assert isinstance(self.definition, defSwitchVector)
        return self.definition.rule

    @property
    def writable(self) -> bool:
        """Whether a client may write it."""
        return self.definition.perm is not Permission.RO

    @property
    def on(self) -> list[str]:
        """Those of its switches that are On."""
        return [name for name, value in self.values.items() if value == "On"]


class Picture:
    """All properties of all devices, as far as they can be read."""

    def __init__(self) -> None:
        self.properties: dict[Place, Property] = {}
        # Told once that a definition cannot be read, nobody need hear that its reports have none.
        self._unread: set[Place] = set()

    def devices(self) -> dict[str, tuple[str, ...]]:
        """Return the names of the properties of each device."""
        found: dict[str, tuple[str, ...]] = {}
        for device, name in self.properties:
            found[device] = (*found.get(device, ()), name)
        return found

    def take(self, seen: Seen) -> Iterator[Finding]:
        """Take in what was seen, and yield what it breaks of the rules between elements."""
        item = seen.item
        if isinstance(item, DefVector) and seen.raw is not None:
            yield from self._define(item, seen.raw)
        elif isinstance(item, SetVector):
            yield from self._report(item)
        elif isinstance(item, delProperty):
            self._delete(*place_of(item))
        elif isinstance(item, ProtocolError):
            self._unread.add(place_of(item))

    def _define(self, definition: DefVector, raw: Raw) -> Iterator[Finding]:
        place = place_of(definition)
        before = self.properties.get(place)
        if before is not None:
            yield "def-same", _difference(show_place(place), before.raw, raw)
        self.properties[place] = Property(definition, raw)
        self._unread.discard(place)

    def _delete(self, device: str, name: str) -> None:
        for place in list(self.properties):
            if device in ("", place[0]) and name in ("", place[1]):
                del self.properties[place]

    def _report(self, report: SetVector) -> Iterator[Finding]:
        place = place_of(report)
        known = self.properties.get(place)
        if known is None:
            if place not in self._unread:
                yield "set-defined", f"{show_place(place)} is reported, and is not defined"
            return
        yield "set-defined", _strangers(known, report)
        if known.kind is not ELEMENT_OF[type(report)].kind:
            return
        if known.kind is not Kind.BLOB:
            yield "set-whole", _missing(known, report)
            known.values.update({k: v for k, v in report.items() if k in known.values})
        known.state = report.state or known.state
        if known.kind is Kind.SWITCH:
            faults = list(switch_faults(show_place(place), known.rule, known.on))
            yield from (("set-rule", fault) for fault in faults or [""])


def _strangers(known: Property, report: SetVector) -> str:
    """Say what of a report was not defined, or ""."""
    element = ELEMENT_OF[type(report)]
    if known.kind is not element.kind:
        return f"{show_place(known.place)} is reported by {element.xml}, and is {known.raw.name}"
    names = [name for name in report if name not in known.values]
    return f"{show_place(known.place)} has no member {', '.join(names)}" if names else ""


def _missing(known: Property, report: SetVector) -> str:
    names = [name for name in known.values if name not in report]
    return f"{show_place(known.place)} is reported without {', '.join(names)}" if names else ""


def _difference(place: str, before: Raw, after: Raw) -> str:
    """Say what is not as it was defined before, or ""; limits and values may change."""
    if before.name != after.name:
        return f"{place} was {before.name}, and is {after.name}"
    for name in _FIXED:
        old, new = before.attributes.get(name), after.attributes.get(name)
        if old != new:
            return f"{place} had the {name} {old!r}, and has {new!r}"
    old_members, new_members = map(_fixed_members, (before, after))
    if old_members != new_members:
        return f"{place} has other members, labels or formats than before"
    return ""


def _fixed_members(raw: Raw) -> list[tuple[str | None, ...]]:
    return [
        tuple(member.attributes.get(name) for name in _FIXED_OF_MEMBERS) for member in raw.members
    ]
