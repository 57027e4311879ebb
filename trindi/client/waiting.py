"""What tasks wait for, looked at each time that something has changed.

The look is taken where the change is made, before anything else can change, so that a state that
comes and goes within one read is not missed. This module knows no streams.
"""

from __future__ import annotations

import contextlib
import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, TypeAlias

import trio

from trindi.client.errors import NotConnected, PropertyAlert, PropertyDeleted, PropertyTimeout
from trindi.client.link import Mark
from trindi.protocol import SetVector, State, delProperty

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from trindi.client.remote import RemoteVector
    from trindi.protocol import Message, SnoopEvent

__all__ = ["Completion", "Condition", "Place", "Wait", "Waits"]

Place: TypeAlias = tuple[str, str | None]
"""A device and one of its properties; None stands for any of them."""


class Wait(ABC):
    """Something that one task waits for, with what came of it."""

    def __init__(self) -> None:
        self._end = trio.Event()
        self._error: Exception | None = None

    @abstractmethod
    def look(self, vector: RemoteVector, event: SnoopEvent | None) -> None:
        """Look at a change; it is the client's own where there is no event."""

    @abstractmethod
    def lose(self, reason: str, *, final: bool) -> None:
        """Take note that the connection is lost, and whether there will be no other."""

    def finish(self, error: Exception | None = None) -> None:
        """Let the task go on, or raise; what came first holds."""
        if not self._end.is_set():
            self._error = error
            self._end.set()

    async def over(self) -> None:
        """Wait until it is over. If cancelled, nothing has changed."""
        await self._end.wait()
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
        self._found: RemoteVector | None = None

    def look(self, vector: RemoteVector, event: SnoopEvent | None) -> None:
        """Look whether it is so; what is stale is not."""
        try:
            if self._found is None and not vector.stale and self._holds(vector):
                self._found = vector
                self.finish()
        except Exception as error:
            self.finish(error)

    def lose(self, reason: str, *, final: bool) -> None:
        """Wait on for another connection, if there will be one."""
        if final:
            self.finish(NotConnected(reason))

    async def wait(self) -> RemoteVector:
        """Wait until it is so, and return the vector."""
        await self.over()
        assert self._found is not None, "it was found, or is raised why not"
        return self._found


class Completion(Wait):
    """The answer of a device to one request.

    Args:
        vector: the property that is asked for something.
        timeout: seconds that it may take, 0 for any time, or None for what it says itself.
    """

    def __init__(self, vector: RemoteVector, timeout: float | None) -> None:
        super().__init__()
        self._vector = vector
        self._messages = vector.device.messages
        self._timeout = timeout
        self._allowed = 0.0
        self._clock = trio.CancelScope()
        self._asked = False
        self._last_words: Message | None = None
        self._heard = False
        self._mark = Mark()

    def look(self, vector: RemoteVector, event: SnoopEvent | None) -> None:
        """Look whether this is the answer: the first report that is not Busy."""
        if isinstance(event, delProperty):
            self.finish(PropertyDeleted(vector.devicename, vector.name, event.message))
        elif isinstance(event, SetVector) and self._mark.passed:
            self._heard = True
            if vector.state is State.BUSY:
                self._set_clock()
            elif vector.state is State.ALERT:
                self.finish(PropertyAlert(vector.devicename, vector.name, self._words()))
            else:
                self.finish()

    def _words(self) -> str:
        """What the device has said of it: with its report, or, as libindi does, before."""
        # While it was not asked, what it says is about something else.
        messages = self._messages if self._asked else ()
        said = self._vector.message if self._heard else ""
        if said or not messages or messages[-1] is self._last_words:
            return said
        return messages[-1].message

    def lose(self, reason: str, *, final: bool) -> None:
        """The answer is lost with the connection."""
        self.finish(NotConnected(f"{self._vector.name} was not answered: {reason}"))

    def _set_clock(self) -> None:
        """Set the clock, anew where the device has come to think otherwise."""
        allowed = self._vector.timeout if self._timeout is None else self._timeout
        if allowed != self._allowed:
            self._allowed = allowed
            self._clock.deadline = trio.current_time() + allowed if allowed > 0 else math.inf

    async def wait(self, turn: trio.Lock, send: Callable[[Mark], Awaitable[None]]) -> None:
        """Send the request when it is its turn, and wait for the answer.

        What the caller allows is for all of it; what the property says itself, for the answer.

        Args:
            turn: whoever has it is answered next.
            send: returns when the request is on its way; puts the mark.

        Raises:
            PropertyError: the device has failed, has deleted the property, or takes too long.
            NotConnected: the connection was lost before it had answered.
        """
        if self._timeout is not None:
            self._set_clock()
        with self._clock:
            async with turn:
                if not self._end.is_set():
                    await self._send(send)
                await self.over()
            return
        vector, took = self._vector, f"more than {self._allowed:g} s"
        raise PropertyTimeout(vector.devicename, vector.name, self._words() or took)

    async def _send(self, send: Callable[[Mark], Awaitable[None]]) -> None:
        self._asked = True
        self._last_words = self._messages[-1] if self._messages else None
        try:
            await send(self._mark)
        except NotConnected as lost:
            # Where the answer has come all the same, it counts.
            self.lose(str(lost), final=False)
        self._set_clock()


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
