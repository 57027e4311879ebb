"""What a driver's vectors and devices send through, and when it lets other tasks run.

A property is defined before anything else is said of it (§6). If it is not, since nobody on
standard input has asked yet, or since it was withdrawn and is back, its definition goes first.

A send never waits for a peer. A driver that only sends would never let other tasks run, so after
some sends, or some time, it yields: after sending, never before. What an author does right before a
send, and the send, are one step, which no other task sees half done and no cancellation cuts. This
module knows neither peers nor properties.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol, get_args

import trio

from trindi.driver.unanswered import Unanswered
from trindi.protocol import DefVector, SetVector, delProperty, ends, matches, to_utc
from trindi.transport import DEFAULT_RUNTIME, YieldBudget

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from trindi.protocol import Event, getProperties, setBLOBVector
    from trindi.transport import EncodedBatch

# Asking a set for the type takes a tenth of what isinstance takes with their union.
_REPORTS: Final[frozenset[type[Any]]] = frozenset(get_args(SetVector))


class Publisher(Protocol):
    """What connects a running driver to its peers."""

    def publish(self, event: Event) -> None:
        """Send an event to every peer that wants it, without waiting."""

    async def publish_blob(self, event: setBLOBVector, *, wait: bool = True) -> None:
        """Send BLOBs, waiting a bounded time for peers that keep up, or not at all."""


class DriverSink:
    """Sends to the publisher that the driver runs with: an `EventSink` of properties."""

    def __init__(self, definitions: Callable[[str, str], EncodedBatch]) -> None:
        self.publisher: Publisher | None = None  # None while the driver is not running.
        self.runtime = DEFAULT_RUNTIME  # Under which the driver runs, or ran last.
        self._budget = YieldBudget()
        self._definitions = definitions
        self._defined: set[tuple[str, str]] = set()
        self.unanswered = Unanswered()

    def start(self, publisher: Publisher) -> None:
        self.publisher = publisher
        self._budget = YieldBudget()
        self._defined.clear()
        self.unanswered.clear()

    def stamp(self, timestamp: datetime | None, message: str = "") -> datetime:
        """Return the timestamp of an event: the given one as UTC, or else the present time.

        With a message it is in whole seconds: KStars looks for the level behind 19 characters.
        """
        time = self.runtime.now() if timestamp is None else to_utc(timestamp)
        return time.replace(microsecond=0) if message else time

    def ready(self) -> Awaitable[None]:
        """Raise RuntimeError if the driver is not running; awaited, Cancelled if cancelled."""
        if self.publisher is None:
            raise RuntimeError("the driver is not running: send from its handlers and tasks")
        return trio.lowlevel.checkpoint_if_cancelled()  # noqa: ASYNC105 - the caller awaits it

    async def yield_if_due(self) -> None:
        """Let other tasks run now and then; to be called after sending."""
        if self._budget.exhausted():
            await self._budget.checkpoint(done=True)

    def define(self, devicename: str, vectorname: str) -> None:
        """Send the definition of a property, unless that was done: something else follows it."""
        if (devicename, vectorname) not in self._defined and self.publisher is not None:
            for encoded in self._definitions(devicename, vectorname).items:
                self.publish(encoded.event)

    def forget(self, question: getProperties) -> None:
        """Note that a peer has asked, and that the author is to answer, who may report before."""
        asked = question.devicename, question.vectorname
        self._defined = {names for names in self._defined if not matches(*asked, *names)}

    def note(self, event: Any) -> None:
        """Note a definition, or the end of a property or device, that all peers are told."""
        if isinstance(event, DefVector):
            self._defined.add((event.devicename, event.vectorname))
        elif type(event) is delProperty:
            self._defined = {names for names in self._defined if not ends(event, *names)}

    def publish(self, event: Event) -> None:
        publisher = self.publisher
        if publisher is None:
            return
        if type(event) in _REPORTS:
            self.define(event.devicename, event.vectorname)  # type: ignore[union-attr, arg-type]
        else:
            self.note(event)
        self.unanswered.note(event)
        publisher.publish(event)

    async def publish_blob(self, event: setBLOBVector, *, wait: bool = True) -> None:
        if self.publisher is not None:
            self.define(event.devicename, event.vectorname)
            self.unanswered.note(event)
            await self.publisher.publish_blob(event, wait=wait)

    async def in_thread(self, load: Callable[[], bytes]) -> bytes:
        data: bytes = await self.runtime.in_thread(load)
        return data
