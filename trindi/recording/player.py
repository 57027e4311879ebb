"""Sending again what one side of a recording sent, to the peer at the other end of a stream.

Events are encoded anew, unparsed elements leave as they were, each at its recorded time. Recorded
pings are skipped; the peer's own pings are answered. The player does not interpret events: to
answer clients from a recording, use `ReplayDriver`.
"""

from __future__ import annotations

import contextlib
import math
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from trindi.errors import check_delay
from trindi.protocol import encode, pingReply, pingRequest
from trindi.recording.jsonl import EndOfStream, Entry, RecordingError, Side, Unparsed
from trindi.recording.tap import StreamTap

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from trindi.recording.jsonl import Item
    from trindi.recording.reader import Recording

__all__ = ["Pace", "play", "replay"]

RECEIVE_BYTES: Final = 64 * 1024
"""Bytes of one read from the peer."""

ANSWER_TIMEOUT: Final = 5.0
"""Seconds for the peer to answer the ping that ends a replay without pauses."""

LINGER: Final = 0.5
"""Seconds for what the peer sends at the very end."""

_LAST_PING: Final = "trindi replay"


class Pace:
    """Maps recorded times to times of this run; the run begins now.

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

    async def wait_until(self, time: float) -> None:
        """Wait for a recorded time; only a checkpoint if it has passed."""
        await trio.sleep_until(self._start + (time - self._zero) / self.speed)


def check_speed(speed: float) -> float:
    """Return a valid speed; raise ValueError for others."""
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
    """Send what one side sent, at the recorded times, and return what the peer sends.

    It returns `linger` seconds after the recording ends, or when the stream ends. Without pauses,
    it returns `linger` seconds after the peer has answered a last ping. Then it closes the stream;
    if cancelled, at once. Faster than recorded, it lingers before the end of a side, too.

    Args:
        recording: what was recorded.
        stream: the peer is at its other end.
        source: the side that is played: the ``client``, to a server or driver, or the ``server``.
        speed: recorded seconds in a second; `math.inf` for no pauses.
        linger: seconds for the last answers. A driver may answer a ping while it still works on an
            earlier request: without pauses, give it time for that.

    Returns:
        What the peer has sent, with times as in a recording; all of it is kept in memory.

    Raises:
        RecordingError: a line of the recording cannot be read.
        ValueError: there is no such side, the speed is not above 0, or linger is below 0.
    """
    wait_idle = partial(trio.sleep, check_delay("linger", linger))
    return await play(recording, stream, wait_idle, source=source, speed=speed, drain=speed > 1)


async def play(
    recording: Recording,
    stream: trio.abc.Stream,
    wait_idle: Callable[[], Awaitable[object]],
    *,
    source: str = Side.CLIENT,
    speed: float = 1.0,
    drain: bool = True,
) -> list[Entry]:
    """Do what `replay` does, where the caller knows when the peer is idle.

    Args:
        recording: what was recorded.
        stream: the peer is at its other end.
        wait_idle: returns when the peer has answered everything.
        source: the side that is played.
        speed: recorded seconds in a second.
        drain: wait for answers before a recorded end of the stream, too. At more than the recorded
            speed these answers have not come yet.

    Raises:
        RecordingError: a line of the recording cannot be read.
        ValueError: there is no such side, or the speed is not above 0.
    """
    player, pace = _Player(stream, Side(source), wait_idle, drain=drain), Pace(speed)
    failure: RecordingError | None = None
    async with stream, trio.open_nursery() as nursery:
        nursery.start_soon(player.receive, nursery.cancel_scope)
        try:
            await player.send(recording, pace)
        except RecordingError as error:
            # Raised outside the nursery, so that no ExceptionGroup wraps it.
            failure = error
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return player.received


class _Player:
    """Plays one side on a stream, and collects what the peer sends."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        side: Side,
        wait_idle: Callable[[], Awaitable[object]],
        *,
        drain: bool,
    ) -> None:
        self.received: list[Entry] = []
        self._stream = stream
        self._side = side
        self._wait_idle = wait_idle
        self._drain = drain
        self._tap = StreamTap(self._note)
        self._start = trio.current_time()
        self._unanswered_pings: list[str] = []
        self._ping_sent = False
        self._ping_answered = trio.Event()
        self._send_lock = trio.Lock()

    async def send(self, recording: Iterable[Entry], pace: Pace) -> None:
        """Send each item at its time; at the end, wait for answers."""
        for entry in recording:
            await pace.wait_until(entry.time)
            if entry.source is self._side:
                if self._drain and isinstance(entry.item, EndOfStream):
                    await self._wait_answers(pace)
                await self._send_item(entry.item)
        await self._wait_answers(pace)

    async def _wait_answers(self, pace: Pace) -> None:
        if math.isinf(pace.speed) and not self._ping_sent:
            self._ping_sent = True
            with trio.move_on_after(ANSWER_TIMEOUT):
                await self._send_all(encode(pingRequest(_LAST_PING)))
                await self._ping_answered.wait()
        await self._wait_idle()

    async def _send_item(self, item: Item) -> None:
        match item:
            case Unparsed(data=data):
                await self._send_all(data)
            case EndOfStream():
                await self._send_eof()
            case pingRequest() | pingReply():
                pass
            case event:
                await self._send_all(encode(event))

    async def _send_all(self, data: bytes) -> None:
        # `receive` notices that the peer has gone.
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async with self._send_lock:
                await self._stream.send_all(data)

    async def _send_eof(self) -> None:
        if isinstance(self._stream, trio.abc.HalfCloseableStream):
            with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                async with self._send_lock:
                    await self._stream.send_eof()

    async def receive(self, scope: trio.CancelScope) -> None:
        """Collect what the peer sends, and answer its pings; cancel the scope when it ends."""
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await self._stream.receive_some(RECEIVE_BYTES):
                self._tap.feed(bytes(data))
                while self._unanswered_pings:
                    await self._send_all(encode(pingReply(self._unanswered_pings.pop(0))))
        scope.cancel()

    def _note(self, item: Item) -> None:
        match item:
            case pingRequest(uid):
                self._unanswered_pings.append(uid)
            case pingReply(uid):
                if uid == _LAST_PING:
                    self._ping_answered.set()
            case _:
                time = trio.current_time() - self._start
                self.received.append(Entry(time, self._side.other, item))
