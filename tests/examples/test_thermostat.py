"""The first example under virtual time: a day of it, and the same events from the same seed."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

import night
import thermostat
import two_drivers
from tests.kit.examples import attach, connect
from tests.kit.processes import EXAMPLES, run_python
from trindi import (
    IPyDriver,
    IPyServer,
    NumberLabel,
    State,
    defNumberVector,
    defSwitchVector,
    setNumberVector,
)

if TYPE_CHECKING:
    from collections.abc import Callable

DAY = 24 * 60 * 60


async def test_it_keeps_its_band_for_a_day(autojump_clock: trio.testing.MockClock) -> None:
    temperatures = await night.simulate(thermostat.make_driver(), DAY)
    assert len(temperatures) == DAY // 10
    # It starts at 20 and cools by 0.1 every two seconds, until the heater goes on below 14.5.
    cooling, settled = temperatures[:10], temperatures[30:]
    assert cooling == sorted(cooling, reverse=True)
    assert cooling[0] == pytest.approx(19.5, abs=0.11)
    assert min(settled) == pytest.approx(14.4, abs=0.11)
    assert max(settled) == pytest.approx(15.6, abs=0.11)


async def test_a_client_sees_it_cool(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    client = await attach(nursery, thermostat.make_driver())
    await client.ask()
    definition = await client.next(defNumberVector, "temperaturevector")
    assert dict(definition) == {"temperature": 20.0}
    label = NumberLabel("temperature", "%3.1f", -50, 99, 0)
    assert definition.memberlabels == {"temperature": label}
    start = trio.current_time()
    first = await client.next(setNumberVector, "temperaturevector")
    assert trio.current_time() - start == pytest.approx(10)
    assert first.state is State.OK
    second = await client.next(setNumberVector, "temperaturevector")
    assert second["temperature"] < first["temperature"] < 20


async def test_its_handler_can_answer_for_itself(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    driver: IPyDriver = thermostat.make_driver()
    driver.auto_send_def = False
    client = await attach(nursery, driver)
    await client.ask()
    assert await client.next(defNumberVector, "temperaturevector")


def test_the_night_is_a_command() -> None:
    done = run_python(EXAMPLES / "night.py")
    assert done.returncode == 0, done.stderr
    reports, band, wall = done.stdout.splitlines()
    assert reports == "8640 reports in 24 hours"
    assert re.fullmatch(r"from 19\.[56]C, then 14\.[45]C to 15\.[567]C", band)
    times = r"\d+\.\d\d s of wall time, (\d+\.\d) times as long as bare Trio sleeps"
    assert re.fullmatch(times, wall)


@pytest.fixture
def seed_scheduler(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Make Trio's scheduler run the same way from the same seed.

    Trio puts the tasks of each batch into a random order, so that no program can come to rely on
    one. These are the two private names that Trio itself has for tests such as ours: the first
    makes the order depend on its random numbers only, the second is where these come from.
    """
    monkeypatch.setattr("trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING", True)

    def seed(number: int) -> None:
        monkeypatch.setattr("trio._core._run._r", random.Random(number))

    return seed


def what_a_client_hears(seconds: float) -> list[Any]:
    """Run both drivers in a server; return all that a client hears, but for the time of day."""

    async def main() -> list[Any]:
        async with trio.open_nursery() as nursery:
            server = await nursery.start(IPyServer(two_drivers.make_driver(), "127.0.0.1", 0).run)
            # Virtual time runs while bytes are in the kernel, so that timeout has no bound here.
            client = await connect(nursery, server, timeout=float("inf"))
            await client.ask()
            await client.next(defSwitchVector, "windowvector")
            await client.read_for(seconds)
            nursery.cancel_scope.cancel()
        return [replace(event, timestamp=None) for event in client.heard]

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_the_same_seed_gives_the_same_events(seed_scheduler: Callable[[int], None]) -> None:
    runs: dict[int, list[Any]] = {}
    for number in (1, 2, 3, 1, 2, 3):
        seed_scheduler(number)
        heard = what_a_client_hears(600)
        assert runs.setdefault(number, heard) == heard
    # Whether the heater or the report comes first at a full ten seconds is the scheduler's choice.
    assert any(runs[1] != runs[number] for number in (2, 3))
