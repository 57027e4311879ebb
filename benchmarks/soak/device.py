"""The device that is soaked, in an IPyServer: ``python -m benchmarks.soak.device``.

It prints the port that it listens on. What goes on inside is shown by a property like any other: a
client that sets ``vitals`` is answered with what there is after a garbage collection.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
from pathlib import Path
from typing import Any, Final

import trio

from benchmarks.soak.complaints import Complaints
from benchmarks.soak.frames import Frames
from trindi import (
    BLOBMember,
    BLOBVector,
    ClientEvent,
    Device,
    IPyDriver,
    IPyServer,
    NumberMember,
    NumberVector,
    TextMember,
    TextVector,
    newBLOBVector,
    newNumberVector,
)

MAX_CLIENTS: Final = 4000
BEAT: Final = 0.1
"""Seconds between two reports that everybody hears."""

SLOW: Final = 0.05
"""Seconds that the slow handler takes."""

VITALS: Final = ("clients", "tasks", "descriptors", "blocks", "rss", "errors", "drops", "taken")


def tasks() -> int:
    """Count all tasks of this run of Trio."""
    count = 0
    waiting = [trio.lowlevel.current_root_task()]
    while waiting:
        task = waiting.pop()
        if task is not None:
            count += 1
            waiting += [child for nursery in task.child_nurseries for child in nursery.child_tasks]
    return count


def resident() -> int:
    """Bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _number(name: str, *members: str, perm: str = "rw") -> NumberVector:
    return NumberVector(
        name, "", "", perm, "Ok", [NumberMember(member, format="%.15g") for member in members]
    )


class SoakDriver(IPyDriver):
    """Answers, streams and looks at itself, as it is asked."""

    def __init__(self) -> None:
        vectors: list[NumberVector | TextVector | BLOBVector] = [
            _number("vitals", *VITALS),
            _number("stream", "size", "count", "rate"),
            _number("beat", "v", perm="ro"),
            _number("quick", "v"),
            _number("slow", "v"),
            _number("stuck", "v"),
            *(_number(f"echo{index}", "v") for index in range(3)),
            TextVector("text", "", "", "rw", "Ok", [TextMember("t")]),
            BLOBVector("frame", "", "", "ro", "Ok", [BLOBMember("b", blobformat=".bin")]),
            BLOBVector("upload", "", "", "wo", "Ok", [BLOBMember("b")]),
        ]
        super().__init__([Device("Soak", vectors)])
        self.server = IPyServer([self], "127.0.0.1", 0, MAX_CLIENTS)
        self.complaints = Complaints()

    async def clientevent(self, event: ClientEvent) -> None:
        """Act on one request."""
        match event:
            case newNumberVector(vectorname="vitals"):
                for name, value in self.look(collect=not event["clients"]).items():
                    event.vector[name] = value
                await event.vector.send_setVector(state="Ok")
            case newNumberVector(vectorname="stream"):
                frames = Frames(int(event["size"]))
                self.start_soon(self.stream, frames, int(event["count"]), event["rate"])
            case newNumberVector(vectorname="slow"):
                await trio.sleep(SLOW)
                await self.answer(event)
            case newNumberVector(vectorname="stuck"):
                await trio.sleep_forever()
            case newNumberVector():
                await self.answer(event)
            case newBLOBVector():
                await event.vector.send_setVectorMembers(state="Ok")

    async def answer(self, event: Any) -> None:
        """Take the value."""
        event.vector.update(event)
        await event.vector.send_setVector(state="Ok")

    def look(self, *, collect: bool) -> dict[str, float]:
        """Say how the process is, after a garbage collection or as it is."""
        if collect:
            gc.collect()
        about = self.server.statistics()
        return {
            "clients": len(about.clients),
            "tasks": tasks(),
            "descriptors": len(os.listdir("/proc/self/fd")),
            "blocks": sys.getallocatedblocks(),
            "rss": resident(),
            "errors": self.complaints.count,
            "drops": about.drops,
            "taken": about.drivers[0].events_in,
        }

    async def stream(self, frames: Frames, count: int, rate: float) -> None:
        """Send frames, each when it is due, or as soon as the one before has gone."""
        vector = self["Soak"]["frame"]
        start = trio.current_time()
        for number in range(count):
            await trio.sleep_until(start + number / rate)
            vector["b"] = frames.payload(number)
            await vector.send_setVectorMembers(members=["b"])

    async def hardware(self) -> None:
        """Report something all the time."""
        beat = self["Soak"]["beat"]
        while True:
            await trio.sleep(BEAT)
            beat["v"] += 1
            await beat.send_setVector()


async def serve() -> None:
    """Serve the device until this process is ended."""
    driver = SoakDriver()
    with driver.complaints:
        async with trio.open_nursery() as nursery:
            server = await nursery.start(driver.server.run)
            print(server.port, flush=True)


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    Complaints.log_all()
    trio.run(serve)
