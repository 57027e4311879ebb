"""Which names an author may take, and what is said of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.kit.driver import ask, start
from trindi import Device, IPyDriver, IPyServer, NumberMember, NumberVector, newNumberVector

if TYPE_CHECKING:
    import trio
    import trio.testing

OF_AUTHORS = {"auto_send_def", "clientevent", "hardware", "indi_number_to_float", "snoopevent"}
FORMER = ["receive", "serve", "hear", "admit", "definitions", "encoded_definitions", "sink"]


def public(cls: type[Any]) -> set[str]:
    return {name for name in dir(cls) if not name.startswith("_")}


def make(*bases: type[Any], **names: Any) -> type[Any]:
    return type("Heater", bases, names)


def test_there_are_few() -> None:
    mapping = {"get", "items", "keys", "values"}
    assert len(public(IPyDriver) - mapping - OF_AUTHORS) <= 12


@pytest.mark.parametrize("name", sorted(public(IPyDriver) - OF_AUTHORS | {"_find", "driverdata"}))
def test_the_others_are_refused_where_the_class_is_defined(name: str) -> None:
    message = f"Heater.{name} takes the place of {name} that trindi needs: give it another name"
    with pytest.raises(TypeError, match=message):
        make(IPyDriver, **{name: lambda self: None})
    with pytest.raises(TypeError, match=message):
        make(make(IPyDriver), **{name: None})


def test_so_are_those_of_a_mixin() -> None:
    class Cache:
        def get(self, name: str) -> None: ...

    with pytest.raises(TypeError, match=r"Cache\.get takes the place"):
        make(Cache, IPyDriver)


@pytest.mark.parametrize("name", sorted(public(Device) - {"devclientevent", "devhardware"}))
def test_so_are_those_of_a_device(name: str) -> None:
    if name != "devsnoopevent":
        with pytest.raises(TypeError, match=f"Heater.{name} takes the place of {name}"):
            make(Device, **{name: None})


@pytest.mark.parametrize("name", ["get", "run", "snoop", "values"])
def test_one_that_an_instance_takes_is_refused_where_it_is_served(name: str) -> None:
    driver = IPyDriver([])
    setattr(driver, name, 7)
    with pytest.raises(ValueError, match=f"self.{name} of IPyDriver takes the place of {name}"):
        IPyServer([driver])


@pytest.mark.parametrize("name", [*FORMER, "defined", "nursery", "tasks", "_nursery", "_tasks"])
async def test_any_other_does_no_harm(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, name: str
) -> None:
    async def clientevent(self: Any, event: Any) -> None:
        await event.vector.send_setVector(state="Busy")

    heater = make(IPyDriver, **{name: None, "clientevent": clientevent})
    power = NumberVector("POWER", perm="rw", numbermembers=[NumberMember("PERCENT")])
    driver = heater([Device("X", [power])])
    setattr(driver, name, 7)
    publisher = await start(nursery, driver)
    await ask(driver, newNumberVector("X", "POWER", {"PERCENT": 1.0}))
    assert publisher.about("POWER")[-1].state == "Busy"
