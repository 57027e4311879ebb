"""What goes wrong on a line, at a chosen byte or time: cuts, resets, stalls, garbage, slowness.

A `FaultyStream` stands between one end of a connection and its stream, and lets faults strike what
passes through it. All of it is done by whoever reads or writes: there are no tasks, and nothing
happens that the same test would not do again. This module knows bytes, and no INDI.
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

__all__ = ["Cut", "Direction", "Fault", "FaultyStream", "Garbage", "Reset", "Slow", "Stall"]

# Of one read, where whoever reads does not say.
_RECEIVE_BYTES: Final = 64 * 1024

# In a second, that a slow line passes its bytes in.
_PIECES: Final = 10


class Direction(StrEnum):
    """The bytes that this end receives, or those that it sends."""

    RECEIVED = "received"
    SENT = "sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that goes wrong, once.

    Attributes:
        byte: it strikes when so many bytes of its direction have passed.
        time: or it strikes so many seconds after the stream was made.
        direction: which bytes it strikes, ``received`` or ``sent``.

    Raises:
        TypeError: one of its values is no number, or whatever it should be.
        ValueError: neither or both of byte and time are given, one is below 0, or there is no such
            direction.
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
            raise ConfigurationError(
                f"direction is {' or '.join(map(repr, map(str, Direction)))}, "
                f"not {self.direction!r}"
            )
        object.__setattr__(self, "direction", Direction(self.direction))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut(Fault):
    """The line ends, in mid-element if need be: this end reads the end of the stream.

    Both directions are closed, so that the other end finds that out too. What is sent later raises
    `trio.BrokenResourceError`. By time it does not matter which direction it has.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset(Fault):
    """The line breaks: reading and writing raise `trio.BrokenResourceError` from then on.

    The other end sees it closed. By time it does not matter which direction it has.
    """


@dataclass(frozen=True, slots=True)
class Garbage(Fault):
    """Bytes that nobody has sent are among those that pass.

    Attributes:
        data: these bytes.
    """

    data: bytes = field(default=b"\x00<\xff&;]]>\x07", kw_only=False)

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        if not isinstance(self.data, (bytes, bytearray, memoryview)):
            raise TypeError(f'data is bytes, not {type(self.data).__name__}: write b"…"')
        object.__setattr__(self, "data", bytes(self.data))


@dataclass(frozen=True, slots=True)
class Stall(Fault):
    """Nothing passes for some time; what comes meanwhile passes later.

    A half-open line is two of them, one for each direction. An `IPyClient` that hears nothing for
    30 seconds pings, and gives the line up 30 seconds later.

    Attributes:
        seconds: how long; for ever where none are given.
    """

    seconds: float = field(default=math.inf, kw_only=False)

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        _check_seconds("seconds", self.seconds)


@dataclass(frozen=True, slots=True)
class Slow(Fault):
    """From then on bytes pass slowly: received, that is a slow reader.

    Attributes:
        rate: bytes in a second.
    """

    rate: float = field(default=1000.0, kw_only=False)

    def __post_init__(self) -> None:
        Fault.__post_init__(self)
        if not _check_number("rate", self.rate) > 0:
            raise ConfigurationError(f"rate is above 0 bytes in a second, not {self.rate!r}")


def _check_fault(value: Any) -> Fault:
    if not isinstance(value, Fault):
        raise TypeError(f"faults are such as Cut(byte=300), not {type(value).__name__}")
    return value


def _check_number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} is a number, not {type(value).__name__}")
    return value


def _check_seconds(name: str, value: Any) -> None:
    if not _check_number(name, value) >= 0:
        raise ConfigurationError(f"{name} is a number of seconds, 0 or more, not {value!r}")


class _Lane:
    """The bytes of one direction: how many have passed, what is to strike them, when they may go.

    Attributes:
        passed: bytes that have passed.
        blocked_until: nothing passes before this time.
        garbage: what is to go before anything else.
    """

    def __init__(self, start: float, faults: Iterable[Fault]) -> None:
        self._start = start
        self._waiting = list(faults)
        self._rate = math.inf
        self.passed = 0
        self.blocked_until = -math.inf
        self.garbage = b""

    def due(self) -> list[Fault]:
        """The faults that strike now; each is due once."""
        found = [fault for fault in self._waiting if self._is_due(fault)]
        self._waiting = [fault for fault in self._waiting if fault not in found]
        return found

    def _is_due(self, fault: Fault) -> bool:
        if fault.byte is not None:
            return self.passed >= fault.byte
        return trio.current_time() >= self._start + (fault.time or 0)

    def strike(self, fault: Fault) -> None:
        """Let a fault change how bytes pass."""
        if isinstance(fault, Garbage):
            self.garbage += fault.data
        elif isinstance(fault, Stall):
            began = trio.current_time() if fault.time is None else self._start + fault.time
            self.blocked_until = max(self.blocked_until, began + fault.seconds)
        elif isinstance(fault, Slow):
            self._rate = fault.rate

    def next_time(self) -> float:
        """When the next fault is due by its time."""
        return min(
            (self._start + one.time for one in self._waiting if one.time is not None),
            default=math.inf,
        )

    def room(self, wanted: int) -> int:
        """How many of so many bytes may pass before anything else happens."""
        bytes_ = (fault.byte - self.passed for fault in self._waiting if fault.byte is not None)
        piece = math.inf if math.isinf(self._rate) else max(1, int(self._rate / _PIECES))
        return int(min(wanted, piece, *bytes_))

    def note(self, size: int) -> None:
        """Say that so many bytes have passed."""
        self.passed += size
        self.blocked_until = max(self.blocked_until, trio.current_time() + size / self._rate)


class FaultyStream(trio.abc.HalfCloseableStream):
    """A stream on which things go wrong.

    Where several faults strike at once, they do so in the order given. A fault by time strikes when
    somebody reads, or waits to, or writes.

    Args:
        stream: the stream within; times are counted from now.
        faults: what goes wrong.

    Raises:
        TypeError: not faults.
    """

    def __init__(self, stream: trio.abc.Stream, faults: Iterable[Fault]) -> None:
        start = trio.current_time()
        lines: list[Fault] = []
        lanes: dict[str, list[Fault]] = {direction: [] for direction in Direction}
        for fault in map(_check_fault, faults):
            ends = isinstance(fault, (Cut, Reset)) and fault.time is not None
            (lines if ends else lanes[fault.direction]).append(fault)
        self._stream = stream
        self._line = _Lane(start, lines)
        self._received = _Lane(start, lanes[Direction.RECEIVED])
        self._sent = _Lane(start, lanes[Direction.SENT])
        # What was read from the stream within, and has not passed yet.
        self._held = b""
        self._gone: Fault | None = None

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive what the faults leave of the bytes.

        Raises:
            trio.BrokenResourceError: a `Reset` has struck.
        """
        await trio.lowlevel.checkpoint()
        lane, wanted = self._received, max_bytes or _RECEIVE_BYTES
        while True:
            await self._wait_for_turn(lane)
            if self._gone is not None:
                if isinstance(self._gone, Reset):
                    raise trio.BrokenResourceError("the line was reset")
                return b""
            if lane.garbage:
                garbage, lane.garbage = lane.garbage[:wanted], lane.garbage[wanted:]
                return garbage
            if self._held:
                return self._pass(lane.room(min(wanted, len(self._held))))
            data = await self._fetch(
                lane.room(wanted), min(lane.next_time(), self._line.next_time())
            )
            if data == b"":
                return b""
            self._held = data or b""

    def _pass(self, size: int) -> bytes:
        data, self._held = self._held[:size], self._held[size:]
        self._received.note(len(data))
        return data

    async def _fetch(self, size: int, deadline: float) -> bytes | None:
        """Read from the stream within; None where a fault is due before anything comes."""
        try:
            with trio.move_on_at(deadline):
                return bytes(await self._stream.receive_some(size))
        except trio.ClosedResourceError:
            # Whoever writes has met with the end of the line meanwhile.
            if self._gone is None:
                raise
        return None

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send the bytes, and what the faults make of them.

        Raises:
            trio.BrokenResourceError: a `Reset` or a `Cut` has struck.
        """
        await trio.lowlevel.checkpoint()
        lane, rest = self._sent, memoryview(bytes(data))
        while True:
            await self._wait_for_turn(lane)
            if lane.garbage:
                garbage, lane.garbage = lane.garbage, b""
                await self._put(garbage)
            size = lane.room(len(rest))
            await self._put(rest[:size])
            lane.note(size)
            rest = rest[size:]
            # What is due right behind the last byte does not wait for the next one.
            await self._strike(lane)
            if not (rest or lane.garbage):
                return

    async def _put(self, data: bytes | memoryview) -> None:
        """Write to the stream within, unless the line ends before it has taken all."""
        if self._gone is None:
            try:
                with trio.move_on_at(self._line.next_time()):
                    await self._stream.send_all(data)
                    return
            except trio.ClosedResourceError:
                if self._gone is None:
                    raise
            await self._strike(self._line)
        raise trio.BrokenResourceError("the line has ended")

    async def _wait_for_turn(self, lane: _Lane) -> None:
        """Let strike what is due, and wait until the next byte may pass or the line has ended."""
        await self._strike(lane)
        while self._gone is None and trio.current_time() < lane.blocked_until:
            with trio.move_on_at(min(lane.next_time(), self._line.next_time())):
                await trio.sleep_until(lane.blocked_until)
            await self._strike(lane)

    async def _strike(self, lane: _Lane) -> None:
        for fault in [*self._line.due(), *lane.due()]:
            if isinstance(fault, (Cut, Reset)):
                self._gone = self._gone or fault
            else:
                lane.strike(fault)
        if self._gone is not None:
            # Now the other end can find out.
            await trio.aclose_forcefully(self._stream)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the stream within might take more."""
        if self._gone is None:
            await self._stream.wait_send_all_might_not_block()
        else:
            await trio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        """Say that no more will be sent, as far as the stream within can say so."""
        if self._gone is None and isinstance(self._stream, trio.abc.HalfCloseableStream):
            await self._stream.send_eof()
        else:
            await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Close the stream."""
        await self._stream.aclose()
