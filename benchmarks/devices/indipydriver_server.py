"""The bench device on indipydriver 3.1.2 and indipyserver 0.0.6, in their own environment."""

import asyncio
import functools
import os
import sys

from indipydriver import (
    BLOBMember,
    BLOBVector,
    Device,
    IPyDriver,
    NumberMember,
    NumberVector,
    newBLOBVector,
    newNumberVector,
)
from indipyserver import IPyServer

FURTHER = int(os.environ.get("BENCH_FURTHER", "1000"))
MEMBERS = ["v", *(f"v{index}" for index in range(1, int(os.environ.get("BENCH_MEMBERS", "1"))))]


def number(name, *members, perm="rw"):
    return NumberVector(
        name, name, "Bench", perm, "Ok", [NumberMember(m, m, "%g", 0, 0, 0, 0) for m in members]
    )


@functools.cache
def random_bytes(size):
    return os.urandom(size)


class BenchDriver(IPyDriver):
    async def rxevent(self, event):
        match event:
            case newNumberVector(vectorname="echo"):
                for name, value in event.items():
                    event.vector[name] = value
                await event.vector.send_setVector(state="Ok")
            case newNumberVector(vectorname="go"):
                self.add_background(self.stream(int(float(event["v"]))))
            case newNumberVector(vectorname="sendblob"):
                size, count = int(float(event["size"])), int(float(event["count"]))
                self.add_background(self.send_blobs(size, count))
            case newBLOBVector(vectorname="blob"):
                blobrx = self["Bench"]["blobrx"]
                blobrx["v"] = len(event["b"])
                await blobrx.send_setVector(state="Ok")

    async def stream(self, count):
        value = self["Bench"]["value"]
        for update in range(count):
            value["v"] = update
            await value.send_setVector()

    async def send_blobs(self, size, count):
        vector = self["Bench"]["blob"]
        payload = random_bytes(size)
        for _ in range(count):
            vector["b"] = payload
            await vector.send_setVectorMembers(members=["b"])


def make_driver():
    vectors = [
        number("go", "v"),
        number("value", "v", perm="ro"),
        number("echo", *MEMBERS),
        number("blobrx", "v", perm="ro"),
        number("sendblob", "size", "count"),
        BLOBVector("blob", "blob", "Bench", "rw", "Ok", [BLOBMember("b", "b", 0, ".bin")]),
        *(number(f"n{index:05d}", "v") for index in range(FURTHER)),
    ]
    return BenchDriver(Device("Bench", vectors))


if __name__ == "__main__":
    server = IPyServer(
        make_driver(), host="127.0.0.1", port=int(sys.argv[1]), maxconnections=int(sys.argv[2])
    )
    asyncio.run(server.asyncrun())
