"""Listening on all addresses of a host, on one port."""

from __future__ import annotations

import contextlib
import errno
from typing import Final

import trio

PORT_ATTEMPTS: Final = 10
"""How often a free port is sought that all addresses of the host have."""


async def open_listeners(host: str, port: int) -> list[trio.SocketListener]:
    """Listen on all addresses of a host, on one port even where the system chooses it."""
    for _ in range(PORT_ATTEMPTS - 1):
        try:
            return await _try_listeners(host, port)
        except OSError as error:
            if port != 0 or error.errno != errno.EADDRINUSE:
                raise
    return await _try_listeners(host, port)


async def _try_listeners(host: str, port: int) -> list[trio.SocketListener]:
    found = await trio.socket.getaddrinfo(
        host or None, port, type=trio.socket.SOCK_STREAM, flags=trio.socket.AI_PASSIVE
    )
    # IPv4 first: the field's own tools know no other (§7).
    addresses = dict.fromkeys(
        str(address[0]) for _family, *_, address in sorted(found, key=lambda info: info[0])
    )
    listeners: list[trio.SocketListener] = []
    missing: OSError | None = None
    with contextlib.ExitStack() as opened:
        for address in addresses:
            try:
                (listener,) = await trio.open_tcp_listeners(port, host=address)
            except OSError as error:
                # A name may have an IPv6 address where the system has no IPv6.
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
                missing = error
            else:
                opened.callback(listener.socket.close)
                listeners.append(listener)
                port = listener.socket.getsockname()[1]
        if not listeners and missing is not None:
            raise missing
        opened.pop_all()
    return listeners
