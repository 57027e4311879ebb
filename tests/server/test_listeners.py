"""What a server listens on: names, addresses, IPv4 and IPv6, and one port for all of them."""

from __future__ import annotations

import errno
import ipaddress
import logging
import math
import os
import socket
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.kit.peers import Client
from tests.kit.server import Bench, start
from trindi import IPyClient, IPyServer
from trindi.protocol import defNumberVector, getProperties
from trindi.server.listeners import ACCEPT_PAUSE, ACCEPT_QUIET, PatientListener


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(
    not has_ipv6(), reason="THIS KERNEL HAS NO ::1: nothing is tested of IPv6"
)


async def is_served(address: str, port: int) -> bool:
    """Whether a server answers there."""
    try:
        stream = await trio.open_tcp_stream(address, port)
    except OSError:
        return False
    async with stream:
        client = Client(stream)
        await client.send(getProperties())
        return isinstance(await client.receive(), defNumberVector)


async def test_an_ipv4_address(nursery: trio.Nursery) -> None:
    server = await start(nursery, Bench(), host="127.0.0.1")
    assert server.addresses == (("127.0.0.1", server.port),)
    assert server.port != 0
    assert await is_served("127.0.0.1", server.port)
    assert not await is_served("::1", server.port)


@needs_ipv6
async def test_an_ipv6_address(nursery: trio.Nursery) -> None:
    server = await start(nursery, Bench(), host="::1")
    assert server.addresses == (("::1", server.port),)
    assert await is_served("::1", server.port)
    assert not await is_served("127.0.0.1", server.port)
    assert server.statistics().clients == ()


@pytest.mark.parametrize("host", ["", "0.0.0.0"])
async def test_all_ipv4_addresses(nursery: trio.Nursery, host: str) -> None:
    server = await start(nursery, Bench(), host=host)
    assert server.addresses[0] == ("0.0.0.0", server.port)
    assert await is_served("127.0.0.1", server.port)
    assert await is_served("127.0.0.2", server.port)


@needs_ipv6
@pytest.mark.parametrize("host", ["::", "[::]", "0:0::0"])
async def test_all_ipv6_addresses_are_all_ipv4_addresses_too(
    nursery: trio.Nursery, host: str
) -> None:
    server = await start(nursery, Bench(), host=host)
    assert server.addresses == (("0.0.0.0", server.port), ("::", server.port))
    assert await is_served("::1", server.port)
    assert await is_served("127.0.0.1", server.port)


@needs_ipv6
async def test_brackets_around_an_address_are_taken_off(nursery: trio.Nursery) -> None:
    server = await start(nursery, Bench(), host="[::1]")
    assert server.addresses == (("::1", server.port),)
    client = await nursery.start(IPyClient("[::1]", server.port).run)
    await client.wait_defined("Bench")
    (known,) = server.statistics().clients
    assert known.peer.startswith("[::1]:")


def link_local() -> str:
    """A link-local address of this machine, with its interface; "" if there is none."""
    table = Path("/proc/net/if_inet6")
    for line in table.read_text().splitlines() if table.exists() else ():
        digits, _index, _prefix, scope, _flags, interface = line.split()
        if scope == "20":
            return f"{ipaddress.IPv6Address(bytes.fromhex(digits))}%{interface}"
    return ""


@pytest.mark.skipif(not link_local(), reason="THIS MACHINE HAS NO LINK-LOCAL ADDRESS")
async def test_a_link_local_address_keeps_its_interface(nursery: trio.Nursery) -> None:
    address = link_local()
    server = await start(nursery, Bench(), host=address)
    assert server.addresses == ((address, server.port),)
    for host in (address, f"[{address}]"):
        client = await nursery.start(IPyClient(host, server.port).run)
        await client.wait_defined("Bench")
    for client in server.statistics().clients:
        assert client.peer.startswith(f"[{address}]:")


async def test_an_address_with_an_interface_is_bound_with_it(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Where no interface has a link-local address, the system refuses it; here it is not asked.
    (_, name), *_ = socket.if_nameindex()
    resolve_as([f"fe80::1%{name}"])
    asked: list[str] = []

    async def open_none(_port: int, *, host: str) -> list[trio.SocketListener]:
        asked.append(host)
        raise OSError(errno.EACCES, "not here")

    monkeypatch.setattr(trio, "open_tcp_listeners", open_none)
    with pytest.raises(OSError, match="not here"):
        await start(nursery, Bench(), host="observatory.local")
    assert asked == [f"fe80::1%{name}"]


@needs_ipv6
@pytest.mark.parametrize("host", ["", "localhost"])
async def test_all_addresses_have_one_port_even_where_the_system_chooses_it(
    nursery: trio.Nursery, host: str
) -> None:
    if host:
        resolve_as(["::1", "127.0.0.1"])
    server = await start(nursery, Bench(), host=host)
    assert len(server.addresses) == 2
    assert len({port for _, port in server.addresses}) == 1
    # The field's own tools know IPv4 only: it comes first.
    assert ":" not in server.addresses[0][0]
    for address in ("127.0.0.1", "::1"):
        assert await is_served(address, server.port)


async def test_localhost_is_the_default(nursery: trio.Nursery) -> None:
    server: IPyServer = await nursery.start(IPyServer([Bench()], port=0).run)
    assert {address for address, _ in server.addresses} <= {"127.0.0.1", "::1"}
    assert await is_served("127.0.0.1", server.port)


async def test_a_given_port_is_taken_as_it_is(nursery: trio.Nursery) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = await start(nursery, Bench(), port=port)
    assert server.port == port
    assert await is_served("127.0.0.1", port)


async def test_a_port_in_use_is_an_error(nursery: trio.Nursery) -> None:
    first = await start(nursery, Bench())
    with pytest.raises(OSError, match="in use") as raised:
        await start(nursery, Bench(), port=first.port)
    assert raised.value.errno == errno.EADDRINUSE
    assert await is_served("127.0.0.1", first.port)


async def test_an_address_of_another_machine_is_an_error(nursery: trio.Nursery) -> None:
    with pytest.raises(OSError, match="assign") as raised:
        await start(nursery, Bench(), host="192.0.2.1")
    assert raised.value.errno == errno.EADDRNOTAVAIL


# Names with awkward addresses --------------------------------------------------------------------


def resolve_as(*answers: list[str]) -> None:
    """Let every name have these addresses: the first answer, then the next; the last one stays."""
    waiting = list(answers)

    class Resolver(trio.abc.HostnameResolver):
        async def getaddrinfo(self, host: Any, port: Any, *options: Any, **named: Any) -> list[Any]:
            addresses = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            found: list[Any] = []
            for address in addresses:
                found += socket.getaddrinfo(address, port, *options, **named)
            return found

        async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
            raise NotImplementedError

    trio.socket.set_custom_hostname_resolver(Resolver())


async def test_a_name_may_have_an_address_that_this_machine_has_not(nursery: trio.Nursery) -> None:
    resolve_as(["192.0.2.1", "127.0.0.1"])
    server = await start(nursery, Bench(), host="observatory")
    assert server.addresses == (("127.0.0.1", server.port),)


async def test_a_port_that_is_taken_on_the_second_address_is_given_up(
    nursery: trio.Nursery,
) -> None:
    resolve_as(["127.0.0.1", "127.0.0.2"])
    first = await start(nursery, Bench(), host="127.0.0.2")
    with pytest.raises(OSError, match="in use"):
        await start(nursery, Bench(), host="observatory", port=first.port)
    assert not await is_served("127.0.0.1", first.port)


async def test_a_free_port_is_sought_that_all_addresses_have(nursery: trio.Nursery) -> None:
    # An address of all, and one of them, never share a port: the first answer cannot work.
    resolve_as(["0.0.0.0", "127.0.0.1"], ["127.0.0.1", "127.0.0.2"])
    server = await start(nursery, Bench(), host="observatory")
    assert server.addresses == (("127.0.0.1", server.port), ("127.0.0.2", server.port))


async def test_the_search_for_a_port_ends(nursery: trio.Nursery) -> None:
    resolve_as(["0.0.0.0", "127.0.0.1"])
    with pytest.raises(OSError, match="in use"):
        await start(nursery, Bench(), host="observatory")


# Clients that cannot be accepted ------------------------------------------------------------------


def fail_accepting(monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> list[Exception]:
    """Let the system fail to accept clients, once with each error; return those to come."""
    accept, waiting = trio.SocketListener.accept, list(errors)

    async def fail_or_accept(self: trio.SocketListener) -> trio.SocketStream:
        if waiting:
            await trio.lowlevel.checkpoint()
            raise waiting.pop(0)
        return await accept(self)

    monkeypatch.setattr(trio.SocketListener, "accept", fail_or_accept)
    return waiting


def system_error(code: int) -> OSError:
    return OSError(code, os.strerror(code))


@pytest.mark.parametrize(
    "error",
    [
        *map(
            system_error,
            (
                errno.EMFILE,
                errno.ENFILE,
                errno.ENOBUFS,
                errno.ENOMEM,
                errno.EPERM,
                errno.EACCES,
                errno.EINVAL,
                errno.EIO,
                errno.ENOTCONN,
                errno.ECONNABORTED,
            ),
        ),
        ValueError("an address that cannot be read"),
    ],
    ids=repr,
)
async def test_a_client_that_cannot_be_accepted_costs_no_other(
    nursery: trio.Nursery,
    autojump_clock: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    fail_accepting(monkeypatch, *[error] * 3)
    server = await start(nursery, Bench())
    await trio.sleep(3 * ACCEPT_PAUSE)
    autojump_clock.autojump_threshold = math.inf
    assert await is_served("127.0.0.1", server.port)
    (logged,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert str(error) in logged.getMessage()


async def test_trouble_in_accepting_is_logged_once_until_it_has_gone(
    nursery: trio.Nursery,
    autojump_clock: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    waiting = fail_accepting(monkeypatch, *[system_error(errno.EMFILE)] * 1000)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with PatientListener(listener) as patient:
        with trio.move_on_after(2 * ACCEPT_QUIET):
            await patient.accept()
        assert waiting == []
        assert len(caplog.records) == 1
        await trio.sleep(ACCEPT_QUIET)
        waiting.append(system_error(errno.EMFILE))
        with trio.move_on_after(1):
            await patient.accept()
        assert len(caplog.records) == 2


@pytest.mark.parametrize(
    ("peer", "name"),
    [
        (("127.0.0.1", 4711), "127.0.0.1:4711"),
        (("::1", 4711, 0, 0), "[::1]:4711"),
        ("", "a client on this machine"),
        (b"\0abstract", "a client on this machine"),
        (None, "a client on this machine"),
        ((2, 4711), "a client of an unknown address"),
        ((), "a client of an unknown address"),
        (RuntimeError("odd"), "a client of an unknown address"),
        (system_error(errno.ENOTCONN), "a client that has left already"),
        (system_error(errno.EINVAL), "a client that has left already"),
    ],
    ids=repr,
)
async def test_a_peer_with_an_odd_address_is_served(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, peer: Any, name: str
) -> None:
    def peer_name(_socket: object) -> Any:
        if isinstance(peer, Exception):
            raise peer
        return peer

    server = await start(nursery, Bench())
    with trio.socket.socket() as one:
        monkeypatch.setattr(type(one), "getpeername", peer_name, raising=False)
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
        client = Client(stream)
        await client.sync()
        assert [one.peer for one in server.statistics().clients] == [name]


async def test_a_client_on_a_unix_socket_is_served(nursery: trio.Nursery) -> None:
    server = await start(nursery, Bench())
    here, there = trio.socket.socketpair()
    nursery.start_soon(server._clients.serve_socket, trio.SocketStream(there))
    async with trio.SocketStream(here) as stream:
        client = Client(stream)
        await client.sync()
        assert [one.peer for one in server.statistics().clients] == ["a client on this machine"]


async def test_a_socket_that_takes_no_options_is_served(
    nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: Any) -> None:
        raise system_error(errno.EINVAL)

    monkeypatch.setattr(trio.SocketStream, "setsockopt", refuse)
    server = await start(nursery, Bench())
    assert await is_served("127.0.0.1", server.port)


async def test_a_link_local_address_without_interface_is_refused(nursery: trio.Nursery) -> None:
    with pytest.raises(OSError, match="add its interface, as in fe80::1%eth0"):
        await start(nursery, Bench(), host="fe80::1")
