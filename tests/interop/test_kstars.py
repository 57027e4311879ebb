"""Debian's KStars 3.6.2 on a trindi server: it shows messages, and devices that come back.

What KStars needs is tested on bytes, too: `TestKStarsShows` in `tests/driver/test_sending.py` has
the messages, and `tests/server/test_kstars.py` the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kit.kstars import KStars, missing
from tests.kit.processes import EXAMPLES, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kit.interop import Bench

FLAKY = """
import trio
from trindi import *

class Flaky(IPyDriver):
    async def hardware(self):
        self.told = trio.Event()
        self["Flaky"]["RUNS"]["N"] += 1
        await self["Flaky"]["RUNS"].send_setVector()
        await self.told.wait()
        raise OSError("the cable is out")

    async def clientevent(self, event):
        match event:
            case newSwitchVector(vectorname="FAIL"):
                self.told.set()
            case newNumberVector(vectorname="SPEED"):
                if event["V"] > 50:
                    raise ValueError("too fast")
                event.vector.update(event)
                await event.vector.send_setVector("Speed is set", state="Ok")
                await self["Flaky"].send_device_message("[WARNING] Speed is high")

def make_driver():
    return Flaky([Device("Flaky", [
        NumberVector("RUNS", perm="ro", numbermembers=[NumberMember("N")]),
        NumberVector("SPEED", perm="rw", numbermembers=[NumberMember("V")]),
        SwitchVector("FAIL", perm="rw", rule="AtMostOne", switchmembers=[SwitchMember("NOW")]),
        BLOBVector("IMAGE1", perm="ro", blobmembers=[BLOBMember("I")]),
        BLOBVector("IMAGE2", perm="ro", blobmembers=[BLOBMember("I")]),
    ])])
"""

ALL = [f"Flaky.{name}" for name in ("RUNS.N", "SPEED.V", "FAIL.NOW", "IMAGE1.I", "IMAGE2.I")]


@pytest.fixture
def kstars(tmp_path: Path) -> Iterator[KStars]:
    """Run KStars, or skip where it is not installed, and say so."""
    if lacking := missing():
        pytest.skip(f"NOT TESTED against KStars: {lacking} not found; install kstars, xvfb, qdbus")
    home = tmp_path / "home"
    home.mkdir()
    kstars = KStars(home)
    yield kstars
    kstars.close()


@pytest.mark.slow
def test_messages_are_shown_and_a_driver_that_has_failed_comes_back(
    bench: Bench, kstars: KStars
) -> None:
    flaky = bench.directory / f"{bench.module('flaky', FLAKY)}.py"
    port = bench.trindi_serve(EXAMPLES / "thermostat_target.py", flaky).port
    kstars.connect(port)
    wait_until(lambda: kstars.members("Flaky") == ALL, "KStars knows all properties")
    assert kstars.devices() == ["Thermostat", "Flaky"]

    bench.set(port, "-n", "Flaky.SPEED.V=7")
    wait_until(lambda: kstars.state("Flaky", "SPEED") == "Ok", "KStars hears of the speed")
    bench.set(port, "-n", "Flaky.SPEED.V=77")
    wait_until(lambda: kstars.state("Flaky", "SPEED") == "Alert", "KStars hears of the refusal")
    shown = [
        "[INFO] Speed is set",
        "[WARNING] Speed is high",
        "[ERROR] SPEED: ValueError: too fast",
    ]
    wait_until(lambda: kstars.messages("Flaky") == shown, "KStars shows the messages")

    bench.set(port, "-s", "Flaky.FAIL.NOW=On")
    wait_until(lambda: kstars.number("Flaky", "RUNS", "N") == "2", "KStars shows the second run")
    assert kstars.devices() == ["Thermostat", "Flaky"]
    assert kstars.members("Flaky") == ALL
    assert (kstars.state("Flaky", "SPEED"), kstars.number("Flaky", "SPEED", "V")) == ("Alert", "7")
    assert kstars.messages("Flaky") == [*shown, "[ERROR] the driver of Flaky has failed"]
