"""The client on the stock indiserver with Debian's simulators, and in front of its chain."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio

from tests.kit.processes import DEADLINE, EXAMPLES
from trindi import IPyClient, NotConnected, PropertyTimeout, Settled, State, delProperty

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.kit.interop import Bench
    from trindi import Frame, RemoteDevice

SIMULATORS: Final = {
    "CCD Simulator": "indi_simulator_ccd",
    "Telescope Simulator": "indi_simulator_telescope",
    "Weather Simulator": "indi_simulator_weather",
    "Focuser Simulator": "indi_simulator_focus",
}

BLOCK: Final = 2880
"""Bytes of which a FITS file has a whole number of."""

CARD: Final = 80
"""Characters of one line of a FITS header."""


@asynccontextmanager
async def client_of(port: int, **options: Any) -> AsyncIterator[IPyClient]:
    """A client that knows all devices; nothing in the block may take for ever."""
    with trio.fail_after(2 * DEADLINE):
        async with trio.open_nursery() as nursery:
            client = await nursery.start(IPyClient("127.0.0.1", port, **options).run)
            await client.wait_settled()
            yield client
            nursery.cancel_scope.cancel()


async def connected(client: IPyClient, name: str) -> RemoteDevice:
    """Connect a simulator with its instrument, which is there from then on."""
    device = await client.wait_defined(name)
    connection = await client.wait_defined(name, "CONNECTION")
    await connection.set_and_wait(CONNECT="On")
    assert connection["CONNECT"] == "On"
    assert connection.state is State.OK
    return device


def header(fits: bytes) -> dict[str, str]:
    """The values of a FITS header, as text."""
    found = {}
    for start in range(0, len(fits), CARD):
        card = fits[start : start + CARD].decode("ascii")
        if card.startswith("END "):
            break
        if card[8:10] == "= ":
            found[card[:8].strip()] = card[10:].partition("/")[0].strip()
    return found


def check_fits(frame: Frame, width: float, height: float) -> None:
    """See that an image is one, and whole."""
    assert frame.format == ".fits"
    assert frame.startswith(b"SIMPLE  =                    T")
    assert len(frame) % BLOCK == 0
    about = header(frame)
    assert (float(about["NAXIS1"]), float(about["NAXIS2"])) == (width, height)
    assert len(frame) > width * height * int(about["BITPIX"]) // 8


@pytest.fixture(params=[None, *SIMULATORS], ids=["all", *SIMULATORS])
def simulators(request: pytest.FixtureRequest, bench: Bench) -> tuple[int, list[str]]:
    """The port of an indiserver with one simulator, or with all of them, and their names."""
    names = list(SIMULATORS) if request.param is None else [request.param]
    return bench.indiserver(*programs(names)).port, names


def programs(names: list[str]) -> list[str]:
    found = [shutil.which(SIMULATORS[name]) for name in names]
    assert all(found), "the simulators are part of indi-bin"
    return [path for path in found if path]


def wait_until_quiet(port: int) -> None:
    """Let those definitions pass that indiserver asks its drivers for when it starts them.

    They can reach a client before the reply to its ping, and look like an answer in order.
    """
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.settimeout(1)
        sock.sendall(b'<getProperties version="1.7"/>\n')
        with suppress(TimeoutError):
            while sock.recv(1 << 16):
                pass


async def test_all_definitions_are_there_once_it_has_settled(
    simulators: tuple[int, list[str]],
) -> None:
    port, names = simulators
    wait_until_quiet(port)
    with trio.fail_after(4 * DEADLINE):
        async with trio.open_nursery() as nursery:
            client = await nursery.start(IPyClient("127.0.0.1", port).run)
            # It answers pings itself: its reply says nothing of what its drivers have said.
            assert await client.wait_settled() is Settled.QUIET
            counts = {name: len(device) for name, device in client.items()}
            assert counts.keys() == set(names)
            await client.get_properties()
            await client.wait_settled()
            assert {name: len(device) for name, device in client.items()} == counts
            assert client.errors == 0
            nursery.cancel_scope.cancel()


async def test_each_simulator_is_connected(simulators: tuple[int, list[str]]) -> None:
    port, names = simulators
    async with client_of(port) as client:
        for name in names:
            device = await connected(client, name)
            await client.wait_settled()
            assert len(device) > 15
            assert device["DRIVER_INFO"]["DRIVER_NAME"] == name
            assert not device.stale
            for vector in device.values():
                assert vector.group
                assert all(member.label for member in vector.members.values())
        assert client.errors == 0


async def test_an_exposure_of_the_camera(bench: Bench) -> None:
    port = bench.indiserver(*programs(["CCD Simulator"])).port
    async with client_of(port) as client:
        camera = await connected(client, "CCD Simulator")
        exposure = await client.wait_defined("CCD Simulator", "CCD_EXPOSURE")
        image = await client.wait_defined("CCD Simulator", "CCD1")
        area = await client.wait_defined("CCD Simulator", "CCD_FRAME")
        await client.enable_blobs("CCD Simulator", "CCD1")
        received: list[int] = []
        frames = image.frames(lambda progress: received.append(progress.received))
        for _ in range(2):
            began = trio.current_time()
            await exposure.set_and_wait(CCD_EXPOSURE_VALUE=1)
            assert trio.current_time() - began > 0.9
            frame = await frames.__anext__()
            check_fits(frame, area["WIDTH"], area["HEIGHT"])
            assert camera["CCD1"]["CCD1"] == frame
        assert len(received) > 2
        assert frames.drops == 0


async def test_what_the_camera_is_asked_is_checked_here(bench: Bench) -> None:
    port = bench.indiserver(*programs(["CCD Simulator"])).port
    async with client_of(port) as client:
        await connected(client, "CCD Simulator")
        exposure = await client.wait_defined("CCD Simulator", "CCD_EXPOSURE")
        with pytest.raises(ValueError, match=r"CCD_EXPOSURE_VALUE is between 0\.01 and 3600"):
            await exposure.set(CCD_EXPOSURE_VALUE=4000)
        # An exposure that is longer than the timeout of who waits for it goes on.
        with pytest.raises(PropertyTimeout):
            await client.set_and_wait(
                "CCD Simulator", "CCD_EXPOSURE", {"CCD_EXPOSURE_VALUE": 30}, timeout=0.5
            )
        assert exposure.state is State.BUSY
        await client.set_and_wait("CCD Simulator", "CCD_ABORT_EXPOSURE", {"ABORT": "On"})
        await client.wait_state("CCD Simulator", "CCD_EXPOSURE", {State.IDLE})


async def test_a_slew_of_the_telescope(bench: Bench) -> None:
    port = bench.indiserver(*programs(["Telescope Simulator"])).port
    async with client_of(port) as client:
        telescope = await connected(client, "Telescope Simulator")
        # It is defined before anybody has asked the mount where it points: at the pole.
        place = await client.wait_for(
            "Telescope Simulator", "EQUATORIAL_EOD_COORD", lambda vector: vector["DEC"] > 80
        )
        if telescope["TELESCOPE_PARK"]["PARK"] == "On":
            await telescope["TELESCOPE_PARK"].set_and_wait(UNPARK=True)
        seen = []
        events = client.events("Telescope Simulator", "EQUATORIAL_EOD_COORD")
        target = place["DEC"] - 3
        # One coordinate is given, and both are sent: the simulator takes nothing less.
        await place.set_and_wait(DEC=target)
        assert place["DEC"] == pytest.approx(target, abs=0.1)
        async for event in events:
            seen.append(event)
            if getattr(event, "state", None) is not State.BUSY:
                break
        assert len(seen) > 1
        assert any("Slewing" in message.message for message in telescope.messages)


async def test_a_move_of_the_focuser(bench: Bench) -> None:
    port = bench.indiserver(*programs(["Focuser Simulator"])).port
    async with client_of(port) as client:
        await connected(client, "Focuser Simulator")
        position = await client.wait_defined("Focuser Simulator", "ABS_FOCUS_POSITION")
        target = position["FOCUS_ABSOLUTE_POSITION"] + 1000
        await position.set_and_wait(FOCUS_ABSOLUTE_POSITION=target)
        assert position["FOCUS_ABSOLUTE_POSITION"] == target


async def test_the_weather(bench: Bench) -> None:
    port = bench.indiserver(*programs(["Weather Simulator"])).port
    async with client_of(port) as client:
        weather = await connected(client, "Weather Simulator")
        status = await client.wait_defined("Weather Simulator", "WEATHER_STATUS")
        await client.wait_state("Weather Simulator", "WEATHER_STATUS", {State.OK})
        control = await client.wait_defined("Weather Simulator", "WEATHER_CONTROL")
        # A storm, and the station is asked anew.
        await control.set_and_wait({"Wind": 100})
        await weather["WEATHER_REFRESH"].set(REFRESH="On")
        await client.wait_state("Weather Simulator", "WEATHER_STATUS", {State.ALERT})
        assert State.ALERT in status.values()


async def test_a_driver_that_dies_takes_its_device_with_it(bench: Bench) -> None:
    program = bench.program("thermostat_target")
    server = bench.indiserver(program.path, *programs(["Weather Simulator"]))
    async with client_of(server.port) as client:
        # Behind indiserver, only silence tells that all is defined; busy drivers are silent too.
        target = await client.wait_defined("Thermostat", "targetvector")
        await client.wait_defined("Weather Simulator")
        await target.set_and_wait(target=18.5)
        assert target["target"] == 18.5
        events = client.events("Thermostat")
        os.kill(program.pid, signal.SIGKILL)
        async for event in events:
            if isinstance(event, delProperty):
                break
        assert target.stale
        assert "Thermostat" not in client
        assert "Weather Simulator" in client


async def test_the_end_of_the_server_is_that_of_the_client(bench: Bench) -> None:
    server = bench.indiserver(*programs(["Weather Simulator"]))
    async with client_of(server.port) as client:
        await client.wait_defined("Weather Simulator")
        server.process.kill()
        with pytest.raises(NotConnected, match=r"closed the connection|broke"):
            await client.wait_defined("Another")
        assert client["Weather Simulator"].stale


async def test_a_server_that_comes_back_is_connected_anew(bench: Bench) -> None:
    path = bench.program("thermostat_target").path
    first = bench.indiserver(path)
    ports = [first.port]

    async def connect() -> trio.abc.Stream:
        return await trio.open_tcp_stream("127.0.0.1", ports[-1])

    async with client_of(
        first.port, reconnect=True, reconnect_delay=0.1, connect=connect
    ) as client:
        target = await client.wait_defined("Thermostat", "targetvector")
        await target.set_and_wait(target=25)
        first.process.kill()
        ports.append(bench.indiserver(path).port)
        # A new process, with the target that it begins with.
        await client.wait_for("Thermostat", "targetvector", lambda vector: vector["target"] == 15)
        await target.set_and_wait(target=25)


async def test_trindi_behind_indiserver(bench: Bench) -> None:
    served = bench.trindi_serve(EXAMPLES / "thermostat_target.py", EXAMPLES / "camera.py")
    port = bench.indiserver(f"@127.0.0.1:{served.port}").port
    async with client_of(port) as client:
        for names in (("Thermostat", "targetvector"), ("Camera", "CCD1")):
            await client.wait_defined(*names)
        exposure = await client.wait_defined("Camera", "CCD_EXPOSURE")
        assert set(client) == {"Thermostat", "Camera"}
        await client["Thermostat"]["targetvector"].set_and_wait(target="18:30")
        assert client["Thermostat"]["targetvector"]["target"] == 18.5
        await client.enable_blobs("Camera", "CCD1")
        frames = client["Camera"]["CCD1"].frames()
        await exposure.set_and_wait(CCD_EXPOSURE_VALUE=1)
        check_fits(await frames.__anext__(), 640, 480)
