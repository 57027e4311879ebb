"""One client uploads what unpacks to a thousand times its size; another one must not wait long."""

from __future__ import annotations

import base64
import contextlib
import threading
import time
import zlib
from functools import cache, partial
from typing import TYPE_CHECKING, Final

from benchmarks.soak.beside import beside
from benchmarks.soak.figures import Figure
from benchmarks.soak.flood import Bystander
from benchmarks.soak.load import Client, get

if TYPE_CHECKING:
    from benchmarks.soak.load import Process

MIB: Final = 1024 * 1024
SHARE: Final = 1.4
"""What the server may hold of an upload that is taken, in sizes of what it unpacks to."""

ALLOWANCE: Final = 32 * MIB
"""Bytes that it may hold of one that is not, and beyond that share."""

SECONDS: Final = 5.0
"""For how long uploads follow each other."""


@cache
def bomb(size: int) -> bytes:
    """Return zeros, compressed and as base64."""
    packer = zlib.compressobj(9)
    zeros = bytes(MIB)
    packed = [packer.compress(zeros) for _ in range(size // MIB)]
    return base64.b64encode(b"".join([*packed, packer.flush()]))


def upload(name: str, size: int) -> bytes:
    """Write a newBLOBVector."""
    head = (
        f'<newBLOBVector device="Soak" name="{name}"><oneBLOB name="b" size="{size}" '
        f'format=".bin.z">'
    )
    return head.encode() + bomb(size) + b"</oneBLOB></newBLOBVector>\n"


class Uploader(threading.Thread):
    """Uploads the same again and again, each when the one before has been read.

    Attributes:
        count: how many have been read.
    """

    def __init__(self, port: int, element: bytes, seconds: float) -> None:
        super().__init__(daemon=True)
        self.count = 0
        self._client = Client(port)
        self._element = element
        self._seconds = seconds

    def run(self) -> None:
        """Upload for some time, and at least once."""
        end = time.monotonic() + self._seconds
        with contextlib.suppress(OSError), self._client as client:
            while not self.count or time.monotonic() < end:
                client.send(self._element)
                client.sync()
                self.count += 1


def unpack(mebibytes: float, *, seconds: float = SECONDS) -> list[Figure]:
    """Upload what unpacks to so many MiB, to a property that takes BLOBs, and to one not there."""
    size = round(mebibytes) * MIB

    def measure(server: Process, name: str, most: float) -> list[Figure]:
        bystander = Bystander(server.port, "echo0", get("echo0"), seconds)
        uploader = Uploader(server.port, upload(name, size), seconds)
        before = server.resident()
        uploader.start()
        bystander.run()
        uploader.join()
        grown = (server.peak() - before) / MIB
        return [
            *bystander.figures(),
            Figure("uploads that were read", uploader.count, least=1),
            Figure("growth of the server's memory at its peak, MiB", grown, most=most / MIB),
        ]

    return beside(
        {
            "to no property": partial(measure, name="nothing", most=ALLOWANCE),
            "to a property": partial(measure, name="upload", most=SHARE * size + ALLOWANCE),
        }
    )
