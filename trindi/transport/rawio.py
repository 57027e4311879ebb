"""Reading and writing the bytes of one stream: a socket directly, any other stream as it is.

On a socket, one system call reads or writes what is possible at once. Trio's own streams try first,
then wait, and make a checkpoint in each call; a connection makes its checkpoints itself. This
module knows neither events nor peers.
"""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING, TypeAlias

import trio

from trindi.transport.tcp import unacknowledged

if TYPE_CHECKING:
    from collections.abc import Callable

Data: TypeAlias = bytes | memoryview


class RawIO:
    """How a connection reads and writes a stream, with one task for each: here, any stream."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._sent = 0  # bytes that were given to the stream

    @property
    def acknowledged(self) -> int:
        """How many bytes were sent, without those that wait for the peer's system."""
        return self._sent - unacknowledged(self._stream)

    async def receive(self, max_bytes: int) -> bytes:
        """Wait for bytes; b"" at the end. If cancelled, nothing was read."""
        return bytes(await self._stream.receive_some(max_bytes))

    def send_nowait(self, _data: Data) -> int:
        """Send the first bytes at once, and return how many; 0 if it would have to wait."""
        return 0

    async def send(self, data: Data) -> None:
        """Send all bytes; no checkpoint if that needs no waiting. If cancelled, some are sent."""
        await self._stream.send_all(data)
        self._sent += len(data)

    def hung_up(self) -> bool:
        """Whether the peer is gone, also where nothing is read; False if that cannot be told."""
        hung_up: Callable[[], bool] | None = getattr(self._stream, "hung_up", None)
        return hung_up is not None and hung_up()


class _SocketIO(RawIO):
    def __init__(self, stream: trio.SocketStream) -> None:
        super().__init__(stream)
        self._find = stream.socket.fileno

    def _descriptor(self) -> int:
        descriptor = self._find()
        if descriptor < 0:
            raise trio.ClosedResourceError("the socket has been closed")
        return descriptor

    async def receive(self, max_bytes: int) -> bytes:
        while True:
            await trio.lowlevel.wait_readable(self._descriptor())
            try:
                return os.read(self._descriptor(), max_bytes)
            except BlockingIOError:
                continue
            except OSError as error:
                raise trio.BrokenResourceError(f"the socket is broken: {error}") from error

    def send_nowait(self, data: Data) -> int:
        try:
            sent = os.write(self._find(), data)
        except OSError:
            # It would block, or it is broken: the next call that waits raises.
            return 0
        self._sent += sent
        return sent

    async def send(self, data: Data) -> None:
        sent = self.send_nowait(data)
        if sent == len(data):
            return
        with memoryview(data) as whole:
            while sent < len(whole):
                await trio.lowlevel.wait_writable(self._descriptor())
                try:
                    more = os.write(self._descriptor(), whole[sent:])
                except BlockingIOError:
                    continue
                except OSError as error:
                    raise trio.BrokenResourceError(f"the socket is broken: {error}") from error
                sent += more
                self._sent += more

    def hung_up(self) -> bool:
        return has_hung_up(self._find())


def has_hung_up(descriptor: int) -> bool:
    """Whether nobody is at the other end; one that has only ended its own side is still there."""
    if descriptor < 0:
        return True
    poll = select.poll()
    # Hang-ups and errors are reported always, and pending bytes are not asked for.
    poll.register(descriptor, 0)
    return bool(poll.poll(0))


def raw_io_of(stream: trio.abc.Stream) -> RawIO:
    if isinstance(stream, trio.SocketStream) and os.name == "posix":
        return _SocketIO(stream)
    return RawIO(stream)
