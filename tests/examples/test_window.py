"""The window beside a thermostat, in one server, under virtual time."""

from __future__ import annotations

import trio
import trio.testing

import two_drivers
import window
from tests.kit.examples import attach, connect
from trindi import (
    IPyServer,
    NumberLabel,
    Permission,
    State,
    defNumberVector,
    defSwitchVector,
    getProperties,
    setNumberVector,
    setSwitchVector,
)

OPEN = {"OPEN": "On", "CLOSED": "Off"}
CLOSED = {"OPEN": "Off", "CLOSED": "On"}


def temperature(value: float) -> setNumberVector:
    return setNumberVector("Thermostat", "temperaturevector", {"temperature": value}, State.OK)


async def test_it_opens_when_the_room_is_warm_and_closes_when_it_has_cooled(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    server = await nursery.start(IPyServer(two_drivers.make_driver(), "127.0.0.1", 0).run)
    # Virtual time runs while bytes are in the kernel, so that timeout has no bound here.
    client = await connect(nursery, server, timeout=float("inf"))
    await client.ask("Window")
    await client.next(defSwitchVector, "windowvector")
    closed = await client.next(setSwitchVector, "windowvector", members=CLOSED)
    assert closed.state is State.OK
    thermostat = server.drivers[0]["Thermostat"]["temperaturevector"]
    assert thermostat["temperature"] < window.CLOSE_BELOW


async def test_it_moves_only_past_its_two_marks(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    peer = await attach(nursery, window.make_driver())
    asked = await peer.next(getProperties, "temperaturevector")
    assert asked.devicename == "Thermostat"
    await peer.send(*map(temperature, (17.0, 18.5, 17.0, 19.0, 15.5, 17.0)))
    await peer.read_for(1)
    moves = [dict(event) for event in peer.heard if isinstance(event, setSwitchVector)]
    # The first report is the window as it stands at the start, which nobody has been told yet.
    assert moves == [CLOSED, OPEN, CLOSED]


async def test_it_opens_at_the_definition_already(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    peer = await attach(nursery, window.make_driver())
    await peer.send(
        defNumberVector(
            "Thermostat",
            "temperaturevector",
            "Temperature",
            "Values",
            State.OK,
            Permission.RO,
            {"temperature": 20.0},
            {"temperature": NumberLabel("temperature", "%3.1f", -50, 99, 0)},
        )
    )
    moved = await peer.next(setSwitchVector, "windowvector")
    assert dict(moved) == OPEN


async def test_it_asks_again_after_a_minute_of_silence(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    peer = await attach(nursery, window.make_driver())
    await peer.next(getProperties)
    start = trio.current_time()
    await trio.sleep(30)
    await peer.send(temperature(17.0))
    await peer.next(getProperties)
    assert trio.current_time() - start == 90
