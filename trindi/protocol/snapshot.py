"""The present definitions and values of a stream: events in, current definitions out.

A `Snapshot` keeps one record for each property that is defined: a `Property`, or a class of its
user's own. It keeps no payloads of BLOBs, and is bounded in bytes. Pure: no I/O, no clock.
"""

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar

from trindi.protocol import events
from trindi.protocol.elements import ELEMENT_OF, ELEMENTS, Kind
from trindi.protocol.event_class import replace
from trindi.protocol.matching import covered_devices
from trindi.protocol.values import State

MAX_SNAPSHOT_BYTES: Final = 64 * 1024 * 1024
"""Bytes that a snapshot keeps: enough for tens of thousands of members."""

# What an entry takes beyond its texts, roughly: a property with its device, a member.
_PROPERTY: Final = 3000
_MEMBER: Final = 500


class Record(Protocol):
    """What a `Snapshot` keeps for a property."""

    @property
    def kind(self) -> Kind:
        """The kind of its members."""

    def define(self, event: Any, /) -> bool:
        """Take another definition; return whether it says anything new."""

    def update(self, event: Any, /) -> None:
        """Take a set… element of the same kind."""

    def growth(self, event: Any, /) -> int:
        """Return by how many bytes an update with this event would make it larger."""


class Property:
    """One property of a stream: its current values (None for a BLOB) and state.

    An event takes time in proportion to its size; the definition is merged when it is read.
    """

    __slots__ = ("_changes", "_definition", "_limits", "state", "values")
    values: Mapping[str, Any]
    state: State

    def __init__(self, definition: events.DefVector) -> None:
        self._take(definition)

    @property
    def kind(self) -> Kind:
        """The kind of its members."""
        return kind_of(self._definition)

    @property
    def definition(self) -> events.DefVector:
        """The definition, with what later set… elements have changed; they leave its message."""
        if self._changes:
            self._take(self._merged())
        return self._definition

    def define(self, event: events.DefVector) -> bool:
        """Take another definition; return whether it says anything new but its time and message."""
        known = self.definition
        changed = replace(event, timestamp=known.timestamp, message=known.message) != known
        self._take(event)
        return changed

    def update(self, event: events.SetVector) -> None:
        """Take a set… element of the same kind; pass over members that are not defined."""
        changes = self._changes
        for name in ("state", "timeout", "timestamp"):
            value = getattr(event, name, None)
            if value is not None:
                changes[name] = value
        if event.state is not None:
            self.state = event.state
        if type(event) is events.setBLOBVector:
            return
        values = changes.get("members")
        if values is None:
            # The definition, which may be in use, keeps its own.
            self.values = values = changes["members"] = dict(self.values)
        for name, value in event.members.items():
            if name in values:
                values[name] = value
        if type(event) is events.setNumberVector:
            self._limits |= {n: limits for n, limits in event.limits.items() if n in values}

    def growth(self, event: events.SetVector) -> int:
        """Return by how many bytes an update with this event makes it larger."""
        return text_growth(event, self.values.get)

    def as_set(self) -> events.SetVector:
        """Return the values, the state and the timeout as a set… element."""
        known: Any = self.definition
        fields = {"state": known.state}
        if type(known) is not events.defLightVector:
            fields["timeout"] = known.timeout
        if type(known) is not events.defBLOBVector:
            fields["members"] = known.members
        cls = ELEMENTS[f"set{self.kind.value}Vector"].cls
        event: events.SetVector = cls(known.devicename, known.vectorname, **fields)
        return event

    def _take(self, definition: events.DefVector) -> None:
        self._definition = definition
        self._changes: dict[str, Any] = {}
        self._limits: dict[str, events.Limits] = {}
        self.values = definition.members
        self.state = definition.state

    def _merged(self) -> events.DefVector:
        known: Any = self._definition
        if type(known) is events.defNumberVector:
            # Their texts are those of older numbers.
            self._changes["text"] = {}
            labels = {
                name: known.memberlabels[name]._replace(**limits._asdict())
                for name, limits in self._limits.items()
                if name in known.memberlabels
            }
            self._changes["memberlabels"] = {**known.memberlabels, **labels}
        merged: events.DefVector = replace(known, **self._changes)
        return merged


class Effect(Enum):
    """What an event did to a snapshot."""

    DEFINED = "defined"  # a property that was unknown
    REDEFINED = "redefined"  # the definition of a known property says something new
    REPEATED = "repeated"  # it says nothing new but its time and message
    UPDATED = "updated"  # by a set… element
    DELETED = "deleted"  # a property, or all that there are of a device, or all
    UNKNOWN = "unknown"  # ignored: the property is not defined, or of another kind
    REFUSED = "refused"  # ignored: the snapshot has no room for the event
    NONE = "none"  # the event is a message


P = TypeVar("P", bound=Record)
D = TypeVar("D", bound=Property)


class Change(NamedTuple, Generic[P]):
    """What an event did to a snapshot, and the records that it did it to."""

    effect: Effect
    records: tuple[P, ...] = ()


class Snapshot(Generic[P]):
    """The properties that a stream has defined and not deleted, in the order of definition.

    Iterating yields their records, which `make` makes from first definitions. An event that would
    take more than `max_bytes` is refused.

    Attributes:
        devices: device name → property name → record. Do not change it.
        bytes: how much is kept, roughly.
        ignored: how many events were UNKNOWN or REFUSED.
    """

    def __init__(self, make: Callable[[Any], P], *, max_bytes: int = MAX_SNAPSHOT_BYTES) -> None:
        self._make = make
        self._max_bytes = max_bytes
        self._sizes: dict[tuple[str, str], int] = {}
        self.devices: dict[str, dict[str, P]] = {}
        self.bytes = 0
        self.ignored = 0

    def __iter__(self) -> Iterator[P]:
        for properties in self.devices.values():
            yield from properties.values()

    def __len__(self) -> int:
        return len(self._sizes)

    def find(self, devicename: str, vectorname: str) -> P | None:
        """Return the record of a property, or None where it is not defined."""
        return self.devices.get(devicename, {}).get(vectorname)

    def matching(self, devicename: str | None = None, vectorname: str | None = None) -> list[P]:
        """Return the records that a getProperties with these names asks for."""
        names = self._names(devicename, vectorname)
        return [self.devices[device][vector] for device, vector in names]

    def definitions(
        self: "Snapshot[D]", devicename: str | None = None, vectorname: str | None = None
    ) -> list[events.DefVector]:
        """Return the current definitions that a getProperties with these names asks for."""
        return [record.definition for record in self.matching(devicename, vectorname)]

    def clear(self) -> None:
        """Forget all properties."""
        self.bytes -= sum(self._sizes.values())
        self._sizes.clear()
        self.devices.clear()

    def reserve(self, count: int) -> bool:
        """Count bytes that the user keeps beside the records; False where there is no room.

        A negative count frees them.
        """
        if self.bytes + count > self._max_bytes:
            return False
        self.bytes += count
        return True

    def apply(self, event: events.SnoopEvent) -> Change[P]:
        """Take the next event of the stream, and return what it did."""
        if isinstance(event, events.Message):
            return Change(Effect.NONE)
        if isinstance(event, events.delProperty):
            return self._delete(event)
        if isinstance(event, events.SetVector):
            return self._update(event)
        return self._define(event)

    def _define(self, event: events.DefVector) -> Change[P]:
        names = event.devicename, event.vectorname
        size, before = _size_of(event), self._sizes.get(names, 0)
        if not self.reserve(size - before):
            return self._ignore(Effect.REFUSED)
        self._sizes[names] = size
        record = self.find(*names)
        if record is None:
            record = self._make(event)
            self.devices.setdefault(event.devicename, {})[event.vectorname] = record
            return Change(Effect.DEFINED, (record,))
        changed = record.define(event)
        return Change(Effect.REDEFINED if changed else Effect.REPEATED, (record,))

    def _update(self, event: events.SetVector) -> Change[P]:
        record = self.find(event.devicename, event.vectorname)
        if record is None or record.kind is not ELEMENT_OF[type(event)].kind:
            return self._ignore(Effect.UNKNOWN)
        growth = record.growth(event)
        if growth:
            if not self.reserve(growth):
                return self._ignore(Effect.REFUSED)
            self._sizes[event.devicename, event.vectorname] += growth
        record.update(event)
        return Change(Effect.UPDATED, (record,))

    def _delete(self, event: events.delProperty) -> Change[P]:
        names = self._names(event.devicename, event.vectorname)
        if not names and event.vectorname is not None:
            return self._ignore(Effect.UNKNOWN)
        return Change(Effect.DELETED, tuple([self._remove(*one) for one in names]))

    def _remove(self, devicename: str, vectorname: str) -> P:
        self.bytes -= self._sizes.pop((devicename, vectorname))
        properties = self.devices[devicename]
        record = properties.pop(vectorname)
        if not properties:
            del self.devices[devicename]
        return record

    def _ignore(self, effect: Effect) -> Change[P]:
        self.ignored += 1
        return Change(effect)

    def _names(self, devicename: str | None, vectorname: str | None) -> list[tuple[str, str]]:
        names = covered_devices(devicename, self.devices)
        found = ((name, self.devices[name]) for name in names)
        if vectorname is None:
            return [(device, name) for device, properties in found for name in properties]
        return [(device, vectorname) for device, properties in found if vectorname in properties]


def kind_of(event: events.DefVector | events.SetVector) -> Kind:
    kind = ELEMENT_OF[type(event)].kind
    assert kind is not None, "it is a vector"
    return kind


def text_growth(event: events.SetVector, value: Callable[[str], Any]) -> int:
    """Return by how much the texts of an event are longer than those that `value` returns."""
    if type(event) is not events.setTextVector:
        return 0
    known = ((text, value(name)) for name, text in event.members.items())
    return sum(len(text) - len(before) for text, before in known if before is not None)


def _size_of(event: Any) -> int:
    """Return roughly the bytes that a definition takes."""
    texts = [event.devicename, event.vectorname, event.label, event.group, event.message]
    for name, value in event.members.items():
        # A label of a number is a tuple, with its format.
        texts += [name, str(event.memberlabels.get(name, "")), str(value)]
    return _PROPERTY + _MEMBER * len(event.members) + sum(map(len, texts))
