"""The other end of a client: a server that says and hears just what a test wants."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio
import trio.testing

from tests.kit.server import Client
from trindi import (
    IPyClient,
    NumberLabel,
    Permission,
    Rule,
    State,
    SwitchState,
    defBLOBVector,
    defLightVector,
    defNumberVector,
    defSwitchVector,
    defTextVector,
    setNumberVector,
)
from trindi.protocol import Event, pingReply, pingRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

ON, OFF = SwitchState.ON, SwitchState.OFF


# What a server says ----------------------------------------------------------------------------


def numbers(
    values: Mapping[str, float] | None = None,
    *,
    name: str = "target",
    device: str = "Dev",
    limits: tuple[float, float, float] = (0, 100, 0),
    **more: Any,
) -> defNumberVector:
    """Define numbers."""
    members = dict(values or {"x": 1.0, "y": 2.0})
    labels = {one: NumberLabel(one.upper(), "%5.2f", *limits) for one in members}
    given: dict[str, Any] = {"state": State.IDLE, "perm": Permission.RW, **more}
    return defNumberVector(
        device, name, "Target", "Main", members=members, memberlabels=labels, **given
    )


def texts(name: str = "note", device: str = "Dev", **more: Any) -> defTextVector:
    """Define texts."""
    given: dict[str, Any] = {
        "state": State.IDLE,
        "perm": Permission.RW,
        "members": {"a": "one", "b": "two"},
        "memberlabels": {"a": "A", "b": "B"},
        **more,
    }
    return defTextVector(device, name, "Note", "Main", **given)


def switches(
    rule: Rule = Rule.ONE_OF_MANY, name: str = "mode", device: str = "Dev", **more: Any
) -> defSwitchVector:
    """Define switches."""
    given: dict[str, Any] = {
        "state": State.OK,
        "perm": Permission.RW,
        "members": {"slow": ON, "fast": OFF},
        "memberlabels": {"slow": "Slow", "fast": "Fast"},
        **more,
    }
    return defSwitchVector(device, name, "Mode", "Main", rule=rule, **given)


def lights(name: str = "lamp", device: str = "Dev") -> defLightVector:
    """Define lights."""
    return defLightVector(device, name, "Lamp", "Main", State.OK, members={"power": State.BUSY})


def blobs(name: str = "image", device: str = "Dev", **more: Any) -> defBLOBVector:
    """Define BLOBs."""
    given: dict[str, Any] = {
        "state": State.IDLE,
        "perm": Permission.RW,
        "members": {"file": None},
        **more,
    }
    return defBLOBVector(device, name, "Image", "Main", **given)


def report(
    state: State | None = State.OK, *, name: str = "target", device: str = "Dev", **more: Any
) -> setNumberVector:
    """Report numbers."""
    return setNumberVector(device, name, more.pop("members", {}), state=state, **more)


# The server ------------------------------------------------------------------------------------


class Server(Client):
    """The other end of a client's stream, in virtual time."""

    async def receive(self) -> Event | None:
        """Receive the next event, which may be an hour away; None at the end of the stream."""
        with trio.fail_after(3600):
            while not self._items:
                data = await self.stream.receive_some(65536)
                if not data:
                    return None
                self._items += self._decoder.feed(bytes(data))
        return self._items.pop(0)

    async def greet(self, *definitions: Event) -> list[Event]:
        """Answer the first questions of a client; return them."""
        asked = await self.until(lambda event: isinstance(event, pingRequest))
        await self.answer(*definitions, ping=asked[-1])
        return asked[:-1]

    async def answer(self, *events: Event, ping: Any) -> None:
        """Say something before the reply to a ping."""
        await self.send(*events, pingReply(ping.uid))

    async def pong(self, *, all_sent: bool = False) -> None:
        """Answer the next ping; where it asks so, that all definitions are sent."""
        ping = await self.next(pingRequest)
        await self.send(pingReply(ping.uid, ping.after if all_sent else ""))

    async def close(self) -> None:
        """Close the connection."""
        await self.stream.aclose()


@asynccontextmanager
async def joined(
    *definitions: Event, client: IPyClient | None = None
) -> AsyncIterator[tuple[IPyClient, Server]]:
    """Join a client and a server in memory; the client knows the definitions already."""
    near, far = trio.testing.memory_stream_pair()
    server = Server(far)
    async with trio.open_nursery() as nursery:
        client = IPyClient() if client is None else client
        await nursery.start(client.run_on, near)
        await server.greet(*definitions)
        await trio.testing.wait_all_tasks_blocked()
        yield client, server
        nursery.cancel_scope.cancel()
