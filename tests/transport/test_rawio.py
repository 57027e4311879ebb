"""How a connection reads and writes: on real sockets, and on any other stream."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.kit.processes import DEADLINE
from trindi.transport.rawio import RawIO, raw_io_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LARGE = 8 * 1024 * 1024
"""Bytes that the buffers of a socket cannot take whole."""


def socket_pair() -> tuple[trio.SocketStream, trio.SocketStream]:
    left, right = socket.socketpair()
    return tuple(  # type: ignore[return-value]
        trio.SocketStream(trio.socket.from_stdlib_socket(side)) for side in (left, right)
    )


def memory_pair() -> tuple[Any, Any]:
    return trio.testing.memory_stream_pair()


@pytest.fixture(params=[socket_pair, memory_pair])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    here, there = request.param()
    async with here, there:
        yield here, there


@pytest.fixture
async def sockets() -> AsyncIterator[Any]:
    here, there = socket_pair()
    async with here, there:
        yield here, there


async def read_all(wire: RawIO) -> bytes:
    data = b""
    while piece := await wire.receive(65536):
        data += piece
    return data


async def test_there_and_back(pair: Any) -> None:
    here, there = pair
    wire = raw_io_of(here)
    await wire.send(b"one")
    await wire.send(memoryview(b"two"))
    assert await there.receive_some(100) == b"onetwo"
    await there.send_all(b"three")
    assert await wire.receive(3) == b"thr"
    assert await wire.receive(100) == b"ee"
    await there.aclose()
    assert await wire.receive(100) == b""


async def test_more_than_fits_goes_in_pieces(nursery: trio.Nursery, pair: Any) -> None:
    here, there = pair
    data = bytes(range(256)) * (LARGE // 256)

    async def send() -> None:
        await raw_io_of(here).send(data)
        await here.aclose()

    nursery.start_soon(send)
    assert await read_all(raw_io_of(there)) == data


async def test_what_is_sent_at_once_is_the_beginning(sockets: Any) -> None:
    here, there = sockets
    data = bytes(range(256)) * (LARGE // 256)
    sent = raw_io_of(here).send_nowait(data)
    assert 0 < sent < LARGE
    assert raw_io_of(here).send_nowait(data) == 0
    await here.aclose()
    assert await read_all(raw_io_of(there)) == data[:sent]


async def test_a_stream_of_no_socket_sends_nothing_at_once() -> None:
    here, _there = memory_pair()
    assert raw_io_of(here).send_nowait(b"data") == 0


async def test_waiting_to_send_is_cancelled(nursery: trio.Nursery, sockets: Any) -> None:
    here, there = sockets
    with trio.CancelScope() as scope:
        nursery.start_soon(cancel_when_all_wait, scope)
        await raw_io_of(here).send(bytes(LARGE))
    assert scope.cancelled_caught
    await here.aclose()
    # What had left is whole.
    assert 0 < len(await read_all(raw_io_of(there))) < LARGE


async def test_waiting_to_receive_is_cancelled(nursery: trio.Nursery, pair: Any) -> None:
    here, there = pair
    with trio.CancelScope() as scope:
        nursery.start_soon(cancel_when_all_wait, scope)
        await raw_io_of(here).receive(100)
    assert scope.cancelled_caught
    await there.send_all(b"later")
    assert await raw_io_of(here).receive(100) == b"later"


async def cancel_when_all_wait(scope: trio.CancelScope) -> None:
    await trio.testing.wait_all_tasks_blocked()
    scope.cancel()


async def test_a_broken_stream(sockets: Any) -> None:
    here, there = sockets
    wire = raw_io_of(here)
    # Closing on unread bytes resets the connection.
    await wire.send(b"unread")
    await there.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await wire.receive(100)
    assert wire.send_nowait(b"data") == 0
    with pytest.raises(trio.BrokenResourceError):
        await wire.send(b"data")


async def test_a_closed_stream(pair: Any) -> None:
    here, _there = pair
    wire = raw_io_of(here)
    await here.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await wire.receive(100)
    assert wire.send_nowait(b"data") == 0
    with pytest.raises(trio.ClosedResourceError):
        await wire.send(b"data")


async def test_closed_while_it_waits(nursery: trio.Nursery, pair: Any) -> None:
    here, _there = pair

    async def close() -> None:
        await trio.testing.wait_all_tasks_blocked()
        await here.aclose()

    nursery.start_soon(close)
    with pytest.raises(trio.ClosedResourceError):
        await raw_io_of(here).receive(100)


async def listen_and_connect() -> tuple[trio.SocketStream, trio.SocketStream]:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        there = await trio.open_tcp_stream(*listener.socket.getsockname())
        return await listener.accept(), there


@pytest.fixture(params=["TCP", "unix"])
async def connected(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    here, there = await listen_and_connect() if request.param == "TCP" else socket_pair()
    async with here, there:
        yield here, there


async def test_a_peer_that_is_gone_is_noticed_behind_what_it_has_said(connected: Any) -> None:
    here, there = connected
    wire = raw_io_of(here)
    await there.send_all(b"unread")
    assert not wire.hung_up()
    await wire.send(b"unread, so that closing resets")
    await there.wait_send_all_might_not_block()
    await there.aclose()
    with trio.fail_after(DEADLINE):
        while not wire.hung_up():  # noqa: ASYNC110 - nothing tells of it
            await trio.sleep(0.001)


async def test_a_peer_that_has_only_ended_its_side_is_there(connected: Any) -> None:
    here, there = connected
    wire = raw_io_of(here)
    await there.send_all(b"unread")
    await there.send_eof()
    assert await wire.receive(100) == b"unread"
    assert await wire.receive(100) == b""
    assert not wire.hung_up()
    await wire.send(b"answer")
    assert await there.receive_some(100) == b"answer"


async def test_a_stream_of_which_nobody_can_tell_counts_as_there() -> None:
    here, there = memory_pair()
    await there.aclose()
    assert not raw_io_of(here).hung_up()


async def test_a_closed_socket_has_hung_up(sockets: Any) -> None:
    here, _there = sockets
    wire = raw_io_of(here)
    await here.aclose()
    assert wire.hung_up()
