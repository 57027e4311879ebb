"""The clients of the documentation do what their page says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

import camera
from tests.kit.client import joined, numbers, report
from tests.kit.processes import DEADLINE
from trindi import IPyClient, IPyServer, Message, State, delProperty
from trindi.protocol import newNumberVector

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from trio.testing import MockClock

    Load = Callable[[str], ModuleType]


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


async def serve(nursery: trio.Nursery, driver: Any) -> int:
    server = await nursery.start(IPyServer([driver], "127.0.0.1", 0).run)
    port: int = server.port
    return port


async def test_the_first_client_prints_and_sets(
    snippet: Load, nursery: trio.Nursery, capsys: pytest.CaptureFixture[str]
) -> None:
    port = await serve(nursery, snippet("thermo").make_driver())
    with trio.fail_after(DEADLINE):
        await snippet("client_first").main("127.0.0.1", port)
    assert capsys.readouterr().out.splitlines() == [
        "Thermostat.temperaturevector.temperature = 20.0",
        "Thermostat.targetvector.target = 15.0",
        "Target is now 18.5, and Ok",
    ]


SLEW = [
    ([report(State.BUSY), report(State.OK, members={"RA": 5.5, "DEC": 20.0})], "at  5.50, 20.00"),
    ([report(State.ALERT, message="below the horizon")], "the telescope says: below the horizon"),
    ([report(State.BUSY)], "still moving after 60 seconds"),
    ([report(State.BUSY, timeout=0)], "five minutes are enough"),
]


@pytest.mark.parametrize(("answer", "said"), SLEW, ids=["ok", "alert", "busy", "no timeout"])
async def test_a_slew_and_what_has_come_of_it(
    snippet: Load, autojump_clock: MockClock, answer: list[Any], said: str
) -> None:
    place = {"device": "Telescope Simulator", "name": "EQUATORIAL_EOD_COORD"}
    definition = numbers({"RA": 1.0, "DEC": 80.0}, **place, timeout=60.0)  # type: ignore[arg-type]

    async def answer_pings() -> None:
        await server.pong()
        assert dict(await server.next(newNumberVector)) == {"RA": 5.5, "DEC": 20.0}
        for event in answer:
            await server.send(
                type(event)(
                    place["device"],
                    place["name"],
                    event.members,
                    event.state,
                    event.timeout,
                    message=event.message,
                )
            )
        while True:
            await server.pong()

    async with joined(definition) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(answer_pings)
        assert await snippet("client_waiting").slew(client, "5:30", 20) == said
        nursery.cancel_scope.cancel()


async def test_a_camera_that_grows_cold(
    snippet: Load, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    name, limits = "CCD Simulator", (-50, 50, 0)
    cold = trio.Event()

    async def wait(client: IPyClient) -> None:
        await snippet("client_waiting").wait_until_cold(client)
        cold.set()

    def at(degrees: float, state: State) -> Any:
        members = {"CCD_TEMPERATURE_VALUE": degrees}
        return numbers(members, device=name, name="CCD_TEMPERATURE", limits=limits, state=state)

    async with joined(at(20.0, State.OK)) as (client, server):
        nursery.start_soon(wait, client)
        for degrees, state in [(-5.0, State.BUSY), (-9.8, State.BUSY)]:
            await server.send(at(degrees, state))
            await trio.testing.wait_all_tasks_blocked()
            assert not cold.is_set()
        await server.send(at(-10.0, State.OK))
        await trio.testing.wait_all_tasks_blocked()
        assert cold.is_set()


async def test_what_the_devices_say_is_followed(
    snippet: Load,
    nursery: trio.Nursery,
    autojump_clock: MockClock,
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with joined() as (client, server):
        nursery.start_soon(snippet("client_events").follow, client.events())
        await trio.testing.wait_all_tasks_blocked()
        await server.send(
            numbers(),
            report(State.BUSY),
            report(State.BUSY, members={"x": 3.0}),
            report(None, members={"x": 4.0}),
            report(State.OK),
            Message("Dev", "[INFO] hello"),
            Message(None, "welcome"),
            delProperty("Dev", "target"),
        )
        await trio.testing.wait_all_tasks_blocked()
    assert capsys.readouterr().out.splitlines() == [
        "Dev target is Idle",
        "Dev target is Busy",
        "Dev target is Ok",
        "Dev: [INFO] hello",
        "the server: welcome",
        "Dev target is gone",
    ]


async def test_the_follower_connects_when_there_is_a_server(
    snippet: Load, nursery: trio.Nursery, capsys: pytest.CaptureFixture[str]
) -> None:
    port = await serve(nursery, snippet("thermo").make_driver())
    said: list[str] = []
    with trio.fail_after(DEADLINE):
        async with trio.open_nursery() as within:
            within.start_soon(snippet("client_events").main, "127.0.0.1", port)
            while len(said) < 2:
                await trio.sleep(0.01)
                said += capsys.readouterr().out.splitlines()
            within.cancel_scope.cancel()
    assert said == ["Thermostat temperaturevector is Ok", "Thermostat targetvector is Ok"]


async def test_pictures_are_taken_and_saved(
    snippet: Load, nursery: trio.Nursery, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    driver = camera.make_driver()
    port = await serve(nursery, driver)
    client = await nursery.start(IPyClient("127.0.0.1", port).run)
    with trio.fail_after(DEADLINE):
        await snippet("client_camera").take(client, "Camera", 0.01, 2, str(tmp_path))
    names = ["Camera.CCD1.CCD1.0001.fits", "Camera.CCD1.CCD1.0002.fits"]
    image = driver.read_out(0.01)
    assert contents(tmp_path) == dict.fromkeys(names, image)
    said = capsys.readouterr().out.replace("\r", "\n").splitlines()
    assert [line for line in said if "saved" in line] == [f"saved as {name}" for name in names]
    assert f"{len(image)} of {len(image)} bytes" in said


async def test_the_program_takes_three_pictures(
    snippet: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Any] = []

    async def take(_client: IPyClient, *arguments: Any) -> None:
        taken.append(arguments)

    module = snippet("client_camera")
    monkeypatch.setattr(module, "take", take)
    async with trio.open_nursery() as nursery:
        port = await serve(nursery, camera.make_driver())
        with trio.fail_after(DEADLINE):
            await module.main("127.0.0.1", port, "there")
        nursery.cancel_scope.cancel()
    assert taken == [("Camera", 2.0, 3, "there")]
