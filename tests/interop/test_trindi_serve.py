"""Debian's INDI tools on a trindi server: they read, write, wait, receive BLOBs, and chain."""

from __future__ import annotations

import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

import camera
from tests.kit.interop import digest
from tests.kit.processes import DEADLINE, EXAMPLES
from trindi import SizeFormat, newBLOBVector
from trindi.protocol import encode

if TYPE_CHECKING:
    from tests.kit.interop import Bench

TARGET = "Thermostat.targetvector.target"
TEMPERATURE = "Thermostat.temperaturevector.temperature"
IMAGE = "Camera.CCD1.CCD1"
EXPOSE = ("-n", "Camera.CCD_EXPOSURE.CCD_EXPOSURE_VALUE=1")
PAYLOAD = bytes(range(256)) * 4096


def test_indi_getprop_prints_the_temperature(bench: Bench) -> None:
    server = bench.trindi_serve(EXAMPLES / "thermostat.py")
    values = bench.get_all(server.port)
    assert values.keys() == {TEMPERATURE}
    assert 14 < float(values[TEMPERATURE]) <= 20


def test_both_drivers_of_one_server_are_read(bench: Bench) -> None:
    server = bench.trindi_serve(EXAMPLES / "two_drivers.py")
    assert {place.split(".")[0] for place in bench.get_all(server.port)} == {
        "Thermostat",
        "Window",
    }


@pytest.mark.parametrize("typed", [["-n"], []], ids=["typed", "untyped"])
def test_indi_setprop_sets_the_target(bench: Bench, typed: list[str]) -> None:
    port = bench.trindi_serve(EXAMPLES / "thermostat_target.py").port
    assert bench.get(port, TARGET) == "15"
    bench.set(port, *typed, f"{TARGET}=21.5")
    bench.wait_for(port, TARGET, "21.5")
    # What is refused changes nothing; sexagesimal is read.
    bench.set(port, *typed, f"{TARGET}=99")
    bench.set(port, *typed, f"{TARGET}=18:30")
    bench.wait_for(port, TARGET, "18.5")
    assert bench.get(port, "Thermostat.targetvector._STATE") == "Ok"


def test_what_indi_setprop_does_not_escape_harms_nobody(bench: Bench) -> None:
    port = bench.trindi_serve(EXAMPLES / "thermostat_target.py").port
    bench.set(port, "-n", f"{TARGET}=<&>")
    bench.set(port, "-n", f"{TARGET}=19")
    bench.wait_for(port, TARGET, "19")


def test_indi_eval_waits_for_a_value(bench: Bench) -> None:
    port = bench.trindi_serve(EXAMPLES / "thermostat_target.py").port
    never = bench.run("indi_eval", port, "-t", "1", "-w", f'"{TARGET}"==22')
    assert never.returncode == 2, never
    waiting = bench.start("indi_eval", port, "-t", f"{DEADLINE:g}", "-w", f'"{TARGET}"==22')
    bench.set(port, "-n", f"{TARGET}=22")
    assert waiting.wait(2 * DEADLINE) == 0


def test_an_image_of_16_mebibytes_arrives_intact(bench: Bench) -> None:
    port = bench.trindi_serve(EXAMPLES / "camera.py").port
    bench.set(port, "Camera.CCD_FRAME.WIDTH;HEIGHT=4096;2048")
    bench.wait_for(port, "Camera.CCD_FRAME.HEIGHT", "2048")
    driver = camera.make_driver()
    driver.frame.update({"WIDTH": 4096, "HEIGHT": 2048})
    image = driver.read_out(1.0)
    written = bench.receive_blob(port, IMAGE, len(image), lambda: bench.set(port, *EXPOSE))
    assert digest(written) == digest(image)


def test_an_upload_arrives_intact(bench: Bench) -> None:
    port = bench.trindi_serve(EXAMPLES / "camera.py").port
    about = {"DARK": SizeFormat(len(PAYLOAD), ".fits")}
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(encode(newBLOBVector("Camera", "DARK_FRAME", {"DARK": PAYLOAD}, about)))
    bench.wait_for(port, "Camera.DARK_FRAME_INFO.SHA256", digest(PAYLOAD))
    assert bench.get(port, "Camera.DARK_FRAME_INFO.SIZE") == str(len(PAYLOAD))


@pytest.mark.parametrize("device", ["", "Thermostat"], ids=["all devices", "one device"])
def test_an_indiserver_in_front_reads_and_writes(bench: Bench, device: str) -> None:
    server = bench.trindi_serve(EXAMPLES / "thermostat_target.py")
    chained = bench.indiserver(f"{device}@localhost:{server.port}")
    assert bench.get_all(chained.port).keys() == {TEMPERATURE, TARGET}
    bench.set(chained.port, f"{TARGET}=23")
    bench.wait_for(chained.port, TARGET, "23")
    bench.wait_for(server.port, TARGET, "23")


def test_a_blob_passes_an_indiserver_in_front(bench: Bench) -> None:
    server = bench.trindi_serve(EXAMPLES / "camera.py")
    port = bench.indiserver(f"@localhost:{server.port}").port
    image = camera.make_driver().read_out(1.0)
    written = bench.receive_blob(port, IMAGE, len(image), lambda: bench.set(port, *EXPOSE))
    assert digest(written) == digest(image)


def test_a_tool_that_is_killed_harms_nobody(bench: Bench) -> None:
    port = bench.trindi_serve(EXAMPLES / "thermostat_target.py").port
    for _ in range(6):
        watcher = bench.start("indi_getprop", port, "-m", "-t", "60")
        with pytest.raises(subprocess.TimeoutExpired):
            watcher.wait(0.05)
        watcher.kill()
        watcher.wait()
    assert bench.get(port, TARGET) == "15"
