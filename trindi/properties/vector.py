"""Vectors: named groups of members with a state, the properties of INDI.

A vector makes its own events: its definition, and reports of its values. It also decides whether a
client's request is allowed. It sends through the `EventSink` of its driver, and knows neither tasks
nor peers.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar

from trindi.errors import ConfigurationError, RefusedError
from trindi.properties.members import Member
from trindi.properties.owners import DeviceOfVector, EventSink, NamedMapping, no_driver
from trindi.properties.values import MAX_DEFINITION_BYTES, check_label, convert_choice, message_text
from trindi.protocol import (
    ELEMENTS,
    DefVector,
    NewVector,
    Permission,
    SetVector,
    State,
    check_name,
    delProperty,
    encode,
    to_float,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

DEFAULT_GROUP: Final = "Main Control"
"""The group that libindi's drivers use first. KStars names the tab of an empty one wrongly."""

# Bytes that a character takes at most, as a quote in an attribute does, and a tag without texts.
_CHARACTER_BYTES: Final = 6
_TAG_BYTES: Final = 256

V = TypeVar("V")
M = TypeVar("M", bound=Member[Any])


class Vector(NamedMapping[V], Generic[M, V]):
    """What the five kinds of vector have in common: a mapping of member name to value.

    Its name is unique in its device. `members` has the members by name; `device` may be None.
    """

    kind: ClassVar[str]
    _item_kind = "member"
    _member: ClassVar[type[Member[Any]]]
    _def_event: ClassVar[Callable[..., DefVector]]
    _set_event: ClassVar[Callable[..., SetVector]]
    _new_event: ClassVar[type[Any] | None]

    def __init_subclass__(cls) -> None:
        """Find the events of a kind in the table of elements; clients cannot set lights."""
        super().__init_subclass__()
        if "kind" in vars(cls):
            cls._def_event = ELEMENTS[f"def{cls.kind}Vector"].cls
            cls._set_event = ELEMENTS[f"set{cls.kind}Vector"].cls
            cls._new_event = getattr(ELEMENTS.get(f"new{cls.kind}Vector"), "cls", None)

    def __init__(
        self, name: str, label: str | None, group: str, perm: str, state: str, members: Iterable[M]
    ) -> None:
        self.device: DeviceOfVector | None = None
        self._definition: DefVector | None = None
        self.name = check_name(name, "vector")
        self._label = check_label(name if label is None else label, "a label")
        self._group = _checked_group(group)
        self._enable = True
        self._perm = convert_choice(Permission, perm, "permission")
        self._state = convert_choice(State, state, "state")
        self._timeout = 0.0
        self._by_name: dict[str, M] = {}
        self.members: Mapping[str, M] = MappingProxyType(self._by_name)
        self._adopt(members, self._member, "vector")
        if not self.members:
            raise ConfigurationError(f"{self._error_name} has no members: give it at least one")
        self._check_size()

    @property
    def _error_name(self) -> str:
        return f"vector {self.name!r}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.devicename or '?'}.{self.name} {self.state}>"

    def __getitem__(self, name: str) -> V:
        value: V = self.member(name).membervalue
        return value

    def __setitem__(self, name: str, value: Any) -> None:
        member = self.member(name)
        self._assign(member, member._convert(value))

    def _assign(self, member: M, value: Any) -> None:
        member._assign(value)

    def update(self, values: Mapping[str, Any]) -> None:
        """Set several members, such as those of an event that a client sent.

        KeyError: a name that is no member's. ValueError: a value is not legal. Then none is set.
        """
        for member, value in self._converted(values):
            self._assign(member, value)

    def _converted(self, values: Mapping[str, Any]) -> list[tuple[M, Any]]:
        members = [self.member(name) for name in values]
        return [(member, member._convert(values[member.name])) for member in members]

    def member(self, name: str) -> M:
        """The member of this name."""
        member: M = self._find(name)
        return member

    @property
    def label(self) -> str:
        """What a client shows. Send the definition again to tell clients of a new label."""
        return self._label

    @label.setter
    def label(self, label: str) -> None:
        self._label = check_label(label, "a label")
        self.invalidate_definition()

    @property
    def group(self) -> str:
        """The tab under which a client shows it; an empty one becomes ``Main Control``."""
        return self._group

    @group.setter
    def group(self, group: str) -> None:
        self._group = _checked_group(group)
        self.invalidate_definition()

    @property
    def enable(self) -> bool:
        """False: neither sends nor receives anything."""
        return self._enable

    @enable.setter
    def enable(self, enable: bool) -> None:
        self._enable = enable
        if self.device is not None:
            self.device.revision += 1

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
        self._state = convert_choice(State, state, "state")
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

    @property
    def current_definition(self) -> DefVector:
        """The def…Vector event of the present values: the same one until something changes."""
        if self._definition is None:
            self._definition = self.definition()
        return self._definition

    def invalidate_definition(self) -> None:
        """Make the current definition anew when it is next asked for."""
        if self._definition is not None:
            self._definition = None
            if self.device is not None:
                self.device.revision += 1

    def definition(self, message: str = "", timestamp: datetime | None = None) -> DefVector:
        """Make the def…Vector event of the present values."""
        values = {name: member._definition_value() for name, member in self._by_name.items()}
        text = message_text(message, self._state)
        return self._define(values, text, self.sink.stamp(timestamp, text))

    def _define(self, values: Mapping[str, Any], message: str, time: datetime | None) -> DefVector:
        return self._def_event(
            devicename=self.devicename,
            vectorname=self.name,
            label=self._label,
            group=self._group,
            state=self._state,
            members=values,
            memberlabels={name: one._definition_label() for name, one in self._by_name.items()},
            timestamp=time,
            message=message,
            **self._extra_attributes(),
        )

    def _extra_attributes(self) -> dict[str, Any]:
        return {"perm": self._perm, "timeout": self._timeout}

    def report(
        self, names: Iterable[str], message: str = "", timestamp: datetime | None = None
    ) -> SetVector:
        """Make the set…Vector event of some members and their present values."""
        members = [self.member(name) for name in names]
        return self._report(self.sink, members, message, timestamp)

    def _report(
        self, sink: EventSink, members: list[M], message: str, timestamp: datetime | None
    ) -> SetVector:
        values = {member.name: member._value for member in members}
        text = message_text(message, self._state)
        return self._set_event_of(values, text, sink.stamp(timestamp, text))

    def status(self, message: str = "") -> SetVector:
        """Make the set…Vector event of all members, without payloads of BLOBs."""
        return self.report(self, message)

    def _set_event_of(self, values: Mapping[str, Any], message: str, time: datetime) -> SetVector:
        # Positional, in the order of the fields: this is called for each report.
        return self._set_event(
            self.devicename, self.name, values, self._state, self._timeout, time, message
        )

    def check(self, event: NewVector) -> None:
        """Check whether a client may ask for this; the error it raises says why not."""
        self._check_names(type(event), event)
        if not event.members:
            raise RefusedError("the request holds no members")
        self._check_values(event)

    def check_upload(self, event: type[Any], membername: str, _size: int) -> None:
        """Check whether a client may upload so many bytes, before all of them are here."""
        self._check_names(event, (membername,))

    def _check_names(self, event: type[Any], members: Iterable[str]) -> None:
        """Check whether a client may ask for these members with an event of this class."""
        if event is not self._new_event:
            asked = event.__name__.removeprefix("new").removesuffix("Vector")
            raise RefusedError(f"it is a {self.kind} vector, not a {asked} vector")
        if self._perm is Permission.RO:
            raise RefusedError("it is read-only")
        for name in members:
            if name not in self._by_name:
                raise RefusedError(f"it has no member {name[:64]}")

    def _check_values(self, event: Any) -> None:
        """Raise RefusedError if the kind does not allow these values."""

    def _texts(self) -> dict[str, str]:
        """Return the values that can be of any size."""
        return {}

    def _excess(self, texts: Mapping[str, str]) -> str:
        """Return what is wrong if the definition, with these texts, is too large to be sent."""
        labels = [str(member._definition_label()) for member in self._by_name.values()]
        lengths = map(len, (self._label, self._group, *self._by_name, *labels, *texts.values()))
        most = sum(lengths) * _CHARACTER_BYTES + (len(labels) + 2) * _TAG_BYTES
        if most <= MAX_DEFINITION_BYTES:
            return ""
        values = {name: one._definition_value() for name, one in self._by_name.items()}
        size = len(encode(self._define({**values, **texts}, "", None)))
        if size <= MAX_DEFINITION_BYTES:
            return ""
        return f"its definition of {size} bytes could not be sent: {MAX_DEFINITION_BYTES} at most"

    def _check_size(self, texts: Mapping[str, str] | None = None) -> None:
        """Raise ConfigurationError if the definition is too large, with these texts or its own."""
        if excess := self._excess(self._texts() if texts is None else texts):
            raise ConfigurationError(
                f"{self._error_name}: {excess}: use shorter texts and labels, or several vectors"
            )

    @property
    def sink(self) -> EventSink:
        """What the vector sends through; RuntimeError if it is not part of a driver."""
        device = self.device
        if device is None or device.driver is None:
            raise no_driver(self._error_name)
        sink: EventSink = device.driver._sink
        return sink

    def _update(self, timeout: float | str | None, state: str | None) -> None:
        self._check_sendable()
        if timeout is not None:
            self.timeout = timeout
        if state is not None:
            self.state = state

    def _check_sendable(self) -> None:
        """Raise ValueError if the members together may not be shown to a client."""

    async def send_defVector(
        self,
        message: str = "",
        timestamp: datetime | None = None,
        timeout: float | str | None = None,
        state: str | None = None,
    ) -> None:
        """Send the definition with all values to all clients that want it.

        Never waits for a client. If cancelled, nothing was sent. `message` is a line for the user;
        without a level it gets ``[ERROR]`` with the state Alert, or else ``[INFO]``. `timestamp`
        None means now; a naive time is UTC; with a message it is sent in whole seconds. `timeout`,
        in worst-case seconds of a change, and `state` are kept. ValueError: one of them is not
        legal. RuntimeError: the driver is not running.
        """
        sink = self.sink
        await sink.ready()
        self._update(timeout, state)
        self._check_size()
        if self.enabled:
            sink.publish(self.definition(message, timestamp))
        await sink.yield_if_due()

    async def send_delProperty(self, message: str = "", timestamp: datetime | None = None) -> None:
        """Tell clients that the property is gone, and disable it.

        Set `enable` to True and send the definition to bring it back. Never waits for a client.
        If cancelled, nothing was sent. RuntimeError: the driver is not running.
        """
        sink = self.sink
        await sink.ready()
        if self.enabled:
            text = message_text(message)
            time = sink.stamp(timestamp, text)
            sink.publish(delProperty(self.devicename, self.name, time, text))
        self.enable = False
        await sink.yield_if_due()

    async def send_setVectorMembers(
        self,
        message: str = "",
        timestamp: datetime | None = None,
        timeout: float | str | None = None,
        state: str | None = None,
        members: Iterable[str] = (),
    ) -> None:
        """Send the values of just the named members, with state and message.

        Never waits for a client. If cancelled, nothing was sent. KeyError: a name that is no
        member's. The other arguments and errors are those of `send_defVector`.
        """
        chosen = [self.member(name) for name in members]
        sink = self.sink
        await sink.ready()
        self._update(timeout, state)
        self._send(sink, chosen, message, timestamp)
        await sink.yield_if_due()

    def _send(
        self, sink: EventSink, members: list[M], message: str, timestamp: datetime | None
    ) -> None:
        if self.enabled:
            sink.publish(self._report(sink, members, message, timestamp))
            for member in members:
                member._note_sent()
            # The next definition is stamped anew: these values were true until now, at least.
            self.invalidate_definition()


def _checked_group(group: str) -> str:
    return group if check_label(group, "a group").strip() else DEFAULT_GROUP
