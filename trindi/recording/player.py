"""Sending again what one side of a recording sent, each item at its recorded time.

Events are encoded anew, unparsed elements leave as they were. Recorded pings are skipped; the
peer's own pings are answered. To answer clients from a recording, use `ReplayDriver`.
"""

from __future__ import annotations

import contextlib
import math
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from trindi.errors import check_delay
from trindi.protocol import encode, pingReply, pingRequest
from trindi.recording.jsonl import EndOfStream, Entry, Item, RecordingError, Side, Unparsed
from trindi.recording.recorder import StreamTap
from trindi.transport import DEFAULT_RUNTIME, Runtime

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trindi.recording.reader import Recording
    from trindi.transport import InThread

RECEIVE_BYTES: Final = 64 * 1024
"""Bytes of one read from the peer."""

ANSWER_TIMEOUT: Final = 5.0
"""Seconds for the peer to answer the ping that ends a replay without pauses."""

LINGER: Final = 0.5
"""Seconds for what the peer sends at the very end."""

_LAST_PING: Final = "trindi replay"


def check_speed(speed: float) -> float:
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
    runtime: Runtime = DEFAULT_RUNTIME,
) -> list[Entry]:
    """Send what one side sent, at the recorded times, and return what the peer sends.

    `source` is the side that is played: the ``client``, to a server or driver, or the ``server``.
    `speed` is recorded seconds in a second; `math.inf` means no pauses. `runtime` has the thread
    that reads files of BLOBs; a test has its own.

    It returns `linger` seconds after the recording ends, or when the stream ends. Without pauses,
    it returns `linger` seconds after the peer has answered a last ping; a driver may answer that
    while it still works on an earlier request, so give it time. Then it closes the stream; if
    cancelled, at once. Faster than recorded, it lingers before the end of a side, too.

    Raises:
        RecordingError: a line of the recording cannot be read.
        ValueError: there is no such side, the speed is not above 0, or linger is below 0.
    """
    wait_idle = partial(trio.sleep, check_delay("linger", linger))
    # Above the recorded speed, answers have not come when the recorded end comes.
    player = Player(stream, source, speed, wait_idle, runtime.in_thread, drain=speed > 1)
    return await player.play(recording)


class Player:
    """Plays one side of a recording on a stream, and collects what the peer sends."""

    def __init__(
        self,
        stream: trio.abc.Stream,
        source: str,
        speed: float,
        wait_idle: Callable[[], Awaitable[object]],
        in_thread: InThread,
        *,
        drain: bool = True,
    ) -> None:
        self._stream = stream
        self._side = Side(source)
        self._speed = check_speed(speed)
        self._wait_idle = wait_idle  # Returns when the peer has answered everything.
        self._in_thread = in_thread  # Reads payloads.
        self._drain = drain  # Wait for answers before a recorded end of the stream, too.
        self._tap = StreamTap(self._note)
        self._start = trio.current_time()
        self._received: list[Entry] = []
        self._unanswered_pings: list[str] = []
        self._ping_sent = False
        self._ping_answered = trio.Event()
        self._send_lock = trio.Lock()

    async def play(self, recording: Recording) -> list[Entry]:
        """Play the recording, close the stream, and return what the peer has sent."""
        failure: RecordingError | None = None
        async with self._stream, trio.open_nursery() as nursery:
            nursery.start_soon(self._receive, nursery.cancel_scope)
            try:
                await self._send(recording)
            except RecordingError as error:
                # Raised outside the nursery, so that no ExceptionGroup wraps it.
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return self._received

    async def _send(self, recording: Recording) -> None:
        # One that is followed by more is the end of a connection before: a recording may go on.
        end: EndOfStream | None = None
        for entry, load in recording.unloaded():
            item = entry.item
            if entry.source is self._side and load is not None:
                item = (await self._in_thread(load)).item
            await trio.sleep_until(self._start + entry.time / self._speed)
            if entry.source is self._side:
                end = item if isinstance(item, EndOfStream) else None
                if end is None:
                    await self._send_item(item)
        if end is not None:
            if self._drain:
                await self._wait_answers()
            await self._send_item(end)
        await self._wait_answers()

    async def _wait_answers(self) -> None:
        if math.isinf(self._speed) and not self._ping_sent:
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
                if isinstance(self._stream, trio.abc.HalfCloseableStream):
                    await self._locked(self._stream.send_eof)
            case pingRequest() | pingReply():
                pass
            case event:
                await self._send_all(encode(event))

    async def _send_all(self, data: bytes) -> None:
        await self._locked(self._stream.send_all, data)

    async def _locked(self, send: Callable[..., Awaitable[None]], *args: bytes) -> None:
        # `_receive` notices that the peer has gone.
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async with self._send_lock:
                await send(*args)

    async def _receive(self, scope: trio.CancelScope) -> None:
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
                self._received.append(Entry(time, self._side.other, item))
