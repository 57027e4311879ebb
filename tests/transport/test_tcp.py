"""TCP keepalive, what the system knows of a connection, and how addresses are written."""

from __future__ import annotations

import errno
import socket
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.kit.server import until
from trindi.transport import tcp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells it")


@pytest.fixture
async def connected() -> AsyncIterator[tuple[trio.SocketStream, trio.SocketStream]]:
    """A client's end of a TCP connection, and the server's."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        here = await tcp.open_tcp("127.0.0.1", listener.socket.getsockname()[1])
        there = await listener.accept()
        async with here, there:
            yield here, there


async def fill(stream: trio.SocketStream) -> None:
    """Write until the other side's window is closed, and bytes are left here."""
    while True:
        with trio.move_on_after(0.05) as scope:
            await stream.send_all(bytes(65536))
        if scope.cancelled_caught and tcp.unacknowledged(stream):
            return


# Keepalive ---------------------------------------------------------------------------------------


@needs_linux
async def test_a_connection_has_keepalive_times(connected: Any) -> None:
    tcp.set_keepalive(connected[1])
    for stream in connected:
        assert stream.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 10
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3
        # It would end living peers that do not read.
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"TCP_KEEPALIVE": 16}, [(1, 1, 1), (6, 16, 30)]),
        ({"TCP_KEEPALIVE": 16, "TCP_KEEPCNT": 258}, [(1, 1, 1), (6, 16, 30), (6, 258, 3)]),
        ({}, [(1, 1, 1)]),
    ],
    ids=["as on macOS", "on a newer macOS", "without times"],
)
@pytest.mark.parametrize("refuses", [False, True])
async def test_what_a_system_lacks_or_refuses_is_left_out(
    connected: Any,
    monkeypatch: pytest.MonkeyPatch,
    names: dict[str, int],
    expected: list[Any],
    refuses: bool,
) -> None:
    tried: list[Any] = []

    def set_option(*option: int) -> None:
        tried.append(option)
        if refuses:
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(connected[0], "setsockopt", set_option)
    system = SimpleNamespace(SOL_SOCKET=1, SO_KEEPALIVE=1, IPPROTO_TCP=6, **names)
    monkeypatch.setattr(tcp, "socket", system)
    tcp.set_keepalive(connected[0])
    assert tried == expected


async def test_only_sockets_have_keepalive() -> None:
    tcp.set_keepalive(trio.testing.memory_stream_pair()[0])
    here, there = trio.socket.socketpair()
    async with trio.SocketStream(here) as stream:
        tcp.set_keepalive(stream)
    there.close()


# What is acknowledged ----------------------------------------------------------------------------


@needs_linux
async def test_the_system_tells_what_is_not_acknowledged(connected: Any) -> None:
    here, there = connected
    assert tcp.unacknowledged(here) == 0
    await fill(here)
    assert tcp.unacknowledged(here) > 0
    async with trio.open_nursery() as nursery:

        async def drain() -> None:
            while await there.receive_some(1024 * 1024):
                pass

        nursery.start_soon(drain)
        await until(lambda: tcp.unacknowledged(here) == 0)
        nursery.cancel_scope.cancel()


@needs_linux
async def test_the_system_tells_when_something_was_acknowledged() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        began = time.monotonic()
        async with await tcp.open_tcp(*listener.socket.getsockname()) as here:
            # Since the connection was made. It has no other times as short as this.
            found = tcp.last_acknowledged(here)
            assert found <= time.monotonic() - began + 0.1
            await until(lambda: tcp.last_acknowledged(here) > found)


async def test_of_other_streams_nothing_is_known(connected: Any) -> None:
    here, there = trio.socket.socketpair()
    there.close()
    async with trio.SocketStream(here) as stream:
        assert tcp.last_acknowledged(stream) == 0
    memory = trio.testing.memory_stream_pair()[0]
    for known in (tcp.unacknowledged, tcp.last_acknowledged):
        assert known(memory) == 0
        # It has been closed.
        assert known(stream) == 0


class System:
    """What a system says of a connection: bytes that wait, and when something was acknowledged."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waiting = 0
        self.acknowledged_at = 0.0
        monkeypatch.setattr(tcp, "unacknowledged", lambda _stream: self.waiting)
        monkeypatch.setattr(
            tcp, "last_acknowledged", lambda _stream: trio.current_time() - self.acknowledged_at
        )


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    return System(monkeypatch)


async def ended_after(system: System, seconds: float, acknowledge: float = 1e9) -> float | None:
    """After how many seconds it has vanished; None within so many seconds."""
    check = tcp.VanishedCheck(trio.testing.memory_stream_pair()[0])
    for passed in range(0, int(seconds), 30):
        if check.vanished():
            return passed
        await trio.sleep(30)
        if trio.current_time() - system.acknowledged_at >= acknowledge:
            system.acknowledged_at = trio.current_time()
    return None


async def test_a_peer_that_acknowledges_nothing_has_vanished(
    system: System, autojump_clock: MockClock
) -> None:
    system.waiting = 1
    assert await ended_after(system, 3600) == 180


async def test_a_peer_for_which_nothing_waits_has_not_vanished(
    system: System, autojump_clock: MockClock
) -> None:
    assert await ended_after(system, 3600) is None


async def test_a_peer_that_does_not_read_has_not_vanished(
    system: System, autojump_clock: MockClock
) -> None:
    # The system asks every two minutes whether there is room, and is answered.
    system.waiting = 1
    assert await ended_after(system, 7200, acknowledge=120) is None


async def test_bytes_after_a_long_silence_get_their_time(
    system: System, autojump_clock: MockClock
) -> None:
    # Nothing was acknowledged for an hour, since nothing was sent.
    await trio.sleep(3600)
    system.waiting = 1
    assert await ended_after(system, 3600) == 180


# Addresses ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", "localhost:7624"),
        ("127.0.0.1", "127.0.0.1:7624"),
        ("::1", "[::1]:7624"),
        ("[::1]", "[::1]:7624"),
        ("fe80::1%eth0", "[fe80::1%eth0]:7624"),
        ("", ":7624"),
    ],
)
def test_a_host_and_a_port_as_one_text(host: str, expected: str) -> None:
    assert tcp.host_and_port(host, 7624) == expected


def test_a_host_may_have_the_brackets_of_a_url() -> None:
    assert tcp.bare_host("[fe80::1%eth0]") == "fe80::1%eth0"
    assert tcp.bare_host("::1") == "::1"
    assert tcp.bare_host("") == ""


@pytest.mark.parametrize("host", ["fe80::1", "[FE80::1]"])
async def test_a_link_local_address_without_interface_is_refused(host: str) -> None:
    with pytest.raises(OSError, match=r"add its interface, as in (?i:fe80::1)%eth0"):
        await tcp.open_tcp(host, 7624)


def test_a_link_local_address_has_its_interface() -> None:
    (_, name), *_ = socket.if_nameindex()
    index = socket.if_nametoindex(name)
    assert tcp.host_of(("fe80::1", 7624, 0, index)) == f"fe80::1%{name}"
    assert tcp.host_of(("::1", 7624, 0, 0)) == "::1"
    assert tcp.host_of(("127.0.0.1", 7624)) == "127.0.0.1"
