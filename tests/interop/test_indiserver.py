"""Drivers under the stock indiserver, on standard input and output."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest

import camera
from tests.kit.interop import digest
from tests.kit.processes import wait_until
from trindi import SizeFormat, newBLOBVector
from trindi.protocol import encode

if TYPE_CHECKING:
    from tests.kit.interop import Bench

TARGET = "Thermostat.targetvector.target"
TEMPERATURE = "Thermostat.temperaturevector.temperature"
IMAGE = "Camera.CCD1.CCD1"
DARK_INFO = "Camera.DARK_FRAME_INFO"
EXPOSE = ("-n", "Camera.CCD_EXPOSURE.CCD_EXPOSURE_VALUE=1")
SIXTEEN_MIB = 16 * 1024 * 1024

ONE_MEMBER_OF_EACH = {
    "thermostat": TEMPERATURE,
    "thermostat_target": TARGET,
    "window": "Window.windowvector.CLOSED",
    "led": "LED.LED_LIGHT.LED",
    "camera": "Camera.CCD_FRAME.WIDTH",
    "focuser": "Focuser.ABS_FOCUS_POSITION.FOCUS_ABSOLUTE_POSITION",
}

# Each copies the other's count and adds one, so that both go up only while both are heard.
COUNTING = """
from trindi import *

class Counting(IPyDriver):
    def __init__(self):
        self.count = NumberVector("COUNT", numbermembers=[NumberMember("N")])
        super().__init__([Device("{own}", [self.count])])
        self.snoop("{other}", "COUNT")

    async def snoopevent(self, event):
        match event:
            case defNumberVector() | setNumberVector() if self.count["N"] <= event["N"] < {end}:
                self.count["N"] = event["N"] + 1
                await self.count.send_setVector()

make_driver = Counting
"""

# Snoops on the camera's images, and says what has arrived.
VIEWER = """
import hashlib
from trindi import *

class Viewer(IPyDriver):
    def __init__(self):
        self.seen = TextVector("SEEN", textmembers=[TextMember("SIZE"), TextMember("SHA256")])
        super().__init__([Device("Viewer", [self.seen])])

    async def hardware(self):
        await self.send_getProperties("Camera", "CCD1")
        await self.send_enableBLOB("Camera", "CCD1")

    async def snoopevent(self, event):
        if isinstance(event, setBLOBVector):
            self.seen["SIZE"] = str(len(event["CCD1"]))
            self.seen["SHA256"] = hashlib.sha256(event["CCD1"]).hexdigest()
            await self.seen.send_setVector()

make_driver = Viewer
"""


def large_image() -> bytes:
    driver = camera.make_driver()
    driver.frame.update({"WIDTH": 4096, "HEIGHT": 2048})
    return driver.read_out(1.0)


def set_large_frame(bench: Bench, port: int) -> None:
    bench.set(port, "Camera.CCD_FRAME.WIDTH;HEIGHT=4096;2048")
    bench.wait_for(port, "Camera.CCD_FRAME.HEIGHT", "2048")


def test_indi_getprop_reads_every_example(bench: Bench) -> None:
    # The two thermostats are one device, which only one driver may own.
    examples = [name for name in ONE_MEMBER_OF_EACH if name != "thermostat"]
    port = bench.indiserver(*(bench.program(name).path for name in examples)).port
    for name in examples:
        bench.get(port, ONE_MEMBER_OF_EACH[name])
    values = bench.get_all(port)
    assert {ONE_MEMBER_OF_EACH[name] for name in examples} <= values.keys()
    assert values[TARGET] == "15"


def test_the_thermostat_is_read(bench: Bench) -> None:
    port = bench.indiserver(bench.program("thermostat").path).port
    assert 14 < float(bench.get(port, TEMPERATURE)) <= 20


@pytest.mark.parametrize("typed", [["-n"], []], ids=["typed", "untyped"])
def test_indi_setprop_sets_the_target(bench: Bench, typed: list[str]) -> None:
    port = bench.indiserver(bench.program("thermostat_target").path).port
    assert bench.get(port, TARGET) == "15"
    bench.set(port, *typed, f"{TARGET}=21.5")
    bench.wait_for(port, TARGET, "21.5")


def test_indi_eval_waits_for_the_end_of_an_exposure(bench: Bench) -> None:
    port = bench.indiserver(bench.program("camera").path).port
    assert bench.get(port, "Camera.CCD_EXPOSURE._STATE") == "Idle"
    bench.set(port, *EXPOSE)
    done = bench.run("indi_eval", port, "-t", "30", "-wo", '"Camera.CCD_EXPOSURE._STATE"==1')
    assert done.returncode == 0, done


def test_an_image_of_16_mebibytes_arrives_intact(bench: Bench) -> None:
    port = bench.indiserver(bench.program("camera").path).port
    bench.get(port, ONE_MEMBER_OF_EACH["camera"])
    set_large_frame(bench, port)
    image = large_image()
    assert len(image) > SIXTEEN_MIB
    written = bench.receive_blob(port, IMAGE, len(image), lambda: bench.set(port, *EXPOSE))
    assert len(written) == len(image)
    assert digest(written) == digest(image)


@pytest.mark.slow
def test_an_upload_of_16_mebibytes_arrives_intact(bench: Bench) -> None:
    port = bench.indiserver(bench.program("camera").path).port
    bench.get(port, ONE_MEMBER_OF_EACH["camera"])
    # Not a whole number of pages, so that a descriptor that is padded to pages would show.
    payload = bytes(range(251)) * (SIXTEEN_MIB // 251 + 1)
    about = {"DARK": SizeFormat(len(payload), ".fits")}
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(encode(newBLOBVector("Camera", "DARK_FRAME", {"DARK": payload}, about)))
        bench.wait_for(port, f"{DARK_INFO}.SHA256", digest(payload))
    assert bench.get(port, f"{DARK_INFO}.SIZE") == str(len(payload))


def test_a_window_snoops_on_the_thermostat_of_another_process(bench: Bench) -> None:
    programs = (bench.program("window"), bench.program("thermostat"))
    port = bench.indiserver(*(program.path for program in programs)).port
    bench.get(port, TEMPERATURE)
    # The room is warm at the start.
    bench.wait_for(port, "Window.windowvector.OPEN", "On")


@pytest.mark.slow
def test_two_programs_snoop_on_each_other(bench: Bench) -> None:
    bench.module("left", COUNTING.format(own="Left", other="Right", end=50))
    bench.module("right", COUNTING.format(own="Right", other="Left", end=50))
    port = bench.indiserver(bench.program("left").path, bench.program("right").path).port

    def both_have_counted() -> bool:
        values = bench.get_all(port)
        return min(float(values.get(f"{name}.COUNT.N", "0")) for name in ("Left", "Right")) >= 49

    wait_until(both_have_counted, "both count to the end")


@pytest.mark.slow
def test_a_snooped_image_of_16_mebibytes_arrives_intact(bench: Bench) -> None:
    bench.module("viewer", VIEWER)
    port = bench.indiserver(bench.program("viewer").path, bench.program("camera").path).port
    bench.get(port, "Viewer.SEEN.SIZE")
    bench.get(port, ONE_MEMBER_OF_EACH["camera"])
    set_large_frame(bench, port)
    bench.set(port, *EXPOSE)
    image = large_image()
    bench.wait_for(port, "Viewer.SEEN.SHA256", digest(image))


def test_killing_indiserver_ends_the_driver(bench: Bench) -> None:
    program = bench.program("thermostat")
    server = bench.indiserver(program.path)
    bench.get(server.port, TEMPERATURE)
    server.process.kill()
    wait_until(program.has_ended, "the driver has ended")
    assert program.has_ended_cleanly()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_the_driver_cleanly(bench: Bench, signum: signal.Signals) -> None:
    program = bench.program("camera")
    server = bench.indiserver(program.path)
    bench.get(server.port, ONE_MEMBER_OF_EACH["camera"])
    # It is told to stop in the middle of its work.
    bench.set(server.port, "-n", "Camera.CCD_EXPOSURE.CCD_EXPOSURE_VALUE=3600")
    bench.wait_for(server.port, "Camera.CCD_EXPOSURE._STATE", "Busy")
    os.kill(program.pid, signum)
    wait_until(program.has_ended, "the driver has ended")
    assert program.has_ended_cleanly()
    assert "Traceback" not in server.log.read_text()
