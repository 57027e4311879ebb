"""What the page on restarts says of values, and of the file of settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from trindi import Message, delProperty
from trindi.testing import start_driver

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from trio.testing import MockClock

    Load = Callable[[str], ModuleType | Any]


async def test_the_power_is_back_after_a_restart(
    snippet: Load, nursery: trio.Nursery, autojump_clock: MockClock, tmp_path: Path
) -> None:
    module: Any = snippet("settings_heater")
    path = tmp_path / "new" / "heater.json"
    client = await start_driver(nursery, module.make_driver(path))
    assert client["Heater"]["POWER"]["PERCENT"] == 0
    await client.set_and_wait("Heater", "POWER", {"PERCENT": 60})
    with trio.fail_after(30):
        while not path.exists():
            await trio.lowlevel.checkpoint()
    again = await start_driver(nursery, module.make_driver(path))
    assert again["Heater"]["POWER"]["PERCENT"] == 60
    assert [one.name for one in path.parent.iterdir()] == ["heater.json"]


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"percent": "a lot"}', '{"percent": 101}'])
def test_a_broken_file_is_no_file(snippet: Load, tmp_path: Path, text: str) -> None:
    path = tmp_path / "heater.json"
    path.write_text(text)
    driver = snippet("settings_heater").make_driver(path)
    assert driver["Heater"]["POWER"]["PERCENT"] == 0


async def test_values_outlive_a_failure_of_the_driver(
    snippet: Load, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    driver = snippet("thermo").make_driver()
    client = await start_driver(nursery, driver, contain_errors=True)
    await client.set_and_wait("Thermostat", "targetvector", {"target": 25})

    async def fail() -> None:
        raise OSError("gone")

    events = client.events("Thermostat")
    driver.start_soon(fail)
    assert isinstance(await anext(events), Message)
    assert isinstance(await anext(events), delProperty)
    vector = await client.wait_defined("Thermostat", "targetvector")
    assert vector["target"] == 25
    assert 1 <= trio.current_time() < 2
