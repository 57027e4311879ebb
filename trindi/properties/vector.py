"""Vectors: named groups of members with a state, the properties of INDI.

A vector makes its own events: its definition, and reports of its values. It also says whether a
client's request is one that it allows. What it sends goes through the `EventSink` of its driver, so
that it needs to know neither tasks nor peers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar

from trindi.errors import ConfigurationError, RefusedError
from trindi.properties.members import Member, check_state, check_text
from trindi.protocol import (
    DefVector,
    Event,
    NewVector,
    Permission,
    SetVector,
    State,
    check_name,
    delProperty,
    setBLOBVector,
    to_float,
    to_utc,
)

if TYPE_CHECKING:
    from datetime import datetime

    from trindi.properties.device import Device

__all__ = ["EventSink", "ValueVector", "Vector"]

V = TypeVar("V")
M = TypeVar("M", bound=Member[Any])


class EventSink(Protocol):
    """What a driver offers its vectors and devices for sending."""

    def now(self) -> datetime:
        """The time that events are stamped with."""

    def ready(self) -> Awaitable[None]:
        """Raise where nothing can be sent; awaited, where the sender is cancelled."""

    async def yield_if_due(self) -> None:
        """After something was sent: let others have their turn now and then."""

    def publish(self, event: Event) -> None:
        """Send an event to whoever wants it, without waiting for any of them."""

    async def publish_blob(self, event: setBLOBVector) -> None:
        """Send BLOBs, waiting a bounded time for receivers that keep up."""

    async def in_thread(self, load: Callable[[], bytes]) -> bytes:
        """Call what takes long in a worker thread."""


class Vector(Mapping[str, V], Generic[M, V]):
    """What the five kinds of vector have in common: a mapping of member name to value.

    Attributes:
        name: printable ASCII, unique in its device.
        members: member name to member.
        device: the device it belongs to, once it does.
    """

    kind: ClassVar[str]
    _member: ClassVar[type[Member[Any]]]
    _def_event: ClassVar[type[Any]]
    _set_event: ClassVar[type[Any]]
    _new_event: ClassVar[type[Any] | None]

    def __init__(
        self, name: str, label: str | None, group: str, perm: str, state: str, members: Iterable[M]
    ) -> None:
        self.device: Device | None = None
        self._definition: DefVector | None = None
        self.name = check_name(name, "vector")
        self._label = check_text(name if label is None else label, "a label")
        self._group = check_text(group, "a group")
        self._enable = True
        self._perm = _check_perm(perm)
        self._state = check_state(state)
        self._timeout = 0.0
        self._members: dict[str, M] = {}
        self.members: Mapping[str, M] = MappingProxyType(self._members)
        for member in members:
            self._add(member)
        if not self.members:
            raise ConfigurationError(f"vector {name!r} has no members: give it at least one")

    def _add(self, member: M) -> None:
        if not isinstance(member, self._member):
            raise TypeError(
                f"members of a {type(self).__name__} are {self._member.__name__} instances, "
                f"not {type(member).__name__}"
            )
        if member.name in self.members:
            raise ConfigurationError(f"vector {self.name!r} has two members named {member.name!r}")
        if member.vector is not None:
            raise ConfigurationError(
                f"member {member.name!r} is part of vector {member.vector.name!r}: make another"
            )
        member.vector = self
        self._members[member.name] = member

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.devicename or '?'}.{self.name} {self.state}>"

    # The mapping -------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> V:
        value: V = self.member(name).membervalue
        return value

    def __setitem__(self, name: str, value: Any) -> None:
        member = self.member(name)
        self._assign(member, member.convert(value))

    def _assign(self, member: M, value: Any) -> None:
        """Give a member a value that it has converted."""
        member.assign(value)

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    # Two vectors are never equal for having the same values, and a vector can be a key.
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def update(self, values: Mapping[str, Any]) -> None:
        """Set several members, such as those of an event that a client sent.

        Raises:
            KeyError: a name that is no member's; then none is set.
            ValueError: a value that is not legal; then none is set.
        """
        checked = [(self.member(name), value) for name, value in values.items()]
        converted = [(member, member.convert(value)) for member, value in checked]
        for member, value in converted:
            self._assign(member, value)

    def member(self, name: str) -> M:
        """The member of this name.

        Raises:
            KeyError: there is none.
        """
        try:
            return self.members[name]
        except KeyError:
            known = ", ".join(self.members)
            raise KeyError(f"vector {self.name!r} has no member {name!r}, only {known}") from None

    # Attributes --------------------------------------------------------------------------------

    @property
    def label(self) -> str:
        """What a client shows; it learns of another one when the vector is defined again."""
        return self._label

    @label.setter
    def label(self, label: str) -> None:
        self._label = check_text(label, "a label")
        self.invalidate_definition()

    @property
    def group(self) -> str:
        """The tab under which a client shows it."""
        return self._group

    @group.setter
    def group(self, group: str) -> None:
        self._group = check_text(group, "a group")
        self.invalidate_definition()

    @property
    def enable(self) -> bool:
        """False: neither sends nor receives anything."""
        return self._enable

    @enable.setter
    def enable(self, enable: bool) -> None:
        self._enable = enable
        if self.device is not None:
            self.device.changes += 1

    @property
    def perm(self) -> Permission:
        """What clients may do, ``ro``, ``wo`` or ``rw``."""
        return self._perm

    @property
    def state(self) -> State:
        """Idle, Ok, Busy or Alert; what is sent next carries it."""
        return self._state

    @state.setter
    def state(self, state: str) -> None:
        self._state = check_state(state)
        self.invalidate_definition()

    @property
    def timeout(self) -> float:
        """Worst-case seconds to effect a change; 0 means at once, or unknown."""
        return self._timeout

    @timeout.setter
    def timeout(self, seconds: float | str) -> None:
        timeout = to_float(seconds)
        if timeout < 0:
            raise ConfigurationError(f"timeout {timeout:g} is below 0 seconds")
        self._timeout = timeout
        self.invalidate_definition()

    @property
    def devicename(self) -> str:
        """Name of its device, or "" before it has one."""
        return "" if self.device is None else self.device.devicename

    @property
    def driver(self) -> Any:
        """The driver its device belongs to, or None."""
        return None if self.device is None else self.device.driver

    @property
    def enabled(self) -> bool:
        """Whether both the vector and its device may send and receive."""
        return self._enable and (self.device is None or self.device.enable)

    # Events ------------------------------------------------------------------------------------

    @property
    def current_definition(self) -> DefVector:
        """The def…Vector event of what it is now: the same one, until something changes."""
        if self._definition is None:
            self._definition = self.definition()
        return self._definition

    def invalidate_definition(self) -> None:
        """Note that it must be defined anew for the next one who asks; members call this."""
        if self._definition is not None:
            self._definition = None
            if self.device is not None:
                self.device.changes += 1

    def definition(self, message: str = "", timestamp: datetime | None = None) -> DefVector:
        """Make the def…Vector event of what it is now."""
        definition: DefVector = self._def_event(
            devicename=self.devicename,
            vectorname=self.name,
            label=self.label,
            group=self.group,
            state=self._state,
            members={name: member.definition_value for name, member in self.members.items()},
            memberlabels={name: member.definition_label() for name, member in self.members.items()},
            timestamp=self._time(timestamp),
            message=check_text(message, "a message"),
            **self._extra_attributes(),
        )
        return definition

    def _extra_attributes(self) -> dict[str, Any]:
        """What the kind's definition says beside what all say."""
        return {"perm": self._perm, "timeout": self._timeout}

    def report(
        self, names: Iterable[str], message: str = "", timestamp: datetime | None = None
    ) -> SetVector:
        """Make the set…Vector event of some members as they are now."""
        return self._report([self.member(name) for name in names], message, self._time(timestamp))

    def _report(self, members: list[M], message: str, time: datetime) -> SetVector:
        values = {member.name: member.membervalue for member in self._sorted(members)}
        return self._reporting(values, check_text(message, "a message"), time)

    def _sorted(self, members: list[M]) -> list[M]:
        """The members in the order in which they are sent."""
        return members

    def status(self, message: str = "") -> SetVector:
        """Make the set…Vector event of all there is to tell; payloads of BLOBs are not."""
        return self.report(self.members, message)

    def _reporting(self, values: Mapping[str, Any], message: str, time: datetime) -> SetVector:
        """Make the set…Vector event of these values, in the order of its fields."""
        report: SetVector = self._set_event(
            self.devicename, self.name, values, self._state, self._timeout, time, message
        )
        return report

    def _time(self, timestamp: datetime | None) -> datetime:
        return self.sink.now() if timestamp is None else to_utc(timestamp)

    def check(self, event: NewVector) -> None:
        """Say whether a client may ask for this.

        Raises:
            RefusedError: it is not allowed; the text says why, for the client's eyes.
        """
        if type(event) is not self._new_event:
            asked = type(event).__name__.removeprefix("new").removesuffix("Vector")
            raise RefusedError(f"it is a {self.kind} vector, not a {asked} vector")
        if self._perm is Permission.RO:
            raise RefusedError("it is read-only")
        if not event.members:
            raise RefusedError("the request holds no members")
        for name in event:
            if name not in self.members:
                raise RefusedError(f"it has no member {name[:64]}")
        self._check_values(event)

    def _check_values(self, event: Any) -> None:
        """Check the values against whatever else the kind demands."""

    # Sending -----------------------------------------------------------------------------------

    @property
    def sink(self) -> EventSink:
        """The driver, as what sends.

        Raises:
            RuntimeError: the vector is not part of a driver.
        """
        device = self.device
        if device is None or device.driver is None:
            raise RuntimeError(
                f"vector {self.name!r} cannot send yet: put its device into an IPyDriver, "
                "and send while that runs"
            )
        sink: EventSink = device.driver.sink
        return sink

    def _keep(self, timeout: float | str | None, state: str | None) -> None:
        self._check_sendable()
        if timeout is not None:
            self.timeout = timeout
        if state is not None:
            self.state = state

    def _check_sendable(self) -> None:
        """Raise ValueError where the members together may not be shown to a client."""

    async def send_defVector(
        self,
        message: str = "",
        timestamp: datetime | None = None,
        timeout: float | str | None = None,
        state: str | None = None,
    ) -> None:
        """Send the definition with all values to whoever wants it.

        Never waits for a client. If cancelled, nothing was sent.

        Args:
            message: a line for the user.
            timestamp: now, where none is given; a naive time is UTC.
            timeout: worst-case seconds of a change; kept.
            state: Idle, Ok, Busy or Alert; kept.

        Raises:
            ValueError: a state or timeout that is not legal.
            RuntimeError: the driver is not running.
        """
        await self.sink.ready()
        self._keep(timeout, state)
        if self.enabled:
            self.sink.publish(self.definition(message, timestamp))
        await self.sink.yield_if_due()

    async def send_delProperty(self, message: str = "", timestamp: datetime | None = None) -> None:
        """Tell clients that the property is gone, and disable it.

        Set `enable` to True and send the definition to bring it back. Never waits for a client.
        If cancelled, nothing was sent.

        Raises:
            RuntimeError: the driver is not running.
        """
        await self.sink.ready()
        if self.enabled:
            time, text = self._time(timestamp), check_text(message, "a message")
            self.sink.publish(delProperty(self.devicename, self.name, time, text))
        self.enable = False
        await self.sink.yield_if_due()

    async def send_setVectorMembers(
        self,
        message: str = "",
        timestamp: datetime | None = None,
        timeout: float | str | None = None,
        state: str | None = None,
        members: Iterable[str] = (),
    ) -> None:
        """Send the values of just these members, with state and message.

        Never waits for a client. If cancelled, nothing was sent.

        Args:
            message: a line for the user.
            timestamp: now, where none is given; a naive time is UTC.
            timeout: worst-case seconds of a change; kept.
            state: Idle, Ok, Busy or Alert; kept.
            members: names of the members to send.

        Raises:
            KeyError: a name that is no member's.
            ValueError: a state or timeout that is not legal.
            RuntimeError: the driver is not running.
        """
        chosen = [self.member(name) for name in members]
        sink = self.sink
        await sink.ready()
        self._keep(timeout, state)
        self._send(sink, chosen, message, timestamp)
        await sink.yield_if_due()

    def _send(
        self, sink: EventSink, members: list[M], message: str, timestamp: datetime | None
    ) -> None:
        if self.enabled:
            time = sink.now() if timestamp is None else to_utc(timestamp)
            sink.publish(self._report(members, message, time))
            for member in members:
                member.sent()
            # Its values have been true until now, at least.
            self.invalidate_definition()


class ValueVector(Vector[M, V]):
    """A vector whose values are state, not data: everything but BLOBs."""

    async def send_setVector(
        self,
        message: str = "",
        timestamp: datetime | None = None,
        timeout: float | str | None = None,
        state: str | None = None,
        allvalues: bool = True,
    ) -> None:
        """Send the values, with state and message.

        Never waits for a client. If cancelled, nothing was sent.

        Args:
            message: a line for the user.
            timestamp: now, where none is given; a naive time is UTC.
            timeout: worst-case seconds of a change; kept.
            state: Idle, Ok, Busy or Alert; kept.
            allvalues: False sends only the members that changed since they were last sent; where
                none did, only a given state, timeout or message is sent, or nothing at all.

        Raises:
            ValueError: a state or timeout that is not legal.
            RuntimeError: the driver is not running.
        """
        sink = self.sink
        await sink.ready()
        self._keep(timeout, state)
        members = [member for member in self.members.values() if allvalues or member.changed]
        if members or message or state is not None or timeout is not None:
            self._send(sink, members, message, timestamp)
        await sink.yield_if_due()


def _check_perm(perm: str) -> Permission:
    try:
        return Permission(perm)
    except ValueError:
        raise ConfigurationError(f"{perm!r} is no permission: use 'ro', 'wo' or 'rw'") from None
