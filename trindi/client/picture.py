"""What a server has told, put together: events in, devices with their values out.

Pure: plain calls, no I/O, no tasks. What a server tells is bounded here, in bytes: a definition, a
text or a message that would go beyond the bound is refused and counted, and of the frames of BLOBs
the oldest are let go.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from trindi.client.remote import MAX_MESSAGES, Outlet, RemoteBLOB, RemoteDevice, RemoteVector
from trindi.protocol import (
    ELEMENT_OF,
    MAX_BLOB_BYTES,
    DefVector,
    Kind,
    Message,
    SetVector,
    delProperty,
    setBLOBVector,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from trindi.protocol import SnoopEvent

__all__ = ["MAX_PICTURE_BYTES", "Picture"]

MAX_PICTURE_BYTES: Final = 64 * 1024 * 1024
"""Bytes of definitions, texts and messages that are kept: room for tens of thousands of members."""

# What an entry takes beyond its texts, roughly: a vector with its device, a member, a message.
_VECTOR: Final = 3000
_MEMBER: Final = 500
_MESSAGE: Final = 500


class Picture:
    """The devices of one server as they are known now.

    Args:
        outlet: what its vectors send through.
        now: stamps what comes without a time.
        max_bytes: bound of definitions, texts and messages.
        max_frame_bytes: bound of the newest frames of all BLOBs together; the oldest go first.

    Attributes:
        devices: by name.
        messages: what was said about no device, or about one that is not there, the newest last.
        ignored: how many events said nothing, being about what was not defined, or were refused
            for going beyond a bound.
    """

    def __init__(
        self,
        outlet: Outlet,
        *,
        now: Callable[[], datetime],
        max_bytes: int = MAX_PICTURE_BYTES,
        max_frame_bytes: int = MAX_BLOB_BYTES,
    ) -> None:
        self._outlet = outlet
        self._now = now
        self._max_bytes = max_bytes
        self._max_frame_bytes = max_frame_bytes
        self._bytes = 0
        self._weights: dict[RemoteVector, int] = {}
        self._frames: dict[RemoteVector, int] = {}
        # Those that are gone, while somebody still holds them: they may come back.
        self._gone: WeakValueDictionary[tuple[str, str], RemoteVector] = WeakValueDictionary()
        self._gone_devices: WeakValueDictionary[str, RemoteDevice] = WeakValueDictionary()
        self.devices: dict[str, RemoteDevice] = {}
        self.messages: deque[Message] = deque(maxlen=MAX_MESSAGES)
        self.ignored = 0

    def find(self, devicename: str, vectorname: str) -> RemoteVector | None:
        """Return a vector that is defined, or None."""
        device = self.devices.get(devicename)
        return device.vectors.get(vectorname) if device is not None else None

    def apply(self, event: SnoopEvent) -> tuple[RemoteVector, ...]:
        """Take what the server says; return the vectors that it changes."""
        if isinstance(event, Message):
            self._keep_message(event)
            return ()
        if isinstance(event, delProperty):
            return self._delete(event)
        return self._define(event) if isinstance(event, DefVector) else self._report(event)

    def make_stale(self) -> None:
        """Take note that the connection is lost: nothing is known to be current."""
        for device in self.devices.values():
            for vector in device.values():
                vector.stale = True

    # Definitions and reports -------------------------------------------------------------------

    def _define(self, event: DefVector) -> tuple[RemoteVector, ...]:
        device = self.devices.get(event.devicename)
        vector = device.vectors.get(event.vectorname) if device is not None else None
        weight = _weight_of(event)
        extra = weight - (self._weights[vector] if vector is not None else 0)
        if not self._has_room(extra):
            return self._refuse()
        if device is None:
            device = self._add_device(event.devicename)
        if vector is None:
            vector = self._add_vector(device, event.vectorname)
        self._bytes += extra
        self._weights[vector] = weight
        vector.define(event, event.timestamp or self._now())
        self._keep_frames(vector)
        self._keep_words(event)
        return (vector,)

    def _add_device(self, devicename: str) -> RemoteDevice:
        device = self._gone_devices.pop(devicename, None)
        if device is None:
            device = RemoteDevice(devicename)
        self.devices[devicename] = device
        self._bytes += sum(map(_weight_of_message, device.messages))
        return device

    def _add_vector(self, device: RemoteDevice, vectorname: str) -> RemoteVector:
        vector = self._gone.pop((device.name, vectorname), None)
        if vector is None:
            vector = RemoteVector(device, vectorname, self._outlet)
        device.add(vector)
        return vector

    def _report(self, event: SetVector) -> tuple[RemoteVector, ...]:
        vector = self.find(event.devicename, event.vectorname)
        if vector is None or vector.kind is not ELEMENT_OF[type(event)].kind:
            return self._refuse()
        extra = _weight_of_news(vector, event)
        if not self._has_room(extra):
            return self._refuse()
        self._bytes += extra
        self._weights[vector] += extra
        vector.report(event, event.timestamp or self._now())
        if isinstance(event, setBLOBVector):
            self._keep_frames(vector)
        self._keep_words(event)
        return (vector,)

    def _refuse(self) -> tuple[()]:
        self.ignored += 1
        return ()

    def _has_room(self, extra: int) -> bool:
        return extra <= 0 or self._bytes + extra <= self._max_bytes

    # Frames ------------------------------------------------------------------------------------

    def _keep_frames(self, vector: RemoteVector) -> None:
        """Count the frames of a vector as the newest, and let the oldest go if there are many."""
        self._frames.pop(vector, None)
        members = [one for one in vector.members.values() if isinstance(one, RemoteBLOB)]
        size = sum(len(member.value or b"") for member in members)
        if not size:
            return
        self._frames[vector] = size
        while sum(self._frames.values()) > self._max_frame_bytes:
            oldest = next(iter(self._frames))
            del self._frames[oldest]
            for member in oldest.members.values():
                member.value = None

    # Deletions ---------------------------------------------------------------------------------

    def _delete(self, event: delProperty) -> tuple[RemoteVector, ...]:
        if event.vectorname is None:
            return self._delete_devices(event)
        device = self.devices.get(event.devicename or "")
        if device is None or event.vectorname not in device:
            return self._refuse()
        self._keep_words(event)
        return (self._remove(device, event.vectorname),)

    def _delete_devices(self, event: delProperty) -> tuple[RemoteVector, ...]:
        # Without a device it is the end of all (§2).
        names = list(self.devices) if event.devicename is None else [event.devicename]
        gone: list[RemoteVector] = []
        for name in names:
            device = self.devices.pop(name, None)
            if device is not None:
                gone += [self._remove(device, vectorname) for vectorname in list(device)]
                self._bytes -= sum(map(_weight_of_message, device.messages))
                self._gone_devices[name] = device
        # Said of a device that is no longer there.
        self._keep_words(event)
        return tuple(gone)

    def _remove(self, device: RemoteDevice, vectorname: str) -> RemoteVector:
        vector = device.remove(vectorname)
        self._bytes -= self._weights.pop(vector)
        self._frames.pop(vector, None)
        self._gone[device.name, vectorname] = vector
        return vector

    # Messages ----------------------------------------------------------------------------------

    def _keep_words(self, event: DefVector | SetVector | delProperty) -> None:
        """Keep what is said with an event beside the messages of its device."""
        if event.message:
            self._keep_message(Message(event.devicename, event.message, event.timestamp))

    def _keep_message(self, message: Message) -> None:
        if message.timestamp is None:
            message = Message(message.devicename, message.message, self._now())
        device = self.devices.get(message.devicename or "")
        log = self.messages if device is None else device.messages
        extra = _weight_of_message(message)
        while log and (len(log) == log.maxlen or not self._has_room(extra)):
            self._bytes -= _weight_of_message(log.popleft())
        if self._has_room(extra):
            self._bytes += extra
            log.append(message)
        else:
            self.ignored += 1


def _weight_of_message(message: Message) -> int:
    return _MESSAGE + len(message.message)


def _weight_of(event: Any) -> int:
    """Roughly the bytes that a definition takes."""
    texts = [event.devicename, event.vectorname, event.label, event.group, event.message]
    for name, value in event.members.items():
        # A label of a number is a tuple, with its format.
        texts += [name, str(event.memberlabels.get(name, "")), str(value)]
    return _VECTOR + _MEMBER * len(event.members) + sum(map(len, texts))


def _weight_of_news(vector: RemoteVector, event: Any) -> int:
    """Bytes that a vector will take more than it does."""
    extra = len(event.message) - len(vector.message)
    if vector.kind is Kind.TEXT:
        members = vector.members
        extra += sum(len(v) - len(members[n].value) for n, v in event.items() if n in members)
    return extra
