"""What happens when a driver fails: to it, to its clients, and to the other drivers (none)."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.lowlevel

from tests.kit.peers import of
from tests.kit.server import Bench, Connect, start, until
from trindi import IPyServer
from trindi.driver import core_of
from trindi.protocol import (
    BLOBPolicy,
    Message,
    defNumberVector,
    delProperty,
    enableBLOB,
    getProperties,
    newNumberVector,
    setBLOBVector,
    setNumberVector,
)
from trindi.server.supervisor import MAX_RESTART_DELAY
from trindi.transport import Connection

if TYPE_CHECKING:
    from trindi import Device, SnoopEvent


class Fragile(Bench):
    """Fails when it is told to, or some time after each start."""

    def __init__(self, name: str = "Bench", life: float | None = None) -> None:
        super().__init__(name)
        self.life = life
        self.starts: list[float] = []
        self._break = trio.Event()

    async def hardware(self) -> None:
        self.starts.append(trio.current_time())
        await self.count()
        if self.life is None:
            await self._break.wait()
            self._break = trio.Event()
        else:
            await trio.sleep(self.life)
        raise OSError("the cable is out")

    def fail(self) -> None:
        self._break.set()


class SpeechlessError(Exception):
    """Cannot say what is wrong."""

    def __str__(self) -> str:
        raise ValueError


class Snooper(Bench):
    """Snoops on everything; notes what it hears, and when."""

    def __init__(self, name: str = "Snooper") -> None:
        super().__init__(name)
        self.snoopall = True
        self.times: list[float] = []

    async def snoopevent(self, event: SnoopEvent) -> None:
        await super().snoopevent(event)
        self.times.append(trio.current_time())

    def gone(self) -> list[str | None]:
        """Devices that it heard the end of, and that may come back."""
        told = [event for event in of(self.snooped, Message) if event.message.endswith("failed")]
        # A device that may come back is not deleted: only its properties are.
        ends = [event for event in of(self.snooped, delProperty) if event.vectorname]
        assert {event.devicename for event in ends} >= {event.devicename for event in told}
        return [event.devicename for event in told]

    def deleted(self) -> list[tuple[str | None, str]]:
        """Devices that were deleted, and why."""
        ends = [event for event in of(self.snooped, delProperty) if not event.vectorname]
        return [(event.devicename, event.message) for event in ends]


# When it is started again (no client, so that time can be virtual) ------------------------------


async def test_each_restart_waits_twice_as_long_up_to_a_bound(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    driver = Fragile(life=1)
    server = await start(nursery, driver, restart_delay=2)
    await trio.sleep(24 * 3600)
    waits = [b - a - 1 for a, b in zip(driver.starts, driver.starts[1:], strict=False)]
    assert waits[:6] == pytest.approx([2, 4, 8, 16, 32, 60])
    # indiserver gives up after ten restarts. An instrument that was unplugged for five minutes
    # would stay away as long as the server lives.
    assert waits[6:] == pytest.approx([60] * (len(waits) - 6))
    assert server.statistics().restarts == len(waits) > 1400


async def test_a_driver_that_ran_for_a_while_starts_with_a_clean_slate(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    driver = Fragile(life=MAX_RESTART_DELAY + 1)
    await start(nursery, driver, restart_delay=2, max_restarts=1)
    await trio.sleep(10_000)
    waits = [b - a - driver.life for a, b in zip(driver.starts, driver.starts[1:], strict=False)]  # type: ignore[operator]
    assert len(waits) > 100
    assert waits == pytest.approx([2] * len(waits))


async def test_after_the_last_restart_it_is_left_down_and_the_others_live_on(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    driver, witness = Fragile(life=1), Snooper()
    with caplog.at_level(logging.ERROR, "trindi.server"):
        server = await start(nursery, driver, witness, max_restarts=3)
        await trio.sleep(80_000)
    assert len(driver.starts) == 4
    assert not driver.running
    assert witness.gone() == ["Bench"] * 3
    reason = "[ERROR] the driver of Bench has failed too often (4): it is left down"
    assert witness.deleted() == [("Bench", reason)]
    assert witness.running
    assert [d.running for d in server.statistics().drivers] == [False, True]
    assert [d.restarts for d in server.statistics().drivers] == [3, 0]
    assert caplog.text.count("OSError: the cable is out") == 4
    assert caplog.text.count("left down") == 1


async def test_a_driver_that_fails_while_the_server_ends_is_logged(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class BadAtLeaving(Bench):
        async def hardware(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise OSError("the cable is out")

    async with trio.open_nursery() as inner:
        await start(inner, BadAtLeaving(), Snooper())
        await trio.sleep(1)
        inner.cancel_scope.cancel()
    assert caplog.text.count("OSError: the cable is out") == 1


async def test_restarts_can_be_switched_off(nursery: trio.Nursery, autojump_clock: Any) -> None:
    driver = Fragile(life=1)
    await start(nursery, driver, max_restarts=0)
    await trio.sleep(1000)
    assert len(driver.starts) == 1


async def test_any_number_of_restarts_may_be_allowed(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    driver = Fragile(life=0)
    await start(nursery, driver, max_restarts=1100)
    await trio.sleep(60 * 1100)
    # Two to the power of a thousand is no float.
    assert len(driver.starts) > 1050


async def test_no_report_comes_before_the_definition(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    driver, witness = Fragile(life=1), Snooper()
    await start(nursery, driver, witness, max_restarts=50)
    await trio.sleep(10_000)
    kinds = {delProperty: "-", defNumberVector: "d", setNumberVector: "s"}
    heard = "".join(
        kinds.get(type(event), "")
        for event in witness.snooped
        if getattr(event, "vectorname", None) == "count"
    )
    # What the witness hears of the first start depends on which of the two was there first.
    assert heard.endswith("-" + "ds-" * 50)


async def test_a_task_that_fails_ends_the_driver_too(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    class WithTask(Bench):
        runs = 0

        def __init__(self) -> None:
            super().__init__()
            core_of(self)._tasks = [self.task]

        async def task(self) -> None:
            self.runs += 1
            await trio.sleep(1)
            raise ValueError("no such star")

    driver, witness = WithTask(), Snooper()
    await start(nursery, driver, witness, max_restarts=2)
    await trio.sleep(100)
    assert driver.runs == 3
    assert witness.gone() == ["Bench"] * 2
    assert [devicename for devicename, _ in witness.deleted()] == ["Bench"]


@pytest.mark.parametrize(
    "fault",
    [
        asyncio.CancelledError(),
        GeneratorExit(),
        BaseExceptionGroup("both", [ValueError(), GeneratorExit()]),
        SpeechlessError(),
    ],
    ids=lambda fault: type(fault).__name__,
)
async def test_whatever_it_fails_with_is_a_failure_of_that_driver_alone(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture, fault: Any
) -> None:
    caplog.set_level(logging.ERROR)

    class Odd(Fragile):
        async def hardware(self) -> None:
            self.starts.append(trio.current_time())
            raise fault

    driver, witness = Odd(), Snooper()
    await start(nursery, driver, witness, max_restarts=2)
    await trio.sleep(100)
    assert len(driver.starts) == 3
    assert witness.gone() == ["Bench"] * 2
    assert [devicename for devicename, _ in witness.deleted()] == ["Bench"]
    assert witness.running
    assert type(fault).__name__ in caplog.text


@pytest.mark.parametrize("culprit", ["hardware", "clientevent", "snoopevent"])
async def test_one_that_cancels_its_own_nursery_has_failed(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture, culprit: str
) -> None:
    """It must not seem to run, and hear nothing any more."""
    caplog.set_level(logging.ERROR)

    class Saboteur(Fragile):
        def cancel_parent(self, where: str) -> None:
            parent = trio.lowlevel.current_task().parent_nursery
            assert parent is not None
            if where == culprit:
                parent.cancel_scope.cancel()

        async def hardware(self) -> None:
            self.starts.append(trio.current_time())
            await self.send_getProperties("Other")
            self.cancel_parent("hardware")

        async def clientevent(self, event: Any) -> None:
            self.cancel_parent("clientevent")

        async def snoopevent(self, event: Any) -> None:
            self.cancel_parent("snoopevent")

    driver, other = Saboteur(), Bench("Other")
    await start(nursery, driver, other, max_restarts=2)
    stream, _ = trio.testing.memory_stream_pair()
    client = Connection(stream, name="the client")
    for _ in range(5):
        await trio.sleep(10)
        if culprit == "clientevent" and driver.running:
            core_of(driver).receive(newNumberVector("Bench", "target", {"x": 1.0}), client)
    assert len(driver.starts) == 3
    assert not driver.running
    assert other.running
    assert "has cancelled the nursery" in caplog.text


async def test_a_disabled_device_is_neither_withdrawn_nor_defined(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    driver, witness = Fragile(life=1), Snooper()
    device: Device = driver["Bench"]
    device.enable = False
    await start(nursery, driver, witness)
    await trio.sleep(100)
    assert len(driver.starts) > 3
    assert witness.snooped == []


async def test_snooping_is_asked_for_again_after_a_failure(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    class FragileSnooper(Snooper):
        async def hardware(self) -> None:
            await trio.sleep(1)
            raise OSError("the cable is out")

    source, driver = Bench("Source"), FragileSnooper()
    await start(nursery, source, driver, max_restarts=1)
    await trio.sleep(1.5)
    driver.snooped.clear()
    await trio.sleep(1)
    # It runs again now, and has been shown what there is.
    assert [event.vectorname for event in of(driver.snooped, defNumberVector)] == [
        "count",
        "target",
        "serial",
    ]
    await source.count()
    await trio.lowlevel.checkpoint()
    await trio.testing.wait_all_tasks_blocked()
    assert len(of(driver.snooped, setNumberVector)) == 1


# What clients see (real sockets, real but short waits) ------------------------------------------


async def test_clients_see_the_devices_go_and_come_back_unasked(
    nursery: trio.Nursery, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    driver, other = Fragile("A"), Bench("B")
    server = await start(nursery, driver, other, restart_delay=0)
    of_all, of_vector, of_other = [await connect(server) for _ in range(3)]
    await of_all.subscribe()
    await of_vector.subscribe("A", "count")
    await of_other.subscribe("B")

    driver.fail()
    # As KStars needs it: each property by its name, and never the device.
    names = list(driver["A"])
    (told, *rest) = await of_all.until(lambda event: isinstance(event, setNumberVector))
    assert (told.devicename, told.message) == ("A", "[ERROR] the driver of A has failed")
    ends = of(rest, delProperty)
    assert [(end.devicename, end.vectorname) for end in ends] == [("A", name) for name in names]
    assert rest[: len(ends)] == ends
    assert [event.vectorname for event in rest[len(ends) : -1]] == names

    heard = await of_vector.until(lambda e: isinstance(e, setNumberVector))
    (end, definition, report) = heard
    assert isinstance(end, delProperty)
    assert end.vectorname == "count"
    assert isinstance(definition, defNumberVector)
    assert isinstance(report, setNumberVector)
    assert report["n"] == 2

    await other.count()
    assert of(await of_other.sync(), delProperty) == []


async def test_what_a_client_wants_of_blobs_outlives_the_driver(
    nursery: trio.Nursery, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    driver = Fragile()
    client = await connect(await start(nursery, driver, restart_delay=0))
    await client.subscribe()
    await client.send(enableBLOB("Bench", "frame", BLOBPolicy.ALSO))
    await client.sync()
    driver.fail()
    await client.next(setNumberVector, "count")
    await driver.expose(b"stars")
    assert (await client.next(setBLOBVector))["image"] == b"stars"


async def test_a_client_of_a_driver_that_is_down(
    nursery: trio.Nursery, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    driver, other = Fragile("A"), Bench("B")
    server = await start(nursery, driver, other, max_restarts=0)
    driver.fail()
    await until(lambda: not driver.running)
    client = await connect(server)

    # It reads: there is nothing, but what else there is.
    await client.send(getProperties())
    assert {event.devicename for event in (await client.sync())[:-1]} == {"B"}
    # It asks: it is told, and is not left to wait.
    await client.send(newNumberVector("A", "target", {"x": 1.0}))
    (answer, _) = await client.sync()
    assert isinstance(answer, Message)
    assert "not running" in answer.message
    # It asks for nonsense: a property that is not there is not shown, but it is told so, too.
    await client.send(
        b'<newNumberVector device="A" name="target"><oneNumber name="x">?</oneNumber>'
        b"</newNumberVector>"
    )
    (answer, _) = await client.sync()
    assert isinstance(answer, Message)
    assert "not running" in answer.message
    assert driver.asked == []


async def test_a_client_that_came_while_the_driver_was_down_is_told_when_it_is_back(
    nursery: trio.Nursery, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    driver = Fragile()
    server = await start(nursery, driver, restart_delay=0.5)
    driver.fail()
    await until(lambda: not driver.running)
    client = await connect(server)
    await client.subscribe("Bench", "count")
    definition = await client.next(defNumberVector)
    assert definition.vectorname == "count"
    await client.next(setNumberVector)


async def test_requests_in_hand_when_the_driver_fails_are_given_up(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)

    class Stuck(Fragile):
        async def clientevent(self, event: Any) -> None:
            self.asked.append(event)
            await trio.sleep_forever()

    driver = Stuck()
    await start(nursery, driver, max_restarts=0)
    stream, _ = trio.testing.memory_stream_pair()
    client = Connection(stream, name="the client")
    # One is worked on, 64 wait in the queue, and one more waits for room there.
    wait = None
    while wait is None:
        wait = core_of(driver).receive(newNumberVector("Bench", "target", {"x": 1.0}), client)
        await trio.testing.wait_all_tasks_blocked()
    assert client.in_flight == 65
    refused = wait

    async def wait_for_room() -> None:
        await refused

    async with trio.open_nursery() as inner:
        inner.start_soon(wait_for_room)
        driver.fail()
    # So a client that has said its last is not kept waiting for answers that cannot come.
    assert client.in_flight == 0


async def test_the_server_itself_starts_whatever_its_drivers_do(
    nursery: trio.Nursery, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    driver = Fragile(life=0)
    server = await start(nursery, driver, max_restarts=0)
    client = await connect(server)
    await client.sync()
    assert isinstance(server, IPyServer)
    assert not driver.running


# One that cannot even start ----------------------------------------------------------------------


async def test_one_that_fails_before_it_has_started_does_not_keep_the_others_from_being_served(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Bench):
        pass

    def fail(*names: str | None) -> Any:
        raise LookupError("no such table")

    broken, good = Broken("Broken"), Bench("Good")
    core: Any = core_of(broken)
    core.encoded_definitions = fail
    server = await start(nursery, broken, good, max_restarts=10)
    assert trio.current_time() == 0
    assert good.running
    assert server.port != 0
    await trio.sleep(1000)
    assert [driver.running for driver in server.statistics().drivers] == [False, True]
    assert caplog.text.count("<Broken of Broken> has failed too often (11)") == 1
