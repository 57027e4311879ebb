"""Snooping: what is asked for, what is heard, and that it is asked for again."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio

from tests.kit.driver import RecordingPublisher, driver_of, settle, start
from trindi import (
    BLOBPolicy,
    Device,
    IPyDriver,
    IPyServer,
    Message,
    NumberMember,
    NumberVector,
    SizeFormat,
    State,
    TextMember,
    TextVector,
    defNumberVector,
    delProperty,
    enableBLOB,
    getProperties,
    setBLOBVector,
    setNumberVector,
)
from trindi.driver import core_of
from trindi.protocol import replace
from trindi.transport import EncodedBatch, EncodedEvent


class Snooper(IPyDriver):
    """Keeps what it is told."""

    def __init__(self, name: str = "Snooper", **kwargs: Any) -> None:
        vector = NumberVector("own", numbermembers=[NumberMember("a")])
        super().__init__([Device(name, [vector])], **kwargs)
        self.heard: list[Any] = []

    async def snoopevent(self, event: Any) -> None:
        self.heard.append(event)


def report(device: str = "Dev", vector: str = "n", value: float = 1.0) -> setNumberVector:
    return setNumberVector(device, vector, {"a": value}, State.OK)


async def tell(driver: IPyDriver, *events: Any) -> None:
    for event in events:
        core_of(driver).hear(EncodedEvent(event))
    await settle()


class TestAsking:
    async def test_for_everything_a_device_or_a_vector(self, nursery: trio.Nursery) -> None:
        driver = Snooper()
        publisher = await start(nursery, driver)
        await driver.send_getProperties()
        await driver.send_getProperties("Dev")
        await driver.send_getProperties("Dev", "n")
        assert publisher.events == [
            getProperties(),
            getProperties("Dev"),
            getProperties("Dev", "n"),
        ]
        assert driver.snoopall is True
        assert driver.snoopdevices == {"Dev"}
        assert driver.snoopvectors == {("Dev", "n")}

    async def test_a_star_is_everything(self, nursery: trio.Nursery) -> None:
        driver = Snooper()
        publisher = await start(nursery, driver)
        await driver.send_getProperties("*")
        assert publisher.events == [getProperties()]
        assert (driver.snoopall, driver.snoopdevices) == (True, set())
        gone = delProperty("*")
        await tell(driver, report(), gone)
        assert driver.heard == [report(), gone]

    async def test_for_blobs(self, nursery: trio.Nursery) -> None:
        driver = Snooper()
        publisher = await start(nursery, driver)
        await driver.send_enableBLOB("Dev", "b")
        assert publisher.take() == enableBLOB("Dev", "b", BLOBPolicy.ALSO)
        with pytest.raises(ValueError, match="Sometimes"):
            await driver.send_enableBLOB("Dev", "b", "Sometimes")

    async def test_for_a_device_of_ones_own_is_an_error(self, nursery: trio.Nursery) -> None:
        driver = Snooper()
        publisher = await start(nursery, driver)
        for asking in (
            driver.send_getProperties("Snooper"),
            driver.send_getProperties("Snooper", "own"),
            driver.send_enableBLOB("Snooper"),
        ):
            with pytest.raises(ValueError, match="'Snooper' is the driver's own"):
                await asking
        with pytest.raises(ValueError, match="'Snooper' is the driver's own"):
            driver.snoop("Snooper", "own")
        assert (publisher.events, driver.snoopdevices, driver.snoopvectors) == ([], set(), set())

    async def test_for_what_cannot_be_is_an_error(self, nursery: trio.Nursery) -> None:
        driver = Snooper()
        await start(nursery, driver)
        for everything in (None, "*"):
            with pytest.raises(ValueError, match="name the device"):
                await driver.send_getProperties(everything, "n")
        with pytest.raises(ValueError, match="name of a device"):
            await driver.send_getProperties("")
        with pytest.raises(ValueError, match="name of a vector"):
            driver.snoop("Dev", "ü")
        for timeout in (0, -1, float("nan")):
            with pytest.raises(ValueError, match="more than 0 seconds"):
                driver.snoop("Dev", "n", timeout)

    async def test_before_it_runs_and_again_when_it_runs_again(self) -> None:
        driver = Snooper()
        driver.snoop("Dev", "n")
        driver.snoop("Dev", "m")
        for _ in range(2):
            async with trio.open_nursery() as nursery:
                publisher = await start(nursery, driver)
                assert publisher.events == [getProperties("Dev", "m"), getProperties("Dev", "n")]
                nursery.cancel_scope.cancel()

    async def test_when_it_runs_no_more_nothing_is_kept_or_asked(self) -> None:
        driver = Snooper()
        async with trio.open_nursery() as nursery:
            publisher = await start(nursery, driver)
            await driver.send_getProperties("Dev")
            nursery.cancel_scope.cancel()
        publisher.events.clear()
        driver.snoop("Dev", "n", 5)
        await tell(driver, report())
        assert (len(core_of(driver).snoop_queue), driver.heard, publisher.events) == (0, [], [])

    async def test_all_is_asked_for_again_when_it_runs_again(self) -> None:
        driver = Snooper()
        asked = [getProperties(), getProperties("Dev"), getProperties("Dev", "n")]
        async with trio.open_nursery() as nursery:
            await start(nursery, driver)
            for event in asked:
                await driver.send_getProperties(event.devicename, event.vectorname)
            for policy in ("Never", "Also"):
                await driver.send_enableBLOB("Dev", "b", policy)
            nursery.cancel_scope.cancel()
        async with trio.open_nursery() as nursery:
            publisher = await start(nursery, driver)
            assert publisher.events == [*asked, enableBLOB("Dev", "b", BLOBPolicy.ALSO)]
            nursery.cancel_scope.cancel()


class TestTimeouts:
    async def test_silence_repeats_the_request(
        self, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
    ) -> None:
        driver = Snooper()
        publisher = await start(nursery, driver)
        driver.snoop("Dev", "n", timeout=30)
        assert publisher.take() == getProperties("Dev", "n")
        await trio.sleep(29)
        assert publisher.events == []
        await trio.sleep(62)
        assert publisher.events == [getProperties("Dev", "n")] * 3

    async def test_every_word_puts_it_off(
        self, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
    ) -> None:
        driver = Snooper()
        driver.snoop("Dev", "n", timeout=30)
        publisher = await start(nursery, driver)
        assert publisher.take() == getProperties("Dev", "n")
        for _ in range(10):
            await trio.sleep(20)
            await tell(driver, report())
        assert publisher.events == []
        await trio.sleep(25)
        await tell(driver, report(vector="another"))
        await trio.sleep(6)
        assert publisher.take() == getProperties("Dev", "n")

    async def test_thirty_seconds_unless_said_otherwise(
        self, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
    ) -> None:
        driver = Snooper()
        driver.snoop("Dev", "n")
        publisher = await start(nursery, driver)
        await trio.sleep(31)
        assert len(publisher.events) == 2

    @pytest.mark.parametrize(("first", "second", "repeats"), [(30, 5, 12), (5, 30, 2), (30, 30, 2)])
    async def test_the_last_one_said_counts(
        self,
        first: float,
        second: float,
        repeats: int,
        nursery: trio.Nursery,
        autojump_clock: trio.testing.MockClock,
    ) -> None:
        driver = Snooper()
        publisher = await start(nursery, driver)
        driver.snoop("Dev", "n", first)
        driver.snoop("Dev", "n", second)
        publisher.events.clear()
        await trio.sleep(61)
        assert len(publisher.events) == repeats

    async def test_from_hardware_it_is_watched_once(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        class Late(Snooper):
            async def hardware(self) -> None:
                self.snoop("Dev", "n", 10)

        for _ in range(10):
            async with trio.open_nursery() as nursery:
                publisher = await start(nursery, Late())
                await trio.sleep(11)
                assert publisher.events == [getProperties("Dev", "n")] * 2
                nursery.cancel_scope.cancel()


class TestHearing:
    @pytest.mark.parametrize(
        ("asked", "heard"),
        [
            ((None, None), [0, 1, 2, 3, 4, 5, 6, 7]),
            (("Dev", None), [0, 1, 2, 3, 4, 6]),
            (("Dev", "n"), [0, 2, 3]),
            (("Other", None), [5]),
            (("Other", "n"), [5]),
        ],
    )
    async def test_what_was_asked_for(
        self, asked: tuple[str | None, str | None], heard: list[int], nursery: trio.Nursery
    ) -> None:
        driver = Snooper()
        await start(nursery, driver)
        await driver.send_getProperties(*asked)
        events = [
            report(),
            report(vector="m"),
            delProperty("Dev", "n"),
            delProperty("Dev"),
            Message("Dev", "hello"),
            report("Other"),
            delProperty("Dev", "m"),
            Message(None, "hello"),
            report("Snooper", "own"),
        ]
        await tell(driver, *events)
        assert driver.heard == [events[index] for index in heard]

    async def test_nothing_that_was_not(self, nursery: trio.Nursery) -> None:
        driver = Snooper()
        await start(nursery, driver)
        await tell(driver, report(), Message(None, "hello"))
        assert driver.heard == []

    async def test_an_exception_in_snoopevent_is_logged_alone(
        self, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Faulty(Snooper):
            async def snoopevent(self, event: Any) -> None:
                await super().snoopevent(event)
                if len(self.heard) == 1:
                    raise BaseExceptionGroup("oops", [ValueError("inner"), GeneratorExit()])

        driver = Faulty()
        publisher = await start(nursery, driver)
        await driver.send_getProperties()
        publisher.events.clear()
        await tell(driver, report(), report())
        assert len(driver.heard) == 2
        assert "snoopevent failed on setNumberVector" in caplog.text
        assert "inner" in caplog.text
        assert publisher.events == []

    async def test_events_come_one_after_another(
        self, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
    ) -> None:
        class Slow(Snooper):
            async def snoopevent(self, event: Any) -> None:
                await trio.sleep(10 - event["a"])
                await super().snoopevent(event)

        driver = Slow()
        await start(nursery, driver)
        await driver.send_getProperties()
        await tell(driver, *(report(value=value) for value in range(10)))
        await trio.sleep(100)
        assert [event["a"] for event in driver.heard] == list(range(10))

    async def test_more_definitions_than_its_bound_are_asked_for_once(
        self, nursery: trio.Nursery
    ) -> None:
        driver = Snooper()
        publisher = await start(nursery, driver)
        await driver.send_getProperties("Dev")
        text = TextVector("t", textmembers=[TextMember("a", membervalue="x" * 900_000)])
        event = core_of(driver_of(text)).definitions()[0]
        answer = [replace(event, vectorname=f"t{number}") for number in range(100)]
        other = replace(event, devicename="Other")
        core_of(driver).snoop_queue.put_all(EncodedBatch(map(EncodedEvent, [*answer, other])))
        await settle()
        assert driver.heard == answer
        assert publisher.events == [getProperties("Dev")]

    async def test_a_driver_that_never_looks_takes_no_more_than_its_bound(
        self, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Stuck(Snooper):
            async def snoopevent(self, event: Any) -> None:
                await trio.sleep_forever()

        driver = Stuck()
        publisher = await start(nursery, driver)
        await driver.send_getProperties("Dev")
        publisher.events.clear()
        size = 0
        for _ in range(200):
            core_of(driver).hear(EncodedEvent(Message("Dev", "x" * 1_000_000)))
            size = max(size, core_of(driver).snoop_queue.size)
        assert size < 65 * 2**20
        assert "requested again" in caplog.text
        assert set(publisher.events) == {getProperties("Dev")}
        assert len(publisher.events) >= 2


class TestInAServer:
    """Two drivers of one server, nobody else; the clock is virtual."""

    def speaker(self) -> tuple[NumberVector, TextVector, IPyDriver]:
        number = NumberVector("n", numbermembers=[NumberMember("a", membervalue=5)])
        text = TextVector("t", textmembers=[TextMember("a", membervalue="hello")])
        return number, text, driver_of(number, text)

    async def test_the_first_request_brings_what_is_there(
        self, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
    ) -> None:
        _, _, speaker = self.speaker()
        snooper = Snooper()
        await nursery.start(IPyServer([snooper, speaker], port=0).run)
        await snooper.send_getProperties("Dev", "n")
        await settle()
        (definition,) = snooper.heard
        assert isinstance(definition, defNumberVector)
        assert (dict(definition), definition.memberlabels["a"]) == (
            {"a": 5.0},
            ("a", "%g", 0, 0, 0),
        )

    async def test_then_what_is_new(
        self, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
    ) -> None:
        number, text, speaker = self.speaker()
        snooper = Snooper()
        snooper.snoop("Dev", "n")
        await nursery.start(IPyServer([snooper, speaker], port=0).run)
        await settle()
        snooper.heard.clear()
        number["a"] = 6
        await number.send_setVector("warmer", state="Busy")
        await text.send_setVector()
        await number.send_delProperty()
        await settle()
        assert [type(event) for event in snooper.heard] == [setNumberVector, delProperty]
        assert (snooper.heard[0]["a"], snooper.heard[0].message) == (6.0, "[INFO] warmer")

    async def test_two_that_snoop_on_each_other_do_not_deadlock(
        self, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
    ) -> None:
        class Echo(Snooper):
            async def snoopevent(self, event: Any) -> None:
                await super().snoopevent(event)
                if isinstance(event, setNumberVector) and event["a"] < 1000:
                    own = self.driverdata["vector"]
                    own["a"] = event["a"] + 1
                    await own.send_setVector()

        def echo(name: str) -> Any:
            driver = Echo(name)
            driver.driverdata["vector"] = driver[name]["own"]
            return driver

        one, other = echo("One"), echo("Other")
        one.snoop("Other", "own", 1e6)
        other.snoop("One", "own", 1e6)
        await nursery.start(IPyServer([one, other], port=0).run)
        await one.driverdata["vector"].send_setVector()
        await trio.sleep(1)
        told = [e["a"] for e in one.heard + other.heard if isinstance(e, setNumberVector)]
        assert sorted(told) == list(range(1001))

    async def test_blobs_come_when_they_are_wanted_and_all_of_them(
        self, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
    ) -> None:
        from trindi import BLOBMember, BLOBVector

        class Slow(Snooper):
            async def snoopevent(self, event: Any) -> None:
                await trio.sleep(1)
                await super().snoopevent(event)

        vector = BLOBVector("b", blobmembers=[BLOBMember("a", blobformat=".fits")])
        snooper = Slow()
        await nursery.start(IPyServer([snooper, driver_of(vector)], port=0).run)
        await snooper.send_getProperties("Dev", "b")
        vector["a"] = bytes(6 * 2**20)
        await vector.send_setVectorMembers(members=["a"])
        await snooper.send_enableBLOB("Dev", "b")
        for number in range(5):
            vector["a"] = bytes([number]) * 6 * 2**20
            await vector.send_setVectorMembers(members=["a"])
        await trio.sleep(10)
        frames = [event for event in snooper.heard if isinstance(event, setBLOBVector)]
        assert [frame["a"][0] for frame in frames] == [0, 1, 2, 3, 4]
        assert frames[0].sizeformat["a"] == SizeFormat(6 * 2**20, ".fits")


async def test_a_link_that_records_is_all_a_driver_needs(nursery: trio.Nursery) -> None:
    publisher: RecordingPublisher = await start(nursery, Snooper())
    assert publisher.events == []


def definition(value: float = 1.0, state: State = State.OK) -> Any:
    vector = NumberVector("n", state=state, numbermembers=[NumberMember("a", membervalue=value)])
    return core_of(driver_of(vector)).definitions()[0]


class TestNews:
    async def test_a_definition_that_only_repeats_is_told_apart(
        self, nursery: trio.Nursery
    ) -> None:
        driver = Snooper()
        driver.snoop("Dev", "n")
        await start(nursery, driver)
        later = replace(definition(2.0), message="[INFO] hello")
        await tell(driver, definition(), definition(), report(value=2.0), later, definition(3.0))
        await tell(driver, definition(3.0, State.ALERT), delProperty("Dev", "n"), definition(3.0))
        repeated = [getattr(event, "repeated", None) for event in driver.heard]
        assert repeated == [False, True, None, True, False, False, None, False]

    async def test_what_is_silent(self, nursery: trio.Nursery, autojump_clock: Any) -> None:
        driver = Snooper()
        driver.snoop("Dev", "n", timeout=30)
        publisher = await start(nursery, driver)

        async def seconds(*events: Any) -> float:
            await tell(driver, *events)
            await trio.sleep(10)
            return driver.silent_for("Dev", "n")

        assert await seconds() == math.inf
        assert await seconds(definition()) == math.inf
        assert await seconds(report(value=2.0)) == 10
        assert await seconds(definition(2.0)) == 20
        # As after a kill under indiserver: no word, and no answer to what is asked again.
        assert await seconds() == 30
        assert await seconds() == 40
        await trio.sleep(100)
        assert publisher.events.count(getProperties("Dev", "n")) > 3
        assert driver.silent_for("Dev", "n") == 140
        assert await seconds(definition(3.0)) == 10
        assert await seconds(delProperty("Dev")) == math.inf
        assert driver.silent_for("Dev", "other") == math.inf

    async def test_a_new_run_knows_nothing(self, autojump_clock: Any) -> None:
        driver = Snooper()
        driver.snoop("Dev", "n")
        for _ in range(2):
            driver.heard.clear()
            async with trio.open_nursery() as nursery:
                await start(nursery, driver)
                assert driver.silent_for("Dev", "n") == math.inf
                await tell(driver, definition(), report())
                assert [event.repeated for event in driver.heard[:1]] == [False]
                nursery.cancel_scope.cancel()


class TestStopping:
    @pytest.mark.parametrize("names", [(), ("Dev",), ("Dev", "n")])
    async def test_nothing_more_is_heard_or_asked(
        self, nursery: trio.Nursery, autojump_clock: Any, names: tuple[str, ...]
    ) -> None:
        driver = Snooper()
        publisher = await start(nursery, driver)
        if len(names) == 2:
            driver.snoop("Dev", "n", timeout=5)
        else:
            await driver.send_getProperties(*names)
        await tell(driver, definition())
        publisher.events.clear()
        driver.heard.clear()
        driver.stop_snooping(*names)
        await tell(driver, definition(2.0), report(), delProperty("Dev"))
        await trio.sleep(100)
        assert (driver.heard, publisher.events) == ([], [])
        assert (driver.snoopall, driver.snoopdevices, driver.snoopvectors) == (False, set(), set())
        # From then on a first definition is none that repeats.
        driver.snoop("Dev", "n")
        await tell(driver, definition(2.0))
        assert [event.repeated for event in driver.heard] == [False]

    async def test_what_waits_is_not_heard_any_more(self, nursery: trio.Nursery) -> None:
        driver = Snooper()
        await start(nursery, driver)
        await driver.send_getProperties("Dev")
        core_of(driver).hear(EncodedEvent(report()))
        driver.stop_snooping("Dev")
        await settle()
        assert driver.heard == []

    async def test_blobs_are_not_sent_any_more(self, nursery: trio.Nursery) -> None:
        driver = Snooper()
        publisher = await start(nursery, driver)
        await driver.send_getProperties("Dev", "image")
        await driver.send_enableBLOB("Dev", "image")
        driver.stop_snooping("Dev", "image")
        driver.stop_snooping("Dev", "image")
        assert publisher.events[2:] == [enableBLOB("Dev", "image", BLOBPolicy.NEVER)]

    async def test_a_device_that_is_snooped_on_is_heard_still(self, nursery: trio.Nursery) -> None:
        driver = Snooper()
        await start(nursery, driver)
        await driver.send_getProperties("Dev")
        driver.snoop("Dev", "n")
        await tell(driver, definition())
        driver.stop_snooping("Dev", "n")
        await tell(driver, definition())
        assert [event.repeated for event in driver.heard] == [False, True]
