"""Commands as a user calls them, in this process, and the servers they talk to, in a thread.

So what they print and how they exit is seen whole, and the coverage of their code, too.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any, Final, TypeVar

import trio
import trio.from_thread
from click.testing import CliRunner

from tests.kit.processes import DEADLINE, join, wait_until
from tests.kit.server import Bench
from trindi import (
    Device,
    IPyDriver,
    IPyServer,
    NumberMember,
    NumberVector,
    SwitchMember,
    SwitchVector,
    TextMember,
    TextVector,
    enableBLOB,
    newNumberVector,
)
from trindi.cli import main
from trindi.protocol import NewVector

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from click.testing import Result

    from trindi import ClientEvent

T = TypeVar("T")

BRIEFLY: Final = ("-t", "0.5")
"""Wait briefly for what is not there; what is there must arrive in this time, on any machine."""


# What is looked at -------------------------------------------------------------------------------


class Shop(IPyDriver):
    """What can go wrong.

    Of its `task` a negative number is an Alert, one above 50 is never done, and any other is done
    at once. CONNECT brings up a property that was not there before.
    """

    def __init__(self) -> None:
        task = NumberMember("n", "Number", format="%5.2f", min=-100, max=100)
        connect = [SwitchMember("CONNECT"), SwitchMember("DISCONNECT", membervalue="On")]
        bell = SwitchMember("press")
        vectors: list[Any] = [
            NumberVector("task", "Task", "Main", perm="rw", numbermembers=[task]),
            SwitchVector("CONNECTION", perm="rw", switchmembers=connect),
            SwitchVector("bell", perm="wo", rule="AtMostOne", switchmembers=[bell]),
            TextVector("late", perm="rw", textmembers=[TextMember("t")]),
        ]
        vectors[0].timeout = 0.1
        vectors[-1].enable = False
        super().__init__([Device("My Shop", vectors)])

    async def clientevent(self, event: ClientEvent) -> None:
        if not isinstance(event, NewVector):
            return
        vector: Any = event.vector
        state, message = "Ok", ""
        if isinstance(event, newNumberVector):
            state = "Busy" if event["n"] > 50 else "Alert" if event["n"] < 0 else "Ok"
            message = "out of wood" if state == "Alert" else ""
        vector.update(event)
        await vector.send_setVector(message, state=state)
        if event.vectorname == "CONNECTION":
            late: Any = self["My Shop"]["late"]
            late.enable = True
            await late.send_defVector()


# Servers in a thread -----------------------------------------------------------------------------


class Background:
    """Runs async code in a thread of its own until it is closed; `port` is what it serves on."""

    def __init__(self, start: Callable[[trio.Nursery], Awaitable[int]]) -> None:
        self._start = start
        self._ready = threading.Event()
        self.port = 0
        self._thread = threading.Thread(target=trio.run, args=[self._run])
        self._thread.start()
        assert self._ready.wait(DEADLINE), "the server has not started"

    async def _run(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as nursery:
            self._scope = nursery.cancel_scope
            self.port = await self._start(nursery)
            self._ready.set()

    def call(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Call an async function there, and return what it returns."""
        return trio.from_thread.run(function, *args, trio_token=self._token)

    def close(self) -> None:
        """End it."""
        if self._thread.is_alive():
            trio.from_thread.run_sync(self._scope.cancel, trio_token=self._token)
            join(self._thread)


class Served(Background):
    """Drivers on a free port of this machine."""

    def __init__(self, *drivers: IPyDriver, port: int = 0) -> None:
        self._wanted = port
        self.bench = Bench()
        self.drivers = drivers or (self.bench, Shop())
        super().__init__(self._serve)

    def wait_until_wanted(self) -> None:
        """Wait until somebody has asked for the frames of the bench."""

        def is_wanted() -> bool:
            asked = [one for one in self.bench.asked if isinstance(one, enableBLOB)]
            return any(one.vectorname == "frame" for one in asked)

        wait_until(is_wanted, "frames are wanted")

    async def _serve(self, nursery: trio.Nursery) -> int:
        wanted = IPyServer(self.drivers, "127.0.0.1", self._wanted)
        server: IPyServer = await nursery.start(wanted.run)
        return server.addresses[0][1]


class Script(Background):
    """A server that says the same to everybody; `heard` is what it was told.

    Args:
        said: what it says.
        stays: seconds before it closes the connection.
        closes: whether it closes the connection when the client has closed its side.
        resets: whether that is a reset.
        answers: what it says to the first request for a new value.
    """

    def __init__(
        self,
        said: bytes,
        stays: float = DEADLINE,
        *,
        closes: bool = True,
        resets: bool = False,
        answers: bytes = b"",
    ) -> None:
        self._said = said
        self._answers = answers
        self._stays = stays
        self._closes = closes
        self._resets = resets
        self.heard = b""
        super().__init__(self._serve)

    async def _serve(self, nursery: trio.Nursery) -> int:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, self._talk, listeners)
        port: int = listeners[0].socket.getsockname()[1]
        return port

    async def _talk(self, stream: trio.SocketStream) -> None:
        await stream.send_all(self._said)
        with trio.move_on_after(self._stays):
            async for data in stream:
                self.heard += data
                if self._answers and b"<new" in self.heard:
                    await stream.send_all(self._answers)
                    self._answers = b""
            if not self._closes:
                await trio.sleep_forever()
        if self._resets:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


# Commands ----------------------------------------------------------------------------------------


def trindi(*arguments: str) -> Result:
    """Call the command."""
    return CliRunner().invoke(main, arguments)


def lines(*arguments: str, said: str = "") -> list[str]:
    """What a command prints that does what it should; `said` is what it prints beside that."""
    result = trindi(*arguments)
    assert result.exit_code == 0, result.output
    assert result.stderr == said
    return result.stdout.splitlines()


def objects(*arguments: str) -> list[Any]:
    """What a command prints that does what it should, as JSON."""
    return [json.loads(line) for line in lines(*arguments, "--json")]


def refusal(*arguments: str, status: int = 1) -> str:
    """The one line that a command says to what it does not do."""
    result = trindi(*arguments)
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == status, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    return line.removeprefix("Error: ")


def at(server: Background) -> tuple[str, ...]:
    """The options that name a server."""
    return ("--host", "127.0.0.1", "--port", str(server.port))
