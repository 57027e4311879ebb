"""`async with IPyClient(...)`: a client that is opened, settled and closed with a block."""

from __future__ import annotations

import asyncio
import logging
import signal
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from tests.kit.client import numbers
from tests.kit.peers import Server
from tests.kit.processes import free_port
from tests.kit.server import Bench, start
from trindi import IPyClient, NotConnected

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio.testing import MockClock

    from trindi.protocol import Event


async def settle(server: Server, *definitions: Event) -> None:
    await server.greet(*definitions)
    await server.pong(all_sent=True)


def over(one: trio.abc.Stream) -> Callable[[], Awaitable[trio.abc.Stream]]:
    async def connect() -> trio.abc.Stream:
        return one

    return connect


async def test_it_opens_settles_and_closes(nursery: trio.Nursery) -> None:
    server = await start(nursery, Bench())
    async with IPyClient("127.0.0.1", server.port) as client:
        assert client["Bench"]["target"]["x"] == 7
        await client["Bench"]["target"].set_and_wait(x=8)
    assert repr(client) == "<IPyClient of Bench, not connected>"
    # And again.
    async with client:
        assert client["Bench"]["target"]["x"] == 8


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a" * 64 + ".invalid"])
async def test_a_host_that_there_is_not_is_one_error_with_its_reason(host: str) -> None:
    with pytest.raises(OSError, match=f"^cannot connect to {host}:7624: "):
        async with IPyClient(host):
            pass


async def test_no_server_is_one_error_with_its_reason() -> None:
    with pytest.raises(ConnectionRefusedError, match=r"cannot connect .*: Connection refused"):
        async with IPyClient("127.0.0.1", free_port()):
            pass


class BlockError(Exception):
    pass


@pytest.mark.parametrize("error", [BlockError("x"), KeyboardInterrupt()], ids=repr)
async def test_what_the_block_raises_comes_out_as_it_is(
    nursery: trio.Nursery, error: BaseException
) -> None:
    near, far = trio.testing.memory_stream_pair()
    nursery.start_soon(settle, Server(far))
    cause = ValueError("why")
    with pytest.raises(type(error)) as raised:
        async with IPyClient(connect=over(near)):
            raise error from cause
    assert raised.value is error
    assert (error.__cause__, error.__context__) == (cause, None)


async def test_a_block_can_be_cancelled(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    near, far = trio.testing.memory_stream_pair()
    nursery.start_soon(settle, Server(far))
    with trio.move_on_after(5) as scope:
        async with IPyClient(connect=over(near)):
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_a_connection_that_is_lost_while_it_settles(
    nursery: trio.Nursery, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    near, far = trio.testing.memory_stream_pair()
    nursery.start_soon(far.aclose)
    with caplog.at_level(logging.WARNING, "trindi.client"):  # noqa: SIM117 - one statement each
        with pytest.raises(NotConnected, match="the connection to the server broke"):
            async with IPyClient(connect=over(near)):
                pass
    assert caplog.messages == ["the server: the connection to the server broke"]


async def test_a_connection_that_is_lost_later_ends_the_waits_and_not_the_block(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    near, far = trio.testing.memory_stream_pair()
    server = Server(far)
    nursery.start_soon(settle, server, numbers())
    async with IPyClient(connect=over(near)) as client:
        await far.aclose()
        with pytest.raises(NotConnected):
            await client.wait_state("Dev", "target", "Ok")
        assert client["Dev"]["target"].stale


def test_control_c_in_an_endless_loop_leaves_no_group() -> None:
    async def main() -> None:
        near, far = trio.testing.memory_stream_pair()
        # Not in a nursery, which would make a group itself.
        trio.lowlevel.spawn_system_task(settle, Server(far))
        async with IPyClient(connect=over(near)):
            signal.raise_signal(signal.SIGINT)
            await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)


def test_under_asyncio_one_sentence_says_what_to_do() -> None:
    async def block() -> None:
        async with IPyClient():
            pass

    client = IPyClient()
    for wrong in (block(), client.run(), client.wait_settled(), client.wait_defined("Dev")):
        with pytest.raises(RuntimeError, match=r"under Trio, .* start the program with trio\.run"):
            asyncio.run(wrong)
