"""Cancellation at every step of a server that does all it can do: nothing is left behind."""

from __future__ import annotations

import gc
import logging
import os
from typing import TYPE_CHECKING

import trio

from tests.kit.peers import Client
from tests.kit.server import Bench
from trindi import IPyServer
from trindi.protocol import (
    BLOBPolicy,
    Message,
    delProperty,
    enableBLOB,
    getProperties,
    newNumberVector,
    newSwitchVector,
    setBLOBVector,
    setNumberVector,
)

if TYPE_CHECKING:
    import pytest

    from trindi import ClientEvent


class CancelAt(trio.abc.Instrument):
    """Cancels a scope at the n-th step of any task that is made within it."""

    def __init__(self, step: int) -> None:
        self.scope = trio.CancelScope()
        self.steps = 0
        self._step = step

    def before_task_step(self, _task: trio.lowlevel.Task) -> None:
        self.steps += 1
        if self.steps == self._step:
            self.scope.cancel()


class Mortal(Bench):
    """Fails when a client sets its mode."""

    async def hardware(self) -> None:
        self.pulled = trio.Event()
        await self.pulled.wait()
        raise OSError("the cable is out")

    async def clientevent(self, event: ClientEvent) -> None:
        await super().clientevent(event)
        if isinstance(event, newSwitchVector):
            self.pulled.set()


async def session(canceller: CancelAt) -> None:
    """Serve a client, turn one away, send a frame, snoop, fail, restart."""
    with canceller.scope:
        async with trio.open_nursery() as nursery:
            mortal, snooper = Mortal("A"), Bench("B")
            snooper.snoop("A", "count")
            server: IPyServer = await nursery.start(
                IPyServer([mortal, snooper], "127.0.0.1", 0, 1, restart_delay=0).run
            )
            async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
                client = Client(stream)
                await client.send(getProperties(), enableBLOB("A", None, BLOBPolicy.ALSO))
                await client.sync()
                async with await trio.open_tcp_stream("127.0.0.1", server.port) as other:
                    await Client(other).next(Message)
                await client.send(newNumberVector("A", "target", {"x": 1.0}))
                await client.next(setNumberVector, "target")
                await mortal.expose(b"stars")
                await client.next(setBLOBVector)
                await client.send(newSwitchVector("A", "mode", {"fast": "On"}))  # type: ignore[dict-item]
                await client.next(delProperty)
                await client.sync()
            nursery.cancel_scope.cancel()


def descriptors() -> set[str]:
    """The open descriptors of this process, by what they are."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.add(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            # The one that listed them.
            continue
    return found


def test_cancelled_at_any_step_a_server_leaves_nothing_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL)
    # Once without, which also opens what stays open.
    whole = CancelAt(0)
    trio.run(session, whole, instruments=[whole])
    assert not whole.scope.cancelled_caught
    assert whole.steps > 100
    gc.collect()
    before = descriptors()
    for step in range(1, whole.steps):
        canceller = CancelAt(step)
        trio.run(session, canceller, instruments=[canceller])
        assert descriptors() == before, f"cancelled at step {step}"
