"""Definitions and reports for clients, and a client that is joined to a server in memory."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio
import trio.testing

from tests.kit.peers import Server
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

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from trindi.protocol import Event

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


# The two ends ------------------------------------------------------------------------------------


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
