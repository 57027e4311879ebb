"""One peer: a task that reads, a task that writes, and ways to wait for what comes.

Each thing that is seen goes to a watcher, and is kept for a while. Nothing that the peer does, or
does not do, makes the checker wait without an end: every wait has its number of seconds. Pings are
answered, since libindi's drivers wait for that (protocol §4.6). This module judges nothing.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

import trio

from trindi.conformance.wire import Scanner, Seen
from trindi.protocol import encode, pingReply, pingRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from trindi.conformance.targets import Peer
    from trindi.protocol import Event

__all__ = ["Link"]

_HEARD: Final = 20_000
"""What is kept of what a peer has said since it was last asked; the oldest goes first."""

_HEARD_BYTES: Final = 32 * 1024 * 1024
"""Bytes of the same, without BLOBs, as they came."""

_SENDING: Final = 16
"""Pieces that may wait for the peer to read; then a sender waits, and pings are not answered."""

_GONE: Final = 5.0
"""Seconds for a program that is killed to be gone."""

_RECEIVE: Final = 64 * 1024


class Link:
    """What is said to a peer, and heard of it.

    Args:
        peer: the peer; it is ended at the end of `run`.
        watch: is told of all that is seen, at once.

    Attributes:
        heard: what it has said since `forget`, without bytes and members as they stood, and without
            BLOBs: those are judged already.
        ended: it says no more.
    """

    def __init__(self, peer: Peer, watch: Callable[[Link, Seen], None]) -> None:
        self.peer = peer
        self.heard: deque[Seen] = deque()
        self.ended = False
        self._sizes: deque[int] = deque()
        self._held = 0
        self._watch = watch
        self._scanner = Scanner()
        self._received = 0
        self._wanted: Callable[[Seen], bool] | None = None
        self._news = trio.Event()
        self._scope = trio.CancelScope()
        self._queue, self._waiting = trio.open_memory_channel[bytes | None](_SENDING)

    # Life --------------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[Link] = trio.TASK_STATUS_IGNORED) -> None:
        """Read and write until cancelled; then the peer is ended."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._read)
                    nursery.start_soon(self._write)
                    task_status.started(self)
        finally:
            # A program that was started must be gone, whoever has cancelled the check.
            with trio.move_on_after(_GONE) as clean_up:
                clean_up.shield = True
                await self.peer.aclose()

    def close(self) -> None:
        """Let `run` come to its end."""
        self._scope.cancel()

    async def _read(self) -> None:
        try:
            while data := await self.peer.stream.receive_some(_RECEIVE):
                self._received += len(data)
                self._take(self._scanner.feed(bytes(data)))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        self._take(self._scanner.rest())
        self.ended = True
        self._news.set()

    def _take(self, found: list[Seen]) -> None:
        if self._scope.cancel_called:
            # Its last words are about what is forgotten already.
            return
        for seen in found:
            if isinstance(seen.item, pingRequest):
                self._answer_ping(seen.item)
            self._watch(self, seen)
            kept = self._keep(seen)
            if self._wanted is not None and self._wanted(kept):
                self._news.set()

    def _keep(self, seen: Seen) -> Seen:
        """Keep what is to be heard of it, within bounds; return that."""
        kept = seen.without_payload()
        self.heard.append(kept)
        self._sizes.append(0 if kept.item is not seen.item else seen.size)
        self._held += self._sizes[-1]
        while len(self.heard) > _HEARD or (self._held > _HEARD_BYTES and len(self.heard) > 1):
            self.heard.popleft()
            self._held -= self._sizes.popleft()
        return kept

    def _answer_ping(self, ping: pingRequest) -> None:
        try:
            self._queue.send_nowait(encode(pingReply(ping.uid)))
        except (trio.WouldBlock, trio.BrokenResourceError):
            # It does not read, so it does not wait for the answer either.
            return

    async def _write(self) -> None:
        broken = False
        async for data in self._waiting:
            if broken:
                continue
            try:
                if data is None:
                    await self.peer.stream.send_eof()
                else:
                    await self.peer.stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                # What it said before is still to be read, and then its end.
                broken = True

    # Speaking ----------------------------------------------------------------------------------

    async def send(self, *items: Event | bytes, seconds: float) -> None:
        """Send events, or bytes as they are; give up where the peer does not read for so long."""
        data = b"".join(item if isinstance(item, bytes) else encode(item) for item in items)
        with trio.move_on_after(seconds):
            await self._queue.send(data)

    async def finish(self, *, seconds: float) -> None:
        """End our side, once all that was said has left."""
        with trio.move_on_after(seconds):
            await self._queue.send(None)

    # Hearing -----------------------------------------------------------------------------------

    def forget(self) -> None:
        """Begin anew to keep what is heard."""
        self.heard.clear()
        self._sizes.clear()
        self._held = 0

    def items(self, *classes: type[Any]) -> list[Any]:
        """Return what was heard of these classes."""
        return [seen.item for seen in self.heard if isinstance(seen.item, classes)]

    async def wait_for(self, wanted: Callable[[Seen], bool], seconds: float) -> bool:
        """Wait until something is heard, or has been since `forget`; False where it never is."""
        if any(wanted(seen) for seen in self.heard):
            return True
        found = False

        def look(seen: Seen) -> bool:
            nonlocal found
            found = found or wanted(seen)
            return found

        self._wanted, self._news = look, trio.Event()
        if not self.ended:
            with trio.move_on_after(seconds):
                await self._news.wait()
        self._wanted = None
        return found

    async def wait_quiet(self, quiet: float, seconds: float) -> None:
        """Wait until nothing has come for some time, but no longer than so many seconds."""
        with trio.move_on_after(seconds):
            while not self.ended:
                received = self._received
                await trio.sleep(quiet)
                if received == self._received:
                    return

    async def fate(self, seconds: float = 2.0) -> str:
        """Say how the peer has ended, or what it does instead."""
        if not self.ended:
            return "it does not answer"
        with trio.move_on_after(seconds):
            return await self.peer.wait_ended()
        return "it has closed its output"
