"""What a driver snoops on, and how it hears of it.

What other drivers say waits in an event queue, as for any other peer: a driver that is slow to
handle it gets the newest state, and two drivers that snoop on each other cannot deadlock. This
module knows no other drivers, and not how a request reaches them.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from trindi.driver.faults import call_handler
from trindi.errors import ConfigurationError
from trindi.protocol import (
    BLOBPolicy,
    DefVector,
    Effect,
    Event,
    Property,
    Snapshot,
    SnoopEvent,
    check_name,
    covers,
    delProperty,
    enableBLOB,
    getProperties,
    is_all,
    replace,
)
from trindi.transport import EncodedBatch, EventQueue
from trindi.visible import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Container, Iterator

    from trindi.transport import EncodedEvent

logger = get_logger("trindi.driver")


class Snooping:
    """What one driver snoops on: everything, devices, and pairs of device and vector name."""

    def __init__(
        self,
        own: Container[str],
        handler: Callable[[SnoopEvent], Awaitable[None]],
        publish: Callable[[Event], None],
    ) -> None:
        self._own = own
        self._handler = handler
        self._publish = publish
        self._watches: dict[tuple[str | None, str | None], _Watch] = {}
        self._blobs: dict[tuple[str, str | None], enableBLOB] = {}
        self._nursery: trio.Nursery | None = None
        self.contain_errors = True  # An exception of the handler costs only the event.
        self.everything = False
        self.devices: set[str] = set()
        self.vectors: set[tuple[str, str]] = set()
        self.queue = _SnoopQueue(self)
        # What the handler has been told, in this run.
        self._heard = Snapshot(_Heard)

    def add(self, devicename: str | None, vectorname: str | None) -> getProperties:
        """Note what is snooped on, and return the request for it."""
        if devicename is None or is_all(devicename):
            if vectorname is not None:
                raise ConfigurationError("name the device of the vector to snoop on")
            self.everything = True
            return getProperties()
        name = self._check_device(devicename)
        if vectorname is None:
            self.devices.add(name)
        else:
            self.vectors.add((name, check_name(vectorname, "vector")))
        return getProperties(name, vectorname)

    def add_blobs(self, devicename: str, vectorname: str | None, policy: str) -> enableBLOB:
        request = enableBLOB(self._check_device(devicename), vectorname, BLOBPolicy(policy))
        self._blobs[devicename, vectorname] = request
        return request

    def remove(self, devicename: str | None, vectorname: str | None) -> None:
        """Take back a request, so that nothing of it reaches the handler any more."""
        if devicename is None or is_all(devicename):
            self.everything = False
        elif vectorname is None:
            self.devices.discard(devicename)
        else:
            self.vectors.discard((devicename, vectorname))
            watch = self._watches.pop((devicename, vectorname), None)
            if watch is not None:
                watch.scope.cancel()
        if devicename is not None and self._blobs.pop((devicename, vectorname), None) is not None:
            self._publish(enableBLOB(devicename, vectorname, BLOBPolicy.NEVER))
        # When it is snooped on again, the first definition is news.
        for known in self._heard.matching(devicename, vectorname):
            end = delProperty(known.definition.devicename, known.definition.vectorname)
            if not self.wants(end):
                self._heard.apply(end)

    def silent_for(self, devicename: str, vectorname: str) -> float:
        heard = self._heard.find(devicename, vectorname)
        return math.inf if heard is None else trio.current_time() - heard.news_at

    def watch(self, devicename: str, vectorname: str, timeout: float) -> None:
        if not timeout > 0:
            raise ConfigurationError(f"timeout is more than 0 seconds, not {timeout!r}")
        request = self.add(devicename, vectorname)
        if (devicename, vectorname) in self._watches:
            self._watches[devicename, vectorname].scope.cancel()
        watch = _Watch(timeout, partial(self._publish, request))
        self._watches[devicename, vectorname] = watch
        if self._nursery is not None:
            self._publish(request)
            self._nursery.start_soon(watch.run)

    def _check_device(self, devicename: str) -> str:
        if devicename in self._own:
            raise ConfigurationError(
                f"device {devicename!r} is the driver's own: read its vectors directly"
            )
        return check_name(devicename, "device")

    def _interests(self) -> Iterator[tuple[str | None, str | None]]:
        if self.everything:
            yield None, None
        yield from ((devicename, None) for devicename in sorted(self.devices))
        yield from sorted(self.vectors)

    def ask_again(self) -> None:
        """Send all requests, also those from before the driver ran or failed."""
        for devicename, vectorname in self._interests():
            self._publish(getProperties(devicename, vectorname))
        for request in self._blobs.values():
            self._publish(request)

    def wants(self, event: Any) -> bool:
        names = event.devicename, getattr(event, "vectorname", None)
        if names[0] in self._own:
            return False
        if self.everything or names[0] in self.devices or names in self.vectors:
            return True
        # The end of a device is the end of each vector that is snooped on.
        return isinstance(event, delProperty) and any(covers(*n, event) for n in self._interests())

    def note_activity(self, event: Any) -> None:
        watch = self._watches.get((event.devicename, getattr(event, "vectorname", None)))
        if watch is not None:
            watch.note_activity()

    def start(self, nursery: trio.Nursery) -> None:
        """Send all requests, and begin to call the handler; `stop` is to follow."""
        self.queue = _SnoopQueue(self)
        self._heard.clear()
        self._nursery = nursery
        self.ask_again()
        for watch in self._watches.values():
            watch.scope = trio.CancelScope()
            nursery.start_soon(watch.run)
        nursery.start_soon(self._call_handler)

    def stop(self) -> None:
        self._nursery = None
        self.queue.close()
        self.queue.clear()

    async def _call_handler(self) -> None:
        """Call the handler with each event, in order; the newest state wins (see EventQueue)."""
        while await self.queue.wait_news():
            event: Any = self.queue.pop().event
            if self.wants(event):  # It may have been taken back while the event waited.
                event = self._note(event)
                await call_handler(self._handler, event, partial(self._handle_fault, event))
            self.queue.task_done()

    def _note(self, event: Any) -> Any:
        """Note what an event says; mark a definition that only repeats what is known."""
        effect, heard = self._heard.apply(event)
        if effect is Effect.REPEATED:
            return replace(event, repeated=True)
        if effect in (Effect.UPDATED, Effect.REDEFINED):
            heard[0].news_at = trio.current_time()
        return event

    def _handle_fault(self, event: Any, error: BaseException, *, in_task: bool = False) -> bool:
        who = "a task begun by snoopevent" if in_task else "snoopevent"
        what = f"{who} failed on {type(event).__name__}"
        if self.contain_errors:
            logger.error(what, exc_info=error)
        else:
            error.add_note(what)
        return self.contain_errors


class _Heard(Property):
    """A property of another driver; a first definition may be of any age, and is no news."""

    __slots__ = ("news_at",)

    def __init__(self, definition: DefVector) -> None:
        super().__init__(definition)
        self.news_at = -math.inf


class _SnoopQueue(EventQueue):
    def __init__(self, snooping: Snooping) -> None:
        # A handler that is too slow gets the newest state; at the bound all is requested again.
        super().__init__(at_bound=self._overflow)
        self._snooping = snooping

    def put(self, encoded: EncodedEvent) -> None:
        self._snooping.note_activity(encoded.event)
        if self._snooping.wants(encoded.event):
            super().put(encoded)

    def put_all(self, batch: EncodedBatch) -> None:
        for encoded in batch.items:
            self._snooping.note_activity(encoded.event)
        wanted = (encoded for encoded in batch.items if self._snooping.wants(encoded.event))
        super().put_all(EncodedBatch(wanted))

    def _overflow(self, _queue: EventQueue) -> None:
        self.drop_all()
        logger.warning("snoopevent is too slow: events are dropped and requested again")
        self._snooping.ask_again()


class _Watch:
    """Sends a request again after each timeout in which its vector said nothing."""

    def __init__(self, timeout: float, request_again: Callable[[], None]) -> None:
        self._timeout = timeout
        self._request_again = request_again
        self.scope = trio.CancelScope()
        self._due = 0.0

    def note_activity(self) -> None:
        self._due = trio.current_time() + self._timeout

    async def run(self) -> None:
        with self.scope:
            self.note_activity()
            while True:
                await trio.sleep_until(self._due)
                if trio.current_time() >= self._due:
                    self._request_again()
                    self.note_activity()
