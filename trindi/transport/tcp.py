"""TCP: its options, how addresses are written, and what the system knows of a connection.

Where a system lacks an option, nothing is set; where it cannot tell, nothing is known. This module
knows neither events nor peers.
"""

from __future__ import annotations

import contextlib
import math
import socket
import struct
import sys
from typing import TYPE_CHECKING, Any, Final

import trio

from trindi.transport.containment import error_number, error_reason

if TYPE_CHECKING:
    from collections.abc import Mapping

if sys.platform != "win32":
    import fcntl
    import termios

KEEPALIVE_IDLE: Final = 30  # seconds of silence before the system probes whether a peer is there
KEEPALIVE_INTERVAL: Final = 10  # seconds between its probes
KEEPALIVE_PROBES: Final = 3  # unanswered, after which it ends the connection
ACKNOWLEDGED_WITHIN: Final = 180.0
"""Seconds in which a peer's system must acknowledge something, where bytes wait for it. Probes of a
peer that does not read back off to two minutes, and its system acknowledges each of them."""

# No TCP_USER_TIMEOUT: it ends the connections of peers that live and do not read.
_OPTIONS: Final[Mapping[str, int]] = {
    "TCP_KEEPIDLE": KEEPALIVE_IDLE,
    "TCP_KEEPALIVE": KEEPALIVE_IDLE,  # macOS has this name for it
    "TCP_KEEPINTVL": KEEPALIVE_INTERVAL,
    "TCP_KEEPCNT": KEEPALIVE_PROBES,
}
# struct tcp_info begins with eight bytes, and the 13th number after them is tcpi_last_ack_recv, the
# milliseconds since the last acknowledgement.
_LAST_ACK: Final = struct.Struct("=56xI")
_NUMERIC: Final = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV


async def open_tcp(host: str, port: int) -> trio.SocketStream:
    """Connect to a port, with TCP keepalive; an OSError says in one line why that cannot be."""
    try:
        stream = await trio.open_tcp_stream(bare_host(host), port)
    except (OSError, UnicodeError) as error:
        # UnicodeError: the name of the host cannot be encoded for DNS. Trio's own error has a group
        # of all attempts behind it.
        text = f"cannot connect to {host_and_port(host, port)}: {error_reason(error)}"
        raise OSError(*filter(None, [error_number(error), text])) from None
    set_keepalive(stream)
    return stream


def set_keepalive(stream: trio.abc.Stream) -> None:
    """Let the system find out when a peer that sends nothing has vanished."""
    if not isinstance(stream, trio.SocketStream):
        return
    with contextlib.suppress(OSError):
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _OPTIONS.items():
        option = getattr(socket, name, None)
        if option is not None:
            # Unix sockets have none of these.
            with contextlib.suppress(OSError):
                stream.setsockopt(socket.IPPROTO_TCP, option, value)


def unacknowledged(stream: trio.abc.Stream) -> int:
    """Return how many bytes wait in the system for the peer's; 0 where that is not known."""
    if sys.platform == "win32" or not isinstance(stream, trio.SocketStream):
        return 0
    try:
        waiting = fcntl.ioctl(stream.socket.fileno(), termios.TIOCOUTQ, bytes(4))
    except (OSError, ValueError):
        # ValueError: it has been closed.
        return 0
    return int.from_bytes(waiting, sys.byteorder)


def last_acknowledged(stream: trio.abc.Stream) -> float:
    """Return the seconds since the peer's system has acknowledged something; 0 if not known."""
    if sys.platform != "linux" or not isinstance(stream, trio.SocketStream):
        return 0.0
    try:
        info = stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_ACK.size)
        (milliseconds,) = _LAST_ACK.unpack(info)
    except (OSError, struct.error):
        return 0.0
    return float(milliseconds / 1000)


class VanishedCheck:
    """Whether the peer of a stream has vanished while bytes wait for it; look now and then.

    The system sends no keepalive probes then, and sends the bytes again for a quarter of an hour.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._waiting_since = math.inf

    def vanished(self) -> bool:
        now = trio.current_time()
        # Bytes that were sent just now, after a long silence, have waited for a moment only.
        waits = unacknowledged(self._stream) > 0
        self._waiting_since = min(self._waiting_since, now) if waits else math.inf
        silence = min(now - self._waiting_since, last_acknowledged(self._stream))
        return silence >= ACKNOWLEDGED_WITHIN


# Addresses ---------------------------------------------------------------------------------------


def bare_host(host: str) -> str:
    """Return a host without the brackets that IPv6 addresses have in URLs.

    OSError if it is link-local and says not on which interface: the system says nothing of use.
    """
    if host[:1] == "[" and host[-1:] == "]":
        host = host[1:-1]
    if host[:5].lower() == "fe80:" and "%" not in host:
        raise OSError(f"{host} is a link-local address: add its interface, as in {host}%eth0")
    return host


def host_of(address: Any) -> str:
    """Return the host in the address of a socket, with the interface of one that is link-local."""
    return socket.getnameinfo(address, _NUMERIC)[0]


def host_and_port(host: str, port: object) -> str:
    """Return both as one text, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host and host[0] != "[" else f"{host}:{port}"
