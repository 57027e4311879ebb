"""What tasks wait for, checked at each change of a property; this module knows no streams.

A check runs where the change is made, before anything else can change, so that a state that comes
and goes within one read is not missed.
"""

from __future__ import annotations

import contextlib
import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import trio

from trindi.client.answer import Answer
from trindi.client.errors import (
    NotConnected,
    PropertyAlert,
    PropertyDeleted,
    PropertyError,
    PropertyTimeout,
)
from trindi.client.requests import find_differences
from trindi.client.server_connection import AnswerBarrier
from trindi.protocol import Message, SetVector, SnoopEvent, State, delProperty
from trindi.transport import contained

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from trindi.client.remote import RemoteVector


class Waiter(ABC):
    """One task that waits, and the outcome: a vector or an error."""

    def __init__(self) -> None:
        self._finished = trio.Event()
        self._outcome: RemoteVector | BaseException | None = None

    @abstractmethod
    def check(self, vector: RemoteVector, event: SnoopEvent | None) -> None:
        """Check a changed vector; the event is None where the client itself made the change."""

    @abstractmethod
    def connection_lost(self, reason: str, *, final: bool) -> None:
        """Note that the connection is lost; `final` says that there will be no other."""

    def finish(self, outcome: RemoteVector | BaseException) -> None:
        """Let the task go on, or raise the error in it; only the first call counts."""
        if not self._finished.is_set():
            self._outcome = outcome
            self._finished.set()

    async def wait_finished(self) -> RemoteVector:
        await self._finished.wait()
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        assert self._outcome is not None, "it is finished"
        return self._outcome


class ConditionWaiter(Waiter):
    """Waits until a vector meets a predicate; what that raises is raised in the waiting task."""

    def __init__(self, predicate: Callable[[RemoteVector], bool]) -> None:
        super().__init__()
        self._predicate = predicate

    def check(self, vector: RemoteVector, event: SnoopEvent | None) -> None:
        with contained(self._fail):
            if not (self._finished.is_set() or vector.stale) and self._predicate(vector):
                self.finish(vector)

    def _fail(self, error: BaseException) -> bool:
        self.finish(error)
        return True

    def connection_lost(self, reason: str, *, final: bool) -> None:
        if final:
            self.finish(NotConnected(reason))


class AnswerWaiter(Waiter):
    """Waits for the answer of a device to one request; see `IPyClient.set_and_wait`."""

    def __init__(
        self, vector: RemoteVector, wanted: Mapping[str, Any], timeout: float | None
    ) -> None:
        super().__init__()
        self._vector = vector
        self._wanted = wanted
        self._reported: set[str] = set()  # of the members that are wanted
        self._was_busy = False
        self._answer: Answer | None = None
        self._messages = vector.device.messages
        self._timeout = timeout
        self._seconds = 0.0
        self._scope = trio.CancelScope()
        self._sent = False
        self._heard = False
        self._last_message: Message | None = None
        self._barrier = AnswerBarrier()

    def check(self, vector: RemoteVector, event: SnoopEvent | None) -> None:
        """Finish at the first report behind the barrier that is not Busy."""
        if isinstance(event, delProperty):
            self._fail(PropertyDeleted(vector.devicename, vector.name, event.message))
        elif isinstance(event, SetVector) and self._barrier.passed and self._answer is None:
            self._heard = True
            self._reported |= self._wanted.keys() & event.members.keys()
            if vector.state is State.BUSY:
                self._was_busy = True
                self._set_deadline()
            elif vector.state is State.ALERT:
                self._fail(PropertyAlert(vector.devicename, vector.name, self._message()))
            else:
                differences = find_differences(vector, self._wanted, self._reported)
                said = tuple(self._said())
                self._answer = Answer(vector.state, self._was_busy, said, differences)
                self.finish(vector)

    def _fail(self, error: PropertyError) -> None:
        error.messages = tuple(self._said())
        self.finish(error)

    def _message(self) -> str:
        """Return what the device says: with its report, or, as libindi does, before it."""
        if self._heard and self._vector.message:
            return self._vector.message
        said = self._said()
        return said[-1].message if said else ""

    def _said(self) -> list[Message]:
        """Return what the device has said since the request; before, it was about others."""
        said: list[Message] = []
        for message in reversed(self._messages) if self._sent else ():
            if message is self._last_message:
                break
            said.insert(0, message)
        return said

    def connection_lost(self, reason: str, *, final: bool) -> None:
        self.finish(NotConnected(f"{self._vector.name} was not answered: {reason}"))

    def _set_deadline(self) -> None:
        """Set the deadline; a report with another timeout sets it anew."""
        seconds = self._vector.timeout if self._timeout is None else self._timeout
        if seconds != self._seconds:
            self._seconds = seconds
            self._scope.deadline = trio.current_time() + seconds if seconds > 0 else math.inf

    async def wait(
        self, lock: trio.Lock, send: Callable[[AnswerBarrier], Awaitable[None]]
    ) -> Answer:
        """Send the request while holding the lock of the property, and wait for the answer."""
        if self._timeout is not None:
            self._set_deadline()
        with self._scope:
            async with lock:
                if not self._finished.is_set():
                    await self._send(send)
                await self.wait_finished()
            assert self._answer is not None, "it has not failed"
            return self._answer
        message = self._message() or f"more than {self._seconds:g} s"
        error = PropertyTimeout(self._vector.devicename, self._vector.name, message)
        error.messages = tuple(self._said())
        raise error

    async def _send(self, send: Callable[[AnswerBarrier], Awaitable[None]]) -> None:
        self._sent = True
        self._last_message = self._messages[-1] if self._messages else None
        try:
            await send(self._barrier)
        except NotConnected as lost:
            # An answer that has come before counts.
            self.connection_lost(str(lost), final=False)
        self._set_deadline()


class Waiters:
    """All waiters, by the device and the property that they wait for; None is any property."""

    def __init__(self) -> None:
        self._waiters: dict[tuple[str, str | None], list[Waiter]] = {}

    @contextlib.contextmanager
    def registered(self, devicename: str, vectorname: str | None, waiter: Waiter) -> Iterator[None]:
        key = (devicename, vectorname)
        self._waiters.setdefault(key, []).append(waiter)
        try:
            yield
        finally:
            self._waiters[key].remove(waiter)
            if not self._waiters[key]:
                del self._waiters[key]

    def check(self, vector: RemoteVector, event: SnoopEvent | None = None) -> None:
        for key in ((vector.devicename, vector.name), (vector.devicename, None)):
            for waiter in self._waiters.get(key, ()):
                waiter.check(vector, event)

    def connection_lost(self, reason: str, *, final: bool) -> None:
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.connection_lost(reason, final=final)
