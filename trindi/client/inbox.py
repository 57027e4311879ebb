"""The iterators over events and BLOBs that a client hands out; this module knows no streams.

Each has an event queue, as any other peer has: a slow program gets the newest state, and never
slows the client down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakValueDictionary

from trindi.protocol import SnoopEvent, covers, plain_format, setBLOBVector
from trindi.transport import HIGH_WATER, EncodedEvent, EventQueue, YieldBudget, contained

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime


class _Inbox:
    def __init__(
        self,
        devicename: str | None = None,
        vectorname: str | None = None,
        high_water: int = HIGH_WATER,
    ) -> None:
        self.devicename = devicename
        self.vectorname = vectorname
        self._queue = EventQueue(high_water=high_water)
        self._budget = YieldBudget()

    def __aiter__(self) -> Self:
        return self

    @property
    def drops(self) -> int:
        """How many events were replaced by a newer one, or dropped."""
        return self._queue.drops

    def _put(self, encoded: EncodedEvent) -> None:
        if covers(self.devicename, self.vectorname, encoded.event):
            self._queue.put(encoded)

    def close(self) -> None:
        """End the iterator after what is queued."""
        self._queue.close()

    async def _next(self) -> Any:
        # The event handed out before counts as queued until now.
        self._queue.task_done()
        await self._budget.step()
        if not await self._queue.wait_news():
            raise StopAsyncIteration
        return self._queue.pop().event


class Events(_Inbox):
    """An async iterator over what a server sends, from when it was made.

    See `IPyClient.events`. It ends when the client does. If cancelled, no event is lost.
    """

    async def __anext__(self) -> SnoopEvent:
        event: SnoopEvent = await self._next()
        return event


class Frame(bytes):
    """One BLOB: bytes with their origin.

    Attributes:
        format: the file suffix such as ``.fits``, without the ``.z`` of one compressed on its way.
        timestamp: when the device says it was sent, or None.
    """

    devicename: str
    vectorname: str
    membername: str
    format: str
    timestamp: datetime | None

    @classmethod
    def _of(cls, event: setBLOBVector, membername: str) -> Frame:
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
    """How much of a BLOB has arrived.

    Attributes:
        received: bytes so far; an estimate until it is complete.
        total: bytes in the end, or None if unknown, as for a BLOB that is compressed on its way.
    """

    devicename: str
    vectorname: str
    received: int
    total: int | None


class Frames(_Inbox):
    """An async iterator over the BLOBs of a property, from when it was made.

    See `IPyClient.frames`. It ends when the client does. If cancelled, no frame is lost.
    """

    devicename: str
    vectorname: str

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
        self._error: BaseException | None = None

    def _put(self, encoded: EncodedEvent) -> None:
        if isinstance(encoded.event, setBLOBVector) and any(encoded.event.values()):
            super()._put(encoded)

    def _report_progress(self, progress: Progress) -> None:
        wanted = (progress.devicename, progress.vectorname) == (self.devicename, self.vectorname)
        if wanted and self._progress is not None and self._error is None:
            with contained(self._fail):
                self._progress(progress)

    def _fail(self, error: BaseException) -> bool:
        self._error = error
        self.close()
        return True

    async def __anext__(self) -> Frame:
        if self._frames:
            await self._budget.step()
            return self._frames.pop(0)
        # One whose frame was replaced by a newer one may have a message still.
        while not self._frames:
            try:
                event: setBLOBVector = await self._next()
            except StopAsyncIteration:
                if self._error is not None:
                    raise self._error from None
                raise
            self._frames += [Frame._of(event, name) for name, data in event.items() if data]
        return self._frames.pop(0)


class Inboxes:
    """All iterators that the program still refers to, in the order in which they were made.

    None of these calls blocks.
    """

    def __init__(self) -> None:
        self._inboxes: WeakValueDictionary[int, Events | Frames] = WeakValueDictionary()
        self._count = 0

    def add(self, inbox: Events | Frames) -> None:
        self._count += 1
        self._inboxes[self._count] = inbox

    def put(self, event: SnoopEvent) -> None:
        if not self._inboxes:
            return
        if isinstance(event, setBLOBVector) and event.members:
            size = sum(map(len, event.members.values()))
            self.report_progress(Progress(event.devicename, event.vectorname, size, size))
        encoded = EncodedEvent(event)
        for inbox in list(self._inboxes.values()):
            inbox._put(encoded)

    def report_progress(self, progress: Progress) -> None:
        for inbox in list(self._inboxes.values()):
            if isinstance(inbox, Frames):
                inbox._report_progress(progress)

    def close(self) -> None:
        for inbox in list(self._inboxes.values()):
            inbox.close()
        self._inboxes.clear()
