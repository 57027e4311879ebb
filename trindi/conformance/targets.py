"""What can be checked: a driver program, or a server on a TCP port.

A `Target` gives a new `Peer` for each call: another run of the program, or another connection.
A target that cannot be reached raises `UnreachableError`. This module knows nothing of INDI.
"""

from __future__ import annotations

import os
import signal
import socket
from subprocess import PIPE
from typing import TYPE_CHECKING, Final, Protocol

import trio

from trindi.errors import TrindiError
from trindi.transport import error_reason, host_and_port, open_tcp

if TYPE_CHECKING:
    from collections.abc import Sequence

_CONNECT_TIMEOUT: Final = 10.0

# Far from UTC, so that a driver that sends local time as UTC is detected on any machine.
_TIME_ZONE: Final = "CHK-05:30"


class UnreachableError(TrindiError):
    """The target cannot be started or connected to; the text is one line for the user."""


class Peer:
    """One run of a program, or one connection; only a program has a `stderr`."""

    stderr: trio.abc.ReceiveStream | None = None

    def __init__(self, stream: trio.abc.HalfCloseableStream) -> None:
        self.stream = stream

    async def wait_ended(self) -> str:
        """Wait until the peer has ended, and describe how; a connection returns at once."""
        await trio.lowlevel.checkpoint()
        return "it closed the connection"

    async def aclose(self) -> None:
        """Close the connection, or kill the program."""
        await trio.aclose_forcefully(self.stream)


class Target(Protocol):
    """What is checked."""

    @property
    def name(self) -> str:
        """The name that the user gave."""

    @property
    def kind(self) -> str:
        """Either "program" or "server"."""

    async def connect(self, *, one_socket: bool = False) -> Peer:
        """Return a new peer; a program may get one unix socket as standard input and output.

        UnreachableError: it cannot be started or connected to.
        """


class Server:
    """A server on a TCP port."""

    kind = "server"

    def __init__(self, host: str, port: int) -> None:
        self.name = host_and_port(host, port)
        self._address = (host, port)

    async def connect(self, *, one_socket: bool = False) -> Peer:
        """Connect once more."""
        try:
            with trio.fail_after(_CONNECT_TIMEOUT):
                return Peer(await open_tcp(*self._address))
        except trio.TooSlowError:
            raise UnreachableError(f"{self.name} does not answer") from None
        except (OSError, UnicodeError) as error:
            reason = error_reason(error)
            raise UnreachableError(f"cannot connect to {self.name}: {reason}") from None


class Program:
    """A driver as a program: the name that the user gave, and the command with arguments."""

    kind = "program"

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self._command = list(command)

    async def connect(self, *, one_socket: bool = False) -> Peer:
        """Start the program once more."""
        environment = os.environ | {"TZ": _TIME_ZONE}
        ours, theirs = socket.socketpair() if one_socket else (None, None)
        stdio: int = PIPE if theirs is None else theirs.fileno()
        try:
            process = await trio.lowlevel.open_process(
                self._command, stdin=stdio, stdout=stdio, stderr=PIPE, env=environment
            )
        except OSError as error:
            if ours is not None:
                ours.close()
            raise UnreachableError(f"cannot start {self.name}: {error.strerror}") from None
        finally:
            if theirs is not None:
                theirs.close()
        if ours is not None:
            return _Process(process, trio.SocketStream(trio.socket.from_stdlib_socket(ours)))
        assert process.stdio is not None
        return _Process(process, process.stdio)


class _Process(Peer):
    def __init__(self, process: trio.Process, stream: trio.abc.HalfCloseableStream) -> None:
        super().__init__(stream)
        self._process = process
        self.stderr = process.stderr

    async def wait_ended(self) -> str:
        status = await self._process.wait()
        if status >= 0:
            return f"it ended with exit status {status}"
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"  # Most real-time signals have no name.
        return f"it was ended by {name}"

    async def aclose(self) -> None:
        """Kill it, as indiserver does."""
        if self._process.returncode is None:
            self._process.kill()
        await super().aclose()
        assert self.stderr is not None
        await trio.aclose_forcefully(self.stderr)
        await self._process.wait()
