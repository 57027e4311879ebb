"""The dew heater of the page on serial lines, on pseudo-terminals."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.kit.processes import DEADLINE
from trindi.testing import start_driver

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    Load = Callable[[str], ModuleType | Any]


@pytest.mark.parametrize("name", ["is_read_and_set", "silent"])
async def test_the_tests_on_the_page(snippet: Load, nursery: trio.Nursery, name: str) -> None:
    module: Any = snippet("test_serial_heater")
    start = partial(start_driver, nursery)
    with trio.fail_after(DEADLINE):
        if name == "silent":
            await module.test_a_silent_heater_is_an_alert(start)
        else:
            await module.test_the_heater_is_read_and_set(start, nursery)


async def test_a_late_answer_is_skipped(snippet: Load, nursery: trio.Nursery) -> None:
    heater: Any = snippet("test_serial_heater").Heater()
    async with snippet("serial_line").SerialLine(heater.port) as line:
        with trio.fail_after(DEADLINE):
            with pytest.raises(trio.TooSlowError, match=r"no answer to 'T\?' within 0\.1 s"):
                await line.ask("T?", "T ", timeout=0.1)
            nursery.start_soon(heater.run)
            assert await line.ask("P 60", "P ", timeout=DEADLINE) == "60"
            assert await line.ask("T?", "T ", timeout=DEADLINE) == "4.2"


async def test_an_answer_that_is_late_once_does_not_delay_the_others(
    snippet: Load, nursery: trio.Nursery
) -> None:
    heater: Any = snippet("test_serial_heater").Heater()
    taken = trio.Event()

    async def count() -> None:
        asked = answered = 0
        async for data in heater.line:
            asked += data.count(b"\r")
            while asked >= 2 and answered < asked:
                if answered == 1:
                    await taken.wait()
                answered += 1
                await heater.line.send_all(f"T {answered}\r".encode())

    nursery.start_soon(count)
    async with snippet("serial_line").SerialLine(heater.port) as line:
        with trio.fail_after(DEADLINE):
            with pytest.raises(trio.TooSlowError):
                await line.ask("T?", "T ", timeout=0.1)
            assert await line.ask("T?", "T ", timeout=DEADLINE) == "1"
            taken.set()
            await trio.lowlevel.wait_readable(line._stream)
            assert await line.ask("T?", "T ", timeout=DEADLINE) == "3"


async def test_a_line_that_is_closed_in_between_says_so(
    snippet: Load, nursery: trio.Nursery
) -> None:
    heater: Any = snippet("test_serial_heater").Heater()
    async with snippet("serial_line").SerialLine(heater.port) as line:
        pass
    with pytest.raises(trio.ClosedResourceError):
        await line.ask("T?", "T ")


async def test_the_line_is_opened_again_when_it_is_back(
    snippet: Load, nursery: trio.Nursery, tmp_path: Path
) -> None:
    module: Any = snippet("test_serial_heater")
    driver = snippet("serial_heater").make_driver(str(tmp_path / "port"))
    type(driver).first_wait = type(driver).period = 0.01
    client = await start_driver(nursery, driver)
    lens = partial(client.wait_for, "Dew Heater", "LENS")
    with trio.fail_after(DEADLINE):
        await lens(lambda v: v.state == "Alert" and "No such file" in v.message)
        for _ in range(2):
            heater = module.Heater()
            (tmp_path / "port").unlink(missing_ok=True)
            (tmp_path / "port").symlink_to(heater.port)
            with trio.CancelScope() as there:
                async with trio.open_nursery() as inner:
                    inner.start_soon(heater.run)
                    await lens(lambda v: v.state == "Ok" and v["TEMPERATURE"] == 4.2)
                    there.cancel()
            os.close(heater.theirs)
            await heater.line.aclose()
            await lens(
                lambda v: v.state == "Alert" and v.message == "[ERROR] the serial line is gone"
            )


def test_what_is_no_serial_port_is_an_error(snippet: Load, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file is no serial port"):
        snippet("serial_line").SerialLine(str(tmp_path / "file"))
    with pytest.raises(FileNotFoundError):
        snippet("serial_line").SerialLine(str(tmp_path / "nothing"))
