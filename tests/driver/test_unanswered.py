"""A request that `clientevent` does not answer: by then, or at all."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.kit.driver import RecordingPublisher, ask, start
from trindi import (
    Device,
    IPyDriver,
    Message,
    NumberMember,
    NumberVector,
    Runtime,
    newNumberVector,
)
from trindi.driver import core_of
from trindi.driver.unanswered import ANSWER_TIMEOUT
from trindi.testing import start_driver
from trindi.transport import EncodedEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from trindi import ClientEvent

POWER = newNumberVector("X", "POWER", {"PERCENT": 40.0})


class Heater(IPyDriver):
    """Does what it is told to when a client asks for something."""

    def __init__(self, answer: Callable[[Heater], Any], timeout: float = 0) -> None:
        power = NumberVector("POWER", perm="rw", numbermembers=[NumberMember("PERCENT", max=100)])
        other = NumberVector("OTHER", perm="rw", numbermembers=[NumberMember("PERCENT")])
        power.timeout = timeout
        self.answer = answer
        super().__init__([Device("X", [power, other])])

    async def clientevent(self, event: ClientEvent) -> None:
        await self.answer(self)


async def say_nothing(heater: Heater) -> None:
    await trio.lowlevel.checkpoint()


async def speak_of_another(heater: Heater) -> None:
    await heater["X"]["OTHER"].send_setVector(state="Ok")


def says(publisher: RecordingPublisher) -> list[tuple[str, str]]:
    return [(event.state, event.message) for event in publisher.about("POWER")]


@pytest.mark.parametrize("answer", [say_nothing, speak_of_another])
@pytest.mark.parametrize(("timeout", "seconds"), [(0, 60), (5, 5), (300, 300)])
async def test_it_turns_to_alert_after_the_timeout_and_is_logged(
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
    answer: Callable[[Heater], Any],
    timeout: float,
    seconds: float,
) -> None:
    assert ANSWER_TIMEOUT == 60
    driver = Heater(answer, timeout)
    publisher = await start(nursery, driver)
    await ask(driver, POWER)
    await trio.sleep(seconds - 1)
    publisher.events.clear()
    assert caplog.messages == []
    await trio.sleep(1.5)
    reason = f"the driver has not answered in {seconds} s"
    assert says(publisher) == [("Alert", f"[ERROR] POWER: {reason}")]
    what = "clientevent returned without answering newNumberVector of X.POWER"
    assert caplog.messages == [f"{what} in {seconds} s"]
    assert caplog.records[0].levelno == logging.WARNING
    assert driver.running


@pytest.mark.parametrize("later", [0, 1, 59])
async def test_the_hardware_may_answer_later(
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
    later: float,
) -> None:
    asked = trio.Event()

    class Slow(Heater):
        async def hardware(self) -> None:
            await asked.wait()
            await trio.sleep(later)
            await self["X"]["POWER"].send_setVector(state="Ok")

    async def begin(_: Heater) -> None:
        asked.set()

    driver = Slow(begin)
    publisher = await start(nursery, driver)
    await ask(driver, POWER)
    await trio.sleep(1000)
    assert publisher.about("POWER")[-1].state == "Ok"
    assert caplog.messages == []


@pytest.mark.parametrize("how", ["del", "def", "disable", "raise"])
async def test_other_answers_are_answers_too(
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
    how: str,
) -> None:
    async def answer(heater: Heater) -> None:
        vector = heater["X"]["POWER"]
        match how:
            case "del":
                await vector.send_delProperty()
            case "def":
                await vector.send_defVector()
            case "disable":
                heater["X"].enable = False
            case "raise":
                raise OSError("the cable is out")

    driver = Heater(answer)
    publisher = await start(nursery, driver)
    await ask(driver, POWER)
    said = len(publisher.events)
    await trio.sleep(1000)
    assert len(publisher.events) == said


async def withdraw_the_device(heater: Heater) -> None:
    await heater["X"].send_delProperty()


async def disable_it(heater: Heater) -> None:
    heater["X"]["POWER"].enable = False
    await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("answer", [withdraw_the_device, disable_it])
async def test_what_has_been_withdrawn_owes_no_answer(
    autojump_clock: trio.testing.MockClock, answer: Callable[[Heater], Any]
) -> None:
    async with trio.open_nursery() as nursery:
        client = await start_driver(nursery, Heater(answer))
        await client["X"]["POWER"].set(PERCENT=40)
        # In a test an answer that is missing is an error.
        await trio.sleep(1000)
        nursery.cancel_scope.cancel()


async def test_a_client_that_asks_again_and_again_gets_an_answer(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    driver = Heater(say_nothing)
    publisher = await start(nursery, driver)
    for _ in range(7):
        await ask(driver, POWER)
        await trio.sleep(10)
    assert [state for state, _ in says(publisher)].count("Alert") == 1


async def test_it_is_forgotten_when_the_driver_is_started_again(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    driver = Heater(say_nothing)
    for _ in range(2):
        async with trio.open_nursery() as nursery:
            await start(nursery, driver)
            await ask(driver, POWER)
            await trio.sleep(40)
            nursery.cancel_scope.cancel()
    assert caplog.messages == []


async def test_a_test_fails(autojump_clock: trio.testing.MockClock) -> None:
    """Its wait would have no end: the client's pings keep a mock clock going."""

    async def test() -> None:
        async with trio.open_nursery() as nursery:
            client = await start_driver(nursery, Heater(say_nothing, timeout=20))
            await client["X"]["POWER"].set_and_wait(PERCENT=40)

    with pytest.raises(ExceptionGroup) as caught:
        await test()
    what = "clientevent returned without answering newNumberVector of X.POWER"
    assert caught.group_contains(RuntimeError, match=what)
    assert trio.current_time() == pytest.approx(20)


# Tasks that a handler has begun ------------------------------------------------------------------


async def fail() -> None:
    await trio.sleep(5)
    raise OSError("the cable is out")


async def start_a_failure(heater: Heater) -> None:
    await heater["X"]["POWER"].send_setVector(state="Busy")
    heater.start_soon(fail)


async def start_one_that_starts_it(heater: Heater) -> None:
    async def start_it() -> None:
        heater.start_soon(fail)

    heater.start_soon(start_it)


@pytest.mark.parametrize("begin", [start_a_failure, start_one_that_starts_it])
async def test_a_task_of_a_handler_costs_only_its_request(
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
    begin: Callable[[Heater], Any],
) -> None:
    driver = Heater(begin)
    publisher = await start(nursery, driver)
    await ask(driver, POWER)
    await trio.sleep(100)
    assert says(publisher)[-1] == ("Alert", "[ERROR] POWER: OSError: the cable is out")
    assert caplog.messages == [
        "a task begun by clientevent failed on newNumberVector of X POWER",
    ]
    assert driver.running


async def test_a_task_of_snoopevent_costs_only_its_event(
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Snooper(Heater):
        async def snoopevent(self, event: Any) -> None:
            self.start_soon(fail)

    driver = Snooper(say_nothing)
    driver.snoopall = True
    await start(nursery, driver)
    core_of(driver).hear(EncodedEvent(Message("Other", "hello")))
    await trio.sleep(100)
    assert caplog.messages == ["a task begun by snoopevent failed on Message"]
    assert driver.running


@pytest.mark.parametrize("begun_by", ["hardware", "task"])
async def test_a_task_of_the_hardware_ends_the_driver(
    autojump_clock: trio.testing.MockClock, begun_by: str
) -> None:
    class Fragile(IPyDriver):
        async def begin(self) -> None:
            self.start_soon(fail)

        async def hardware(self) -> None:
            if begun_by == "hardware":
                await self.begin()

    driver = Fragile([])
    if begun_by == "task":
        core_of(driver)._tasks = [driver.begin]
    with pytest.raises(ExceptionGroup) as caught:
        await core_of(driver).serve(RecordingPublisher())
    assert caught.group_contains(OSError, match="the cable is out")


async def test_in_a_test_it_is_raised(autojump_clock: trio.testing.MockClock) -> None:
    driver = Heater(start_a_failure)

    async def test() -> None:
        async with trio.open_nursery() as nursery:
            run = partial(
                core_of(driver).serve, RecordingPublisher(), runtime=Runtime(contain_errors=False)
            )
            await nursery.start(run)
            await ask(driver, POWER)
            await trio.sleep(100)

    with pytest.raises(ExceptionGroup) as caught:
        await test()
    assert caught.group_contains(OSError, match="the cable is out")


async def test_a_driver_that_a_handler_has_started_is_its_own(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """Otherwise an exception in a task of its hardware would be that of the handler."""

    class Fragile(IPyDriver):
        async def hardware(self) -> None:
            self.start_soon(fail)

    raised: list[BaseException] = []

    async def run() -> None:
        try:
            await core_of(Fragile([])).serve(RecordingPublisher())
        except ExceptionGroup as group:
            raised.extend(group.exceptions)

    async def start_another(heater: Heater) -> None:
        nursery.start_soon(run)
        await heater["X"]["POWER"].send_setVector(state="Ok")

    driver = Heater(start_another)
    await start(nursery, driver)
    await ask(driver, POWER)
    await trio.sleep(100)
    assert [type(error) for error in raised] == [OSError]


async def test_a_coroutine_object_is_no_task(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    errors: list[BaseException] = []

    async def mistake(heater: Heater) -> None:
        try:
            heater.start_soon(fail())  # type: ignore[arg-type]
        except TypeError as error:
            errors.append(error)
        await heater["X"]["POWER"].send_setVector(state="Ok")

    driver = Heater(mistake)
    await start(nursery, driver)
    await ask(driver, POWER)
    assert "coroutine object" in str(errors[0])
