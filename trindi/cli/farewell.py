"""Ends a connection so that the server has all that was sent, or tells that it may not have.

Closing a connection is not enough: one that is closed with unread data in it is reset, and a reset
loses requests.
"""

from __future__ import annotations

import fcntl
import sys
import termios
from typing import Final

import click
import trio

_SILENCE: Final = 1.0
"""Seconds of silence after which a server is not expected to close the connection itself."""

_TIMEOUT: Final = 10.0
"""Seconds in which a server must have taken all that was sent."""


async def say_farewell(stream: trio.abc.HalfCloseableStream) -> None:
    """Close our side, and wait until the server has all that was sent to it.

    A server that has read everything closes the connection. Another one stays silent; then its
    system must have acknowledged everything. What it sends until then is dropped. ClickException
    if the connection broke, or the server took too long.
    """
    try:
        await stream.send_eof()
        with trio.move_on_after(_TIMEOUT):
            while True:
                with trio.move_on_after(_SILENCE) as silence:
                    if not await stream.receive_some():
                        return
                if silence.cancelled_caught and _is_acknowledged(stream):
                    return
    except trio.BrokenResourceError:
        reason = "the connection broke before the server had taken everything"
        raise click.ClickException(f"{reason}: requests may be lost") from None
    if not _is_acknowledged(stream):
        reason = f"the server has not taken everything within {_TIMEOUT:g} s"
        raise click.ClickException(f"{reason}: requests may be lost")


def _is_acknowledged(stream: trio.abc.Stream) -> bool:
    """Whether the server's system has all that was sent; True where this one cannot tell."""
    assert isinstance(stream, trio.SocketStream)
    try:
        unsent = fcntl.ioctl(stream.socket.fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:
        return True
    return not int.from_bytes(unsent, sys.byteorder)
