"""The peers' own Python client, indipyclient, on a trindi server: it reads, sets and gets BLOBs."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

import camera
from tests.kit.interop import digest
from tests.kit.processes import DEADLINE, ENVIRONMENT, EXAMPLES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kit.interop import Bench

# It knows no trio, and its loop is asyncio's: so it has a process of its own.
SESSION: Final = """
import asyncio, hashlib, json, sys
import indipyclient

class Client(indipyclient.IPyClient):
    async def rxevent(self, event):
        seen.append((event.eventtype, event.devicename, event.vectorname))
        if event.eventtype == "SetBLOB":
            images.append(event["CCD1"])

    async def until(self, condition):
        while not condition():
            await asyncio.sleep(0.01)

    def has(self, device, *vectors):
        return device in self and all(vector in self[device] for vector in vectors)

    async def hardware(self):
        await self.until(lambda: self.has("Thermostat", "targetvector"))
        await self.until(lambda: self.has("Camera", "CCD_EXPOSURE", "CCD1", "CCD_FRAME"))
        target = self["Thermostat"]["targetvector"]
        found["before"] = target["target"]
        found["kinds"] = {n: v.vectortype for n, v in self["Camera"].items()}
        await self.send_newVector("Thermostat", "targetvector", members={"target": "18:30"})
        await self.until(lambda: float(target["target"]) == 18.5 and target.state == "Ok")
        found["after"] = target["target"]
        frame = self["Camera"]["CCD_FRAME"]
        await self.send_newVector("Camera", "CCD_FRAME", members={"WIDTH": "64", "HEIGHT": "48"})
        await self.until(lambda: float(frame["WIDTH"]) == 64)
        await self.send_enableBLOB("Also", "Camera", "CCD1")
        await self.send_newVector("Camera", "CCD_EXPOSURE", members={"CCD_EXPOSURE_VALUE": "1"})
        await self.until(lambda: images)
        found["image"] = hashlib.sha256(images[0]).hexdigest()
        found["refused"] = await self.refused(target)
        found["messages"] = [text for _, text in self.messages]
        self.shutdown()

    async def refused(self, target):
        await self.send_newVector("Thermostat", "targetvector", members={"target": "999"})
        await self.until(lambda: target.state == "Alert")
        return target["target"]

seen, images, found = [], [], {}
client = Client(indihost="127.0.0.1", indiport=int(sys.argv[1]))
asyncio.run(asyncio.wait_for(client.asyncrun(), float(sys.argv[2])))
found["seen"] = sorted({event for event, _, _ in seen})
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def _indipyclient() -> None:
    """Skip where it is missing, and say so; where it must be there, fail."""
    if importlib.util.find_spec("indipyclient") is not None:
        return
    reason = "NOT TESTED against indipyclient: it is not installed; pip install trindi[test]"
    if os.environ.get("TRINDI_REQUIRE_INTEROP") == "1" or os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def session(port: int, directory: Path) -> dict[str, Any]:
    script = directory / "session.py"
    script.write_text(SESSION)
    done = subprocess.run(
        [sys.executable, script, str(port), f"{DEADLINE:g}"],
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.usefixtures("_indipyclient")
def test_it_reads_and_sets_the_properties_of_a_trindi_server(bench: Bench, tmp_path: Path) -> None:
    server = bench.trindi_serve(EXAMPLES / "thermostat_target.py", EXAMPLES / "camera.py")
    found = session(server.port, tmp_path)
    assert float(found["before"]) == 15
    assert float(found["after"]) == 18.5
    # What is beyond its limits is refused, and nothing has changed.
    assert float(found["refused"]) == 18.5
    assert found["kinds"] == {
        "CCD_EXPOSURE": "NumberVector",
        "CCD_ABORT_EXPOSURE": "SwitchVector",
        "CCD_FRAME": "NumberVector",
        "CCD1": "BLOBVector",
        "DARK_FRAME": "BLOBVector",
        "DARK_FRAME_INFO": "TextVector",
    }
    assert {"Define", "DefineBLOB", "Set", "SetBLOB"} <= set(found["seen"])
    driver = camera.make_driver()
    driver.frame.update({"WIDTH": 64, "HEIGHT": 48})
    assert found["image"] == digest(driver.read_out(1.0))
