"""The same test does the same each time: the same events, in the same order, at the same times."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import MockClock

from tests.kit.processes import run_python
from trindi import (
    BLOBMember,
    BLOBVector,
    Device,
    IPyClient,
    IPyDriver,
    IPyServer,
    NumberMember,
    NumberVector,
    newNumberVector,
)
from trindi.testing import join, start_server, virtual_now

if TYPE_CHECKING:
    from pathlib import Path

    from trindi import ClientEvent, SnoopEvent

LARGE = bytes(range(256)) * 5000
"""More than the size from which a BLOB is encoded in a thread in an observatory."""


class Busy(IPyDriver):
    """Does several things at the same moment."""

    def __init__(self, name: str, other: str, frame: Path | None = None) -> None:
        self.name = name
        self.frame = frame
        self.count = NumberVector("count", numbermembers=[NumberMember("n")])
        self.goal = NumberVector("goal", perm="rw", numbermembers=[NumberMember("g")])
        self.image = BLOBVector("image", blobmembers=[BLOBMember("i", blobformat=".bin")])
        super().__init__(
            [Device(name, [self.count, self.goal, self.image])],
            tasks=[self.tick for _ in range(3)],
        )
        self.snoop(other, "count", timeout=3)

    async def tick(self) -> None:
        """Three tasks that wake together."""
        await trio.sleep(1)
        self.count["n"] += 1
        await self.count.send_setVector()

    async def hardware(self) -> None:
        await trio.sleep(1)
        if self.frame is not None:
            self.image["i"] = self.frame
            await self.image.send_setVectorMembers(members=["i"])

    async def clientevent(self, event: ClientEvent) -> None:
        if isinstance(event, newNumberVector):
            await trio.sleep(1)
            self.goal.update(event)
            await self.goal.send_setVector(state="Ok")

    async def snoopevent(self, event: SnoopEvent) -> None:
        await self[self.name].send_device_message(f"{type(event).__name__} at {virtual_now()}")


async def watch(client: IPyClient, log: list[Any], number: int) -> None:
    async for event in client.events():
        log.append((number, trio.current_time(), repr(event)))


async def scenario(frame: Path | None, seed: int = 0) -> list[Any]:
    """Two drivers that snoop on each other, and two clients that both ask at once."""
    log: list[Any] = []
    async with trio.open_nursery() as nursery:
        server = IPyServer([Busy("A", "B", frame), Busy("B", "A")])
        clients = [await start_server(nursery, server, seed=seed)]
        clients.append(await join(nursery, server))
        for number, client in enumerate(clients):
            await client.enable_blobs("A")
            nursery.start_soon(watch, client, log, number)

        async def ask(client: IPyClient, value: float) -> None:
            await trio.sleep(1)
            await client["A"]["goal"].set_and_wait(g=value)
            log.append(("set", trio.current_time(), value))

        async with trio.open_nursery() as asking:
            for value, client in enumerate(clients):
                asking.start_soon(ask, client, float(value))
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    return log


def run(frame: Path | None = None, seed: int = 0) -> str:
    """Run the scenario, and return a digest of its log."""
    log = trio.run(scenario, frame, seed, clock=MockClock(autojump_threshold=0))
    assert len(log) > 20
    return hashlib.sha256(repr(log).encode()).hexdigest()


@pytest.fixture
def without_hypothesis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Hypothesis is installed, pytest-trio has made part of it reproducible already."""
    monkeypatch.setattr("trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING", False)


@pytest.mark.usefixtures("without_hypothesis")
@pytest.mark.parametrize("runs", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_many_runs_do_the_same(runs: int) -> None:
    assert len({run() for _ in range(runs)}) == 1


@pytest.mark.usefixtures("without_hypothesis")
def test_large_blobs_from_files_do_too(tmp_path: Path) -> None:
    path = tmp_path / "frame"
    path.write_bytes(LARGE)
    assert len({run(path) for _ in range(10)}) == 1


@pytest.mark.usefixtures("without_hypothesis")
def test_another_seed_gives_another_order() -> None:
    digests = [run(seed=seed) for seed in (1, 2, 3, 1, 2, 3)]
    assert digests[:3] == digests[3:]
    assert len(set(digests)) > 1


def test_other_processes_do_the_same() -> None:
    """Neither addresses nor the hashes of texts matter."""
    program = "from tests.testing.test_reproducible import run; print(run())"
    again = (
        "import os, sys; os.environ['PYTHONHASHSEED'] = sys.argv[1]; "
        "os.execv(sys.executable, [sys.executable, '-c', sys.argv[2]])"
    )
    done = [run_python("-c", again, seed, program) for seed in ("1", "2")]
    assert [each.stderr for each in done] == ["", ""]
    assert {each.stdout.strip() for each in done} == {run()}
