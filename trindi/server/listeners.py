"""Listening on all addresses of a host, on one port, and accepting one client after another."""

from __future__ import annotations

import contextlib
import errno
import math
from typing import Final

import trio

from trindi.transport import bare_host, host_of
from trindi.visible import get_logger

logger = get_logger("trindi.server")

PORT_ATTEMPTS: Final = 10
"""How often a free port is sought that all addresses of the host have."""

ACCEPT_PAUSE: Final = 0.1
"""Seconds until the next client is accepted, where the system could not accept one."""

ACCEPT_QUIET: Final = 60.0
"""Seconds without such an error after which the next one is logged again."""


class PatientListener(trio.abc.Listener[trio.SocketStream]):
    """A listener that goes on where one client cannot be accepted.

    The system may have no file or memory left for it, or a firewall or a security module forbids
    it: that costs this client, and not the server.
    """

    def __init__(self, listener: trio.SocketListener) -> None:
        self.socket = listener.socket
        self._listener = listener
        self._quiet_until = -math.inf

    @property
    def address(self) -> tuple[str, int]:
        name = self.socket.getsockname()
        return host_of(name), name[1]

    async def accept(self) -> trio.SocketStream:
        while True:
            try:
                return await self._listener.accept()
            except trio.ClosedResourceError:
                raise
            except Exception as error:
                now = trio.current_time()
                if now >= self._quiet_until:
                    logger.error("a client cannot be accepted, the next ones are tried: %s", error)
                self._quiet_until = now + ACCEPT_QUIET
                await trio.sleep(ACCEPT_PAUSE)

    async def aclose(self) -> None:
        await self._listener.aclose()


async def open_listeners(host: str, port: int) -> list[PatientListener]:
    """Listen on all addresses of a host, on one port even where the system chooses it."""
    for _ in range(PORT_ATTEMPTS - 1):
        try:
            return await _try_listeners(host, port)
        except OSError as error:
            if port != 0 or error.errno != errno.EADDRINUSE:
                raise
    return await _try_listeners(host, port)


async def _try_listeners(host: str, port: int) -> list[PatientListener]:
    found = await trio.socket.getaddrinfo(
        bare_host(host) or None, port, type=trio.socket.SOCK_STREAM, flags=trio.socket.AI_PASSIVE
    )
    # IPv4 first: the field's own tools know no other (§7).
    addresses = dict.fromkeys(
        host_of(address) for _family, *_, address in sorted(found, key=lambda info: info[0])
    )
    if "::" in addresses:
        # All addresses: who asks for them rarely means to shut out IPv4.
        addresses = {"0.0.0.0": None} | addresses
    listeners: list[PatientListener] = []
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
                listeners.append(PatientListener(listener))
                port = listeners[-1].address[1]
        if not listeners and missing is not None:
            raise missing
        opened.pop_all()
    return listeners
