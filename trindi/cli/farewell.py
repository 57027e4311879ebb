"""Ends a connection so that the server has all that was sent, or tells that it may not have.

Closing a connection is not enough: one that is closed with unread data in it is reset, and a reset
loses requests.
"""

from __future__ import annotations

import contextlib
import fcntl
import sys
import termios
from typing import TYPE_CHECKING, Final

import click
import trio

if TYPE_CHECKING:
    from trindi.client import IPyClient

_SILENCE: Final = 1.0
"""Seconds of silence after which a server is not expected to close the connection itself."""

_TIMEOUT: Final = 10.0
"""Seconds in which a server must have taken all that was sent."""

_BROKE: Final = "the connection broke before the server had taken everything: requests may be lost"


class FarewellStream(trio.abc.HalfCloseableStream):
    """A connection that notes how the server ends it.

    Attributes:
        last_received: when the server last sent something.
        closed_by_server: the server has closed its side in order.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.last_received = trio.current_time()
        self.closed_by_server = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        self.last_received = trio.current_time()
        self.closed_by_server = not data
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        assert isinstance(self._stream, trio.abc.HalfCloseableStream)
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def is_acknowledged(self) -> bool:
        """Whether the server's system has all that was sent; True where this one cannot tell."""
        assert isinstance(self._stream, trio.SocketStream)
        try:
            unsent = fcntl.ioctl(self._stream.socket.fileno(), termios.TIOCOUTQ, bytes(4))
        except OSError:
            return True
        return not int.from_bytes(unsent, sys.byteorder)


async def say_farewell(client: IPyClient, stream: FarewellStream) -> None:
    """Close our side, and wait until the server has all that was sent to it.

    A server that has read everything closes the connection. Another one stays silent; then its
    system must have acknowledged everything. What it sends is read until then.

    Raises:
        ClickException: the connection broke, or the server took too long.
    """
    events = client.events()
    limit = trio.current_time() + _TIMEOUT
    try:
        # The client closes the stream itself when the server has ended the connection.
        with contextlib.suppress(trio.ClosedResourceError):
            await stream.send_eof()
    except trio.BrokenResourceError:
        raise click.ClickException(_BROKE) from None
    while (now := trio.current_time()) < limit:
        with trio.move_on_at(min(now + _SILENCE, limit)):
            async for _event in events:
                pass
            if stream.closed_by_server:
                return
            raise click.ClickException(_BROKE)
        is_silent = trio.current_time() >= stream.last_received + _SILENCE
        if is_silent and stream.is_acknowledged():
            return
    if not stream.is_acknowledged():
        raise click.ClickException(
            f"the server has not taken everything within {_TIMEOUT:g} s: requests may be lost"
        )
