"""What KStars needs of a server, on bytes. It was seen in KStars 3.6.2 and in its source.

- It shows of "timestamp: text" what has ``[I``, ``[W`` or ``[E`` at column 21, and hides the rest.
- It shows no device again that was deleted; of one whose properties were withdrawn, each by its
  name, it shows all that is defined again.
- For each BLOB property that it can read, it opens one more connection, asks for everything, then
  for ``Only`` that property, and says nothing more. On the first one it asks for ``Never``.

How it looks there: `tests/interop/test_kstars.py`.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import trio
import trio.testing

from tests.kit.peers import Client
from tests.kit.server import Bench
from trindi import BLOBMember, BLOBVector, Device, IPyDriver, IPyServer, setBLOBVector
from trindi.server.clients import MAX_CLIENTS, SILENCE

if TYPE_CHECKING:
    import pytest
    from trio.testing import MockClock

MESSAGE = re.compile(r'<\w+[^>]* timestamp="([^"]*)"[^>]* message="([^"]*)"')
DELETED = re.compile(r'<delProperty device="Bench"(?: name="(\w+)")?')

GET_ALL = "<getProperties version='1.7'/>\n"
IMAGES = [(camera, f"CCD{number}") for camera in ("Main", "Guide") for number in (1, 2, 3)]


class Raw:
    """A client that keeps the bytes."""

    def __init__(self, nursery: trio.Nursery, server: IPyServer) -> None:
        self.stream, theirs = trio.testing.lockstep_stream_pair()
        self.text = ""
        nursery.start_soon(partial(server.serve_stream, theirs))

    async def read_until(self, mark: str) -> None:
        with trio.fail_after(3600):
            while mark not in self.text:
                data = await self.stream.receive_some()
                assert data, self.text
                self.text += data.decode()


class Failing(Bench):
    async def hardware(self) -> None:
        await trio.sleep(1)
        raise OSError("the cable is out")


async def start(nursery: trio.Nursery, *drivers: Any, **options: Any) -> IPyServer:
    server: IPyServer = await nursery.start(
        partial(IPyServer(drivers, **options).run, listen=False)
    )
    return server


async def test_what_the_server_says_is_shown_and_a_failed_driver_comes_back(
    nursery: trio.Nursery, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL")
    driver = Failing()
    server = await start(nursery, driver, maxconnections=1, restart_delay=60)
    client = Raw(nursery, server)
    await client.stream.send_all(GET_ALL.encode())
    await client.read_until("</defNumberVector>")
    turned_away = Raw(nursery, server)
    await turned_away.read_until("has its 1 clients")
    await client.read_until("has failed")
    request = '<newNumberVector device="Bench" name="target"><oneNumber name="x">1</oneNumber>'
    await client.stream.send_all(f"{request}</newNumberVector>\n".encode())
    await client.read_until("is not running")
    first = client.text
    # Each property, by its name; never the device.
    assert DELETED.findall(first) == list(driver["Bench"])

    client.text = ""
    await client.read_until("has failed")
    back = client.text
    assert re.findall(r'<def\w+Vector device="Bench" name="(\w+)"', back) == list(driver["Bench"])

    await server.remove(driver)
    await client.read_until("was removed")
    said = MESSAGE.findall(turned_away.text + first + client.text)
    shown = [f"{time}: {text}"[21:] for time, text in said]
    assert [text[: text.index("]") + 1] for text in shown] == [
        "[ERROR]",  # turned away
        "[ERROR]",  # has failed
        "[ERROR]",  # is not running
        "[ERROR]",  # has failed again
        "[INFO]",  # was removed
    ]


async def test_a_connection_for_each_blob_property_is_served_and_keeps_its_place(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    def camera(name: str) -> Device:
        vectors = [
            BLOBVector(vector, "", "", "ro", "Ok", [BLOBMember("I", blobformat=".fits")])
            for device, vector in IMAGES
            if device == name
        ]
        return Device(name, vectors)

    driver = IPyDriver([camera("Main"), camera("Guide")])
    server = await start(nursery, driver, maxconnections=1 + len(IMAGES))

    async def connect(*policies: str) -> Client:
        ours, theirs = trio.testing.lockstep_stream_pair()
        nursery.start_soon(partial(server.serve_stream, theirs))
        client = Client(ours)
        await client.send(GET_ALL, *policies)
        await client.sync()
        return client

    first = await connect(
        *(f"<enableBLOB device='{name}'>Never</enableBLOB>\n" for name in ("Main", "Guide"))
    )
    of_blobs = [
        await connect(f"<enableBLOB device='{device}' name='{vector}'>Only</enableBLOB>\n")
        for device, vector in IMAGES
    ]
    # The server is full, and another one waits: they have spoken, and stay.
    await trio.sleep(10 * SILENCE)
    turned_away = Raw(nursery, server)
    await turned_away.read_until(f"has its {1 + len(IMAGES)} clients")
    for device, vector in IMAGES:
        driver[device][vector]["I"] = vector.encode()
        await driver[device][vector].send_setVectorMembers(members=["I"])
    for client, image in zip(of_blobs, IMAGES, strict=True):
        await client.sync()
        frames = [event for event in client.heard if isinstance(event, setBLOBVector)]
        assert [(frame.devicename, frame.vectorname) for frame in frames] == [image]
    await first.sync()
    assert not any(isinstance(event, setBLOBVector) for event in first.heard)


def test_by_default_two_cameras_of_many_images_leave_room_for_others() -> None:
    assert 10 * (1 + len(IMAGES)) < MAX_CLIENTS
