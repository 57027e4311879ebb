"""Devices, vectors and members as a server has told of them: what a client looks at.

All three are read by whoever likes, and written by the `Picture` alone. A vector stays the same
object for as long as somebody holds it, however often it is defined anew. What a vector is asked to
send goes through an `Outlet`, which knows the server; this module does no I/O.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

from trindi.protocol import (
    ELEMENT_OF,
    DefVector,
    Kind,
    Limits,
    Message,
    NumberLabel,
    Permission,
    Rule,
    SetVector,
    State,
    format_number,
    number_to_text,
    plain_format,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from trindi.client.inbox import Frames, Progress
    from trindi.client.saving import SavedFrames
    from trindi.protocol import SizeFormat

__all__ = ["Outlet", "RemoteBLOB", "RemoteDevice", "RemoteMember", "RemoteNumber", "RemoteVector"]

MAX_MESSAGES: Final = 100
"""Messages of one device that are kept; the oldest goes first."""


class Outlet(Protocol):
    """What vectors send through."""

    async def set(self, vector: RemoteVector, values: Mapping[str, Any], /) -> None:
        """Ask for new values."""

    async def set_and_wait(self, vector: RemoteVector, values: Mapping[str, Any], /) -> None:
        """Ask for new values, and wait until the device has them."""

    def frames(
        self, devicename: str, vectorname: str, progress: Callable[[Progress], None] | None = None
    ) -> Frames:
        """Receive BLOBs."""

    def save_frames(
        self,
        devicename: str,
        vectorname: str,
        directory: str | Path,
        progress: Callable[[Progress], None] | None = None,
    ) -> SavedFrames:
        """Save BLOBs to files."""


# Members ---------------------------------------------------------------------------------------


class RemoteMember:
    """One named value of a vector: a switch, a text or a light.

    Attributes:
        name: its name in the vector.
        label: what a user sees.
        value: `SwitchState`, str, `State`, float or bytes, as the kind of the vector is.
    """

    __slots__ = ("label", "name", "value")

    def __init__(self, name: str, label: Any, value: Any) -> None:
        self.name = name
        self.value = value
        self.describe(label)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self.formatted}>"

    def describe(self, label: Any) -> None:
        """Take what a definition says beside the value."""
        self.label = str(label)

    @property
    def formatted(self) -> str:
        """The value as a user reads it."""
        return str(self.value)


class RemoteNumber(RemoteMember):
    """A number.

    Attributes:
        format: how the device wants it shown, such as ``%5.2f`` or ``%10.6m``.
        limits: ``(min, max, step)``; ``min == max`` means no limits, ``step == 0`` any increment.
    """

    __slots__ = ("format", "limits")
    value: float

    def describe(self, label: Any) -> None:
        """Take the label, the format and the limits."""
        about = label if isinstance(label, NumberLabel) else NumberLabel(self.name, "", 0, 0, 0)
        self.label = about.label
        self.format = about.format
        self.limits = Limits(about.min, about.max, about.step)

    @property
    def min(self) -> float:
        """The least value that may be asked for."""
        return self.limits.min

    @property
    def max(self) -> float:
        """The greatest value that may be asked for; equal to `min` where there are no limits."""
        return self.limits.max

    @property
    def step(self) -> float:
        """The increment that may be asked for; 0 means any."""
        return self.limits.step

    def allows(self, value: float) -> bool:
        """Whether the value is within the limits."""
        return self.min == self.max or self.min <= value <= self.max

    @property
    def formatted(self) -> str:
        """The value as its format shows it; the plain decimal where the format is none."""
        try:
            return format_number(self.value, self.format)
        except ValueError:
            return number_to_text(self.value)


class RemoteBLOB(RemoteMember):
    """A BLOB.

    Attributes:
        value: the newest frame that was received and is kept, or None.
        format: its file suffix such as ``.fits``, without the ``.z`` of what was compressed on its
            way; or "".
    """

    __slots__ = ("format",)
    value: bytes | None

    def __init__(self, name: str, label: Any, value: Any) -> None:
        super().__init__(name, label, value)
        self.format = ""

    @property
    def formatted(self) -> str:
        """How large the newest frame is, and of what format."""
        return "" if self.value is None else f"{len(self.value)} bytes {self.format}".rstrip()


_MEMBER: Final[dict[Kind, type[RemoteMember]]] = {
    Kind.NUMBER: RemoteNumber,
    Kind.BLOB: RemoteBLOB,
}


# Vectors ---------------------------------------------------------------------------------------


class RemoteVector(Mapping[str, Any]):
    """A property of a device: a mapping of member name to value.

    Attributes:
        device: its device.
        name: its name in the device.
        kind: of its members.
        label: what a user sees.
        group: the tab under which a user sees it.
        perm: whether it may be read, written, or both.
        rule: how many switches may be On together; None where it has no switches.
        state: Idle, Ok, Busy or Alert; Busy from the moment in which something is asked of it.
        timeout: worst-case seconds of a change; 0 where the device says nothing of it.
        timestamp: when the device last said something of it.
        message: what the device said with it then.
        members: the members by name.
        defined: the device has it; False once it was deleted, until it is defined again.
        stale: the values are those of a connection that was lost, or the property is deleted.
    """

    label: str
    group: str
    perm: Permission
    rule: Rule | None
    state: State
    timeout: float
    timestamp: datetime
    kind: Kind

    def __init__(self, device: RemoteDevice, name: str, outlet: Outlet) -> None:
        self.device = device
        self.name = name
        self.message = ""
        self.defined = False
        self.stale = True
        self._members: dict[str, RemoteMember] = {}
        self.members: Mapping[str, RemoteMember] = MappingProxyType(self._members)
        self._outlet = outlet

    @property
    def devicename(self) -> str:
        """The name of its device."""
        return self.device.name

    # The mapping -------------------------------------------------------------------------------

    def __getitem__(self, membername: str) -> Any:
        return self.member(membername).value

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        stale = ", stale" if self.stale else ""
        return f"<RemoteVector {self.devicename} {self.name}: {self.state}{stale}>"

    def member(self, membername: str) -> RemoteMember:
        """Return a member.

        Raises:
            KeyError: there is none of that name; the text names those that there are.
        """
        try:
            return self._members[membername]
        except KeyError:
            known = ", ".join(self._members)
            raise KeyError(f"{self.name} has no member {membername!r}, only {known}") from None

    # Asking ------------------------------------------------------------------------------------

    async def set(self, values: Mapping[str, Any] | None = None, /, **members: Any) -> None:
        """Ask the device for new values: `IPyClient.set` of this vector."""
        await self._outlet.set(self, {**(values or {}), **members})

    async def set_and_wait(
        self, values: Mapping[str, Any] | None = None, /, **members: Any
    ) -> None:
        """Ask for new values and wait for them: `IPyClient.set_and_wait` of this vector."""
        await self._outlet.set_and_wait(self, {**(values or {}), **members})

    def frames(self, progress: Callable[[Progress], None] | None = None) -> Frames:
        """Receive the BLOBs of this vector: `IPyClient.frames` of this vector."""
        return self._outlet.frames(self.devicename, self.name, progress)

    def save_frames(
        self, directory: str | Path, progress: Callable[[Progress], None] | None = None
    ) -> SavedFrames:
        """Save the BLOBs of this vector to files: `IPyClient.save_frames` of this vector."""
        return self._outlet.save_frames(self.devicename, self.name, directory, progress)

    # What the picture does with it -------------------------------------------------------------

    def define(self, event: DefVector, when: datetime) -> None:
        """Take a definition."""
        kind = ELEMENT_OF[type(event)].kind
        assert kind is not None, "a definition has members"
        before = self._members.copy() if self.defined and kind is self.kind else {}
        self.kind = kind
        self.label = event.label
        self.group = event.group
        self.perm = event.perm
        self.rule = getattr(event, "rule", None)
        self.state = self._told = event.state
        self.timeout = getattr(event, "timeout", 0.0)
        self.timestamp = when
        self.message = event.message
        self.defined = True
        self.stale = False
        self._members.clear()
        make = _MEMBER.get(kind, RemoteMember)
        for name, value in event.members.items():
            label = event.memberlabels.get(name, name)
            # A definition of a BLOB has no value: the frame is still the newest.
            if kind is Kind.BLOB and name in before:
                before[name].describe(label)
                self._members[name] = before[name]
            else:
                self._members[name] = make(name, label, value)

    def report(self, event: SetVector, when: datetime) -> None:
        """Take a report; members that were not defined are passed over."""
        if event.state is not None:
            self._told = event.state
        # A report without a state says that it is as it was before somebody asked for something.
        self.state = self._told
        timeout = getattr(event, "timeout", None)
        if timeout is not None:
            self.timeout = timeout
        self.timestamp = when
        self.message = event.message
        limits: Mapping[str, Limits] = getattr(event, "limits", {})
        for name, value in event.members.items():
            member = self._members.get(name)
            if member is None:
                continue
            # A BLOB without a payload says that only the state has changed (§4.4).
            if isinstance(member, RemoteBLOB) and not value:
                continue
            member.value = value
            if name in limits and isinstance(member, RemoteNumber):
                member.limits = limits[name]
            if isinstance(member, RemoteBLOB):
                about: SizeFormat = event.sizeformat[name]  # type: ignore[union-attr]
                member.format = plain_format(about.format)

    def ask(self) -> None:
        """Take note that something is asked of it: it is Busy until it says otherwise (§2)."""
        self.state = State.BUSY

    def delete(self) -> None:
        """Take note that the device no longer has it."""
        self.defined = False
        self.stale = True


# Devices ---------------------------------------------------------------------------------------


class RemoteDevice(Mapping[str, RemoteVector]):
    """A device: a mapping of vector name to vector.

    Attributes:
        name: its name.
        vectors: the same mapping.
        messages: what the device has said to its users, the newest last.
        stale: its values are those of a connection that was lost, or it is gone.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.messages: deque[Message] = deque(maxlen=MAX_MESSAGES)
        self._vectors: dict[str, RemoteVector] = {}
        self.vectors: Mapping[str, RemoteVector] = MappingProxyType(self._vectors)

    @property
    def stale(self) -> bool:
        """Whether no value of it is known to be current."""
        return all(vector.stale for vector in self._vectors.values())

    def __getitem__(self, vectorname: str) -> RemoteVector:
        try:
            return self._vectors[vectorname]
        except KeyError:
            known = ", ".join(self._vectors)
            raise KeyError(f"{self.name} has no vector {vectorname!r}, only {known}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._vectors)

    def __len__(self) -> int:
        return len(self._vectors)

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        return f"<RemoteDevice {self.name} of {len(self)} vectors>"

    # What the picture does with it -------------------------------------------------------------

    def add(self, vector: RemoteVector) -> None:
        """Take a vector that was defined."""
        self._vectors[vector.name] = vector

    def remove(self, vectorname: str) -> RemoteVector:
        """Remove a vector that is gone."""
        vector = self._vectors.pop(vectorname)
        vector.delete()
        return vector
