"""A driver as a program, with a peer that speaks to it the way indiserver does."""

from __future__ import annotations

import array
import contextlib
import os
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from tests.kit.peers import Client
from tests.kit.processes import DEADLINE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

PROGRAM = Path(__file__).parents[1] / "host" / "program.py"


def memfd(content: bytes, size: int | None = None) -> int:
    """A file in memory, as indiserver hands it over: larger than what it holds."""
    fd = os.memfd_create("blob")
    os.write(fd, content)
    os.ftruncate(fd, len(content) if size is None else size)
    return fd


def open_descriptors() -> dict[int, str]:
    """The descriptors that this process has open, and what they are."""
    found: dict[int, str] = {}
    for name in os.listdir("/proc/self/fd"):
        # One of them was that of the directory itself, and is closed again.
        with contextlib.suppress(OSError):
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
    return found


def send_with_descriptors(sock: socket.socket, data: bytes, fds: Sequence[int]) -> None:
    """Send bytes with descriptors beside the first of them, and close ours."""
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
    assert sock.sendmsg([data], [rights]) == len(data)
    for fd in fds:
        os.close(fd)


class Peer(Client):
    """What indiserver is to a driver; `raw` is every byte that the driver has written."""

    def __init__(self, stream: trio.abc.Stream, sock: socket.socket | None = None) -> None:
        super().__init__(stream)
        self.socket = sock
        self.raw = bytearray()

    def send_attached(self, text: str, *fds: int) -> None:
        assert self.socket is not None
        send_with_descriptors(self.socket, text.encode(), fds)

    def take(self, data: bytes) -> None:
        self.raw += data
        super().take(data)


class Program:
    """A running driver program.

    Attributes:
        process: the process.
        peer: what speaks to it.
        log: what it has written to standard error so far.
    """

    def __init__(self, process: trio.Process, peer: Peer) -> None:
        self.process = process
        self.peer = peer
        self.log = b""
        self._news = trio.lowlevel.ParkingLot()
        self._log_ended = trio.Event()

    async def read_log(self) -> None:
        if self.process.stderr is not None:
            async for data in self.process.stderr:
                self.log += data
                self._news.unpark_all()
        self._log_ended.set()

    async def wait_log(self, text: bytes) -> None:
        """Wait until something stands in the log."""
        with trio.fail_after(DEADLINE):
            while text not in self.log:
                await self._news.park()

    async def wait(self) -> int:
        """Wait for its end and that of its log, and return its exit status."""
        with trio.fail_after(DEADLINE):
            status = await self.process.wait()
            await self._log_ended.wait()
            return status


@asynccontextmanager
async def program(
    *words: str, pipes: bool = False, command: Sequence[str] = (), **options: Any
) -> AsyncIterator[Program]:
    """Run the driver program on a socket pair, or on two pipes; kill it at the end."""
    command = command or [sys.executable, str(PROGRAM), *words]
    # As indiserver starts it: what is printed waits until its buffer is full.
    options["env"] = os.environ | {"PYTHONUNBUFFERED": ""}
    async with trio.open_nursery() as nursery:
        if pipes:
            process, peer = await _on_pipes(command, options)
        else:
            process, peer = await _on_socketpair(command, options)
        running = Program(process, peer)
        nursery.start_soon(running.read_log)
        try:
            yield running
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
                await trio.aclose_forcefully(peer.stream)


async def _on_pipes(command: Sequence[str], options: dict[str, Any]) -> tuple[trio.Process, Peer]:
    options = {"stdin": -1, "stdout": -1, "stderr": -1} | options
    process = await trio.lowlevel.open_process(command, **options)
    assert process.stdio is not None
    return process, Peer(process.stdio)


async def _on_socketpair(
    command: Sequence[str], options: dict[str, Any]
) -> tuple[trio.Process, Peer]:
    ours, theirs = socket.socketpair()
    with theirs:
        options = dict[str, Any](stdin=theirs, stdout=theirs, stderr=-1) | options
        process = await trio.lowlevel.open_process(command, **options)
    ours.setblocking(False)
    return process, Peer(trio.SocketStream(trio.socket.from_stdlib_socket(ours)), ours)
