"""Saying again what one side of a recording has said, to whoever is at the other end of a stream.

What was said goes out as trindi writes it, and what was garbled as it was, each at the time at
which it was recorded. Pings are not repeated: the peer's own are answered. This module does not
know what anything means; a recording that is to answer a client is for `ReplayDriver`.
"""

from __future__ import annotations

import contextlib
import math
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from trindi.errors import check_delay
from trindi.protocol import encode, pingReply, pingRequest
from trindi.recording.entries import Ended, Entry, Garbled, RecordingError, Side
from trindi.recording.hearing import Ear

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from trindi.recording.entries import Item
    from trindi.recording.recording import Recording

__all__ = ["Pace", "check_speed", "play", "replay"]

RECEIVE_BYTES: Final = 64 * 1024
"""Bytes of one read of what the peer says."""

ANSWER_PATIENCE: Final = 5.0
"""Seconds for the peer to answer the ping that ends a replay without pauses."""

LINGER: Final = 0.5
"""Seconds for what the peer says at the very end."""

_LAST_PING: Final = "trindi replay"


class Pace:
    """When it is time for what was recorded at some time.

    Args:
        speed: recorded seconds in a second; infinity for no pauses.
        zero: the recorded time that is now.

    Raises:
        ValueError: the speed is not above 0.
    """

    def __init__(self, speed: float, zero: float = 0.0) -> None:
        self.speed = check_speed(speed)
        self._zero = zero
        self._start = trio.current_time()

    async def wait(self, time: float) -> None:
        """Wait until it is time, or give others a turn where it is already."""
        await trio.sleep_until(self._start + (time - self._zero) / self.speed)


def check_speed(speed: float) -> float:
    """Return a speed that can be.

    Raises:
        ValueError: it is not above 0.
    """
    if not speed > 0:
        raise ValueError(f"speed is above 0, not {speed!r}")
    return speed


async def replay(
    recording: Recording,
    stream: trio.abc.Stream,
    *,
    source: str = Side.CLIENT,
    speed: float = 1.0,
    linger: float = LINGER,
) -> list[Entry]:
    """Say what one side has said, at the recorded times, and return what the peer says meanwhile.

    It returns a moment after the time at which the recording ends, or when the stream does; without
    pauses, a moment after the peer has answered a last ping. The stream is closed then. If
    cancelled, it is closed at once. Faster than recorded, the end of a side has that moment before
    it, too.

    Args:
        recording: what was recorded.
        stream: the peer is at its other end.
        source: whose part is played: the ``client``'s, to a server or driver, or the ``server``'s.
        speed: recorded seconds in a second; `math.inf` for no pauses.
        linger: seconds of that moment. A driver may answer a ping while it still works on what it
            was asked before: without pauses, give it time for that.

    Returns:
        What the peer has said, with times as in a recording; all of it is kept in memory.

    Raises:
        RecordingError: a line of the recording cannot be read.
        ValueError: there is no such side, the speed is not above 0, or linger is below 0.
    """
    rest = partial(trio.sleep, check_delay("linger", linger))
    # What is faster than it was has to wait for answers that had come by then.
    return await play(recording, stream, rest, source=source, speed=speed, patient=speed > 1)


async def play(
    recording: Recording,
    stream: trio.abc.Stream,
    rest: Callable[[], Awaitable[object]],
    *,
    source: str = Side.CLIENT,
    speed: float = 1.0,
    patient: bool = True,
) -> list[Entry]:
    """Do what `replay` does, for whoever knows when the peer has said all.

    Args:
        recording: what was recorded.
        stream: the peer is at its other end.
        rest: returns when the peer has answered what it was asked.
        source: whose part is played.
        speed: recorded seconds in a second.
        patient: rest before a recorded end, too.

    Raises:
        RecordingError: a line of the recording cannot be read.
        ValueError: there is no such side, or the speed is not above 0.
    """
    player, pace = _Player(stream, Side(source), rest, patient=patient), Pace(speed)
    fault: RecordingError | None = None
    async with stream, trio.open_nursery() as nursery:
        nursery.start_soon(player.listen, nursery.cancel_scope)
        try:
            await player.play(recording, pace)
        except RecordingError as error:
            # Kept, so that it does not become one of a group.
            fault = error
        nursery.cancel_scope.cancel()
    if fault is not None:
        raise fault
    return player.heard


class _Player:
    """Plays one part on a stream."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        part: Side,
        rest: Callable[[], Awaitable[object]],
        *,
        patient: bool,
    ) -> None:
        self.heard: list[Entry] = []
        self._stream = stream
        self._part = part
        self._rest = rest
        self._patient = patient
        self._ear = Ear(self._take)
        self._start = trio.current_time()
        self._pings: list[str] = []
        self._pinged = False
        self._answered = trio.Event()
        self._sending = trio.Lock()

    async def play(self, recording: Iterable[Entry], pace: Pace) -> None:
        """Say each thing when it is time; at the end, give the peer time to answer."""
        for entry in recording:
            await pace.wait(entry.time)
            if entry.source is self._part:
                if isinstance(entry.item, Ended) and self._patient:
                    await self._hear_out(pace)
                await self._say(entry.item)
        await self._hear_out(pace)

    async def _hear_out(self, pace: Pace) -> None:
        if math.isinf(pace.speed) and not self._pinged:
            self._pinged = True
            with trio.move_on_after(ANSWER_PATIENCE):
                await self._send(encode(pingRequest(_LAST_PING)))
                await self._answered.wait()
        await self._rest()

    async def _say(self, item: Item) -> None:
        match item:
            case Garbled(data=data):
                await self._send(data)
            case Ended():
                await self._end()
            case pingRequest() | pingReply():
                pass
            case event:
                await self._send(encode(event))

    async def _send(self, data: bytes) -> None:
        # A peer that has gone is noticed by who listens.
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async with self._sending:
                await self._stream.send_all(data)

    async def _end(self) -> None:
        if isinstance(self._stream, trio.abc.HalfCloseableStream):
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                async with self._sending:
                    await self._stream.send_eof()

    async def listen(self, scope: trio.CancelScope) -> None:
        """Note what the peer says, and answer its pings; at the end of the stream, end all."""
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await self._stream.receive_some(RECEIVE_BYTES):
                self._ear.hear(bytes(data))
                while self._pings:
                    await self._send(encode(pingReply(self._pings.pop(0))))
        scope.cancel()

    def _take(self, item: Item) -> None:
        match item:
            case pingRequest(uid):
                self._pings.append(uid)
            case pingReply(uid):
                if uid == _LAST_PING:
                    self._answered.set()
            case _:
                time = trio.current_time() - self._start
                self.heard.append(Entry(time, self._part.other, item))
