"""Cancelling the kit and the recorder at every step leaves nothing running."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from trio.testing import MockClock

import thermostat_target
from tests.kit.cancellation import Steps, cancel_at_every_step
from tests.kit.server import Bench
from trindi import IPyServer
from trindi.testing import Garbage, Slow, Stall, join, replay_to, start_driver, start_server

if TYPE_CHECKING:
    from pathlib import Path


def make_clock() -> MockClock:
    return MockClock(autojump_threshold=0)


class Session:
    """Two clients of a server, one of them recorded and on a faulty stream."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.driver = Bench()
        self.server = IPyServer([self.driver])

    async def run(self, steps: Steps) -> None:
        with steps.counted():
            async with trio.open_nursery() as nursery:
                client = await start_server(nursery, self.server)
                faults = [Slow(100_000, byte=0), Garbage(byte=100), Stall(1, byte=200)]
                other = await join(nursery, self.server, faults=faults, recording=self.path)
                await other["Bench"]["target"].set_and_wait(x=5.0)
                await client.wait_for("Bench", "target", lambda vector: vector["x"] == 5.0)
                nursery.cancel_scope.cancel()

    def check(self) -> None:
        assert not self.driver.running
        assert self.server.statistics().clients == ()


class Replay:
    """A recording that is played to a driver."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.driver = thermostat_target.make_driver()

    async def run(self, steps: Steps) -> None:
        with steps.counted():
            async with trio.open_nursery() as nursery:
                assert await replay_to(nursery, self.driver, self.path)
                nursery.cancel_scope.cancel()

    def check(self) -> None:
        assert not self.driver.running


def test_a_session_can_be_cancelled_anywhere(tmp_path: Path) -> None:
    cancel_at_every_step(lambda: Session(tmp_path / "a.jsonl"), make_clock)


def test_a_replay_can_be_cancelled_anywhere(tmp_path: Path) -> None:
    async def record() -> None:
        async with trio.open_nursery() as nursery:
            driver = thermostat_target.make_driver()
            client = await start_driver(nursery, driver, recording=tmp_path / "a.jsonl")
            await client["Thermostat"]["targetvector"].set_and_wait(target=18)
            await trio.sleep(25)
            nursery.cancel_scope.cancel()

    trio.run(record, clock=make_clock())
    cancel_at_every_step(lambda: Replay(tmp_path / "a.jsonl"), make_clock)
