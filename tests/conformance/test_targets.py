"""Programs and servers that are really there, or are not."""

from __future__ import annotations

import errno
import os
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from tests.kit.processes import DEADLINE, free_port
from trindi.conformance import Program, Server, UnreachableError, check

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from trindi.conformance import Peer

    Start = Callable[..., Awaitable[Peer]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start a line of Python as a program; it is ended at the end of the test."""
    peers: list[Peer] = []

    async def start_one(code: str, *, one_socket: bool = False) -> Peer:
        program = Program("it", [sys.executable, "-c", code])
        peers.append(await program.connect(one_socket=one_socket))
        return peers[-1]

    yield start_one
    for peer in peers:
        await peer.aclose()


async def read(stream: trio.abc.ReceiveStream) -> str:
    with trio.fail_after(DEADLINE):
        return b"".join([bytes(data) async for data in stream]).decode()


# Programs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("one_socket", [False, True])
async def test_a_program_is_spoken_to_and_ends(start: Start, one_socket: bool) -> None:
    code = "import sys; print(sys.stdin.read().upper()); sys.exit(3)"
    peer = await start(code, one_socket=one_socket)
    await peer.stream.send_all(b"hello")
    await peer.stream.send_eof()
    assert await read(peer.stream) == "HELLO\n"
    with trio.fail_after(DEADLINE):
        assert await peer.wait_ended() == "it ended with exit status 3"


@pytest.mark.parametrize("one_socket", [False, True])
async def test_whether_input_and_output_are_one(start: Start, one_socket: bool) -> None:
    code = "import os; print(os.fstat(0).st_ino == os.fstat(1).st_ino)"
    peer = await start(code, one_socket=one_socket)
    assert await read(peer.stream) == f"{one_socket}\n"


async def test_a_program_is_far_from_utc(start: Start) -> None:
    peer = await start("import time; print(time.localtime().tm_gmtoff)")
    assert await read(peer.stream) == "19800\n"


async def test_what_it_says_besides(start: Start) -> None:
    peer = await start("import sys; print('oh', file=sys.stderr)")
    assert peer.stderr is not None
    assert await read(peer.stderr) == "oh\n"


@pytest.mark.parametrize(("number", "name"), [(signal.SIGTERM, "SIGTERM"), (40, "signal 40")])
async def test_a_signal_that_ends_it_is_named(start: Start, number: int, name: str) -> None:
    peer = await start(f"import os; os.kill(os.getpid(), {number})")
    with trio.fail_after(DEADLINE):
        assert await peer.wait_ended() == f"it was ended by {name}"


async def test_a_program_that_stays_is_killed(start: Start) -> None:
    peer = await start("import signal; signal.pause()")
    with trio.fail_after(DEADLINE):
        await peer.aclose()
        assert await peer.wait_ended() == "it was ended by SIGKILL"


STAYS = """
import os, pathlib, signal, sys
pathlib.Path(sys.argv[1]).write_text(f"{os.getpid()}\\n")
signal.pause()
"""


async def test_a_check_that_is_cancelled_leaves_no_program_behind(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    program = Program("it", [sys.executable, "-c", STAYS, str(note)])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(check, program)
        with trio.fail_after(DEADLINE):
            # Nothing else tells of it.
            while not (note.exists() and note.read_text().endswith("\n")):  # noqa: ASYNC110
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


@pytest.mark.parametrize("one_socket", [False, True])
async def test_a_program_that_cannot_be_started(tmp_path: Path, one_socket: bool) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_text("garbage\n")
    garbage.chmod(0o755)
    for path, reason in ((garbage, "Exec format error"), (tmp_path / "x", "No such file")):
        with pytest.raises(UnreachableError, match=f"cannot start it: {reason}"):
            await Program("it", [str(path)]).connect(one_socket=one_socket)


# Servers -----------------------------------------------------------------------------------------


async def test_a_server_is_connected_to(nursery: trio.Nursery) -> None:
    async def echo(stream: trio.SocketStream) -> None:
        await stream.send_all(await stream.receive_some())

    listeners = await nursery.start(partial(trio.serve_tcp, echo, 0, host="127.0.0.1"))
    port = listeners[0].socket.getsockname()[1]
    server = Server("127.0.0.1", port)
    assert server.name == f"127.0.0.1:{port}"
    peer = await server.connect()
    with trio.fail_after(DEADLINE):
        await peer.stream.send_all(b"hello")
        assert await read(peer.stream) == "hello"
        assert await peer.wait_ended() == "it closed the connection"
        await peer.aclose()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_nobody_listens(host: str) -> None:
    port = free_port()
    reason = os.strerror(errno.ECONNREFUSED)
    with pytest.raises(UnreachableError, match=f"cannot connect to {host}:{port}: {reason}"):
        await Server(host, port).connect()


@pytest.mark.parametrize("host", ["a..b", "x" * 300])
async def test_a_host_that_nobody_can_know(host: str) -> None:
    with pytest.raises(UnreachableError) as caught:
        await Server(host, 7624).connect()
    assert str(caught.value).startswith(f"cannot connect to {host}:7624: ")
    assert "\n" not in str(caught.value)


def test_an_address_with_colons_has_brackets() -> None:
    assert Server("::1", 7624).name == "[::1]:7624"


async def test_a_server_that_does_not_answer(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect(*_arguments: object) -> None:
        await trio.sleep_forever()

    monkeypatch.setattr(trio, "open_tcp_stream", connect)
    with pytest.raises(UnreachableError, match="observatory:7624 does not answer"):
        await Server("observatory", 7624).connect()
