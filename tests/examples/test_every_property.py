"""Each example is served, and each of its properties read and written, over a real socket.

A value that may be written comes back in a report that is no Alert; what may not be written is
refused with Alert, a reason, and the value as it was.
"""

from __future__ import annotations

import importlib
import runpy
from typing import TYPE_CHECKING, Any

import pytest

from tests.kit.examples import connect
from tests.kit.processes import EXAMPLES
from trindi import (
    IPyDriver,
    IPyServer,
    NumberLabel,
    Permission,
    SizeFormat,
    State,
    SwitchState,
    defBLOBVector,
    defLightVector,
    defNumberVector,
    defSwitchVector,
    defTextVector,
    newBLOBVector,
    newNumberVector,
    newSwitchVector,
    newTextVector,
    setBLOBVector,
    setLightVector,
    setNumberVector,
    setSwitchVector,
    setTextVector,
)
from trindi.protocol import BLOBPolicy, enableBLOB

if TYPE_CHECKING:
    import trio

    from tests.kit.peers import Client
    from trindi.protocol import DefVector, NewVector

PROPERTIES = {
    "thermostat": {"Thermostat": {"temperaturevector"}},
    "thermostat_target": {"Thermostat": {"temperaturevector", "targetvector"}},
    "window": {"Window": {"windowvector"}},
    "led": {"LED": {"LED_SWITCH", "LED_LIGHT"}},
    "camera": {
        "Camera": {
            "CCD_EXPOSURE",
            "CCD_ABORT_EXPOSURE",
            "CCD_FRAME",
            "CCD1",
            "DARK_FRAME",
            "DARK_FRAME_INFO",
        }
    },
    "focuser": {"Focuser": {"ABS_FOCUS_POSITION", "FOCUS_ABORT_MOTION"}},
    "two_drivers": {"Thermostat": {"temperaturevector"}, "Window": {"windowvector"}},
}

REPORT_OF = {
    defSwitchVector: setSwitchVector,
    defTextVector: setTextVector,
    defNumberVector: setNumberVector,
    defLightVector: setLightVector,
    defBLOBVector: setBLOBVector,
}


def make_drivers(example: str) -> list[IPyDriver]:
    made = importlib.import_module(example).make_driver()
    return made if isinstance(made, list) else [made]


async def definitions(client: Client, example: str) -> list[DefVector]:
    """Ask for everything, and return the definition of each property."""
    await client.ask()
    found: list[Any] = []
    expected = {(device, name) for device, names in PROPERTIES[example].items() for name in names}
    while {(event.devicename, event.vectorname) for event in found} != expected:
        found.append(await client.next(tuple(REPORT_OF)))  # type: ignore[arg-type]
    return found


def wish(definition: DefVector) -> NewVector:
    """A request that the property would take, if it may be written at all."""
    place = (definition.devicename, definition.vectorname)
    last = list(definition)[-1]
    match definition:
        case defSwitchVector():
            return newSwitchVector(*place, {last: SwitchState.ON})
        case defNumberVector():
            return newNumberVector(*place, {last: least(definition.memberlabels[last])})
        case defTextVector():
            return newTextVector(*place, {last: "written"})
        case defBLOBVector():
            return newBLOBVector(*place, {last: b"written"}, {last: SizeFormat(7, ".bin")})
        case defLightVector():
            # There is no newLightVector; this is the nearest that a confused client could send.
            return newTextVector(*place, {last: "Ok"})


def least(number: NumberLabel) -> float:
    return number.min if number.min != number.max else 1.0


@pytest.mark.parametrize("example", PROPERTIES)
async def test_every_property_is_read(nursery: trio.Nursery, example: str) -> None:
    server = await nursery.start(IPyServer(make_drivers(example), "127.0.0.1", 0).run)
    client = await connect(nursery, server)
    for definition in await definitions(client, example):
        assert definition.label
        assert definition.memberlabels.keys() == definition.keys()
        assert definition.state is not State.ALERT


@pytest.mark.parametrize("example", PROPERTIES)
async def test_every_property_is_written(nursery: trio.Nursery, example: str) -> None:
    server = await nursery.start(IPyServer(make_drivers(example), "127.0.0.1", 0).run)
    client = await connect(nursery, server)
    found = await definitions(client, example)
    # What may not be written comes first: writing the others may well change it.
    for definition in sorted(found, key=lambda each: each.perm is not Permission.RO):
        place = (definition.devicename, definition.vectorname)
        request = wish(definition)
        await client.send(enableBLOB(*place, BLOBPolicy.ALSO), request)
        answer: Any = await client.next(REPORT_OF[type(definition)], definition.vectorname)
        if definition.perm is Permission.RO:
            assert answer.state is State.ALERT
            assert "unchanged" in answer.message
            if not isinstance(definition, defBLOBVector):
                assert dict(answer) == dict(definition)
        else:
            assert answer.state in (State.OK, State.BUSY)
            assert answer.message == ""


@pytest.mark.parametrize("example", PROPERTIES)
def test_as_a_script_it_serves_its_devices(monkeypatch: pytest.MonkeyPatch, example: str) -> None:
    run: list[Any] = []
    monkeypatch.setattr("trio.run", run.append)
    runpy.run_path(str(EXAMPLES / f"{example}.py"), run_name="__main__")
    ((server, method),) = [(each.__self__, each.__name__) for each in run]
    assert isinstance(server, IPyServer)
    assert method == "run"
    assert (server.host, server.port) == ("localhost", 7624)
    assert {name for driver in server.drivers for name in driver} == PROPERTIES[example].keys()
