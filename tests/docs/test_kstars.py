"""The focuser of the page on KStars has what KStars looks for, and does as KStars expects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.kit.docs import DOCS, table
from trindi.testing import start_driver

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from trio.testing import MockClock

    Load = Callable[[str], ModuleType | Any]


async def test_the_focuser_from_connecting_to_disconnecting(
    snippet: Load, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    client = await start_driver(nursery, snippet("kstars_focuser").make_driver())
    assert list(client["Focuser"]) == ["CONNECTION", "DRIVER_INFO"]
    assert client["Focuser"]["DRIVER_INFO"]["DRIVER_INTERFACE"] == "8"
    for _ in range(2):
        await client.set_and_wait("Focuser", "CONNECTION", {"CONNECT": True})
        connection = client["Focuser"]["CONNECTION"]
        assert connection.state == "Ok"
        assert connection.message == "[INFO] Connected"
        assert connection.timestamp.microsecond == 0
        position = await client.wait_defined("Focuser", "ABS_FOCUS_POSITION")
        await position.set_and_wait(FOCUS_ABSOLUTE_POSITION=60000)
        assert position["FOCUS_ABSOLUTE_POSITION"] == 60000
        await position.set(FOCUS_ABSOLUTE_POSITION=50000)
        await trio.sleep(5)
        await client.set_and_wait("Focuser", "FOCUS_ABORT_MOTION", {"ABORT": True})
        assert position.state == "Idle"
        assert 50000 < position["FOCUS_ABSOLUTE_POSITION"] < 60000
        await client.set_and_wait("Focuser", "CONNECTION", {"DISCONNECT": True})
        with trio.fail_after(1):
            await client.wait_for("Focuser", "CONNECTION", lambda v: v.state == "Idle")
        with pytest.raises(KeyError):
            await client.set_and_wait(
                "Focuser", "ABS_FOCUS_POSITION", {"FOCUS_ABSOLUTE_POSITION": 1}
            )
        assert list(client["Focuser"]) == ["CONNECTION", "DRIVER_INFO"]


async def test_a_move_ends_with_the_connection(
    snippet: Load, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    client = await start_driver(nursery, snippet("kstars_focuser").make_driver())
    await client.set_and_wait("Focuser", "CONNECTION", {"CONNECT": True})
    position = await client.wait_defined("Focuser", "ABS_FOCUS_POSITION")
    await position.set(FOCUS_ABSOLUTE_POSITION=60000)
    await client.wait_state("Focuser", "ABS_FOCUS_POSITION", "Busy")
    await trio.sleep(1)
    await client.set_and_wait("Focuser", "CONNECTION", {"DISCONNECT": True})
    await trio.sleep(60)
    await client.set_and_wait("Focuser", "CONNECTION", {"CONNECT": True})
    position = await client.wait_defined("Focuser", "ABS_FOCUS_POSITION")
    assert position.state == "Idle"
    assert 50000 < position["FOCUS_ABSOLUTE_POSITION"] < 52000
    await position.set_and_wait(FOCUS_ABSOLUTE_POSITION=50000)
    assert (position.state, position["FOCUS_ABSOLUTE_POSITION"]) == ("Ok", 50000)


def test_each_kind_of_device_has_its_own_bit() -> None:
    bits = [int(row[1]) for row in table(DOCS / "kstars.md", "interfaces")]
    assert bits == [1 << number for number in range(21)]
