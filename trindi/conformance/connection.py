"""A connection to one peer: a reading task, a writing task, and waiting with a time limit.

Each observation goes to an observer, and stays in `received` for a while. No wait lasts longer than
the seconds that the caller gives, whatever the peer does. Pings are answered, since libindi's
drivers wait for the answer (protocol §4.6). This module judges nothing.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import trio

from trindi.conformance.scanner import Observation, Scanner
from trindi.protocol import Event, encode, pingReply, pingRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from trindi.conformance.options import Timing
    from trindi.conformance.targets import Peer

_MAX_OBSERVATIONS: Final = 20_000
_MAX_BYTES: Final = 32 * 1024 * 1024
_SEND_QUEUE: Final = 16
_CLOSE_TIMEOUT: Final = 5.0
_END_TIMEOUT: Final = 2.0
_RECEIVE: Final = 64 * 1024


class CheckedConnection:
    """Sends to a peer; collects what it sends, the newest only, and shows it to the `observer`."""

    def __init__(
        self,
        peer: Peer,
        observer: Callable[[CheckedConnection, Observation], None],
        timing: Timing,
        *,
        max_observations: int = _MAX_OBSERVATIONS,
        max_bytes: int = _MAX_BYTES,
    ) -> None:
        self.peer = peer
        # The observations since `clear`, without what only the observer sees: payloads and bytes.
        self.received: deque[Observation] = deque()
        self.ended = False  # The peer has closed its output.
        self._timing = timing
        self._max_observations = max_observations
        self._max_bytes = max_bytes
        self._bytes_kept = 0
        self._observer = observer
        self._scanner = Scanner()
        self._bytes_received = 0
        self._wanted: Callable[[Observation], bool] | None = None
        self._found = trio.Event()
        self._scope = trio.CancelScope()
        # If the queue is full, senders wait, and pings are not answered.
        self._send_queue, self._to_send = trio.open_memory_channel[bytes | None](_SEND_QUEUE)

    async def run(
        self, *, task_status: trio.TaskStatus[CheckedConnection] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Read and write until closed or cancelled; then close the peer."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._read)
                    nursery.start_soon(self._write)
                    task_status.started(self)
        finally:
            # A cancelled check must leave no program behind.
            with trio.move_on_after(_CLOSE_TIMEOUT) as clean_up:
                clean_up.shield = True
                await self.peer.aclose()

    def close(self) -> None:
        self._scope.cancel()

    async def _read(self) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await self.peer.stream.receive_some(_RECEIVE):
                self._bytes_received += len(data)
                self._take(self._scanner.feed(bytes(data)))
        self._take(self._scanner.finish())
        self.ended = True
        self._found.set()

    def _take(self, observations: list[Observation]) -> None:
        # After `close`, what still arrives belongs to no check.
        if self._scope.cancel_called:
            return
        for observation in observations:
            if isinstance(observation.item, pingRequest):
                # A peer that does not read does not wait for the answer either.
                with suppress(trio.WouldBlock, trio.BrokenResourceError):
                    self._send_queue.send_nowait(encode(pingReply(observation.item.uid)))
            self._observer(self, observation)
            kept = self._keep(observation)
            if self._wanted is not None and self._wanted(kept):
                self._wanted = None
                self._found.set()

    def _keep(self, observation: Observation) -> Observation:
        kept = observation.without_payload()
        self.received.append(kept)
        self._bytes_kept += kept.size
        while len(self.received) > self._max_observations or (
            self._bytes_kept > self._max_bytes and len(self.received) > 1
        ):
            self._bytes_kept -= self.received.popleft().size
        return kept

    async def _write(self) -> None:
        async for data in self._to_send:
            # If sending fails, what the peer sent before, and its end, are still to be read.
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                if data is None:
                    await self.peer.stream.send_eof()
                else:
                    await self.peer.stream.send_all(data)

    async def send(self, *items: Event | bytes, seconds: float) -> None:
        """Send events, or bytes as they are; give up if the peer does not read for that long."""
        data = b"".join(item if isinstance(item, bytes) else encode(item) for item in items)
        with trio.move_on_after(seconds):
            await self._send_queue.send(data)

    async def send_eof(self, *, seconds: float) -> None:
        """Close the sending half, once everything before has been sent."""
        with trio.move_on_after(seconds):
            await self._send_queue.send(None)

    def clear(self) -> None:
        self.received.clear()
        self._bytes_kept = 0

    async def wait_for(self, wanted: Callable[[Observation], bool], seconds: float) -> bool:
        """Wait for an observation since `clear`; return False if none comes in time."""
        if any(wanted(observation) for observation in self.received):
            return True
        self._wanted, self._found = wanted, trio.Event()
        if not self.ended:
            with trio.move_on_after(seconds):
                await self._found.wait()
        is_found, self._wanted = self._wanted is None, None
        return is_found

    async def wait_quiet(self, quiet: float, seconds: float) -> None:
        """Wait until nothing arrives for `quiet` seconds, but at most `seconds` altogether."""
        with trio.move_on_after(seconds):
            while not self.ended:
                received = self._bytes_received
                await trio.sleep(quiet)
                if received == self._bytes_received:
                    return

    async def wait_settled(self) -> None:
        """Wait until all definitions have arrived, judging by silence."""
        await self.wait_quiet(self._timing.quiet, self._timing.settle)

    async def wait_unexpected(self) -> None:
        """Wait for messages that must not come."""
        await self.wait_quiet(self._timing.unexpected, self._timing.settle)

    async def describe_end(self) -> str:
        """Describe how the peer has ended, or that it does not answer."""
        if not self.ended:
            return "it does not answer"
        with trio.move_on_after(_END_TIMEOUT):
            return await self.peer.wait_ended()
        return "it has closed its output"
