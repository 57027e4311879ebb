"""Faults of a connection, at a chosen byte or time: cuts, resets, stalls, garbage, slowness.

A `FaultyStream` applies them in the calls of the reader and the writer: there are no tasks, so that
a test does the same each time. This module knows bytes, and no INDI.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import trio

from trindi.errors import ConfigurationError, check_count

if TYPE_CHECKING:
    from collections.abc import Iterable

_RECEIVE_BYTES: Final = 64 * 1024  # of one read, where the reader does not say
_PIECES: Final = 10  # pieces in a second in which a slow connection passes its bytes


class Direction(StrEnum):
    """The bytes that this end receives, or those that it sends."""

    RECEIVED = "received"
    SENT = "sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that goes wrong, once.

    It strikes when `byte` bytes of its direction have passed, or `time` seconds after the stream
    was made: one of them is given. The direction is ``received`` or ``sent``.
    """

    byte: int | None = None
    time: float | None = None
    direction: str = Direction.RECEIVED

    def __post_init__(self) -> None:
        if (self.byte is None) == (self.time is None):
            raise ConfigurationError("a fault strikes at a byte, or at a time: give one of them")
        if self.byte is not None:
            check_count("byte", self.byte, 0)
        if self.time is not None:
            _check_seconds("time", self.time)
        if self.direction not in tuple(Direction):
            raise ConfigurationError(f"direction is 'received' or 'sent', not {self.direction!r}")
        object.__setattr__(self, "direction", Direction(self.direction))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut(Fault):
    """The connection ends, even in mid-element: this end reads the end of the stream.

    Both directions are closed, so that the other end finds that out too. What is sent later raises
    `trio.BrokenResourceError`. By time, the direction makes no difference.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset(Fault):
    """The connection breaks: reading and writing raise `trio.BrokenResourceError` from then on.

    The other end sees it closed. By time, the direction makes no difference.
    """


@dataclass(frozen=True, slots=True)
class Garbage(Fault):
    """Bytes that neither end has sent appear in the stream."""

    data: bytes = field(default=b"\x00<\xff&;]]>\x07", kw_only=False)

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        if not isinstance(self.data, (bytes, bytearray, memoryview)):
            raise TypeError(f'data is bytes, not {type(self.data).__name__}: write b"…"')
        object.__setattr__(self, "data", bytes(self.data))


@dataclass(frozen=True, slots=True)
class Stall(Fault):
    """Nothing passes for some seconds, by default for ever; the bytes of that time pass later.

    A half-open connection is two stalls, one for each direction. An `IPyClient` that receives
    nothing for 30 seconds pings, and gives the connection up 30 seconds later.
    """

    seconds: float = field(default=math.inf, kw_only=False)

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        _check_seconds("seconds", self.seconds)


@dataclass(frozen=True, slots=True)
class Slow(Fault):
    """From then on only `rate` bytes pass in a second; in ``received``, that is a slow reader."""

    rate: float = field(default=1000.0, kw_only=False)

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        if not _check_number("rate", self.rate) > 0:
            raise ConfigurationError(f"rate is above 0 bytes in a second, not {self.rate!r}")


def _check_number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} is a number, not {type(value).__name__}")
    return value


def _check_seconds(name: str, value: Any) -> None:
    if not _check_number(name, value) >= 0:
        raise ConfigurationError(f"{name} is a number of seconds, 0 or more, not {value!r}")


def _ends_by_time(fault: Fault) -> bool:
    return isinstance(fault, (Cut, Reset)) and fault.time is not None


def _or_never(value: float | None) -> float:
    return math.inf if value is None else value


class _Schedule:
    """What strikes one direction; after `blocked_until`, garbage passes before anything else."""

    def __init__(self, faults: Iterable[Fault], direction: Direction) -> None:
        self._start = trio.current_time()
        self._faults = [one for one in faults if one.direction is direction or _ends_by_time(one)]
        self._rate = math.inf
        self.passed = 0
        self.blocked_until = -math.inf
        self.garbage = b""

    def pop_due(self) -> list[Fault]:
        now = trio.current_time()
        due = [
            fault
            for fault in self._faults
            if self.passed >= _or_never(fault.byte) or now >= self._start + _or_never(fault.time)
        ]
        self._faults = [fault for fault in self._faults if fault not in due]
        return due

    def apply(self, fault: Fault) -> None:
        if isinstance(fault, Garbage):
            self.garbage += fault.data
        elif isinstance(fault, Stall):
            began = trio.current_time() if fault.time is None else self._start + fault.time
            self.blocked_until = max(self.blocked_until, began + fault.seconds)
        elif isinstance(fault, Slow):
            self._rate = fault.rate

    def next_time(self, *, end: bool = False) -> float:
        """Return when the next fault, or the end of the connection, is due by its time."""
        faults = filter(_ends_by_time, self._faults) if end else self._faults
        return self._start + min((_or_never(one.time) for one in faults), default=math.inf)

    def allowance(self, wanted: int) -> int:
        """Return how many of so many bytes may pass before the next fault or pause."""
        bytes_ = (_or_never(fault.byte) - self.passed for fault in self._faults)
        return int(min(wanted, max(1, self._rate / _PIECES), *bytes_))

    def count(self, size: int) -> None:
        """Count bytes that pass now; a slow connection blocks for the time that they take."""
        self.passed += size
        self.blocked_until = max(self.blocked_until, trio.current_time() + size / self._rate)


class FaultyStream(trio.abc.HalfCloseableStream):
    """A stream on which things go wrong, around another; times are counted from when it is made.

    Faults that strike at once do so in the order given. A fault by time strikes when one of the
    stream's methods is called, or waits.
    """

    def __init__(self, stream: trio.abc.Stream, faults: Iterable[Fault]) -> None:
        given = list(faults)
        for fault in given:
            if not isinstance(fault, Fault):
                raise TypeError(f"faults are such as Cut(byte=300), not {type(fault).__name__}")
        self._stream = stream
        self._received = _Schedule(given, Direction.RECEIVED)
        self._sent = _Schedule(given, Direction.SENT)
        # Read from the stream within, but not passed yet.
        self._held = b""
        self._ended_by: Fault | None = None

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        schedule, wanted = self._received, max_bytes or _RECEIVE_BYTES
        while True:
            await self._wait_unblocked(schedule)
            if self._ended_by is not None:
                if isinstance(self._ended_by, Reset):
                    raise trio.BrokenResourceError("the connection was reset")
                return b""
            if schedule.garbage:
                garbage, schedule.garbage = schedule.garbage[:wanted], schedule.garbage[wanted:]
                return garbage
            if self._held:
                size = schedule.allowance(min(wanted, len(self._held)))
                schedule.count(size)
                passed, self._held = self._held[:size], self._held[size:]
                return passed
            data = await self._receive_within(schedule.allowance(wanted))
            if data == b"":
                return b""
            self._held = data or b""

    async def _receive_within(self, size: int) -> bytes | None:
        """Receive from the stream within; None if a fault is due before anything comes."""
        try:
            with trio.move_on_at(self._received.next_time()):
                return bytes(await self._stream.receive_some(size))
        except trio.ClosedResourceError:
            # The writer may have applied the fault that ends the connection.
            if self._ended_by is None:
                raise
        return None

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint()
        schedule, rest = self._sent, memoryview(bytes(data))
        while True:
            await self._wait_unblocked(schedule)
            if schedule.garbage:
                garbage, schedule.garbage = schedule.garbage, b""
                await self._send_within(garbage)
            size = schedule.allowance(len(rest))
            await self._send_within(rest[:size])
            schedule.count(size)
            rest = rest[size:]
            # A fault that is due right behind the last byte does not wait for the next one.
            await self._apply_due(schedule)
            if not (rest or schedule.garbage):
                return

    async def _send_within(self, data: bytes | memoryview) -> None:
        """Send on the stream within; raise if the connection ends before it has taken all."""
        if self._ended_by is None:
            try:
                with trio.move_on_at(self._sent.next_time(end=True)):
                    await self._stream.send_all(data)
                    return
            except trio.ClosedResourceError:
                if self._ended_by is None:
                    raise
            await self._apply_due(self._sent)
        raise trio.BrokenResourceError("the connection has ended")

    async def _wait_unblocked(self, schedule: _Schedule) -> None:
        """Apply due faults until the next byte may pass or the connection has ended."""
        await self._apply_due(schedule)
        while self._ended_by is None and trio.current_time() < schedule.blocked_until:
            with trio.move_on_at(schedule.next_time()):
                await trio.sleep_until(schedule.blocked_until)
            await self._apply_due(schedule)

    async def _apply_due(self, schedule: _Schedule) -> None:
        for fault in schedule.pop_due():
            if isinstance(fault, (Cut, Reset)):
                self._ended_by = self._ended_by or fault
            else:
                schedule.apply(fault)
        if self._ended_by is not None:
            # Now the other end can find out.
            await trio.aclose_forcefully(self._stream)

    def hung_up(self) -> bool:
        """Whether the connection has ended, or is to by now, also where nobody reads or writes."""
        due = min(self._received.next_time(end=True), self._sent.next_time(end=True))
        return self._ended_by is not None or trio.current_time() >= due

    async def wait_send_all_might_not_block(self) -> None:
        if self._ended_by is None:
            await self._stream.wait_send_all_might_not_block()
        else:
            await trio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        if self._ended_by is None and isinstance(self._stream, trio.abc.HalfCloseableStream):
            await self._stream.send_eof()
        else:
            await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await self._stream.aclose()
