"""The scene of every attack: a bench, a bad client, and a good one that must notice nothing."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import trio

from tests.kit.peers import Client, of
from tests.kit.server import Bench, until
from trindi.protocol import (
    BLOBPolicy,
    Message,
    SetVector,
    State,
    delProperty,
    enableBLOB,
    newTextVector,
    setBLOBVector,
    setNumberVector,
    setTextVector,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

    import pytest

    from trindi import IPyServer


class Scene:
    """A server with one bench, a good client that hears everything, and a bad one.

    Attributes:
        heard: everything the good client has been told since it subscribed.
    """

    def __init__(
        self,
        bench: Bench,
        server: IPyServer,
        clients: tuple[Client, Client],
        log: pytest.LogCaptureFixture,
    ) -> None:
        self.bench = bench
        self.server = server
        self.good, self.bad = clients
        self.heard: list[Any] = []
        self._log = log
        self._questions = 0
        self._before = self._shown()

    def _shown(self) -> dict[str, Any]:
        """What the bad client could have changed."""
        return {name: values for name, values in self.bench.shown().items() if name != "count"}

    async def watch(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Be the good client: subscribe, and hear everything until the connection ends."""
        await self.good.subscribe()
        await self.good.send(enableBLOB("Bench", None, BLOBPolicy.ALSO))
        await self.good.sync()
        # Once for each of its BLOB vectors, "frame" and "upload".
        await until(lambda: len(self.bench.asked) == 2)
        self.bench.asked.clear()
        task_status.started()
        while (event := await self.good.receive()) is not None:
            self.heard.append(event)

    async def play(self, *data: bytes) -> None:
        """Let the bad client send this; the bench counts before, meanwhile and afterwards."""
        await self.during(self._send(*data))

    async def during(self, attack: Awaitable[object]) -> None:
        """Count before, during and after an attack."""

        async def run() -> None:
            await attack
            scope.cancel()

        await self.bench.count(10)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            with trio.CancelScope() as scope:
                while True:
                    await self.bench.count()
                    await trio.sleep(0.001)
        await self.bench.count(10)

    async def _send(self, *data: bytes) -> None:
        try:
            await self.bad.send(*data)
        except trio.BrokenResourceError:
            # It is sent away already.
            return

    async def answers(self) -> list[Any]:
        """What the bad client is told, once all that it sent has been read."""
        return (await self.bad.sync())[:-1]

    async def check_refused(self, vectorname: str, reason: str) -> None:
        """The bad client gets an Alert and the reason, and nothing else has happened."""
        (answer,) = await self.answers()
        assert isinstance(answer, SetVector)
        assert (answer.vectorname, answer.state) == (vectorname, State.ALERT)
        assert reason in answer.message
        assert answer.message.startswith("[ERROR] ")
        # It also shows the values as they are; of BLOBs, which are no state, none.
        values = self._before[vectorname]
        assert dict(answer) == ({} if isinstance(answer, setBLOBVector) else values)
        self.check_untouched()
        await self.check_bystander()

    async def check_ignored(self) -> None:
        """The bad client is told nothing, stays connected, and nothing has happened."""
        assert await self.answers() == []
        self.check_untouched()
        await self.check_bystander()

    async def check_sent_away(self, reason: str) -> None:
        """The bad client is told why, and that is the end of it."""
        *_, farewell = await self.bad.rest()
        assert isinstance(farewell, Message)
        assert reason in farewell.message
        await self.check_bad_is_gone()

    async def check_bad_is_gone(self) -> None:
        """The server has let go of the bad client, and of it alone."""
        await until(lambda: len(self.server.statistics().clients) == 1)
        await self.check_bystander()

    def check_untouched(self) -> None:
        """No property has changed, and the author's code has not been called."""
        assert self.bench.asked == []
        assert self._shown() == self._before

    async def check_bystander(self) -> None:
        """The good client has heard every number, is answered, and has seen no harm."""
        await self.bench.count(10)
        self._questions += 1
        asked = newTextVector("Bench", "note", {"b": f"question {self._questions}"})
        await self.good.send(asked)
        await until(
            lambda: any(event["b"] == asked["b"] for event in of(self.heard, setTextVector))
        )
        counts = [event["n"] for event in of(self.heard, setNumberVector) if "n" in event]
        assert counts == list(range(1, self.bench.counted + 1))
        assert of(self.heard, delProperty) == []
        assert of(self.heard, Message) == []
        alerts = [event for event in self.heard if getattr(event, "state", None) is State.ALERT]
        assert alerts == []
        assert self.bench.running
        assert self.server.statistics().restarts == 0
        assert [record for record in self._log.records if record.levelno >= logging.ERROR] == []
