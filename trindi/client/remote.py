"""The devices, vectors and members that a server has defined: what a client looks at.

Only the `Mirror` writes them. A vector stays the same object while something refers to it, however
often it is defined. What is asked of a vector goes through `Operations`; this module does no I/O.
"""

from __future__ import annotations

from collections import deque
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

from trindi.client.inbox import Frames, Progress
from trindi.properties import NamedMapping, is_allowed
from trindi.protocol import (
    Kind,
    Limits,
    Message,
    Permission,
    Rule,
    State,
    format_number,
    is_unknown,
    reading_to_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from trindi.client.answer import Answer
    from trindi.client.saving import SavedFrames

MAX_MESSAGES: Final = 100  # messages of one device that are kept; the oldest goes first


class Operations(Protocol):
    """What a client does for the vectors of its mirror."""

    async def set(self, vector: RemoteVector, values: Mapping[str, Any], /) -> None: ...
    async def set_and_wait(self, vector: RemoteVector, values: Mapping[str, Any], /) -> Answer: ...
    def listen(self, inbox: Frames, /) -> Frames: ...
    def save(self, frames: Frames, directory: str | Path, /) -> SavedFrames: ...


class RemoteMember:
    """One named value of a vector: a switch, a text or a light.

    `value` is a `SwitchState`, str, `State`, float or bytes, by the kind of the vector; a user sees
    the label.
    """

    __slots__ = ("label", "name", "value")

    def __init__(self, name: str, value: Any) -> None:
        self.name = name
        self.label = name
        self.value = value

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {self.formatted}>"

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

    def __init__(self, name: str, value: float) -> None:
        super().__init__(name, value)
        self.format = ""
        self.limits = Limits(0, 0, 0)

    @property
    def min(self) -> float:
        """The least allowed value."""
        return self.limits.min

    @property
    def max(self) -> float:
        """The greatest allowed value; equal to `min` where there are no limits."""
        return self.limits.max

    @property
    def step(self) -> float:
        """The increment between allowed values; 0 means any."""
        return self.limits.step

    def allows(self, value: float) -> bool:
        """Whether the value is a number within the limits."""
        return not is_unknown(value) and is_allowed(value, self.min, self.max)

    @property
    def formatted(self) -> str:
        """The value in its format, or as a plain decimal where the format is not valid."""
        try:
            return format_number(self.value, self.format)
        except ValueError:
            return reading_to_text(self.value)


class RemoteBLOB(RemoteMember):
    """A BLOB.

    Attributes:
        value: the newest frame that was received and is kept, or None.
        format: its file suffix such as ``.fits``, without the ``.z`` of one that was compressed on
            its way; or "".
    """

    __slots__ = ("format",)
    value: bytes | None

    def __init__(self, name: str, value: None) -> None:
        super().__init__(name, value)
        self.format = ""

    @property
    def formatted(self) -> str:
        """The size and format of the newest frame."""
        return "" if self.value is None else f"{len(self.value)} bytes {self.format}".rstrip()


class RemoteVector(NamedMapping[Any]):
    """A property of a device: a mapping of member name to value.

    Attributes:
        label: what a user sees.
        group: the tab under which a user sees it.
        perm: whether it may be read, written, or both.
        rule: how many switches may be On together; None where it has no switches.
        state: Idle, Ok, Busy or Alert; Busy from when a request is sent.
        timeout: worst-case seconds of a change; 0 where the device does not say.
        timestamp: when the device last sent it.
        message: what the device said with it then.
        defined: the device has it; False when it was deleted, until it is defined again.
        stale: the values are those of a lost connection, or the property is deleted.
    """

    _item_kind = "member"

    label: str
    group: str
    perm: Permission
    rule: Rule | None
    state: State
    timeout: float
    timestamp: datetime
    kind: Kind

    def __init__(self, device: RemoteDevice, name: str, operations: Operations) -> None:
        self.device = device
        self.name = name
        self.message = ""
        self.defined = False
        self.stale = True
        self._by_name: dict[str, RemoteMember] = {}
        self.members: Mapping[str, RemoteMember] = MappingProxyType(self._by_name)
        self._operations = operations

    @property
    def devicename(self) -> str:
        """The name of its device."""
        return self.device.name

    @property
    def _error_name(self) -> str:
        return self.name

    def __getitem__(self, membername: str) -> Any:
        return self.member(membername).value

    def __repr__(self) -> str:
        stale = ", stale" if self.stale else ""
        return f"<RemoteVector {self.devicename} {self.name}: {self.state}{stale}>"

    def member(self, membername: str) -> RemoteMember:
        """Return a member; a KeyError names those that there are."""
        member: RemoteMember = super().__getitem__(membername)
        return member

    async def set(self, values: Mapping[str, Any] | None = None, /, **members: Any) -> None:
        """Request new values: `IPyClient.set` of this vector."""
        await self._operations.set(self, {**(values or {}), **members})

    async def set_and_wait(
        self, values: Mapping[str, Any] | None = None, /, **members: Any
    ) -> Answer:
        """Request new values and wait for them: `IPyClient.set_and_wait` of this vector."""
        return await self._operations.set_and_wait(self, {**(values or {}), **members})

    def frames(self, progress: Callable[[Progress], None] | None = None) -> Frames:
        """Receive the BLOBs of this vector: `IPyClient.frames` of this vector."""
        return self._operations.listen(Frames(self.devicename, self.name, progress))

    def save_frames(
        self, directory: str | Path, progress: Callable[[Progress], None] | None = None
    ) -> SavedFrames:
        """Save the BLOBs of this vector to files: `IPyClient.save_frames` of this vector."""
        return self._operations.save(Frames(self.devicename, self.name, progress), directory)


class RemoteDevice(NamedMapping[RemoteVector]):
    """A device: a mapping of vector name to vector.

    `vectors` is the same mapping; `messages` are what it has said to its users, the newest last.
    """

    _item_kind = "vector"

    def __init__(self, name: str) -> None:
        self.name = name
        self.messages: deque[Message] = deque(maxlen=MAX_MESSAGES)
        self._by_name: dict[str, RemoteVector] = {}
        self.vectors: Mapping[str, RemoteVector] = MappingProxyType(self._by_name)

    @property
    def _error_name(self) -> str:
        return self.name

    @property
    def stale(self) -> bool:
        """Whether all its values are those of a lost connection, or it is gone."""
        return all(vector.stale for vector in self._by_name.values())

    def __repr__(self) -> str:
        return f"<RemoteDevice {self.name} of {len(self)} vectors>"
