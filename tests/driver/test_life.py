"""The life of a driver: its tasks, how it ends, and that it can begin again."""

from __future__ import annotations

import copy
import functools
import inspect
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.kit.driver import Peer, RecordingPublisher, ask, driver_of, settle, start, values
from trindi import (
    Device,
    IPyDriver,
    IPyServer,
    NumberMember,
    NumberVector,
    SwitchMember,
    SwitchVector,
    newNumberVector,
    setNumberVector,
)
from trindi.driver import core_of
from trindi.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable


def numbers(name: str = "n") -> NumberVector:
    return NumberVector(name, perm="rw", numbermembers=[NumberMember("a")])


class TestDeclaring:
    def test_maps_names_to_devices(self) -> None:
        device = Device("Dev", [numbers()])
        driver = IPyDriver([device], port="/dev/ttyUSB0")
        assert dict(driver) == {"Dev": device}
        assert (len(driver), "Dev" in driver, "x" in driver) == (1, True, False)
        assert driver.driverdata == {"port": "/dev/ttyUSB0"}
        assert device.driver is driver
        assert repr(driver) == "<IPyDriver of Dev>"
        assert (driver.snoopall, driver.snoopdevices, driver.snoopvectors) == (False, set(), set())
        with pytest.raises(KeyError, match="no device 'x', only Dev"):
            driver["x"]

    @pytest.mark.parametrize(
        "use",
        [
            repr,
            list,
            IPyServer,
            lambda made: made["Dev"],
            lambda made: made.snoop("Other", "n"),
            lambda made: trio.run(core_of(made).serve, RecordingPublisher()),
        ],
    )
    def test_one_that_has_not_called_the_init_of_its_base(self, use: Callable[[Any], Any]) -> None:
        class Heater(IPyDriver):
            def __init__(self) -> None:
                self.heat = 5

        made = Heater()
        assert made.heat == 5
        with pytest.raises(ConfigurationError, match=r"Heater.__init__ has not called super\(\)"):
            use([made] if use is IPyServer else made)
        # What looks at classes, or copies, does not miss it.
        assert dict(inspect.getmembers(Heater))["run"] is IPyDriver.run
        assert copy.copy(made).heat == 5
        assert not hasattr(IPyDriver([]), "nothing")

    def test_two_drivers_are_two(self) -> None:
        one, other = IPyDriver([]), IPyDriver([])
        assert one != other
        assert len({one, other}) == 2

    def test_devices_of_one_name_are_refused(self) -> None:
        with pytest.raises(ValueError, match="two devices named 'Dev'"):
            IPyDriver([Device("Dev", []), Device("Dev", [])])

    @pytest.mark.parametrize("devices", [[numbers()], Device("Dev", [numbers()]), ["Dev"]])
    def test_what_is_no_device_is_refused(self, devices: Any) -> None:
        with pytest.raises(TypeError, match="devices of driver IPyDriver are Device instances"):
            IPyDriver(devices)

    def test_numbers_are_read_from_anything(self) -> None:
        assert IPyDriver.indi_number_to_float("-10:30:18") == pytest.approx(-10.505)
        assert driver_of(numbers()).indi_number_to_float(2.5) == 2.5
        with pytest.raises(ValueError, match="not a number"):
            IPyDriver.indi_number_to_float("--5")


class TestTasks:
    async def test_run_beside_the_hardware_loop(self, nursery: trio.Nursery) -> None:
        ran: list[str] = []

        class Busy(IPyDriver):
            async def hardware(self) -> None:
                ran.append("hardware")

        async def task(name: str = "task") -> None:
            ran.append(name)

        driver = Busy([], [task, functools.partial(task, "partial"), lambda: task("lambda")])
        await start(nursery, driver)
        assert sorted(ran) == ["hardware", "lambda", "partial", "task"]
        assert driver.running

    @pytest.mark.parametrize("wrap", [list, lambda tasks: tasks[0]])
    def test_coroutine_objects_are_refused_without_a_warning(
        self, wrap: Callable[[list[Any]], Any]
    ) -> None:
        async def run_thermostat() -> None: ...

        tasks = [run_thermostat(), run_thermostat(), run_thermostat()]
        with pytest.raises(TypeError, match="write run_thermostat without the call's parentheses"):
            IPyDriver([], wrap(tasks))
        for task in tasks:
            task.close()

    def test_all_coroutine_objects_are_closed(self) -> None:
        async def run_thermostat() -> None: ...

        tasks: list[Any] = [run_thermostat(), run_thermostat()]
        with pytest.raises(TypeError):
            IPyDriver([], tasks)
        assert [task.cr_frame for task in tasks] == [None, None]

    def test_what_cannot_be_called_is_refused(self) -> None:
        with pytest.raises(TypeError, match="async functions of no arguments, not 5"):
            IPyDriver([], [5])  # type: ignore[list-item]

    async def test_can_be_started_from_a_handler(
        self, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
    ) -> None:
        class Mover(IPyDriver):
            async def clientevent(self, event: Any) -> None:
                await event.vector.send_setVector(state="Busy")
                self.start_soon(self.move, event.vector, event["a"])

            async def move(self, vector: NumberVector, target: float) -> None:
                await trio.sleep(10)
                vector["a"] = target
                await vector.send_setVector(state="Ok")

        driver = Mover([Device("Dev", [numbers()])])
        publisher = await start(nursery, driver)
        peer = await ask(driver, newNumberVector("Dev", "n", {"a": 5.0}))
        assert peer.in_flight == 0
        await trio.sleep(11)
        reports = publisher.of(setNumberVector)
        assert [report.state for report in reports] == ["Busy", "Ok"]
        assert values(reports, "a") == [0, 5]

    def test_cannot_be_started_in_a_driver_that_does_not_run(self) -> None:
        with pytest.raises(RuntimeError, match="not running"):
            IPyDriver([]).start_soon(trio.sleep, 1)


class EndedError(Exception):
    """What the faulty tasks below raise."""


async def fail() -> None:
    await trio.sleep(1)
    raise EndedError


class FailingHardware(IPyDriver):
    async def hardware(self) -> None:
        await fail()


class FailingStarted(IPyDriver):
    async def hardware(self) -> None:
        self.start_soon(fail)


class TestEnding:
    @pytest.mark.parametrize(
        "make_driver",
        [
            lambda: FailingHardware([]),
            lambda: IPyDriver([], [fail]),
            lambda: FailingStarted([]),
        ],
        ids=["hardware", "task", "start_soon"],
    )
    async def test_exceptions_end_the_driver_and_come_out(
        self, make_driver: Any, autojump_clock: trio.testing.MockClock
    ) -> None:
        driver = make_driver()
        with pytest.raises(ExceptionGroup) as caught:
            await core_of(driver).serve(RecordingPublisher())
        assert caught.group_contains(EndedError)
        assert not driver.running

    async def test_an_exception_cancels_the_other_tasks(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        seen: list[str] = []

        async def other() -> None:
            try:
                await trio.sleep_forever()
            finally:
                seen.append("cancelled")

        with pytest.raises(ExceptionGroup):
            await core_of(IPyDriver([], [other, fail])).serve(RecordingPublisher())
        assert seen == ["cancelled"]

    async def test_hardware_may_return(
        self, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
    ) -> None:
        driver = driver_of(numbers())
        publisher = await start(nursery, driver)
        await trio.sleep(3600)
        assert driver.running
        await driver["Dev"].send_device_message("still here")
        assert len(publisher.events) == 1

    async def test_a_handler_at_work_is_cancelled_with_the_driver(self) -> None:
        seen: list[str] = []

        class Slow(IPyDriver):
            async def clientevent(self, event: Any) -> None:
                try:
                    await trio.sleep_forever()
                finally:
                    seen.append("cancelled")

        driver = Slow([Device("Dev", [numbers()])])
        async with trio.open_nursery() as nursery:
            await start(nursery, driver)
            peer = await ask(driver, newNumberVector("Dev", "n", {"a": 1.0}))
            await ask(driver, newNumberVector("Dev", "n", {"a": 2.0}), peer)
            assert peer.in_flight == 2
            nursery.cancel_scope.cancel()
        assert (seen, peer.in_flight) == (["cancelled"], 0)

    async def test_a_last_word_is_sent(self, autojump_clock: trio.testing.MockClock) -> None:
        """Clean-up that must reach the instrument, or the clients, runs shielded."""
        vector = SwitchVector("heater", switchmembers=[SwitchMember("off", None, "On")])

        class Careful(IPyDriver):
            async def hardware(self) -> None:
                try:
                    await trio.sleep_forever()
                finally:
                    with trio.move_on_after(5) as scope:
                        scope.shield = True
                        await trio.sleep(1)
                        await vector.send_setVector(message="switched off")

        driver = Careful([Device("Dev", [vector])])
        async with trio.open_nursery() as nursery:
            publisher = await start(nursery, driver)
            nursery.cancel_scope.cancel()
        last: Any = publisher.take()
        assert last.message == "[INFO] switched off"

    async def test_requests_during_the_last_word_are_let_go(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        """Workers end before the driver does; nobody fails who asks in between."""

        class Careful(IPyDriver):
            async def clientevent(self, event: Any) -> None:
                try:
                    await trio.sleep_forever()
                finally:
                    with trio.CancelScope(shield=True):
                        await trio.sleep(1)

        driver = Careful([Device("Dev", [numbers("m"), numbers("n")])])
        async with trio.open_nursery() as nursery:
            await start(nursery, driver)
            peer = await ask(driver, newNumberVector("Dev", "n", {"a": 1.0}))

            async def asker() -> None:
                with trio.CancelScope(shield=True):
                    for _ in range(5):
                        for name in "mn":
                            await ask(driver, newNumberVector("Dev", name, {"a": 1.0}), peer)
                        await trio.sleep(0.1)

            nursery.start_soon(asker)
            await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert peer.in_flight == 0

    async def test_requests_at_the_very_end_are_let_go(self) -> None:
        """The workers of other properties have ended in the same moment, or have not yet."""
        peer = Peer()

        class Talkative(IPyDriver):
            async def clientevent(self, event: Any) -> None:
                try:
                    await trio.sleep_forever()
                finally:
                    for name in "lmn":
                        event = newNumberVector("Dev", name, {"a": 1.0})
                        assert core_of(self).receive(event, peer) is None

        for _ in range(20):
            driver = Talkative([Device("Dev", [numbers(name) for name in "lmn"])])
            async with trio.open_nursery() as nursery:
                await start(nursery, driver)
                for name in "lmn":
                    core_of(driver).receive(newNumberVector("Dev", name, {"a": 1.0}), peer)
                await settle()
                nursery.cancel_scope.cancel()
        assert peer.in_flight == 0

    async def test_it_can_run_again(self, autojump_clock: trio.testing.MockClock) -> None:
        vector = numbers()
        runs: list[str] = []

        class Counting(IPyDriver):
            async def hardware(self) -> None:
                runs.append("hardware")

            async def clientevent(self, event: Any) -> None:
                runs.append("clientevent")

        async def task() -> None:
            runs.append("task")

        driver = Counting([Device("Dev", [vector])], [task])
        for _ in range(2):
            async with trio.open_nursery() as nursery:
                await start(nursery, driver)
                await ask(driver, newNumberVector("Dev", "n", {"a": 1.0}))
                nursery.cancel_scope.cancel()
            assert not driver.running
        assert sorted(runs) == ["clientevent"] * 2 + ["hardware"] * 2 + ["task"] * 2

    async def test_it_cannot_run_twice_at_once(self, nursery: trio.Nursery) -> None:
        driver = driver_of(numbers())
        publisher = await start(nursery, driver)
        with pytest.raises(RuntimeError, match="running already"):
            await core_of(driver).serve(RecordingPublisher())
        await driver.send_message("still running")
        assert len(publisher.events) == 1

    async def test_cancelled_at_any_moment_it_leaves_nothing(self) -> None:
        """Cancelled after each number of scheduling steps, from none to the end of a session."""
        for steps in range(30):
            driver = driver_of(numbers())
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:

                    async def killer(steps: int = steps, scope: trio.CancelScope = scope) -> None:
                        for _ in range(steps):
                            await trio.lowlevel.checkpoint()
                        scope.cancel()

                    nursery.start_soon(killer)
                    driver.snoop("Other", "n", 1)
                    await nursery.start(core_of(driver).serve, RecordingPublisher())
                    for _ in range(3):
                        await driver["Dev"].send_device_message("hello")
                        core_of(driver).receive(newNumberVector("Dev", "n", {"a": 1.0}), Peer())
                        await trio.lowlevel.checkpoint()
            assert not driver.running
        await settle()
