"""The devices of a server as they are now: events in, devices with their values out. No I/O.

Built on a `Snapshot`, whose records write the vectors. What is kept is bounded in bytes: beyond the
bound a definition, text or message is refused and counted, and the oldest frames are forgotten.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from trindi.client.remote import (
    MAX_MESSAGES,
    Operations,
    RemoteBLOB,
    RemoteDevice,
    RemoteMember,
    RemoteNumber,
    RemoteVector,
)
from trindi.protocol import (
    ELEMENT_OF,
    MAX_BLOB_BYTES,
    MAX_SNAPSHOT_BYTES,
    DefVector,
    Effect,
    Kind,
    Limits,
    Message,
    NumberLabel,
    SetVector,
    Snapshot,
    SnoopEvent,
    covered_devices,
    delProperty,
    plain_format,
    setNumberVector,
    text_growth,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

# What a message takes beyond its text, roughly.
_MESSAGE: Final = 500

_MEMBER: Final[dict[Kind, type[RemoteMember]]] = {
    Kind.NUMBER: RemoteNumber,
    Kind.BLOB: RemoteBLOB,
}


class Mirror:
    """The devices of one server as they are now."""

    def __init__(
        self,
        operations: Operations,
        *,
        now: Callable[[], datetime],  # for events without a timestamp
        max_bytes: int = MAX_SNAPSHOT_BYTES,  # definitions, texts and messages
        max_frame_bytes: int = MAX_BLOB_BYTES,  # the newest frames of all BLOBs together
    ) -> None:
        self._operations = operations
        self._now = now
        self._max_frame_bytes = max_frame_bytes
        self._snapshot: Snapshot[_Record] = Snapshot(self._make_record, max_bytes=max_bytes)
        self._frames: dict[RemoteVector, int] = {}
        # Deleted ones that something still refers to: they may be defined again.
        self._deleted: WeakValueDictionary[tuple[str, str], RemoteVector] = WeakValueDictionary()
        self._deleted_devices: WeakValueDictionary[str, RemoteDevice] = WeakValueDictionary()
        self._ignored_messages = 0
        self.devices: dict[str, RemoteDevice] = {}
        self.messages: deque[Message] = deque(maxlen=MAX_MESSAGES)

    @property
    def ignored(self) -> int:
        return self._snapshot.ignored + self._ignored_messages

    def find(self, devicename: str, vectorname: str) -> RemoteVector | None:
        record = self._snapshot.find(devicename, vectorname)
        return None if record is None else record.vector

    def apply(self, event: SnoopEvent) -> tuple[RemoteVector, ...]:
        """Take what the server sends next; return the vectors that it changes."""
        if isinstance(event, Message):
            self._keep_message(event)
            return ()
        effect, records = self._snapshot.apply(event)
        if effect is Effect.UNKNOWN or effect is Effect.REFUSED:
            return ()
        if isinstance(event, delProperty):
            vectors = tuple([record.vector for record in records])
            self._delete(event, vectors)
        else:
            vector = records[0].vector
            vectors = (vector,)
            vector.timestamp = event.timestamp or self._now()
            if vector.kind is Kind.BLOB or vector in self._frames:
                self._keep_frames(vector)
        if event.message:
            self._keep_message(Message(event.devicename, event.message, event.timestamp))
        return vectors

    def make_stale(self) -> None:
        for record in self._snapshot:
            record.vector.stale = True

    def _make_record(self, event: DefVector) -> _Record:
        device = self.devices.get(event.devicename)
        if device is None:
            device = self._add_device(event.devicename)
        vector = self._deleted.pop((device.name, event.vectorname), None)
        if vector is None:
            vector = RemoteVector(device, event.vectorname, self._operations)
        device._by_name[vector.name] = vector
        return _Record(vector, event)

    def _add_device(self, devicename: str) -> RemoteDevice:
        device = self._deleted_devices.pop(devicename, None)
        if device is None:
            device = RemoteDevice(devicename)
        self.devices[devicename] = device
        if not self._snapshot.reserve(_size_of(device.messages)):
            device.messages.clear()
        return device

    def _delete(self, event: delProperty, vectors: tuple[RemoteVector, ...]) -> None:
        for vector in vectors:
            del vector.device._by_name[vector.name]
            vector.defined = False
            vector.stale = True
            self._frames.pop(vector, None)
            self._deleted[vector.devicename, vector.name] = vector
        if event.vectorname is not None:
            return
        for name in list(covered_devices(event.devicename, self.devices)):
            device = self._deleted_devices[name] = self.devices.pop(name)
            self._snapshot.reserve(-_size_of(device.messages))

    def _keep_frames(self, vector: RemoteVector) -> None:
        """Count the frames of a vector as the newest, and forget the oldest beyond the bound."""
        self._frames.pop(vector, None)
        if vector.kind is not Kind.BLOB:
            return
        size = sum(len(value or b"") for value in vector.values())
        if not size:
            return
        self._frames[vector] = size
        while sum(self._frames.values()) > self._max_frame_bytes:
            oldest = next(iter(self._frames))
            del self._frames[oldest]
            for member in oldest.members.values():
                member.value = None

    def _keep_message(self, message: Message) -> None:
        if message.timestamp is None:
            message = Message(message.devicename, message.message, self._now())
        device = self.devices.get(message.devicename or "")
        log = self.messages if device is None else device.messages
        size = _size_of([message])
        if len(log) == log.maxlen:
            self._snapshot.reserve(-_size_of([log.popleft()]))
        while not self._snapshot.reserve(size):
            if not log:
                self._ignored_messages += 1
                return
            self._snapshot.reserve(-_size_of([log.popleft()]))
        log.append(message)


def _size_of(messages: Iterable[Message]) -> int:
    return sum(_MESSAGE + len(message.message) for message in messages)


class _Record:
    """What the snapshot keeps of a property: the vector, which it writes."""

    def __init__(self, vector: RemoteVector, event: DefVector) -> None:
        self.vector = vector
        self.define(event)

    def growth(self, event: SetVector) -> int:
        growth = len(event.message) - len(self.vector.message)
        return growth + text_growth(event, self.vector.get) if self.kind is Kind.TEXT else growth

    def define(self, event: DefVector) -> bool:
        vector = self.vector
        kind = ELEMENT_OF[type(event)].kind
        assert kind is not None, "a definition has members"
        # A definition of a BLOB has no value: the frame is still the newest.
        kept = dict(vector.members) if vector.defined and vector.kind is kind is Kind.BLOB else {}
        vector.kind = self.kind = kind
        vector.label = event.label
        vector.group = event.group
        vector.perm = event.perm
        vector.rule = getattr(event, "rule", None)
        vector.state = self._state = event.state
        vector.timeout = getattr(event, "timeout", 0.0)
        vector.message = event.message
        vector.defined = True
        vector.stale = False
        vector._by_name.clear()
        make = _MEMBER.get(kind, RemoteMember)
        for name, value in event.members.items():
            member = vector._by_name[name] = kept.get(name) or make(name, value)
            label: Any = event.memberlabels.get(name, name)
            if isinstance(label, NumberLabel) and isinstance(member, RemoteNumber):
                member.format = label.format
                member.limits = Limits(label.min, label.max, label.step)
                label = label.label
            member.label = str(label)
        return True

    def update(self, event: Any) -> None:
        vector, blobs = self.vector, self.kind is Kind.BLOB
        if event.state is not None:
            self._state = event.state
        # A report without a state ends a request: the state is as before it.
        vector.state = self._state
        timeout = getattr(event, "timeout", None)
        if timeout is not None:
            vector.timeout = timeout
        vector.message = event.message
        members: dict[str, Any] = vector._by_name
        for name, value in event.members.items():
            # A BLOB without a payload says that only the state has changed (§4.4).
            if name in members and (value or not blobs):
                members[name].value = value
                if blobs:
                    members[name].format = plain_format(event.sizeformat[name].format)
        if type(event) is setNumberVector:
            for name, limits in event.limits.items():
                if name in members:
                    members[name].limits = limits
