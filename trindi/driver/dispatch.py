"""From a peer's request to the author's code: checks, order, containment.

A request is checked against the property in the very task that read it; what is refused is answered
and never reaches the author. What passes goes into a bounded memory channel. One worker task leads:
it takes requests from the channel, in order. The moment it has one for an idle property it calls
another worker to lead, and runs `clientevent` itself. So

* requests begin in the order in which they were read, even those to different properties: an abort
  sent right behind a goto finds it begun;
* a handler that waits holds up nobody but its own property, whose further requests wait in a line:
  events of one property stay in order, and an abort never waits behind a goto;
* a peer that has filled its share of a line holds up only itself;
* what peers have asked that are gone since is still done, but a line has an end: what comes behind
  it is refused.

This module does not know where requests come from.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

import trio

from trindi.driver.definitions import matching
from trindi.errors import ProtocolError, RefusedError
from trindi.properties import BLOBVector, Device, Vector
from trindi.protocol import (
    ClientEvent,
    Event,
    Message,
    NewVector,
    State,
    enableBLOB,
    getProperties,
    replace,
)
from trindi.transport import YieldBudget

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator
    from datetime import datetime

    from trindi.transport import EncodedBatch

__all__ = ["Dispatcher", "Sender", "wait_for_all"]

logger = logging.getLogger("trindi.driver")

PROPERTY_QUEUE: Final = 64
"""Requests of one peer that may wait for one property; if it sends more, it waits itself."""

BLOB_QUEUE: Final = 2
"""The same for BLOBs, of all peers together: each of them may take a gigabyte."""

MAX_LINE: Final = 1024
"""Requests of all peers together that may wait for one property; further ones are refused. Peers
that ask, go and come again would else make a line without end, each time with a new share."""

INTAKE: Final = 1024
"""Requests that may wait to be put in their lines; when it is full, the peer that sends more waits,
but not for long: nothing holds up who takes them."""

MAX_IDLE: Final = 4
"""Workers that are kept for the next handler that takes long; further ones end."""


class Sender(Protocol):
    """Where a request came from, and where answers for it alone go."""

    def reply(self, event: Event) -> None:
        """Send an event to this peer alone, without waiting."""

    def forward(self, batch: EncodedBatch) -> None:
        """Send what is encoded already to this peer alone, without waiting."""

    def request_started(self, event: ClientEvent, /) -> None:
        """Say that a request of this peer is being worked on."""

    def request_finished(self, event: ClientEvent, /) -> None:
        """Say that it is no longer."""


_Place: TypeAlias = tuple[str, str | None]


class _Line:
    """What waits for one property; only the head of the line is being worked on.

    Each peer has its own share of the line, so that one who fills his holds up nobody else. Only
    BLOBs are counted together, for the memory they take.
    """

    __slots__ = ("_counts", "_of_blobs", "busy", "room", "waiting")

    def __init__(self, of_blobs: bool) -> None:
        self._of_blobs = of_blobs
        self._counts: dict[Sender | None, int] = {}
        self.busy = False
        self.waiting: deque[_Request] = deque()
        self.room = trio.lowlevel.ParkingLot()

    def is_full_for(self, sender: Sender) -> bool:
        bound = BLOB_QUEUE if self._of_blobs else PROPERTY_QUEUE
        return self._counts.get(self._share(sender), 0) > bound

    def enter(self, sender: Sender) -> None:
        share = self._share(sender)
        self._counts[share] = self._counts.get(share, 0) + 1

    def leave(self, sender: Sender) -> None:
        share = self._share(sender)
        left = self._counts.pop(share, 1) - 1
        if left:
            self._counts[share] = left
        if self.room:
            self.room.unpark_all()

    def open_to_all(self) -> None:
        """Make room for all who wait: they are to find that nobody takes requests any more."""
        self._counts.clear()
        self.room.unpark_all()

    def _share(self, sender: Sender) -> Sender | None:
        return None if self._of_blobs else sender


class _Request(NamedTuple):
    event: ClientEvent
    vector: Vector[Any, Any] | None
    sender: Sender
    line: _Line


class Dispatcher:
    """Takes the requests for the devices of one driver.

    Args:
        devices: device name to device.
        handler: the author's `clientevent`.
        publish: sends an event to whoever wants it, without waiting.

    Attributes:
        contain_errors: an exception of the handler costs only its request. False: it ends `run`.
    """

    def __init__(
        self,
        devices: dict[str, Device],
        handler: Callable[[ClientEvent], Awaitable[None]],
        publish: Callable[[Event], None],
    ) -> None:
        self._devices = devices
        self._handler = handler
        self._publish = publish
        self.contain_errors = True
        self._lines: dict[_Place, _Line] = {}
        self._intake: trio.MemorySendChannel[_Request] | None = None
        self._led = False  # a worker takes requests from the channel
        self._called = False  # a worker is on its way to do so
        self._unread = 0  # requests in the channel
        self._nursery: trio.Nursery | None = None
        self._turns = YieldBudget()
        self._idle = trio.lowlevel.ParkingLot()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Take requests, and work on them, until cancelled."""
        intake, requests = trio.open_memory_channel[_Request](INTAKE)
        self._intake, self._requests = intake, requests
        self._led = self._called = False
        self._turns = YieldBudget()
        self._unread = 0
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self._call_worker()
                task_status.started()
        finally:
            self._stop(requests)

    def _stop(self, requests: trio.MemoryReceiveChannel[_Request]) -> None:
        """Forget all requests: nobody works on what is left."""
        self._intake = self._nursery = None
        left = [request for line in self._lines.values() for request in line.waiting]
        with contextlib.suppress(trio.WouldBlock):
            while True:
                left.append(requests.receive_nowait())
        requests.close()
        for request in left:
            request.sender.request_finished(request.event)
        for line in self._lines.values():
            line.open_to_all()
        self._lines.clear()

    # Taking ------------------------------------------------------------------------------------

    def take(self, event: NewVector, sender: Sender) -> Awaitable[None] | None:
        """Take what a client wants set, or refuse it.

        Returns:
            None, or something to await where the property's queue is full.
        """
        device = self._devices.get(event.devicename)
        if device is None or not device.enable:
            return None
        vector = device.get(event.vectorname)
        if vector is None or not vector.enable:
            text = f"[ERROR] {event.devicename} has no property {event.vectorname[:64]}"
            sender.reply(Message(event.devicename, text, device.sink.stamp(None)))
            return None
        try:
            vector.check(event)
        except RefusedError as refusal:
            self._refuse(vector, str(refusal), sender)
            return None
        return self.hand_over(event, vector, sender)

    def refuse(self, error: ProtocolError, sender: Sender) -> None:
        """Answer a request whose values are not legal; a broken element is nobody's request."""
        if error.malformed:
            return
        device = self._devices.get(error.devicename or "")
        vector = device.get(error.vectorname or "") if device else None
        if vector is not None and vector.enabled and (error.element or "").startswith("new"):
            self._refuse(vector, error.reason, sender)

    @staticmethod
    def _refuse(vector: Vector[Any, Any], reason: str, sender: Sender) -> None:
        """Answer with Alert, the values as they are, and why; the property itself is unharmed."""
        report = vector.status(f"[ERROR] {vector.name} is unchanged: {reason}")
        sender.reply(replace(report, state=State.ALERT))

    def hand_over(
        self, event: ClientEvent, vector: Vector[Any, Any] | None, sender: Sender
    ) -> Awaitable[None] | None:
        """Put an event that has passed in its property's line.

        Returns:
            None, or something to await where the line is full.
        """
        intake = self._intake
        if intake is None or event.devicename is None:
            return None
        line = self._line((event.devicename, vector.name if vector is not None else None), vector)
        request = _Request(event, vector, sender, line)
        if line.is_full_for(sender):
            return _Waiting(request, intake, self.noted)
        if len(line.waiting) >= MAX_LINE:
            self._turn_down(request)
            return None
        try:
            intake.send_nowait(request)
        except trio.WouldBlock:
            return _Waiting(request, intake, self.noted)
        line.enter(sender)
        sender.request_started(event)
        self.noted()
        return None

    def noted(self) -> None:
        """See that somebody leads, now that there is one request more in the channel."""
        self._unread += 1
        if not self._led:
            self._call_worker()

    def _turn_down(self, request: _Request) -> None:
        """Answer that too much waits; a peer that had to wait as well could not even abort."""
        event, vector, sender, _line = request
        reason = f"{MAX_LINE} requests for it wait already"
        if vector is not None and isinstance(event, NewVector):
            self._refuse(vector, reason, sender)
        else:
            name = event.vectorname or ""
            text = f"[ERROR] {f'{event.devicename} {name}'.rstrip()} is not asked: {reason}"
            sender.reply(Message(event.devicename, text, self._time(event)))

    def _line(self, place: _Place, vector: Vector[Any, Any] | None) -> _Line:
        line = self._lines.get(place)
        if line is None:
            line = _Line(isinstance(vector, BLOBVector))
            self._lines[place] = line
        return line

    # Working -----------------------------------------------------------------------------------

    async def _work(self) -> None:
        self._called = False
        while await self._may_lead():
            request = await self._lead()
            self._led = False
            if self._unread:
                # The handler may take long. Where it does not, this worker leads again before the
                # other one has woken.
                self._call_worker()
            await self._serve(request)
            # It may hold a large BLOB, and the next one may be long in coming.
            del request

    async def _may_lead(self) -> bool:
        """Wait until nobody else leads; False where enough others wait for that already."""
        while self._led:
            if len(self._idle) >= MAX_IDLE:
                return False
            await self._idle.park()
            self._called = False
        self._led = True
        return True

    async def _lead(self) -> _Request:
        """Take requests until one is for an idle property; put the others in their lines."""
        # Before one is taken: being cancelled now loses none.
        if self._turns.exhausted():
            await self._turns.checkpoint()
        while True:
            try:
                request = self._requests.receive_nowait()
            except trio.WouldBlock:
                request = await self._requests.receive()
            self._unread -= 1
            if not request.line.busy:
                return request
            request.line.waiting.append(request)

    def _call_worker(self) -> None:
        """See that somebody leads soon."""
        if self._called or self._nursery is None:
            return
        self._called = True
        if self._idle:
            self._idle.unpark()
        else:
            self._nursery.start_soon(self._work, name="clientevent")

    async def _serve(self, request: _Request) -> None:
        """Work on a request, and on those that are in line behind it by then."""
        line = request.line
        line.busy = True
        try:
            while True:
                try:
                    await self._handle(request.event, request.vector)
                finally:
                    request.sender.request_finished(request.event)
                    line.leave(request.sender)
                if not line.waiting:
                    return
                request = line.waiting.popleft()
        finally:
            line.busy = False

    async def _handle(self, event: ClientEvent, vector: Vector[Any, Any] | None) -> None:
        """Run the author's handler; its exception is contained, and costs only this request."""
        if vector is not None and not vector.enabled:
            # It has been disabled while the request waited.
            return
        try:
            await self._handler(replace(event, vector=vector, timestamp=self._time(event)))
        except Exception as error:
            place = f"{event.devicename} {event.vectorname or ''}".rstrip()
            if not self.contain_errors:
                error.add_note(f"clientevent failed on {type(event).__name__} of {place}")
                raise
            logger.exception("clientevent failed on %s of %s", type(event).__name__, place)
            if vector is not None and vector.enabled:
                vector.state = State.ALERT
                text = f"[ERROR] {vector.name}: {type(error).__name__}: {error}"
                self._publish(vector.status(text))

    def _time(self, event: ClientEvent) -> datetime:
        """When the peer said it, or now where it did not say."""
        return event.timestamp or self._devices[event.devicename or ""].sink.stamp(None)

    # Asking ------------------------------------------------------------------------------------

    def ask(self, event: getProperties | enableBLOB, sender: Sender) -> Awaitable[None] | None:
        """Hand a getProperties to the author vector by vector, an enableBLOB as it is."""
        waits = []
        for vector in self._asked(event):
            own = event
            if vector is not None:
                own = replace(event, devicename=vector.devicename, vectorname=vector.name)
            wait = self.hand_over(own, vector, sender)
            if wait is not None:
                waits.append(wait)
        return wait_for_all(waits) if waits else None

    def _asked(self, event: getProperties | enableBLOB) -> list[Vector[Any, Any] | None]:
        if isinstance(event, enableBLOB) and event.vectorname is None:
            device = self._devices.get(event.devicename)
            return [None] if device is not None and device.enable else []
        return list(matching(self._devices, event.devicename, event.vectorname))


class _Waiting:
    """A request that waits for room in its line; await it, or the request is lost."""

    def __init__(
        self,
        request: _Request,
        intake: trio.MemorySendChannel[_Request],
        on_sent: Callable[[], None],
    ) -> None:
        self._request = request
        self._intake = intake
        self._on_sent = on_sent
        self._sent = False

    def __await__(self) -> Generator[Any, Any, None]:
        return self._send().__await__()

    async def _send(self) -> None:
        line, sender = self._request.line, self._request.sender
        counted = False
        sender.request_started(self._request.event)
        try:
            while line.is_full_for(sender):
                await line.room.park()
            counted = True
            line.enter(sender)
            await self._intake.send(self._request)
            self._sent = True
            self._on_sent()
        except trio.BrokenResourceError:
            # The driver has ended meanwhile, and its requests with it.
            pass
        finally:
            if not self._sent:
                if counted:
                    line.leave(sender)
                sender.request_finished(self._request.event)


async def wait_for_all(waits: list[Awaitable[None]]) -> None:
    """Wait for full queues. If cancelled, each wait was begun, and has ended."""

    async def one(wait: Awaitable[None]) -> None:
        await wait

    async with trio.open_nursery() as nursery:
        for wait in waits:
            nursery.start_soon(one, wait)
