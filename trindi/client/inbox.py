"""What the program that uses a client hears of it, one event after another.

What was said and not yet looked at waits in an outbox, as for any other peer: a program that is
slow gets the newest state, and never slows the client down. This module knows no streams.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from trindi.protocol import SnoopEvent, delProperty, plain_format, setBLOBVector
from trindi.transport import HIGH_WATER, EncodedEvent, EventQueue, YieldBudget

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

__all__ = ["Events", "Frame", "Frames", "Inboxes", "Progress"]


class _Inbox:
    """What waits for one iterator."""

    def __init__(self, devicename: str | None, vectorname: str | None, high_water: int) -> None:
        self._devicename = devicename
        self._vectorname = vectorname
        self._waiting = EventQueue(high_water=high_water)
        self._turns = YieldBudget()

    @property
    def drops(self) -> int:
        """How many events a newer one took the place of, or were too many to keep."""
        return self._waiting.drops

    def hear(self, encoded: EncodedEvent) -> None:
        """Put an event to what waits, if it is wanted. Never blocks."""
        if self._wants(encoded.event):
            self._waiting.put(encoded)

    def _wants(self, event: Any) -> bool:
        # The end of a device is the end of each of its properties, and that of all, of each device.
        if isinstance(event, delProperty) and event.devicename is None:
            return True
        if self._devicename not in (None, event.devicename):
            return False
        if isinstance(event, delProperty) and event.vectorname is None:
            return True
        return self._vectorname in (None, getattr(event, "vectorname", None))

    def close(self) -> None:
        """Hear nothing more; what waits can still be taken out."""
        self._waiting.close()

    async def _next(self) -> Any:
        # What was handed out before is done with only now, and counted until then.
        self._waiting.left()
        await self._turns.step()
        if not await self._waiting.wait_news():
            raise StopAsyncIteration
        return self._waiting.pop().event


class Events(_Inbox):
    """An async iterator over what a server says, from the moment in which it was made.

    Bounded: see `IPyClient.events`. It ends when the client does. If cancelled, no event is lost.

    Attributes:
        drops: how many events a newer one took the place of, or were too many to keep.
    """

    def __init__(
        self,
        devicename: str | None = None,
        vectorname: str | None = None,
        high_water: int = HIGH_WATER,
    ) -> None:
        super().__init__(devicename, vectorname, high_water)

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> SnoopEvent:
        event: SnoopEvent = await self._next()
        return event


class Frame(bytes):
    """One BLOB, as bytes that know where they are from.

    Attributes:
        devicename: the device.
        vectorname: the property.
        membername: the member.
        format: its file suffix such as ``.fits``, without the ``.z`` of what was compressed on its
            way.
        timestamp: when the device says it was sent, or None.
    """

    devicename: str
    vectorname: str
    membername: str
    format: str
    timestamp: datetime | None

    @classmethod
    def of(cls, event: setBLOBVector, membername: str) -> Frame:
        """Take one BLOB out of an event."""
        frame = cls(event[membername])
        frame.devicename = event.devicename
        frame.vectorname = event.vectorname
        frame.membername = membername
        frame.format = plain_format(event.sizeformat[membername].format)
        frame.timestamp = event.timestamp
        return frame

    def __repr__(self) -> str:
        return f"<Frame of {len(self)} bytes {self.format}>"


@dataclass(frozen=True, slots=True)
class Progress:
    """How much has arrived of a BLOB that is on its way.

    Attributes:
        devicename: the device.
        vectorname: the property.
        received: bytes so far, roughly until it is whole.
        total: bytes that it will have, or None where that cannot be known: one that is compressed
            on its way says only how long it will be afterwards.
    """

    devicename: str
    vectorname: str
    received: int
    total: int | None


class Frames(_Inbox):
    """An async iterator over the BLOBs of one property, from the moment in which it was made.

    Bounded: see `IPyClient.frames`. It ends when the client does. If cancelled, no frame is lost.

    Attributes:
        drops: how many frames a newer one took the place of.
    """

    def __init__(
        self,
        devicename: str,
        vectorname: str,
        progress: Callable[[Progress], None] | None = None,
        high_water: int = HIGH_WATER,
    ) -> None:
        super().__init__(devicename, vectorname, high_water)
        self._frames: list[Frame] = []
        self._progress = progress
        self._error: Exception | None = None

    def hear(self, encoded: EncodedEvent) -> None:
        """Put frames to what waits. Never blocks."""
        if isinstance(encoded.event, setBLOBVector) and any(encoded.event.values()):
            super().hear(encoded)

    def arriving(self, progress: Progress) -> None:
        """Tell how much has arrived; an error in who is told is raised where frames are awaited."""
        if self._progress is None or self._error is not None:
            return
        if (progress.devicename, progress.vectorname) == (self._devicename, self._vectorname):
            try:
                self._progress(progress)
            except Exception as error:
                self._error = error
                self.close()

    def __aiter__(self) -> Frames:
        return self

    async def __anext__(self) -> Frame:
        if not self._frames:
            event: setBLOBVector = await self._next()
            self._frames += [Frame.of(event, name) for name, data in event.items() if data]
        else:
            await self._turns.step()
        return self._frames.pop(0)

    async def _next(self) -> Any:
        try:
            return await super()._next()
        except StopAsyncIteration:
            if self._error is not None:
                raise self._error from None
            raise


class Inboxes:
    """All iterators that somebody still holds, in the order in which they were made."""

    def __init__(self) -> None:
        self._all: WeakValueDictionary[int, Events | Frames] = WeakValueDictionary()
        self._made = 0

    def add(self, inbox: Events | Frames) -> None:
        """Let it hear what is said from now on."""
        self._made += 1
        self._all[self._made] = inbox

    def hear(self, event: SnoopEvent) -> None:
        """Hand an event to all who want it. Never blocks."""
        if not self._all:
            return
        if isinstance(event, setBLOBVector) and event.members:
            size = sum(map(len, event.members.values()))
            self.arriving(Progress(event.devicename, event.vectorname, size, size))
        encoded = EncodedEvent(event)
        for inbox in list(self._all.values()):
            inbox.hear(encoded)

    def arriving(self, progress: Progress) -> None:
        """Tell how much has come of a BLOB."""
        for inbox in list(self._all.values()):
            if isinstance(inbox, Frames):
                inbox.arriving(progress)

    def close(self) -> None:
        """End all of them, once they have handed out what waits."""
        for inbox in list(self._all.values()):
            inbox.close()
        self._all.clear()
