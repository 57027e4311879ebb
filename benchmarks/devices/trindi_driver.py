"""The bench device on trindi; run as a program it speaks on standard input and output.

The same device is written for every contender: number vectors ``go``, ``value``, ``echo`` and
``blobrx``, ``sendblob`` with two members, a BLOB vector ``blob``, and a thousand further vectors.
Here a second device, ``Clock``, measures how late a timer of another driver is meanwhile.
"""

from __future__ import annotations

import functools
import os

import trio

from trindi import (
    BLOBMember,
    BLOBVector,
    ClientEvent,
    Device,
    IPyDriver,
    NumberMember,
    NumberVector,
    newBLOBVector,
    newNumberVector,
)

FURTHER = int(os.environ.get("BENCH_FURTHER", "1000"))
MEMBERS = int(os.environ.get("BENCH_MEMBERS", "1"))
TICK = 0.002


def number(name: str, *members: str, perm: str = "rw") -> NumberVector:
    """Make a number vector."""
    return NumberVector(
        name, name, "Bench", perm, "Ok", [NumberMember(member, format="%g") for member in members]
    )


@functools.cache
def random_bytes(size: int) -> bytes:
    """Make up the payload of a BLOB, once."""
    return os.urandom(size)


class BenchDriver(IPyDriver):
    """Does what the load client asks."""

    async def clientevent(self, event: ClientEvent) -> None:
        """Act on one request."""
        match event:
            case newNumberVector(vectorname="echo"):
                event.vector.update(event)
                await event.vector.send_setVector(state="Ok")
            case newNumberVector(vectorname="go"):
                self.start_soon(self.stream, int(event["v"]))
            case newNumberVector(vectorname="sendblob"):
                self.start_soon(self.send_blobs, int(event["size"]), int(event["count"]))
            case newBLOBVector(vectorname="blob"):
                blobrx = self["Bench"]["blobrx"]
                blobrx["v"] = len(event["b"])
                await blobrx.send_setVector(state="Ok")

    async def stream(self, count: int) -> None:
        """Send updates flat out."""
        value = self["Bench"]["value"]
        for update in range(count):
            value["v"] = update
            await value.send_setVector()

    async def send_blobs(self, size: int, count: int) -> None:
        """Send BLOBs flat out."""
        vector = self["Bench"]["blob"]
        payload = random_bytes(size)
        for _ in range(count):
            vector["b"] = payload
            await vector.send_setVectorMembers(members=["b"])


class ClockDriver(IPyDriver):
    """Ticks when told to, and reports by how many seconds each tick was late."""

    async def clientevent(self, event: ClientEvent) -> None:
        """Tick as often as asked, then report the lateness that 99 % of the ticks keep."""
        if isinstance(event, newNumberVector):
            late = []
            for _ in range(int(event["ticks"])):
                due = trio.current_time() + TICK
                await trio.sleep_until(due)
                late.append(trio.current_time() - due)
            event.vector["ticks"] = sorted(late)[len(late) * 99 // 100]
            await event.vector.send_setVector(state="Ok")


def make_driver() -> BenchDriver:
    """Make the bench device's driver."""
    echoed = ["v", *(f"v{index}" for index in range(1, MEMBERS))]
    vectors = [
        number("go", "v"),
        number("value", "v", perm="ro"),
        number("echo", *echoed),
        number("blobrx", "v", perm="ro"),
        number("sendblob", "size", "count"),
        BLOBVector("blob", "blob", "Bench", "rw", "Ok", [BLOBMember("b", blobformat=".bin")]),
        *(number(f"n{index:05d}", "v") for index in range(FURTHER)),
    ]
    return BenchDriver([Device("Bench", vectors)])


def make_clock() -> ClockDriver:
    """Make the driver whose timer shows whether others get their turn."""
    return ClockDriver([Device("Clock", [number("clock", "ticks")])])


if __name__ == "__main__":
    trio.run(make_driver().run)
