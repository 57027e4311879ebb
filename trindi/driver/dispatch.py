"""From a peer's request to the author's code: checks, order, containment of errors.

The task that reads a request checks it against its property. A refused request is answered and
never reaches the author. One that passes goes into a bounded memory channel. One worker, the
leader, takes requests from the channel, in order. When it has one for an idle property, it wakes
another worker to lead, and runs `clientevent` itself. So

* requests begin in the order in which they were read, even those to different properties: an abort
  sent right behind a goto finds it begun;
* a handler that takes long holds up only its own property, whose further requests wait in a
  `PropertyQueue`: events of one property stay in order, and an abort never waits behind a goto;
* a peer that has filled its share of such a queue holds up only itself; one that speaks for many is
  refused instead;
* requests of peers that have left are still done; those beyond the bound of a queue are refused.
"""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import trio

from trindi.driver.definitions import matching
from trindi.driver.faults import call_handler
from trindi.driver.property_queue import MAX_WAITING, PropertyQueue, Request, Sender, bound_of
from trindi.errors import ProtocolError, RefusedError
from trindi.properties import BLOBVector, Device, Vector
from trindi.protocol import (
    ClientEvent,
    Message,
    NewVector,
    State,
    enableBLOB,
    getProperties,
    newBLOBVector,
    replace,
)
from trindi.transport import YieldBudget, describe
from trindi.visible import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator

    from trindi.driver.sink import DriverSink

logger = get_logger("trindi.driver")

INTAKE: Final = 1024
"""Requests that may wait for the leader. A peer that sends more waits, but not for long."""

MAX_IDLE: Final = 4
"""Idle workers that are kept for the next handler that takes long; further ones end."""

_Intake: TypeAlias = "trio.MemorySendChannel[Request]"


class Dispatcher:
    """Takes the requests for the devices of one driver, and calls the author's `clientevent`."""

    def __init__(
        self,
        devices: dict[str, Device],
        handler: Callable[[ClientEvent], Awaitable[None]],
        sink: DriverSink,
    ) -> None:
        self._devices = devices
        self._handler = handler
        self._sink = sink
        self.contain_errors = True  # An exception of the handler costs only its request.
        self._queues: dict[Vector[Any, Any], PropertyQueue] = {}
        self._intake: _Intake | None = None
        self._nursery: trio.Nursery | None = None
        self._idle = trio.lowlevel.ParkingLot()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self._intake, self._requests = trio.open_memory_channel[Request](INTAKE)
        self._has_leader = False
        self._wakeup_pending = False  # a worker is on its way to lead
        self._unread = 0  # requests in the channel
        self._budget = YieldBudget()
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self._wake_worker()
                task_status.started()
            raise RuntimeError("a handler has cancelled the nursery that all handlers run in")
        finally:
            self._stop()

    def _stop(self) -> None:
        self._intake = self._nursery = None
        left = [request for queue in self._queues.values() for request in queue.waiting]
        with contextlib.suppress(trio.WouldBlock):
            while True:
                left.append(self._requests.receive_nowait())
        self._requests.close()
        for request in left:
            request.sender.request_finished(request.event)
        for queue in self._queues.values():
            queue.release_all()
        self._queues.clear()

    # These return something to await if the queue of the property is full.

    def take(self, event: NewVector, sender: Sender) -> Awaitable[None] | None:
        device = self._devices.get(event.devicename)
        if device is None or not device.enable:
            return None
        vector = device.get(event.vectorname)
        if vector is None or not vector.enable:
            self._reply_unknown(device, event.vectorname, sender)
            return None
        try:
            vector.check(event)
        except RefusedError as refusal:
            self._refuse(vector, str(refusal), sender)
            return None
        return self._enqueue(event, vector, sender)

    def ask(self, event: getProperties | enableBLOB, sender: Sender) -> Awaitable[None] | None:
        """Hand a getProperties to the author vector by vector, an enableBLOB for each of BLOBs."""
        waits = []
        for vector in matching(self._devices, event.devicename, event.vectorname):
            if isinstance(event, getProperties) or isinstance(vector, BLOBVector):
                own = replace(event, devicename=vector.devicename, vectorname=vector.name)
                waits.append(self._enqueue(own, vector, sender))
        full = [wait for wait in waits if wait is not None]
        return wait_for_all(full) if full else None

    def refuse(self, error: ProtocolError, sender: Sender) -> None:
        """Answer a request whose values are not legal; a broken element is not answered."""
        device = self._devices.get(error.devicename or "")
        if not error.is_request or device is None or not device.enable:
            return
        vector = device.get(error.vectorname or "")
        if vector is None or not vector.enable:
            self._reply_unknown(device, error.vectorname or "", sender)
        else:
            self._refuse(vector, error.reason, sender)

    def admit(
        self, event: type[Any], devicename: str, vectorname: str, membername: str, size: int
    ) -> None:
        """Raise RefusedError if a client may not upload so many bytes to a member of a property."""
        device = self._devices.get(devicename)
        vector = None if device is None else device.get(vectorname)
        if vector is None or not vector.enabled:
            raise RefusedError(f"{devicename} has no property {vectorname[:64]}")
        vector.check_upload(event, membername, size)

    @staticmethod
    def _reply_unknown(device: Device, vectorname: str, sender: Sender) -> None:
        text = f"[ERROR] {device.devicename} has no property {vectorname[:64]}"
        sender.reply(Message(device.devicename, text, device.sink.stamp(None, text)))

    @staticmethod
    def _refuse(vector: Vector[Any, Any], reason: str, sender: Sender) -> None:
        """Answer with Alert, the present values, and why; the property itself does not change."""
        report = vector.status(f"[ERROR] {vector.name} is unchanged: {reason}")
        sender.reply(replace(report, state=State.ALERT))

    def _reject_overload(
        self, event: ClientEvent, vector: Vector[Any, Any], sender: Sender, waiting: int
    ) -> None:
        """Answer that too many requests wait. A peer that waited instead could not even abort."""
        reason = f"{waiting} requests for it wait already"
        if isinstance(event, NewVector):
            self._refuse(vector, reason, sender)
        else:
            text = f"[ERROR] {_name_of(event)} is not asked: {reason}"
            sender.reply(Message(event.devicename, text, vector.sink.stamp(None, text)))

    def _enqueue(
        self, event: ClientEvent, vector: Vector[Any, Any], sender: Sender
    ) -> Awaitable[None] | None:
        """Put an event that has passed all checks into the channel."""
        intake = self._intake
        if intake is None:
            return None
        queue = self._queues.get(vector)
        if queue is None:
            queue = self._queues[vector] = PropertyQueue()
        share = None if isinstance(event, newBLOBVector) else sender
        request = Request(event, vector, sender, queue, share)
        if queue.is_full_for(share):
            if sender.waits:
                return _Deferred(partial(self._enqueue_later, request, intake))
            self._reject_overload(event, vector, sender, bound_of(share))
            return None
        if len(queue.waiting) >= MAX_WAITING:
            self._reject_overload(event, vector, sender, MAX_WAITING)
            return None
        try:
            intake.send_nowait(request)
        except trio.WouldBlock:
            return _Deferred(partial(self._enqueue_later, request, intake))
        queue.acquire(share)
        sender.request_started(event)
        self._note_enqueued()
        return None

    async def _enqueue_later(self, request: Request, intake: _Intake) -> None:
        queue, share = request.queue, request.share
        acquired = sent = False
        request.sender.request_started(request.event)
        try:
            while queue.is_full_for(share):
                await queue.room.park()
            acquired = True
            queue.acquire(share)
            await intake.send(request)
            sent = True
            self._note_enqueued()
        except trio.BrokenResourceError:
            pass  # The driver has ended in the meantime, and its requests with it.
        finally:
            if not sent:
                if acquired:
                    queue.release(share)
                request.sender.request_finished(request.event)

    def _note_enqueued(self) -> None:
        self._unread += 1
        if not self._has_leader:
            self._wake_worker()

    async def _work(self) -> None:
        self._wakeup_pending = False
        while await self._become_leader():
            request = await self._next_request()
            self._has_leader = False
            if self._unread:
                # The handler may take long. If it does not, this worker leads again before the
                # other one has woken.
                self._wake_worker()
            await self._serve(request)
            # It may hold a large BLOB, and the next request may take long to come.
            del request

    async def _become_leader(self) -> bool:
        """Wait until there is no leader; return False if enough idle workers wait already."""
        while self._has_leader:
            if len(self._idle) >= MAX_IDLE:
                return False
            await self._idle.park()
            self._wakeup_pending = False
        self._has_leader = True
        return True

    async def _next_request(self) -> Request:
        """Take requests until one is for an idle property; put the others into their queues."""
        # Before one is taken: being cancelled now loses none.
        if self._budget.exhausted():
            await self._budget.checkpoint()
        while True:
            try:
                request = self._requests.receive_nowait()
            except trio.WouldBlock:
                request = await self._requests.receive()
            self._unread -= 1
            if not request.queue.busy:
                return request
            request.queue.waiting.append(request)

    def _wake_worker(self) -> None:
        if self._wakeup_pending or self._nursery is None:
            return
        self._wakeup_pending = True
        if self._idle:
            self._idle.unpark()
        else:
            self._nursery.start_soon(self._work, name="clientevent")

    async def _serve(self, request: Request) -> None:
        """Work on a request, and on those that are queued behind it by then."""
        queue = request.queue
        queue.busy = True
        try:
            while True:
                try:
                    await self._handle(request.event, request.vector)
                finally:
                    request.sender.request_finished(request.event)
                    queue.release(request.share)
                if not queue.waiting:
                    return
                request = queue.waiting.popleft()
        finally:
            queue.busy = False

    async def _handle(self, event: ClientEvent, vector: Vector[Any, Any]) -> None:
        """Run the author's handler; its exception is contained, and costs only this request."""
        if not vector.enabled:
            return  # It has been disabled while the request waited.
        unanswered, names = self._sink.unanswered, (vector.devicename, vector.name)
        is_request = isinstance(event, NewVector)
        if is_request:
            unanswered.begin(*names)
        time = event.timestamp or self._sink.stamp(None)
        own = replace(event, vector=vector, timestamp=time)
        await call_handler(self._handler, own, partial(self._handle_fault, event, vector))
        if is_request and self._nursery is not None:
            expire = partial(self._note_unanswered, event, vector)
            unanswered.end(self._nursery, names, vector.timeout, expire)

    def _note_unanswered(
        self, event: ClientEvent, vector: Vector[Any, Any], timeout: float
    ) -> None:
        """Answer in place of a handler that has not, and of a hardware loop that has not later."""
        if not vector.enabled:
            return  # Its end, or that of its device, was the answer.
        kind = type(event).__name__
        what = f"clientevent returned without answering {kind} of {vector.devicename}.{vector.name}"
        if not self.contain_errors:
            raise RuntimeError(what)
        logger.warning("%s in %g s", what, timeout)
        self._alert(vector, f"the driver has not answered in {timeout:g} s")

    def _handle_fault(
        self,
        event: ClientEvent,
        vector: Vector[Any, Any],
        error: BaseException,
        *,
        in_task: bool = False,
    ) -> bool:
        who = "a task begun by clientevent" if in_task else "clientevent"
        what = f"{who} failed on {type(event).__name__} of {_name_of(event)}"
        if not self.contain_errors:
            error.add_note(what)
            return False
        logger.error(what, exc_info=error)
        if not isinstance(event, enableBLOB):
            self._alert(vector, describe(error))
        return True

    def _alert(self, vector: Vector[Any, Any], reason: str) -> None:
        if vector.enabled:
            vector.state = State.ALERT
            self._sink.publish(vector.status(f"[ERROR] {vector.name}: {reason}"))


class _Deferred:
    """Calls an async function when it is awaited; if it never is, nothing happens."""

    def __init__(self, call: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._call = call

    def __await__(self) -> Generator[Any, Any, None]:
        return self._call().__await__()


async def wait_for_all(waits: list[Awaitable[None]]) -> None:
    """Wait for full queues. If cancelled, each wait was begun, and has ended."""

    async def one(wait: Awaitable[None]) -> None:
        await wait

    async with trio.open_nursery() as nursery:
        for wait in waits:
            nursery.start_soon(one, wait)


def _name_of(event: ClientEvent) -> str:
    return f"{event.devicename} {event.vectorname}"
