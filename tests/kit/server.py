"""A driver with every kind of vector, and a client on a stream, for the tests of the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import trio

from tests.kit.peers import Client
from tests.kit.processes import DEADLINE
from trindi import (
    BLOBMember,
    BLOBVector,
    Device,
    IPyDriver,
    IPyServer,
    LightMember,
    LightVector,
    NumberMember,
    NumberVector,
    SwitchMember,
    SwitchVector,
    TextMember,
    TextVector,
)
from trindi.protocol import NewVector

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from trindi.protocol import ClientEvent, SnoopEvent


def make_device(name: str = "Bench") -> Device:
    """A device with a vector of every kind, some of which a client may set."""
    return Device(
        name,
        [
            NumberVector("count", numbermembers=[NumberMember("n", format="%.f")]),
            NumberVector(
                "target",
                perm="rw",
                numbermembers=[
                    NumberMember("x", min=-90, max=90, membervalue=7),
                    NumberMember("free", membervalue=1),
                ],
            ),
            NumberVector("serial", numbermembers=[NumberMember("number", membervalue=42)]),
            TextVector("note", perm="rw", textmembers=[TextMember("a"), TextMember("b")]),
            SwitchVector(
                "mode",
                perm="rw",
                switchmembers=[SwitchMember("slow", membervalue="On"), SwitchMember("fast")],
            ),
            SwitchVector("abort", perm="rw", rule="AtMostOne", switchmembers=[SwitchMember("now")]),
            LightVector("lamp", lightmembers=[LightMember("power", membervalue="Ok")]),
            BLOBVector("frame", blobmembers=[BLOBMember("image", blobformat=".fits")]),
            BLOBVector("upload", perm="rw", blobmembers=[BLOBMember("file", blobformat=".bin")]),
        ],
    )


class Bench(IPyDriver):
    """Does what clients ask, notes it, and counts when it is told to."""

    def __init__(self, name: str = "Bench") -> None:
        super().__init__([make_device(name)])
        self.name = name
        self.asked: list[Any] = []
        self.snooped: list[Any] = []
        self.counted = 0

    async def clientevent(self, event: ClientEvent) -> None:
        self.asked.append(event)
        vector: Any = event.vector
        if isinstance(event, NewVector):
            vector.update(event)
            if isinstance(vector, BLOBVector):
                await vector.send_setVectorMembers("taken", members=tuple(event))
            else:
                await vector.send_setVector("taken", state="Ok")

    async def snoopevent(self, event: SnoopEvent) -> None:
        self.snooped.append(event)

    async def count(self, times: int = 1) -> None:
        """Publish the next numbers of the one sequence that this driver counts."""
        vector: Any = self[self.name]["count"]
        for _ in range(times):
            vector["n"] = self.counted + 1
            await vector.send_setVector()
            # Not before: where it is cancelled, nothing has been sent.
            self.counted += 1

    async def expose(self, data: bytes) -> None:
        """Publish a frame."""
        vector: Any = self[self.name]["frame"]
        vector["image"] = data
        await vector.send_setVectorMembers(members=["image"])

    def shown(self) -> dict[str, dict[str, Any]]:
        """All values of the device, as they are now."""
        return {name: dict(vector) for name, vector in self[self.name].items()}


Connect: TypeAlias = "Callable[[IPyServer], Awaitable[Client]]"


async def connections() -> AsyncIterator[Connect]:
    """Connects clients to servers, and closes them at the end; a fixture once it is marked so."""
    clients: list[Client] = []

    async def connect(server: IPyServer) -> Client:
        host, port = server.addresses[0]
        clients.append(Client(await trio.open_tcp_stream(host, port)))
        return clients[-1]

    yield connect
    for client in clients:
        await trio.aclose_forcefully(client.stream)


async def start(nursery: trio.Nursery, *drivers: IPyDriver, **options: Any) -> IPyServer:
    """Start a server of these drivers on a free port."""
    given = {"host": "127.0.0.1", "port": 0, **options}
    server: IPyServer = await nursery.start(IPyServer(drivers, **given).run)
    return server


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds that other tasks, or the kernel, bring about."""
    with trio.fail_after(DEADLINE):
        # Not only a checkpoint, since the kernel needs a moment too; and nothing else tells of it.
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.001)
