"""Cancel a client before each of its steps: no task, socket, thread or wait is left."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio
import trio.testing
from trio.testing import MockClock

from tests.kit.cancellation import Steps, cancel_at_every_step
from tests.kit.client import numbers
from tests.kit.peers import Server
from tests.kit.server import Bench
from trindi import IPyClient, IPyServer

if TYPE_CHECKING:
    from trindi.client import Events


class Scenario:
    """A client that does a bit of everything, and the server that it does it to."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.server = IPyServer([self.bench], "127.0.0.1", 0)
        self.client = IPyClient()
        self.heard = 0

    async def run(self, steps: Steps) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.server.run)
            self.client = IPyClient("127.0.0.1", self.server.port)
            with steps.counted(), tempfile.TemporaryDirectory() as directory:
                async with trio.open_nursery() as within:
                    await within.start(self.client.run)
                    within.start_soon(self.listen, self.client.events())
                    await self.use(Path(directory))
                    within.cancel_scope.cancel()
            while self.server.statistics().clients:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()

    async def listen(self, events: Events) -> None:
        async for _event in events:
            self.heard += 1

    async def use(self, directory: Path) -> None:
        client = self.client
        await client.wait_settled()
        await client.enable_blobs("Bench")
        await client.get_properties("Bench", "count")
        device = client["Bench"]
        await device["target"].set(x=1)
        await device["target"].set_and_wait(x=2)
        await client.wait_for("Bench", "target", lambda vector: vector["x"] == 2)
        (directory / "dark.fits").write_bytes(b"dark")
        await device["upload"].set_and_wait(file=directory / "dark.fits")
        saved = device["frame"].save_frames(directory)
        await self.bench.expose(b"frame")
        path = await saved.__anext__()
        assert path.read_bytes() == b"frame"

    def check(self) -> None:
        assert not self.client.connected
        assert all(device.stale for device in self.client.values())


def test_a_client_of_a_server() -> None:
    cancel_at_every_step(Scenario)


class Reconnecting:
    """A client in memory that is refused, connected, and reconnected."""

    def __init__(self) -> None:
        self.client = IPyClient(connect=self.connect, reconnect=True)
        self.servers: list[Server] = []
        self.attempts = 0

    async def connect(self) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self.attempts += 1
        if self.attempts % 3 == 0:
            raise OSError("nobody is there")
        near, far = trio.testing.memory_stream_pair()
        self.servers.append(Server(far))
        return near

    async def run(self, steps: Steps) -> None:
        self.attempts = 0
        with steps.counted():
            async with trio.open_nursery() as nursery:
                await nursery.start(self.client.run)
                nursery.start_soon(self.wait)
                for _ in range(3):
                    await self.be_server(self.servers[-1])
                    await trio.sleep(10)
                nursery.cancel_scope.cancel()

    async def be_server(self, server: Server) -> None:
        await server.greet(numbers())
        await self.client.wait_for("Dev", "target")
        await server.aclose()

    async def wait(self) -> None:
        await self.client.wait_for("Dev", "never")

    def check(self) -> None:
        assert not self.client.connected


def test_a_client_that_connects_anew() -> None:
    def clock() -> Any:
        return MockClock(autojump_threshold=0)

    cancel_at_every_step(Reconnecting, clock)
