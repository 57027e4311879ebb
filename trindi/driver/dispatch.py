"""From a peer's request to the author's code: checks, one worker for each property, containment.

A request is checked against the property in the very task that read it; what is refused is answered
and never reaches the author. What passes goes into a bounded memory channel of that property, whose
worker task hands it to `clientevent`. So events of one property stay in order, an abort never waits
behind a goto, and a full channel holds up only the peer that filled it. This module does not know
where requests come from.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import trio

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
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["Dispatcher", "Sender", "wait_for_all"]

logger = logging.getLogger("trindi.driver")

PROPERTY_QUEUE: Final = 64
"""Requests that may wait for one property; when it is full, the peer that sends more waits."""

BLOB_QUEUE: Final = 2
"""The same for BLOBs, each of which may take a gigabyte."""


class Sender(Protocol):
    """Where a request came from, and where answers for it alone go."""

    def reply(self, event: Event) -> None:
        """Send an event to this peer alone, without waiting."""

    def begin(self) -> None:
        """Say that a request of this peer is being worked on."""

    def done(self) -> None:
        """Say that it is no longer."""


_Request: TypeAlias = tuple[ClientEvent, Vector[Any, Any] | None, Sender]
_Place: TypeAlias = tuple[str, str | None]


class Dispatcher:
    """Takes the requests for the devices of one driver.

    Args:
        devices: device name to device.
        handler: the author's `clientevent`.
        publish: sends an event to whoever wants it, without waiting.
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
        self._nursery: trio.Nursery | None = None
        self._queues: dict[_Place, trio.MemorySendChannel[_Request]] = {}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Host the workers of the properties until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._nursery = None
                self._queues.clear()

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
            sender.reply(Message(event.devicename, text, device.outlet.now()))
            return None
        try:
            vector.check(event)
        except RefusedError as refusal:
            self._refuse(vector, str(refusal), sender)
            return None
        return self.hand_over(event, vector, sender)

    def refuse(self, error: ProtocolError, sender: Sender) -> None:
        """Answer a request that could not even be read, where it says what it was for."""
        device = self._devices.get(error.devicename or "")
        vector = device.get(error.vectorname or "") if device else None
        if vector is not None and vector.enabled and (error.element or "").startswith("new"):
            self._refuse(vector, error.reason, sender)

    @staticmethod
    def _refuse(vector: Vector[Any, Any], reason: str, sender: Sender) -> None:
        """Answer with Alert, the values as they are, and why; the property itself is unharmed."""
        names = () if isinstance(vector, BLOBVector) else tuple(vector)
        report = vector.report(names, f"[ERROR] {vector.name} is unchanged: {reason}")
        sender.reply(replace(report, state=State.ALERT))

    def hand_over(
        self, event: ClientEvent, vector: Vector[Any, Any] | None, sender: Sender
    ) -> Awaitable[None] | None:
        """Put an event that has passed into its property's queue.

        Returns:
            None, or something to await where the queue is full.
        """
        queue = self._queue(event, vector)
        if queue is None:
            return None
        request = (event, vector, sender)
        try:
            queue.send_nowait(request)
        except trio.WouldBlock:
            return self._wait(queue, request)
        sender.begin()
        return None

    @staticmethod
    async def _wait(queue: trio.MemorySendChannel[_Request], request: _Request) -> None:
        sender = request[2]
        sender.begin()
        taken = False
        try:
            await queue.send(request)
            taken = True
        except trio.BrokenResourceError:
            # The driver has ended meanwhile, and its requests with it.
            pass
        finally:
            if not taken:
                sender.done()

    def _queue(
        self, event: ClientEvent, vector: Vector[Any, Any] | None
    ) -> trio.MemorySendChannel[_Request] | None:
        """The queue of a property, its worker started at the first event."""
        if self._nursery is None or event.devicename is None:
            return None
        place = (event.devicename, vector.name if vector is not None else None)
        queue = self._queues.get(place)
        if queue is None:
            bound = BLOB_QUEUE if isinstance(vector, BLOBVector) else PROPERTY_QUEUE
            queue, requests = trio.open_memory_channel[_Request](bound)
            self._queues[place] = queue
            self._nursery.start_soon(self._work, requests, name=f"clientevent of {place}")
        return queue

    # Working -----------------------------------------------------------------------------------

    async def _work(self, requests: trio.MemoryReceiveChannel[_Request]) -> None:
        async with requests:
            try:
                async for event, vector, sender in requests:
                    try:
                        await self._handle(event, vector)
                    finally:
                        sender.done()
            finally:
                # The driver has ended: nobody will work on what is left.
                while requests.statistics().current_buffer_used:
                    requests.receive_nowait()[2].done()

    async def _handle(self, event: ClientEvent, vector: Vector[Any, Any] | None) -> None:
        """Run the author's handler; its exception is contained, and costs only this request."""
        now = event.timestamp
        if now is None and vector is not None:
            now = vector.outlet.now()
        try:
            await self._handler(replace(event, vector=vector, timestamp=now))
        except Exception as error:
            logger.exception("clientevent failed on %s", type(event).__name__)
            if vector is not None and vector.enabled:
                vector.state = State.ALERT
                text = f"[ERROR] {vector.name}: {type(error).__name__}: {error}"
                names = () if isinstance(vector, BLOBVector) else tuple(vector)
                self._publish(vector.report(names, text))

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


async def wait_for_all(waits: list[Awaitable[None]]) -> None:
    """Wait for full queues. If cancelled, each wait was begun, and has ended."""

    async def one(wait: Awaitable[None]) -> None:
        await wait

    async with trio.open_nursery() as nursery:
        for wait in waits:
            nursery.start_soon(one, wait)


def matching(
    devices: dict[str, Device], devicename: str | None, vectorname: str | None
) -> list[Vector[Any, Any]]:
    """The enabled vectors that a getProperties with these attributes asks for.

    A chained indiserver asks for the device ``*``, and means all (§5.5).
    """
    return [
        vector
        for device in devices.values()
        if devicename in (None, "*", device.devicename)
        for vector in device.values()
        if vectorname in (None, vector.name) and vector.enabled
    ]
