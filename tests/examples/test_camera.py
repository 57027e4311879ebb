"""The camera, under virtual time: it counts down, sends what it saw, and an abort stops it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

import camera
from tests.kit.examples import attach
from trindi import (
    Event,
    SizeFormat,
    State,
    SwitchState,
    newBLOBVector,
    newNumberVector,
    newSwitchVector,
    setBLOBVector,
    setNumberVector,
    setSwitchVector,
    setTextVector,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.kit.peers import Client

SECONDS = "CCD_EXPOSURE_VALUE"
ABORT = newSwitchVector("Camera", "CCD_ABORT_EXPOSURE", {"ABORT": SwitchState.ON})
MIB = 1024 * 1024


def expose(seconds: float) -> newNumberVector:
    return newNumberVector("Camera", "CCD_EXPOSURE", {SECONDS: seconds})


def frame(**values: float) -> newNumberVector:
    return newNumberVector("Camera", "CCD_FRAME", values)


async def image_of(client: Client) -> bytes:
    return (await client.next(setBLOBVector, "CCD1", state=State.OK))["CCD1"]


def countdown(heard: Iterable[Event]) -> list[tuple[float, str | None]]:
    """Seconds left and state of each report of the exposure."""
    reports = (event for event in heard if isinstance(event, setNumberVector))
    return [(report[SECONDS], report.state) for report in reports if SECONDS in report]


async def test_it_counts_down_and_sends_the_image(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    client = await attach(nursery, camera.make_driver())
    start = trio.current_time()
    await client.send(expose(2.5))
    await client.next(setBLOBVector, "CCD1")
    assert trio.current_time() - start == 2.5
    await client.next(setNumberVector, "CCD_EXPOSURE", state=State.OK)
    busy = [(left, State.BUSY) for left in (2.5, 1.5, 0.5, 0.0)]
    assert countdown(client.heard) == [*busy, (0.0, State.OK)]


async def test_the_image_is_fits_of_the_frame_that_was_asked_for(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    client = await attach(nursery, camera.make_driver())
    await client.send(frame(X=10, Y=20, WIDTH=30, HEIGHT=40), expose(1.5))
    image = await image_of(client)
    header, pixels = image[:2880].decode("ascii"), image[2880:]
    cards = [header[start : start + 80].rstrip() for start in range(0, 2880, 80)]
    assert cards[:7] == [
        "SIMPLE  =                    T",
        "BITPIX  =                   16",
        "NAXIS   =                    2",
        "NAXIS1  =                   30",
        "NAXIS2  =                   40",
        "EXPTIME =                  1.5",
        "END",
    ]
    assert len(pixels) % 2880 == 0
    words = [int.from_bytes(pixels[at : at + 2], "big") for at in range(0, 2 * 30 * 40, 2)]
    assert words == [x + y for y in range(20, 60) for x in range(10, 40)]
    assert not pixels[2 * 30 * 40 :].strip(b"\0")


async def test_an_image_may_have_16_mebibytes(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    driver = camera.make_driver()
    client = await attach(nursery, driver)
    await client.send(frame(WIDTH=4096, HEIGHT=2048), expose(1))
    image = await image_of(client)
    assert len(image) > 16 * MIB
    assert image == driver.read_out(1.0)


@pytest.mark.parametrize("seconds", [0, 0.3, 1, 59.9])
async def test_an_abort_cancels_at_once(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, seconds: float
) -> None:
    client = await attach(nursery, camera.make_driver())
    await client.send(expose(60))
    await trio.sleep(seconds)
    await client.send(ABORT)
    asked = trio.current_time()
    await client.next(setNumberVector, "CCD_EXPOSURE", state=State.IDLE)
    sprung_back = await client.next(setSwitchVector, "CCD_ABORT_EXPOSURE")
    assert (sprung_back.state, sprung_back["ABORT"]) == (State.OK, "Off")
    assert trio.current_time() == asked
    client.heard.clear()
    await client.read_for(3600)
    assert client.heard == []


async def test_after_an_abort_it_exposes_again(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    client = await attach(nursery, camera.make_driver())
    await client.send(expose(60), ABORT, expose(1))
    assert await image_of(client)
    await client.next(setNumberVector, "CCD_EXPOSURE", state=State.OK)
    stopped = [(60.0, State.BUSY), (60.0, State.IDLE)]
    busy = [(left, State.BUSY) for left in (1.0, 0.0)]
    assert countdown(client.heard) == [*stopped, *busy, (0.0, State.OK)]


@pytest.mark.parametrize("payload", [b"", b"dark", bytes(range(256)) * 4096])
async def test_an_uploaded_dark_frame_is_described(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, payload: bytes
) -> None:
    driver = camera.make_driver()
    client = await attach(nursery, driver)
    about = {"DARK": SizeFormat(len(payload), ".fits")}
    await client.send(newBLOBVector("Camera", "DARK_FRAME", {"DARK": payload}, about))
    info = await client.next(setTextVector, "DARK_FRAME_INFO")
    assert info["SIZE"] == str(len(payload))
    assert info["SHA256"] == hashlib.sha256(payload).hexdigest()
    assert driver.dark["DARK"] == payload
