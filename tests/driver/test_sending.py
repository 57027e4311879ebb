"""What an author sends: definitions, reports, deletions, messages, BLOBs."""

from __future__ import annotations

import io
import re
import threading
import zlib
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.kit.driver import RecordingPublisher, ask, driver_of, settle, start
from trindi import (
    BLOBMember,
    BLOBVector,
    Device,
    IPyDriver,
    LightMember,
    LightVector,
    Limits,
    Message,
    NumberMember,
    NumberVector,
    State,
    SwitchMember,
    SwitchVector,
    TextMember,
    TextVector,
    defNumberVector,
    delProperty,
    getProperties,
    newNumberVector,
    setBLOBVector,
    setNumberVector,
    setSwitchVector,
)
from trindi.driver import core_of
from trindi.protocol import Decoder, encode, replace

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2024, 2, 1, 12, tzinfo=UTC)


def numbers(*names: str) -> NumberVector:
    return NumberVector("n", numbermembers=[NumberMember(name) for name in names])


def said(event: Any) -> tuple[Any, ...]:
    return (dict(event), event.state, event.timeout, event.message)


class TestWhatGoesBeforeAReport:
    """The definition; libindi's drivers may forget it, and its clients then drop the report."""

    @staticmethod
    def kinds(publisher: RecordingPublisher) -> str:
        kinds = "".join(type(event).__name__[0] for event in publisher.events)
        publisher.events.clear()
        return kinds

    @pytest.mark.parametrize("what", ["vector", "device"])
    async def test_where_it_is_back(self, what: str, nursery: trio.Nursery) -> None:
        vector: Any = numbers("a")
        publisher = await start(nursery, driver_of(vector))
        withdrawn = vector if what == "vector" else vector.device
        await withdrawn.send_delProperty()
        await vector.send_setVector()
        assert self.kinds(publisher) == "d"
        withdrawn.enable = True
        vector["a"] = 7
        await vector.send_setVector("back")
        await vector.send_setVector()
        definition: Any = publisher.events[0]
        assert isinstance(definition, defNumberVector)
        assert definition["a"] == 7
        assert self.kinds(publisher) == "dss"

    async def test_where_it_was_never_enabled(self, nursery: trio.Nursery) -> None:
        vector = numbers("a")
        vector.enable = False
        publisher = await start(nursery, driver_of(vector))
        vector.enable = True
        await vector.send_setVectorMembers(members=["a"])
        assert self.kinds(publisher) == "ds"

    async def test_where_it_is_of_blobs(self, nursery: trio.Nursery) -> None:
        vector = BLOBVector("b", blobmembers=[BLOBMember("a", blobformat=".bin")])
        vector.enable = False
        publisher = await start(nursery, driver_of(vector))
        vector.enable = True
        vector["a"] = b"x"
        await vector.send_setVectorMembers(members=["a"])
        assert self.kinds(publisher) == "ds"

    async def test_not_where_it_was_only_disabled(self, nursery: trio.Nursery) -> None:
        vector = numbers("a")
        publisher = await start(nursery, driver_of(vector))
        vector.enable = False
        vector.enable = True
        await vector.send_setVector()
        assert self.kinds(publisher) == "s"

    async def test_where_it_is_requested(self, nursery: trio.Nursery) -> None:
        vector = numbers("a")
        driver = driver_of(vector)
        publisher = await start(nursery, driver)
        await vector.send_delProperty()
        vector.enable = True
        publisher.events.clear()
        peer = await ask(driver, newNumberVector("Dev", "n", {"a": 1.0}))
        # It is read-only; the answer is a report.
        assert isinstance(publisher.take(), defNumberVector)
        assert isinstance(peer.take(), setNumberVector)

    async def test_where_the_author_is_still_to_answer_who_asks(
        self, nursery: trio.Nursery
    ) -> None:
        vector = numbers("a")
        gate = trio.Event()

        class Slow(IPyDriver):
            auto_send_def = False

            async def clientevent(self, event: Any) -> None:
                await gate.wait()
                await event.vector.send_defVector()

        driver = Slow([Device("Dev", [vector])])
        publisher = await start(nursery, driver)
        await ask(driver, getProperties("Dev"))
        await vector.send_setVector()
        await vector.send_setVector()
        assert self.kinds(publisher) == "dss"
        gate.set()
        await settle()
        await vector.send_setVector()
        assert self.kinds(publisher) == "ds"


class TestDefinitions:
    async def test_go_to_everybody(self, nursery: trio.Nursery) -> None:
        vector = numbers("a")
        publisher = await start(nursery, driver_of(vector))
        await vector.send_defVector("hello", NOON, 3, "Busy")
        event: Any = publisher.take()
        assert isinstance(event, defNumberVector)
        assert (*said(event), event.timestamp) == ({"a": 0}, "Busy", 3.0, "[INFO] hello", NOON)

    async def test_state_and_timeout_are_kept(self, nursery: trio.Nursery) -> None:
        vector = numbers("a")
        publisher = await start(nursery, driver_of(vector))
        await vector.send_defVector(timeout="4", state="Alert")
        assert (vector.timeout, vector.state) == (4.0, State.ALERT)
        await vector.send_setVector()
        assert said(publisher.events[1]) == ({"a": 0}, "Alert", 4.0, "")

    async def test_do_not_make_values_old(self, nursery: trio.Nursery) -> None:
        vector = numbers("a")
        await start(nursery, driver_of(vector))
        await vector.send_defVector()
        assert vector.members["a"].changed


class TestReports:
    async def test_all_values(self, nursery: trio.Nursery) -> None:
        vector = numbers("a", "b")
        publisher = await start(nursery, driver_of(vector))
        vector["b"] = 2
        await vector.send_setVector("hello", NOON, 5, "Busy")
        event: Any = publisher.take()
        assert event == setNumberVector(
            "Dev", "n", {"a": 0, "b": 2}, State.BUSY, 5, NOON, "[INFO] hello"
        )
        assert not any(member.changed for member in vector.members.values())

    async def test_only_the_changed(self, nursery: trio.Nursery) -> None:
        vector = numbers("a", "b")
        publisher = await start(nursery, driver_of(vector))
        await vector.send_setVector()
        vector["b"] = 2
        await vector.send_setVector(allvalues=False)
        assert [dict(event) for event in publisher.of(setNumberVector)] == [
            {"a": 0, "b": 0},
            {"b": 2},
        ]

    @pytest.mark.parametrize(
        ("given", "sent"),
        [
            ({"state": "Busy"}, ({}, "Busy", 0.0, "")),
            ({"message": "hello"}, ({}, "Ok", 0.0, "[INFO] hello")),
            ({"timeout": 3}, ({}, "Ok", 3.0, "")),
        ],
    )
    async def test_nothing_changed_but_something_to_say(
        self, given: Any, sent: Any, nursery: trio.Nursery
    ) -> None:
        vector = numbers("a")
        publisher = await start(nursery, driver_of(vector))
        await vector.send_setVector()
        publisher.events.clear()
        await vector.send_setVector(allvalues=False, **given)
        assert said(publisher.take()) == sent

    async def test_nothing_changed_and_nothing_to_say(self, nursery: trio.Nursery) -> None:
        vector = numbers("a")
        publisher = await start(nursery, driver_of(vector))
        await vector.send_setVector()
        await vector.send_setVector(allvalues=False)
        assert len(publisher.events) == 1

    async def test_just_some_members(self, nursery: trio.Nursery) -> None:
        vector = numbers("a", "b", "c")
        publisher = await start(nursery, driver_of(vector))
        await vector.send_setVectorMembers("hello", NOON, 2, "Idle", ["c", "a"])
        assert said(publisher.take()) == ({"a": 0, "c": 0}, "Idle", 2.0, "[INFO] hello")
        assert [m.name for m in vector.members.values() if m.changed] == ["b"]
        await vector.send_setVectorMembers()
        assert said(publisher.take()) == ({}, "Idle", 2.0, "")

    async def test_an_unknown_member_is_a_key_error_and_nothing_is_sent(
        self, nursery: trio.Nursery
    ) -> None:
        vector = numbers("a")
        publisher = await start(nursery, driver_of(vector))
        with pytest.raises(KeyError, match="no member 'x'"):
            await vector.send_setVectorMembers(state="Busy", members=["a", "x"])
        assert (vector.state, publisher.events) == ("Ok", [])

    @pytest.mark.parametrize("bad", [{"state": "busy"}, {"timeout": -1}, {"timeout": "x"}])
    async def test_what_is_not_legal_is_not_sent(self, bad: Any, nursery: trio.Nursery) -> None:
        vector = numbers("a")
        publisher = await start(nursery, driver_of(vector))
        with pytest.raises(ValueError, match=r"state|timeout|number"):
            await vector.send_setVector(**bad)
        assert publisher.events == []

    async def test_a_message_is_text(self, nursery: trio.Nursery) -> None:
        vector = numbers("a")
        driver = driver_of(vector)
        publisher = await start(nursery, driver)
        device: Any = driver["Dev"]
        sends: list[Any] = [
            vector.send_setVector,
            vector.send_defVector,
            vector.send_delProperty,
            device.send_device_message,
            device.send_delProperty,
            driver.send_message,
        ]
        for send in sends:
            with pytest.raises(TypeError, match="a message is a str"):
                await send(5)
        assert (publisher.events, vector.enabled) == ([], True)

    async def test_members_going_off_stand_first(self, nursery: trio.Nursery) -> None:
        vector = SwitchVector(
            "s", switchmembers=[SwitchMember("a"), SwitchMember("b", None, "On"), SwitchMember("c")]
        )
        publisher = await start(nursery, driver_of(vector))
        vector["a"] = "On"
        await vector.send_setVector(allvalues=False)
        await vector.send_setVectorMembers(members=["a", "b"])
        assert [list(event) for event in publisher.of(setSwitchVector)] == [
            ["b", "c", "a"],
            ["b", "a"],
        ]

    async def test_no_switch_on_is_not_sent_under_one_of_many(self, nursery: trio.Nursery) -> None:
        vector = SwitchVector("s", switchmembers=[SwitchMember("a", None, "On")])
        publisher = await start(nursery, driver_of(vector))
        vector["a"] = "Off"
        with pytest.raises(ValueError, match="no switch On"):
            await vector.send_setVector(state="Busy")
        assert (vector.state, publisher.events) == ("Ok", [])

    async def test_lights_have_no_timeout(self, nursery: trio.Nursery) -> None:
        vector = LightVector("l", lightmembers=[LightMember("a")])
        publisher = await start(nursery, driver_of(vector))
        vector["a"] = "Alert"
        await vector.send_setVector(timeout=5)
        event: Any = publisher.take()
        assert (dict(event), hasattr(event, "timeout")) == ({"a": "Alert"}, False)

    async def test_new_limits_are_told_once(self, nursery: trio.Nursery) -> None:
        vector = numbers("a", "b")
        publisher = await start(nursery, driver_of(vector))
        await vector.send_setVector()
        vector.members["b"].limits = (0, 5, 1)
        await vector.send_setVector(allvalues=False)
        await vector.send_setVector()
        assert [event.limits for event in publisher.of(setNumberVector)] == [
            {},
            {"b": Limits(0, 5, 1)},
            {},
        ]

    @pytest.mark.parametrize(
        "given",
        [
            datetime(2024, 2, 1, 12),
            NOON,
            datetime(2024, 2, 1, 7, 30, tzinfo=timezone(timedelta(hours=-4, minutes=-30))),
        ],
    )
    async def test_timestamps_are_utc(self, given: datetime, nursery: trio.Nursery) -> None:
        vector = numbers("a")
        driver = driver_of(vector)
        publisher = await start(nursery, driver)
        await vector.send_setVector(timestamp=given)
        await driver.send_message("hello", given)
        await driver["Dev"].send_device_message("hello", given)
        await vector.send_delProperty("gone", given)
        await driver["Dev"].send_delProperty("gone", given)
        assert [event.timestamp for event in publisher.events] == [NOON] * 5  # type: ignore[union-attr]


class TestOneStep:
    """Nobody sees a send half done, and nothing set meanwhile is lost."""

    async def test_what_is_set_while_others_have_their_turn_is_not_lost(
        self, nursery: trio.Nursery
    ) -> None:
        vector = numbers("a")
        publisher = await start(nursery, driver_of(vector))
        rounds = 1000

        async def sender() -> None:
            for _ in range(rounds):
                await vector.send_setVector(allvalues=False)

        async def setter() -> None:
            for value in range(rounds):
                vector["a"] = value
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as both:
            both.start_soon(sender)
            both.start_soon(setter)
        await vector.send_setVector(allvalues=False)
        last: Any = publisher.events[-1]
        assert last["a"] == rounds - 1

    async def test_nobody_comes_between_what_is_done_and_what_is_said(
        self, nursery: trio.Nursery
    ) -> None:
        vector = numbers("a")
        publisher = await start(nursery, driver_of(vector))
        turns = 0

        async def want_turns() -> None:
            nonlocal turns
            while True:
                turns += 1
                await trio.lowlevel.checkpoint()

        nursery.start_soon(want_turns)
        said_at: list[int] = []
        publisher.publish = lambda _event: said_at.append(turns)  # type: ignore[method-assign, assignment]
        done_at: list[int] = []
        for _ in range(1000):
            done_at.append(turns)
            await vector.send_setVector()
        assert said_at == done_at
        assert turns > 1

    async def test_cancelled_while_others_have_their_turn_it_was_sent(
        self, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
    ) -> None:
        vector = numbers("a")
        publisher = await start(nursery, driver_of(vector))
        returned = 0

        async def cancel() -> None:
            scope.cancel()

        with trio.CancelScope() as scope:
            nursery.start_soon(cancel)
            while True:
                await vector.send_setVector()
                returned += 1
        assert returned == len(publisher.events) > 1

    async def test_nothing_follows_a_deletion(self, nursery: trio.Nursery) -> None:
        vector = numbers("a")
        publisher = await start(nursery, driver_of(vector))

        async def sender() -> None:
            for value in range(200):
                vector["a"] = value
                await vector.send_setVector()

        async def deleter() -> None:
            for _ in range(3):
                await trio.lowlevel.checkpoint()
            await vector.send_delProperty()

        async with trio.open_nursery() as both:
            both.start_soon(sender)
            both.start_soon(deleter)
        assert isinstance(publisher.events[-1], delProperty)

    @pytest.mark.parametrize("earlier", [0, 1])
    async def test_cancelled_nothing_was_sent_or_noted(
        self, earlier: int, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
    ) -> None:
        vector = numbers("a")
        driver = driver_of(vector)
        publisher = await start(nursery, driver)
        for _ in range(earlier):
            await driver.send_message("so that no turn is due")
        publisher.events.clear()
        with trio.CancelScope() as scope:
            scope.cancel()
            await vector.send_setVectorMembers(state="Busy", members=["a"])
        with trio.CancelScope() as scope:
            scope.cancel()
            await vector.send_setVector(state="Busy")
        assert scope.cancelled_caught
        with trio.CancelScope() as scope:
            scope.cancel()
            await vector.send_delProperty()
        with trio.CancelScope() as scope:
            scope.cancel()
            await driver["Dev"].send_delProperty()
        assert (publisher.events, vector.enabled, vector.state) == ([], True, "Ok")
        assert vector.members["a"].changed

    @pytest.mark.parametrize("enable", [True, False])
    async def test_who_sends_and_sends_gives_others_their_turn(
        self, enable: bool, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
    ) -> None:
        vector = numbers("a")
        await start(nursery, driver_of(vector))
        vector.enable = enable
        stopped = False

        async def stopper() -> None:
            nonlocal stopped
            await trio.lowlevel.checkpoint()
            stopped = True

        nursery.start_soon(stopper)
        for _ in range(1000):
            await vector.send_setVector(allvalues=False)
        assert stopped


class TestDeletions:
    async def test_of_a_vector_and_back(self, nursery: trio.Nursery) -> None:
        vector = numbers("a")
        publisher = await start(nursery, driver_of(vector))
        await vector.send_delProperty("gone", NOON)
        assert publisher.take() == delProperty("Dev", "n", NOON, "[INFO] gone")
        assert not vector.enable
        await vector.send_setVector(state="Busy")
        await vector.send_setVectorMembers(members=["a"])
        await vector.send_defVector()
        await vector.send_delProperty()
        assert publisher.events == []
        assert vector.state == "Busy"
        vector.enable = True
        await vector.send_defVector()
        await vector.send_setVector()
        assert [type(event) for event in publisher.events] == [defNumberVector, setNumberVector]

    async def test_of_a_device_and_back(self, nursery: trio.Nursery) -> None:
        vector = numbers("a")
        driver = driver_of(vector)
        device = driver["Dev"]
        publisher = await start(nursery, driver)
        await device.send_delProperty("gone", NOON)
        assert publisher.take() == delProperty("Dev", None, NOON, "[INFO] gone")
        assert not device.enable
        await vector.send_setVector()
        await vector.send_defVector()
        await device.send_device_message("hello")
        await device.send_delProperty()
        assert publisher.events == []
        device.enable = True
        await vector.send_defVector()
        assert isinstance(publisher.take(), defNumberVector)


async def test_messages(nursery: trio.Nursery) -> None:
    driver = driver_of(numbers("a"))
    publisher = await start(nursery, driver)
    await driver.send_message("to all", NOON)
    await driver["Dev"].send_device_message("of a device", NOON)
    assert publisher.events == [
        Message(None, "[INFO] to all", NOON),
        Message("Dev", "[INFO] of a device", NOON),
    ]


async def test_a_sensor_without_a_reading_costs_nothing_else(nursery: trio.Nursery) -> None:
    vector = numbers("a", "b")
    publisher = await start(nursery, driver_of(vector))
    vector["a"], vector["b"] = float("nan"), 3
    await vector.send_setVector()
    await vector.send_defVector()
    assert all(b">nan<" in encode(e) and b">3<" in encode(e) for e in publisher.events)
    publisher.events.clear()
    # Still no reading: nothing has changed.
    vector["a"] = None
    await vector.send_setVector(allvalues=False)
    assert publisher.events == []


class TestKStarsShows:
    """KStars shows of "time: text" what has ``[I``, ``[W`` or ``[E`` at column 21."""

    LATE = NOON.replace(microsecond=123_456)

    @staticmethod
    def column(event: Any) -> str:
        time, text = re.findall(r' (?:timestamp|message)="([^"]*)"', encode(event).decode())
        return f"{time}: {text}"[21:]

    @pytest.mark.parametrize(
        ("state", "said", "shown"),
        [
            ("Ok", "done", "[INFO] done"),
            ("Idle", "done", "[INFO] done"),
            ("Busy", "moving", "[INFO] moving"),
            ("Alert", "stuck", "[ERROR] stuck"),
            ("Alert", "[WARNING] slow", "[WARNING] slow"),
            ("Ok", "[ERROR] odd", "[ERROR] odd"),
            ("Ok", "\n [INFO] indented", "[INFO] indented"),
            ("Ok", "[Ha] a bracket", "[INFO] [Ha] a bracket"),
        ],
    )
    async def test_each_element_with_a_message(
        self, state: str, said: str, shown: str, nursery: trio.Nursery
    ) -> None:
        vectors: list[Any] = [
            SwitchVector("s", rule="AnyOfMany", switchmembers=[SwitchMember("a")]),
            LightVector("l", lightmembers=[LightMember("a")]),
            TextVector("t", textmembers=[TextMember("a")]),
            numbers("a"),
            BLOBVector("b", blobmembers=[BLOBMember("a", membervalue=b"")]),
        ]
        driver = driver_of(*vectors)
        publisher = await start(nursery, driver)
        for vector in vectors:
            await vector.send_defVector(said, self.LATE, state=state)
            await vector.send_setVectorMembers(said, state=state)
            vector.state = state
            publisher.publish(vector.status(said))
        assert [self.column(event) for event in publisher.events] == [shown] * 15

    async def test_messages_and_deletions(self, nursery: trio.Nursery) -> None:
        driver = driver_of(numbers("a"))
        publisher = await start(nursery, driver)
        await driver.send_message("hello", self.LATE)
        await driver["Dev"].send_device_message("hello")
        await driver["Dev"]["n"].send_delProperty("hello", self.LATE)
        await driver["Dev"].send_delProperty("hello")
        assert [self.column(event) for event in publisher.events] == ["[INFO] hello"] * 4

    @pytest.mark.parametrize(
        ("said", "shown"),
        [
            ("x" * 100_000, "[INFO] " + "x" * 1_990 + "…"),
            ("é" * 1_000, "[INFO] " + "é" * 995 + "…"),
            ("&" * 1_993, "[INFO] " + "&" * 1_993),
            ("\ud800" + "y" * 1_993, "[INFO] \ud800" + "y" * 1_993),
        ],
        ids=["long", "within a character", "just right", "surrogate"],
    )
    async def test_a_long_message_is_cut_visibly(
        self, said: str, shown: str, nursery: trio.Nursery
    ) -> None:
        """libindi's clients keep 2,047 bytes of a message and its time, and ours takes no more."""
        vector = numbers("a")
        driver = driver_of(vector)
        publisher = await start(nursery, driver)
        await vector.send_setVector(said)
        await driver.send_message(said)
        events: list[Any] = publisher.events
        assert [event.message for event in events] == [shown] * 2
        for event in events:
            (read,) = Decoder().feed(encode(event))
            assert read == replace(event, message=shown.replace("\ud800", ""))

    async def test_what_is_measured_without_a_message_keeps_its_microseconds(
        self, nursery: trio.Nursery
    ) -> None:
        vector = numbers("a")
        publisher = await start(nursery, driver_of(vector))
        await vector.send_setVector(timestamp=self.LATE)
        (report,) = publisher.of(setNumberVector)
        assert report.timestamp == self.LATE


class TestNotRunning:
    @pytest.mark.parametrize("wired", [True, False])
    async def test_sending_is_an_error(self, wired: bool) -> None:
        vector, blob = (
            numbers("a"),
            BLOBVector("b", blobmembers=[BLOBMember("a", None, 0, "", b"")]),
        )
        if wired:
            driver_of(vector, blob)
        for send in (
            vector.send_setVector,
            vector.send_defVector,
            vector.send_setVectorMembers,
            vector.send_delProperty,
            blob.send_setVectorMembers,
        ):
            with pytest.raises(RuntimeError, match=r"not running|while that runs"):
                await send()
        assert vector.enable

    async def test_of_a_driver_is_an_error(self) -> None:
        driver = driver_of(numbers("a"))
        for send in (
            driver.send_message,
            driver.send_getProperties,
            driver["Dev"].send_delProperty,
        ):
            with pytest.raises(RuntimeError, match="not running"):
                await send()

    async def test_after_the_end_it_is_again(self) -> None:
        vector = numbers("a")
        driver = driver_of(vector)
        async with trio.open_nursery() as nursery:
            await start(nursery, driver)
            await vector.send_setVector()
            nursery.cancel_scope.cancel()
        with pytest.raises(RuntimeError, match="not running"):
            await vector.send_setVector()


class TestBLOBs:
    def camera(self, *members: BLOBMember) -> tuple[BLOBVector, IPyDriver]:
        vector = BLOBVector("b", blobmembers=members or [BLOBMember("a", blobformat=".fits")])
        return vector, driver_of(vector)

    def test_have_no_send_of_all(self) -> None:
        assert not hasattr(BLOBVector, "send_setVector")

    @pytest.mark.parametrize("value", [b"abc", bytearray(b"abc"), memoryview(b"abc")])
    async def test_of_bytes(self, value: Any, nursery: trio.Nursery) -> None:
        vector, driver = self.camera()
        publisher = await start(nursery, driver)
        vector["a"] = value
        await vector.send_setVectorMembers("done", NOON, 3, "Ok", ["a"])
        event: Any = publisher.take()
        assert event == setBLOBVector(
            "Dev", "b", {"a": b"abc"}, event.sizeformat, State.OK, 3.0, NOON, "[INFO] done"
        )
        assert event.sizeformat == {"a": (3, ".fits")}
        assert not vector.members["a"].changed

    @pytest.mark.parametrize("kind", [str, "path", open, "memory"])
    async def test_of_files(self, kind: Any, tmp_path: Path, nursery: trio.Nursery) -> None:
        vector, driver = self.camera(BLOBMember("a"))
        publisher = await start(nursery, driver)
        path = tmp_path / "frame.fits"
        path.write_bytes(b"frame")
        with path.open("rb") as file:
            sources = {str: str(path), "path": path, open: file, "memory": io.BytesIO(b"frame")}
            vector["a"] = sources[kind]
            await vector.send_setVectorMembers(members=["a"])
        event: Any = publisher.take()
        assert dict(event) == {"a": b"frame"}
        suffix = ".fits" if kind in (str, "path") else ".bin"
        assert event.sizeformat == {"a": (5, suffix)}

    async def test_are_read_in_a_thread(self, nursery: trio.Nursery) -> None:
        threads = []

        class Watched(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                threads.append(threading.current_thread())
                return super().read(size)

        vector, driver = self.camera()
        await start(nursery, driver)
        vector["a"] = Watched(b"frame")
        await vector.send_setVectorMembers(members=["a"])
        (thread,) = threads
        assert thread is not threading.main_thread()

    async def test_say_their_true_size(self, nursery: trio.Nursery) -> None:
        """Reference programs cut a BLOB at the size it claims, or worse (protocol §4.1, §9)."""
        vector, driver = self.camera(
            BLOBMember("zero", None, 0, ".fits", b"abc"),
            BLOBMember("right", None, 3, ".fits", b"abc"),
            BLOBMember("wrong", None, 1000, ".fits", b"abc"),
            BLOBMember("plain.z", None, 0, ".fits.z", b"abc"),
            BLOBMember("compressed.z", None, 1000, ".fits.z", zlib.compress(bytes(1000))),
        )
        publisher = await start(nursery, driver)
        await vector.send_setVectorMembers(members=list(vector))
        event: Any = publisher.take()
        sizes = {name: size for name, (size, _) in event.sizeformat.items()}
        assert sizes == {name: len(data) for name, data in event.items()}
        assert sizes == {"zero": 3, "right": 3, "wrong": 3, "plain.z": 3, "compressed.z": 1000}

    async def test_without_a_value_cannot_be_sent(self, nursery: trio.Nursery) -> None:
        vector, driver = self.camera()
        publisher = await start(nursery, driver)
        with pytest.raises(ValueError, match="no value to send"):
            await vector.send_setVectorMembers(members=["a"])
        with pytest.raises(KeyError):
            await vector.send_setVectorMembers(members=["x"])
        vector["a"] = "/nowhere/frame.fits"
        with pytest.raises(FileNotFoundError):
            await vector.send_setVectorMembers(members=["a"])
        assert publisher.events == []

    async def test_state_alone_can_be_sent(self, nursery: trio.Nursery) -> None:
        vector, driver = self.camera()
        publisher = await start(nursery, driver)
        await vector.send_setVectorMembers(state="Busy", message="exposing")
        event: Any = publisher.take()
        assert said(event) == ({}, "Busy", 0.0, "[INFO] exposing")

    async def test_disabled_is_neither_read_nor_sent(self, nursery: trio.Nursery) -> None:
        vector, driver = self.camera()
        publisher = await start(nursery, driver)
        vector["a"] = "/nowhere/frame.fits"
        vector.enable = False
        await vector.send_setVectorMembers(state="Busy", members=["a"])
        assert (publisher.events, vector.state) == ([], "Busy")

    async def test_disabled_while_it_is_read_it_is_not_sent(self, nursery: trio.Nursery) -> None:
        reading, go_on = threading.Event(), threading.Event()

        class Slow(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                reading.set()
                go_on.wait(10)
                return super().read(size)

        vector, driver = self.camera()
        publisher = await start(nursery, driver)
        vector["a"] = Slow(b"frame")
        async with trio.open_nursery() as sending:

            async def send() -> None:
                await vector.send_setVectorMembers(members=["a"])

            sending.start_soon(send)
            await trio.to_thread.run_sync(reading.wait, 10)
            await vector.send_delProperty()
            go_on.set()
        assert [type(event) for event in publisher.events] == [delProperty]

    async def test_a_frame_set_while_the_last_one_leaves_is_news(
        self, nursery: trio.Nursery
    ) -> None:
        vector, driver = self.camera()
        leave = trio.Event()

        class SlowLink(RecordingPublisher):
            async def publish_blob(self, event: setBLOBVector, *, wait: bool = True) -> None:
                await leave.wait()
                self.publish(event)

        await nursery.start(core_of(driver).serve, SlowLink())
        vector["a"] = b"first"
        async with trio.open_nursery() as sending:

            async def send() -> None:
                await vector.send_setVectorMembers(members=["a"])

            sending.start_soon(send)
            await settle()
            vector["a"] = b"second"
            leave.set()
        assert vector.members["a"].changed
