"""The console transcripts of the pages, compared with what the field's own tools print now."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from tests.kit.docs import ROOT, SNIPPETS, need_tools, transcript
from trindi import IPyClient, PropertyAlert

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.interop

TIMEOUT = 60.0
"""Seconds for a program to start, or to say what is expected of it, on a machine that is busy."""


@pytest.fixture(autouse=True)
def _tools() -> None:
    need_tools("indiserver", "indi_getprop", "indi_setprop")


def environment(home: Path) -> dict[str, str]:
    """Return one in which trindi and its Python are found, and no home is shared."""
    found = {"PATH": str(Path(sys.executable).parent), "PYTHONPATH": str(ROOT)}
    joined = {
        key: os.pathsep.join(filter(None, [new, os.environ.get(key)])) for key, new in found.items()
    }
    return {**os.environ, **joined, "HOME": str(home)}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def run(command: str, port: int, home: Path) -> str:
    words = [str(port) if word == "7624" else word for word in shlex.split(command)]
    done = subprocess.run(
        words, env=environment(home), capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    return done.stdout.strip()


def replay(name: str, port: int, home: Path) -> None:
    """Give the commands of a transcript, each again until it prints what the page shows."""
    for command, expected in transcript(name):
        deadline = time.monotonic() + TIMEOUT
        while (printed := run(command, port, home)) != expected and time.monotonic() < deadline:
            pass
        assert printed == expected, command


@contextmanager
def started(command: list[str], cwd: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command, cwd=cwd, env=environment(cwd), stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.stderr is not None
            process.stderr.read()


@contextmanager
def served(snippet: str, cwd: Path) -> Iterator[int]:
    """Serve a snippet as the page says, and yield the port."""
    shutil.copy(SNIPPETS / snippet, cwd / "thermo.py")
    ((command, expected),) = transcript("serve.console")
    _, *arguments = shlex.split(command)
    with started([sys.executable, "-m", "trindi", *arguments, "--port", "0"], cwd) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        port = line.split(",")[0].split()[-1]
        # Where the machine has IPv6, the line goes on with that address.
        assert line.split(",")[0].strip() == expected.replace("7624", port)
        yield int(port)


@pytest.mark.slow
def test_the_first_thermostat_is_read(tmp_path: Path) -> None:
    with served("thermo_first.py", tmp_path) as port:
        replay("getprop.console", port, tmp_path)


@pytest.mark.slow
def test_the_target_is_set(tmp_path: Path) -> None:
    with served("thermo.py", tmp_path) as port:
        replay("target.console", port, tmp_path)


@pytest.mark.slow
def test_the_thermostat_runs_under_indiserver(tmp_path: Path) -> None:
    shutil.copy(SNIPPETS / "thermo.py", tmp_path)
    (tmp_path / "thermo.py").chmod(0o644)
    (chmod, _), (indiserver, _) = transcript("indiserver.console")
    subprocess.run(shlex.split(chmod), cwd=tmp_path, check=True)
    port = free_port()
    script = indiserver.replace("7624", str(port)).replace("$PWD", str(tmp_path))
    name, *arguments = shlex.split(script)
    private = ["-r", "0", "-u", f"trindi-docs-{uuid.uuid4()}"]
    with started([name, *private, *arguments], tmp_path):
        replay("target.console", port, tmp_path)


@pytest.mark.slow
def test_a_simulator_shows_the_members_of_a_focuser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_tools("indi_simulator_focus")
    port = free_port()
    monkeypatch.setenv("TRINDI_PORT", str(port))
    private = ["-r", "0", "-u", f"trindi-docs-{uuid.uuid4()}", "-p", str(port)]
    (connect, nothing), (get, _) = transcript("kstars_simulator.console")
    with started(["indiserver", *private, "indi_simulator_focus"], tmp_path):
        deadline = time.monotonic() + TIMEOUT
        while not (found := run(get, port, tmp_path)) and time.monotonic() < deadline:
            assert run(connect, port, tmp_path) == nothing
    assert json.loads(found)["member"] == "FOCUS_ABSOLUTE_POSITION"


STATION = """#!{python}
import os, trio, trindi

class Station(trindi.IPyDriver):
    async def hardware(self):
        open({pid!r}, "w").write(str(os.getpid()))
        while True:
            await self["Weather Station"]["WEATHER_STATUS"].send_setVector(state="Ok")
            await trio.sleep(0.2)

lights = trindi.LightVector("WEATHER_STATUS", lightmembers=[trindi.LightMember("WIND")])
trio.run(Station([trindi.Device("Weather Station", [lights])]).run)
"""
ROOF = """#!{python}
import sys, trio
sys.path.insert(0, {snippets!r})
import safety

safety.STALE = 3.0
trio.run(safety.make_driver().run)
"""


@pytest.mark.slow
async def test_the_roof_closes_when_the_station_dies_under_indiserver(tmp_path: Path) -> None:
    names = {"pid": str(tmp_path / "pid"), "snippets": str(SNIPPETS), "python": sys.executable}
    for name, text in (("station", STATION), ("roof", ROOF)):
        (tmp_path / name).write_text(text.format(**names))
        (tmp_path / name).chmod(0o755)
    port = free_port()
    private = ["-r", "0", "-u", f"trindi-docs-{uuid.uuid4()}", "-p", str(port)]
    drivers = [str(tmp_path / "roof"), str(tmp_path / "station")]
    with started(["indiserver", *private, *drivers], tmp_path), trio.fail_after(TIMEOUT):
        async with trio.open_nursery() as nursery:
            client = IPyClient("127.0.0.1", port, reconnect=True, reconnect_delay=0.1)
            nursery.start_soon(client.run)
            shutter = await client.wait_defined("Roof", "SHUTTER")
            while shutter["OPEN"] != "On":
                with contextlib.suppress(PropertyAlert):  # it has heard no report yet
                    await shutter.set_and_wait(OPEN=True)
                await trio.sleep(0.1)
            os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
            await client.wait_for("Roof", "SHUTTER", lambda vector: vector["CLOSE"] == "On")
            assert "the weather station is silent" in shutter.message
            nursery.cancel_scope.cancel()
