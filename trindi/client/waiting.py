"""What tasks wait for, looked at each time that something has changed.

The look is taken where the change is made, before anything else can change, so that a state that
comes and goes within one read is not missed. This module knows no streams.
"""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, TypeAlias

import trio

from trindi.client.errors import NotConnected, PropertyAlert, PropertyDeleted, PropertyTimeout
from trindi.protocol import SetVector, State, delProperty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trindi.client.link import Ping
    from trindi.client.remote import RemoteDevice, RemoteVector
    from trindi.protocol import SnoopEvent

__all__ = ["Completion", "Condition", "Place", "Wait", "Waits"]

Place: TypeAlias = tuple[str, str | None]
"""A device and one of its properties; None stands for any of them."""


class Wait:
    """Something that one task waits for, with what came of it."""

    def __init__(self) -> None:
        self._over = trio.Event()
        self._error: Exception | None = None

    def look(self, vector: RemoteVector, event: SnoopEvent | None) -> None:
        """Look at a change; it is the client's own where there is no event."""
        raise NotImplementedError

    def lose(self, reason: str, *, final: bool) -> None:
        """Take note that the connection is lost, and whether there will be no other."""
        raise NotImplementedError

    def finish(self, error: Exception | None = None) -> None:
        """Let the task go on, or raise; what came first holds."""
        if not self._over.is_set():
            self._error = error
            self._over.set()

    async def wait(self) -> None:
        """Wait until it is over. If cancelled, nothing has changed."""
        await self._over.wait()
        if self._error is not None:
            raise self._error


class Condition(Wait):
    """A vector that is to be as somebody wants it.

    Args:
        holds: says of a vector that has changed whether it is so; what it raises is raised where it
            is waited for.
    """

    def __init__(self, holds: Callable[[RemoteVector], bool]) -> None:
        super().__init__()
        self._holds = holds

    def look(self, vector: RemoteVector, event: SnoopEvent | None) -> None:
        """Look whether it is so; what is stale is not."""
        try:
            if not vector.stale and self._holds(vector):
                self.finish()
        except Exception as error:
            self.finish(error)

    def lose(self, reason: str, *, final: bool) -> None:
        """Wait on for another connection, if there will be one."""
        if final:
            self.finish(NotConnected(reason))


class Completion(Wait):
    """The answer of a device to one request.

    Args:
        vector: the property that is asked for something.
        device: its device.
        timeout: seconds that it may take, 0 for any time, or None for what it says itself.
        after: a ping that is sent right before the request, or None.
    """

    def __init__(
        self, vector: RemoteVector, device: RemoteDevice, timeout: float | None, after: Ping | None
    ) -> None:
        super().__init__()
        self._vector = vector
        self._device = device
        self._timeout = timeout
        self._after = after
        self._allowed = 0.0
        self._clock = trio.CancelScope()
        self._last_words = device.messages[-1] if device.messages else None
        self._allow()

    def _allow(self) -> None:
        """Set the clock, anew where the device has come to think otherwise."""
        allowed = self._vector.timeout if self._timeout is None else self._timeout
        if allowed != self._allowed:
            self._allowed = allowed
            self._clock.deadline = trio.current_time() + allowed if allowed > 0 else math.inf

    def look(self, vector: RemoteVector, event: SnoopEvent | None) -> None:
        """Look whether this is the answer: the first report that is not Busy."""
        if isinstance(event, delProperty):
            self.finish(PropertyDeleted(vector.devicename, vector.name, event.message))
        # What comes before the reply to the ping is older than the request.
        elif isinstance(event, SetVector) and (self._after is None or self._after.answered):
            if vector.state is State.BUSY:
                self._allow()
            elif vector.state is State.ALERT:
                self.finish(PropertyAlert(vector.devicename, vector.name, self._words()))
            else:
                self.finish()

    def _words(self) -> str:
        """What the device has said of it: with its report, or, as libindi does, before."""
        messages = self._device.messages
        if self._vector.message or not messages or messages[-1] is self._last_words:
            return self._vector.message
        return messages[-1].message

    def lose(self, reason: str, *, final: bool) -> None:
        """The answer is lost with the connection."""
        self.finish(NotConnected(f"{self._vector.name} was not answered: {reason}"))

    async def wait(self) -> None:
        """Wait for the answer.

        Raises:
            PropertyError: the device has failed, has deleted the property, or takes too long.
            NotConnected: the connection was lost before it had answered.
        """
        with self._clock:
            await super().wait()
            return
        vector, took = self._vector, f"more than {self._allowed:g} s"
        raise PropertyTimeout(vector.devicename, vector.name, self._words() or took)


class Waits:
    """All that is waited for, by what it is about."""

    def __init__(self) -> None:
        self._waits: dict[Place, list[Wait]] = {}

    @contextlib.contextmanager
    def listed(self, place: Place, wait: Wait) -> Iterator[None]:
        """Let a wait look at the changes of a place within this block."""
        self._waits.setdefault(place, []).append(wait)
        try:
            yield
        finally:
            self._waits[place].remove(wait)
            if not self._waits[place]:
                del self._waits[place]

    def look(self, vector: RemoteVector, event: SnoopEvent | None = None) -> None:
        """Show a change to those that wait for it."""
        for place in ((vector.devicename, vector.name), (vector.devicename, None)):
            for wait in self._waits.get(place, ()):
                wait.look(vector, event)

    def lose(self, reason: str, *, final: bool) -> None:
        """Tell all that the connection is lost."""
        for waits in self._waits.values():
            for wait in waits:
                wait.lose(reason, final=final)
