"""What a server listens on: names, addresses, IPv4 and IPv6, and one port for all of them."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
import trio

from tests.kit.peers import Client
from tests.kit.server import Bench, start
from trindi import IPyServer
from trindi.protocol import defNumberVector, getProperties


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
async def test_all_ipv6_addresses(nursery: trio.Nursery) -> None:
    server = await start(nursery, Bench(), host="::")
    assert server.addresses == (("::", server.port),)
    assert await is_served("::1", server.port)


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
