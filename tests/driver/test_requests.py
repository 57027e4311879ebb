"""From a peer's request to the author's handler: refusals, order, containment, back-pressure."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

import pytest
import trio

from tests.kit.driver import Peer, RecordingPublisher, ask, driver_of, settle, start
from trindi import (
    BLOBMember,
    BLOBPolicy,
    BLOBVector,
    Device,
    IPyDriver,
    LightMember,
    LightVector,
    Message,
    NumberMember,
    NumberVector,
    ProtocolError,
    SizeFormat,
    State,
    SwitchMember,
    SwitchState,
    SwitchVector,
    TextMember,
    TextVector,
    defBLOBVector,
    defLightVector,
    defNumberVector,
    defSwitchVector,
    defTextVector,
    enableBLOB,
    getProperties,
    newBLOBVector,
    newNumberVector,
    newSwitchVector,
    newTextVector,
    setBLOBVector,
    setNumberVector,
    setSwitchVector,
)
from trindi.driver import core_of
from trindi.driver.property_queue import BLOB_QUEUE, MAX_WAITING, PROPERTY_QUEUE

NOON = datetime(2024, 2, 1, 12, tzinfo=UTC)


class Recorder(IPyDriver):
    """Keeps what reaches its handlers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.heard: list[Any] = []

    async def clientevent(self, event: Any) -> None:
        self.heard.append(event)

    async def snoopevent(self, event: Any) -> None:
        self.heard.append(event)


def make_driver(cls: type[IPyDriver] = Recorder, **kwargs: Any) -> Any:
    """A driver of every kind of vector."""
    return cls(
        [
            Device(
                "Dev",
                [
                    SwitchVector(
                        "switch",
                        perm="rw",
                        state="Idle",
                        switchmembers=[SwitchMember("a", None, "On"), SwitchMember("b")],
                    ),
                    TextVector("text", perm="rw", textmembers=[TextMember("a")]),
                    NumberVector(
                        "number",
                        perm="rw",
                        state="Busy",
                        numbermembers=[NumberMember("a", min=0, max=9), NumberMember("b")],
                    ),
                    NumberVector("readonly", numbermembers=[NumberMember("a")]),
                    LightVector("light", lightmembers=[LightMember("a")]),
                    BLOBVector("blob", perm="rw", blobmembers=[BLOBMember("a")]),
                ],
            )
        ],
        **kwargs,
    )


class TestWhatPasses:
    """Every kind of request reaches the author, with what it needs."""

    async def test_new_vectors(self, nursery: trio.Nursery) -> None:
        driver = make_driver()
        await start(nursery, driver)
        asked: list[Any] = [
            newSwitchVector("Dev", "switch", {"b": SwitchState.ON}, NOON),
            newTextVector("Dev", "text", {"a": "hello"}, NOON),
            newNumberVector("Dev", "number", {"a": 1.5}, NOON, {"a": "1:30"}),
            newBLOBVector("Dev", "blob", {"a": b"x"}, {"a": SizeFormat(1, ".bin")}, NOON),
        ]
        for event in asked:
            peer = await ask(driver, event)
            assert peer.replies == []
        assert driver.heard == asked
        assert [e.vector for e in driver.heard] == [driver["Dev"][e.vectorname] for e in asked]
        assert [e.timestamp for e in driver.heard] == [NOON] * 4
        assert driver.heard[2].text["a"] == "1:30"
        assert driver.heard[3].sizeformat["a"] == (1, ".bin")

    async def test_authors_match_on_them(self, nursery: trio.Nursery) -> None:
        matched: list[float] = []

        class Matching(Recorder):
            async def clientevent(self, event: Any) -> None:
                match event:
                    case newNumberVector(devicename="Dev", vectorname="number") if "a" in event:
                        matched.append(event["a"])

        driver = make_driver(Matching)
        await start(nursery, driver)
        await ask(driver, newTextVector("Dev", "text", {"a": "hello"}))
        await ask(driver, newNumberVector("Dev", "number", {"b": 1.0}))
        await ask(driver, newNumberVector("Dev", "number", {"a": 2.0}))
        assert matched == [2.0]

    async def test_without_a_timestamp_it_is_now(self, nursery: trio.Nursery) -> None:
        driver = make_driver()
        await start(nursery, driver)
        before = datetime.now(UTC)
        await ask(driver, newTextVector("Dev", "text", {"a": "hello"}))
        await ask(driver, enableBLOB("Dev"))
        for event in driver.heard:
            assert before <= event.timestamp <= datetime.now(UTC)

    async def test_an_event_can_be_poured_into_its_vector(self, nursery: trio.Nursery) -> None:
        class Obedient(Recorder):
            async def clientevent(self, event: Any) -> None:
                event.vector.update(event)
                await event.vector.send_setVector(state="Ok")

        driver = make_driver(Obedient)
        publisher = await start(nursery, driver)
        await ask(driver, newNumberVector("Dev", "number", {"b": 2.0}))
        await ask(driver, newSwitchVector("Dev", "switch", {"b": SwitchState.ON}))
        assert [dict(event) for event in publisher.of(setNumberVector)] == [{"a": 0, "b": 2}]
        assert [list(event.items()) for event in publisher.of(setSwitchVector)] == [
            [("a", "Off"), ("b", "On")]
        ]

    async def test_enable_blob_comes_once_for_each_vector_of_blobs(
        self, nursery: trio.Nursery
    ) -> None:
        """As KStars asks, for the whole device: no handler meets an event without its vector."""
        driver = make_driver()
        await start(nursery, driver)
        asked = [
            enableBLOB("Dev", None, BLOBPolicy.ALSO),
            enableBLOB("Dev", "blob", BLOBPolicy.ONLY),
            enableBLOB("Dev", "nothing", BLOBPolicy.ONLY),
            enableBLOB("Dev", "text", BLOBPolicy.ONLY),
            enableBLOB("Other", None, BLOBPolicy.ALSO),
        ]
        for event in asked:
            assert (await ask(driver, event)).replies == []
        blob = driver["Dev"]["blob"]
        assert driver.heard == [enableBLOB("Dev", "blob", BLOBPolicy.ALSO), asked[1]]
        assert [event.vector for event in driver.heard] == [blob, blob]

    async def test_what_a_client_may_not_say_is_ignored(self, nursery: trio.Nursery) -> None:
        driver = make_driver()
        publisher = await start(nursery, driver)
        peer = await ask(driver, setNumberVector("Dev", "number", {"a": 1.0}))
        await ask(driver, Message("Dev", "hello"), peer)
        assert (driver.heard, peer.replies, publisher.events) == ([], [], [])


class TestRefusals:
    """The sender is told, with Alert and why; nobody else, and the property stays as it was."""

    @pytest.mark.parametrize(
        ("event", "reason"),
        [
            (newTextVector("Dev", "number", {"a": "1"}), "Number vector, not a Text vector"),
            (newNumberVector("Dev", "number", {"x": 1.0}), "no member x"),
            (newNumberVector("Dev", "number", {}), "no members"),
            (newNumberVector("Dev", "number", {"a": 1.0, "b": 1.0, "x": 1.0}), "no member x"),
            (newNumberVector("Dev", "number", {"a": 10.0}), "a 10 is not within 0 and 9"),
            (newNumberVector("Dev", "number", {"b": 1.0, "a": -1.0}), "not within"),
            (newNumberVector("Dev", "readonly", {"a": 1.0}), "read-only"),
            (newSwitchVector("Dev", "switch", {"a": SwitchState.OFF}), "no switch is On"),
            (
                newSwitchVector("Dev", "switch", {"a": SwitchState.ON, "b": SwitchState.ON}),
                "too many switches",
            ),
            (newTextVector("Dev", "light", {"a": "Ok"}), "Light vector, not a Text vector"),
            (newTextVector("Dev", "blob", {"a": "Ok"}), "BLOB vector, not a Text vector"),
            (newBLOBVector("Dev", "text", {"a": b""}), "Text vector, not a BLOB vector"),
        ],
    )
    async def test_with_alert_and_a_reason(
        self, event: Any, reason: str, nursery: trio.Nursery
    ) -> None:
        driver = make_driver()
        publisher = await start(nursery, driver)
        vector = driver["Dev"][event.vectorname]
        before = (vector.state, dict(vector))
        reply: Any = (await ask(driver, event)).take()
        assert type(reply).__name__ == f"set{vector.kind}Vector"
        assert (reply.devicename, reply.vectorname) == ("Dev", vector.name)
        assert reply.state is State.ALERT
        assert reply.message.startswith(f"[ERROR] {vector.name} is unchanged: ")
        assert reason in reply.message
        assert dict(reply) == ({} if vector.kind == "BLOB" else before[1])
        assert (vector.state, dict(vector)) == before
        assert (driver.heard, publisher.events) == ([], [])

    async def test_equal_limits_refuse_nothing(self, nursery: trio.Nursery) -> None:
        driver = make_driver()
        await start(nursery, driver)
        assert (await ask(driver, newNumberVector("Dev", "number", {"b": 1e9}))).replies == []
        assert len(driver.heard) == 1

    @pytest.mark.parametrize("enable", [True, False])
    async def test_of_a_property_that_is_not_there(
        self, enable: bool, nursery: trio.Nursery
    ) -> None:
        driver = make_driver()
        await start(nursery, driver)
        driver["Dev"]["number"].enable = False
        name = "nothing" if enable else "number"
        reply: Any = (await ask(driver, newNumberVector("Dev", name, {"a": 1.0}))).take()
        assert isinstance(reply, Message)
        assert (reply.devicename, reply.message) == ("Dev", f"[ERROR] Dev has no property {name}")
        assert driver.heard == []

    async def test_for_other_devices_nothing_is_said(self, nursery: trio.Nursery) -> None:
        driver = make_driver()
        await start(nursery, driver)
        peer = await ask(driver, newNumberVector("Other", "number", {"a": 1.0}))
        driver["Dev"].enable = False
        await ask(driver, newNumberVector("Dev", "number", {"a": 1.0}), peer)
        await ask(driver, newNumberVector("Dev", "number", {"x": 1.0}), peer)
        await ask(driver, newNumberVector("Dev", "nothing", {"a": 1.0}), peer)
        assert (driver.heard, peer.replies) == ([], [])

    async def test_of_what_could_not_be_read(self, nursery: trio.Nursery) -> None:
        driver = make_driver()
        await start(nursery, driver)

        def fault(device: str | None, vector: str | None, element: str | None) -> ProtocolError:
            where: Any = {"devicename": device, "vectorname": vector, "element": element}
            return ProtocolError("a: 'x' is not a number", malformed=False, **where)

        reply: Any = (await ask(driver, fault("Dev", "number", "newNumberVector"))).take()
        assert isinstance(reply, setNumberVector)
        assert reply.message == "[ERROR] number is unchanged: a: 'x' is not a number"
        assert reply.state is State.ALERT
        assert driver["Dev"]["number"].state == "Busy"
        driver["Dev"]["text"].enable = False
        for device, vector, element in [
            (None, None, None),
            ("Dev", None, "newNumberVector"),
            ("Other", "number", "newNumberVector"),
            ("Dev", "number", "getProperties"),
            ("Dev", "number", None),
        ]:
            assert (await ask(driver, fault(device, vector, element))).replies == []
        # The same answer as to a legal one: so may a request be refused before it is read.
        for name in ("nothing", "text"):
            reply = (await ask(driver, fault("Dev", name, "newTextVector"))).take()
            assert isinstance(reply, Message)
            assert reply.message == f"[ERROR] Dev has no property {name}"


class TestGetProperties:
    KINDS = (
        defSwitchVector,
        defTextVector,
        defNumberVector,
        defNumberVector,
        defLightVector,
        defBLOBVector,
    )

    @pytest.mark.parametrize("device", [None, "Dev", "*"])
    async def test_is_answered_by_the_framework(
        self, device: str | None, nursery: trio.Nursery
    ) -> None:
        driver = make_driver()
        publisher = await start(nursery, driver)
        peer = await ask(driver, getProperties(device))
        assert tuple(type(reply) for reply in peer.replies) == self.KINDS
        assert (driver.heard, publisher.events) == ([], [])

    async def test_of_one_vector(self, nursery: trio.Nursery) -> None:
        driver = make_driver()
        await start(nursery, driver)
        assert isinstance((await ask(driver, getProperties("Dev", "text"))).take(), defTextVector)

    @pytest.mark.parametrize("auto", [True, False])
    async def test_of_nothing_that_is_there(self, auto: bool, nursery: trio.Nursery) -> None:
        driver = make_driver()
        driver.auto_send_def = auto
        await start(nursery, driver)
        driver["Dev"]["number"].enable = False
        for event in (
            getProperties("Other"),
            getProperties("Dev", "nothing"),
            getProperties("Dev", "number"),
        ):
            assert (await ask(driver, event)).replies == []
        driver["Dev"].enable = False
        assert (await ask(driver, getProperties())).replies == []
        assert driver.heard == []

    async def test_reaches_the_author_vector_by_vector_if_wanted(
        self, nursery: trio.Nursery
    ) -> None:
        driver = make_driver()
        driver.auto_send_def = False
        await start(nursery, driver)
        peer = await ask(driver, getProperties())
        assert peer.replies == []
        vectors = list(driver["Dev"].values())
        assert sorted(e.vectorname for e in driver.heard) == sorted(v.name for v in vectors)
        for event in driver.heard:
            assert type(event) is getProperties
            assert (event.devicename, event.vector.name) == ("Dev", event.vectorname)
            assert event.timestamp is not None

    async def test_author_answers_with_the_definition(self, nursery: trio.Nursery) -> None:
        class Answering(IPyDriver):
            auto_send_def = False

            async def clientevent(self, event: Any) -> None:
                match event:
                    case getProperties():
                        await event.vector.send_defVector()

        driver = make_driver(Answering)
        publisher = await start(nursery, driver)
        await ask(driver, getProperties("Dev"))
        assert {type(event) for event in publisher.events} == set(self.KINDS)
        assert len(publisher.events) == 6

    async def test_a_flood_of_them_waits_for_the_author(self, nursery: trio.Nursery) -> None:
        gate = trio.Event()

        class Slow(Recorder):
            auto_send_def = False

            async def clientevent(self, event: Any) -> None:
                await gate.wait()
                await super().clientevent(event)

        driver = make_driver(Slow)
        await start(nursery, driver)
        peer = Peer()
        waits = []
        for _ in range(100):
            wait = core_of(driver).receive(getProperties(), peer)
            if wait is not None:
                waits.append(wait)
        assert waits
        with trio.CancelScope() as scope:
            scope.cancel()
            await waits[0]
        gate.set()
        for wait in waits[1:]:
            await wait
        await settle()
        assert len(driver.heard) >= 6 * 99


class TestOrder:
    async def test_events_of_one_property_stay_in_order(
        self, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
    ) -> None:
        worked: list[float] = []

        class Slow(IPyDriver):
            async def clientevent(self, event: Any) -> None:
                await trio.sleep(10 - event["b"])
                worked.append(event["b"])

        driver = make_driver(Slow)
        await start(nursery, driver)
        for value in range(10):
            await ask(driver, newNumberVector("Dev", "number", {"b": float(value)}))
        await trio.sleep(1000)
        assert worked == list(range(10))

    async def test_an_abort_overtakes_a_move(
        self, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
    ) -> None:
        done: list[Any] = []

        class Mover(IPyDriver):
            moving = trio.CancelScope()

            async def clientevent(self, event: Any) -> None:
                if event.vectorname == "number":
                    with self.moving:
                        await trio.sleep(60)
                    done.append(("stopped", trio.current_time()))
                else:
                    done.append(("abort", trio.current_time()))
                    self.moving.cancel()

        driver = make_driver(Mover)
        await start(nursery, driver)
        begin = trio.current_time()
        await ask(driver, newNumberVector("Dev", "number", {"a": 1.0}))
        await trio.sleep(1)
        await ask(driver, newSwitchVector("Dev", "switch", {"b": SwitchState.ON}))
        assert done == [("abort", begin + 1), ("stopped", begin + 1)]

    async def test_a_handler_that_blocks_for_ever_blocks_its_property_only(
        self, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
    ) -> None:
        class Stuck(Recorder):
            async def clientevent(self, event: Any) -> None:
                if event.vectorname == "number":
                    await trio.sleep_forever()
                await super().clientevent(event)

        driver = make_driver(Stuck)
        publisher = await start(nursery, driver)
        peer = Peer()
        for _ in range(3):
            await ask(driver, newNumberVector("Dev", "number", {"a": 1.0}), peer)
            await ask(driver, newTextVector("Dev", "text", {"a": "hello"}), peer)
        assert len(driver.heard) == 3
        assert len((await ask(driver, getProperties())).replies) == 6
        assert peer.in_flight == 3
        assert publisher.events == []


class TestBackPressure:
    """A peer that sends more than the author can take waits; the others do not."""

    class Gated(Recorder):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.gate = trio.Event()

        async def clientevent(self, event: Any) -> None:
            await self.gate.wait()
            await super().clientevent(event)

    async def test_the_queue_of_a_property_is_bounded(self, nursery: trio.Nursery) -> None:
        driver = make_driver(self.Gated)
        await start(nursery, driver)
        peer, other = Peer(), Peer()
        wait = None
        taken = 0
        while wait is None:
            wait = core_of(driver).receive(
                newNumberVector("Dev", "number", {"b": float(taken)}), peer
            )
            await settle()
            taken += 1
            assert taken < 1000
        waiting_done = trio.Event()

        async def reader() -> None:
            await wait
            waiting_done.set()

        nursery.start_soon(reader)
        await settle()
        assert not waiting_done.is_set()
        await ask(driver, newTextVector("Dev", "text", {"a": "hello"}), other)
        driver.gate.set()
        await waiting_done.wait()
        await settle()
        assert [e["b"] for e in driver.heard if "b" in e] == list(range(taken))
        assert (peer.in_flight, other.in_flight) == (0, 0)

    async def test_a_flood_over_many_properties_waits_too(self, nursery: trio.Nursery) -> None:
        names = [f"n{number}" for number in range(50)]
        driver = Recorder(
            [
                Device(
                    "Dev",
                    [
                        NumberVector(name, perm="rw", numbermembers=[NumberMember("a")])
                        for name in names
                    ],
                )
            ]
        )
        await start(nursery, driver)
        peer = Peer()
        asked = [
            newNumberVector("Dev", name, {"a": float(value)})
            for value in range(50)
            for name in names
        ]
        waited = 0
        for event in asked:
            wait = core_of(driver).receive(event, peer)
            if wait is not None:
                waited += 1
                await wait
        await settle()
        assert waited
        assert [(e.vectorname, e["a"]) for e in driver.heard] == [
            (e.vectorname, e["a"]) for e in asked
        ]
        assert peer.in_flight == 0

    async def test_one_that_is_full_for_a_peer_has_room_for_another(
        self, nursery: trio.Nursery
    ) -> None:
        driver = make_driver(self.Gated)
        await start(nursery, driver)
        peer, other = Peer(), Peer()
        event = newNumberVector("Dev", "number", {"b": 1.0})
        while core_of(driver).receive(event, peer) is None:
            await settle()
        assert core_of(driver).receive(event, other) is None
        assert other.in_flight == 1

    async def test_what_peers_leave_behind_has_a_bound_and_an_abort_has_none(
        self, nursery: trio.Nursery
    ) -> None:
        """A peer that asks, goes and comes again is another peer, with a share of its own."""
        driver = make_driver(self.Gated)
        publisher = await start(nursery, driver)
        peers = [Peer() for _ in range(2 * MAX_WAITING)]
        for number, peer in enumerate(peers):
            event = newNumberVector("Dev", "number", {"b": float(number)})
            assert core_of(driver).receive(event, peer) is None
            await settle()
        # One is being worked on.
        taken, refused = peers[: MAX_WAITING + 1], peers[MAX_WAITING + 1 :]
        assert [peer.in_flight for peer in taken] == [1] * len(taken)
        assert {peer.in_flight for peer in refused} == {0}
        for peer in refused:
            answer: Any = peer.take()
            assert answer.state is State.ALERT
            assert (
                f"number is unchanged: {MAX_WAITING} requests for it wait already" in answer.message
            )
        await ask(driver, newTextVector("Dev", "text", {"a": "abort"}), refused[0])
        assert refused[0].in_flight == 1
        driver.gate.set()
        await settle()
        assert [e["b"] for e in driver.heard if "b" in e] == list(range(len(taken)))
        assert {peer.in_flight for peer in peers} == {0}
        assert publisher.events == []

    async def test_questions_that_peers_leave_behind_have_the_same_bound(
        self, nursery: trio.Nursery
    ) -> None:
        driver = make_driver(self.Gated)
        await start(nursery, driver)
        for _ in range(MAX_WAITING + 1):
            core_of(driver).receive(enableBLOB("Dev", None, BLOBPolicy.ALSO), Peer())
            await settle()
        last = Peer()
        assert core_of(driver).receive(enableBLOB("Dev", None, BLOBPolicy.ALSO), last) is None
        answer: Any = last.take()
        assert (
            f"Dev blob is not asked: {MAX_WAITING} requests for it wait already" in answer.message
        )
        assert last.in_flight == 0

    async def test_that_of_blobs_is_short(self, nursery: trio.Nursery) -> None:
        driver = make_driver(self.Gated)
        await start(nursery, driver)
        event = newBLOBVector("Dev", "blob", {"a": b"x"}, {"a": SizeFormat(1, ".bin")})
        waits = []
        for _ in range(6):
            waits.append(core_of(driver).receive(event, Peer()))
            await settle()
        assert [wait is None for wait in waits] == [True] * 3 + [False] * 3

    async def test_one_that_speaks_for_many_is_refused_instead_of_waiting(
        self, nursery: trio.Nursery
    ) -> None:
        """An abort, of another client of that server, must not wait behind the requests of one."""
        driver = make_driver(self.Gated)
        await start(nursery, driver)
        server = Peer(waits=False)
        upload = newBLOBVector("Dev", "blob", {"a": b"x"}, {"a": SizeFormat(1, ".bin")})
        floods: list[tuple[Any, int]] = [
            (newNumberVector("Dev", "number", {"b": 1.0}), PROPERTY_QUEUE),
            (upload, BLOB_QUEUE),
        ]
        for event, bound in floods:
            for _ in range(bound + 1):
                assert (await ask(driver, event, server)).replies == []
            answer: Any = (await ask(driver, event, server)).take()
            assert answer.state is State.ALERT
            assert answer.message.endswith(f"unchanged: {bound} requests for it wait already")
        await ask(driver, newTextVector("Dev", "text", {"a": "abort"}), server)
        assert server.in_flight == PROPERTY_QUEUE + BLOB_QUEUE + 3
        driver.gate.set()
        await settle()
        assert (server.in_flight, server.replies) == (0, [])
        assert len(driver.heard) == PROPERTY_QUEUE + BLOB_QUEUE + 3

    @pytest.mark.parametrize("event", [getProperties(), enableBLOB("Dev")])
    async def test_its_questions_to_the_author_are_refused_too(
        self, event: Any, nursery: trio.Nursery
    ) -> None:
        driver = make_driver(self.Gated)
        driver.auto_send_def = False
        await start(nursery, driver)
        server = Peer(waits=False)
        for _ in range(100):
            await ask(driver, event, server)
        answers = [reply for reply in server.replies if isinstance(reply, Message)]
        assert len(answers) == len(server.replies) > 0
        assert "is not asked: 64 requests for it wait already" in answers[-1].message
        driver.gate.set()
        await settle()
        assert server.in_flight == 0

    async def test_when_the_driver_ends_nobody_waits_any_more(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        class Careful(TestBackPressure.Gated):
            """Takes its time to end, so that those who wait see it ending."""

            async def clientevent(self, event: Any) -> None:
                try:
                    await super().clientevent(event)
                finally:
                    if event.vectorname == "text":
                        with trio.CancelScope(shield=True):
                            await trio.sleep(1)

        driver = make_driver(Careful)
        peer = Peer()
        event = newNumberVector("Dev", "number", {"b": 1.0})
        over: list[str] = []

        async def reader(wait: Any) -> None:
            with trio.CancelScope(shield=True), trio.fail_after(5):
                await wait
            over.append("over")

        async with trio.open_nursery() as nursery:
            await start(nursery, driver)
            await ask(driver, newTextVector("Dev", "text", {"a": "hello"}), peer)
            waits: list[Any] = []
            while len(waits) < 10:
                waits += filter(None, [core_of(driver).receive(event, peer)])
                await settle()
            late = waits[5:]
            for wait in waits[:5]:
                nursery.start_soon(reader, wait)
            await settle()
            assert peer.in_flight > 10
            nursery.cancel_scope.cancel()
        for wait in late:
            await reader(wait)
        assert len(over) == 10
        assert peer.in_flight == 0
        assert core_of(driver).receive(event, peer) is None
        assert peer.in_flight == 0

    async def test_what_waited_for_a_property_that_is_gone_is_not_done(
        self, nursery: trio.Nursery
    ) -> None:
        driver = make_driver(self.Gated)
        await start(nursery, driver)
        for _ in range(2):
            await ask(driver, newNumberVector("Dev", "number", {"b": 1.0}))
        await driver["Dev"]["number"].send_delProperty()
        driver.gate.set()
        await settle()
        assert len(driver.heard) == 1


class _WorkerCount(trio.abc.Instrument):
    """Counts the workers that are started."""

    def __init__(self) -> None:
        self.count = 0

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        self.count += task.name == "clientevent"


class TestWorkers:
    async def test_a_lone_request_wakes_no_second_worker(self, nursery: trio.Nursery) -> None:
        workers = _WorkerCount()
        trio.lowlevel.add_instrument(workers)
        driver = make_driver()
        await start(nursery, driver)
        for _ in range(3):
            await ask(driver, newTextVector("Dev", "text", {"a": "hello"}))
        trio.lowlevel.remove_instrument(workers)
        assert (len(driver.heard), workers.count) == (3, 1)

    async def test_one_behind_a_handler_that_takes_long_does(self, nursery: trio.Nursery) -> None:
        class Slow(Recorder):
            async def clientevent(self, event: Any) -> None:
                await super().clientevent(event)
                await trio.sleep_forever()

        workers = _WorkerCount()
        trio.lowlevel.add_instrument(workers)
        driver = make_driver(Slow)
        await start(nursery, driver)
        await ask(driver, newTextVector("Dev", "text", {"a": "hello"}))
        assert workers.count == 1
        await ask(driver, newNumberVector("Dev", "number", {"a": 1.0}))
        trio.lowlevel.remove_instrument(workers)
        assert (len(driver.heard), workers.count) == (2, 2)


class SpeechlessError(Exception):
    """Cannot say what is wrong."""

    def __str__(self) -> str:
        raise ValueError


class TestContainment:
    """An exception in the handler costs its request, and nothing else."""

    class Faulty(Recorder):
        async def clientevent(self, event: Any) -> None:
            await super().clientevent(event)
            fault = self.driverdata["faults"].pop(0)
            if fault:
                raise fault

    @pytest.mark.parametrize(
        ("fault", "said"),
        [
            (ValueError("the motor is stuck"), "ValueError: the motor is stuck"),
            (
                ExceptionGroup("two", [ValueError("one"), OSError("two")]),
                "ExceptionGroup: two (2 sub-exceptions)",
            ),
            (OSError("x" * 100_000), "OSError: " + "x" * 1_972 + "…"),
            # These are no `Exception`; indiserver's drivers would end at them.
            (asyncio.CancelledError(), "CancelledError"),
            (GeneratorExit(), "GeneratorExit"),
            (
                BaseExceptionGroup("both", [ValueError("one"), GeneratorExit()]),
                "BaseExceptionGroup: both (2 sub-exceptions)",
            ),
            (SpeechlessError(), "SpeechlessError"),
        ],
    )
    async def test_turns_the_property_to_alert_and_the_driver_lives_on(
        self,
        fault: BaseException,
        said: str,
        nursery: trio.Nursery,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        driver = make_driver(self.Faulty, faults=[fault, None])
        publisher = await start(nursery, driver)
        event = newNumberVector("Dev", "number", {"a": 1.0})
        peer = await ask(driver, event)
        report: Any = publisher.take()
        assert isinstance(report, setNumberVector)
        assert (report.state, report.message) == (State.ALERT, f"[ERROR] number: {said}")
        assert driver["Dev"]["number"].state == "Alert"
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert "newNumberVector of Dev number" in record.getMessage()
        assert record.exc_info is not None
        assert record.exc_info[1] is fault
        await ask(driver, event, peer)
        assert len(driver.heard) == 2
        assert driver.running
        assert (peer.replies, peer.in_flight) == ([], 0)

    async def test_of_a_blob_sends_no_payload(self, nursery: trio.Nursery) -> None:
        driver = make_driver(self.Faulty, faults=[OSError("full")])
        publisher = await start(nursery, driver)
        driver["Dev"]["blob"]["a"] = b"secret"
        await ask(driver, newBLOBVector("Dev", "blob", {"a": b"x"}, {"a": SizeFormat(1, ".bin")}))
        report: Any = publisher.take()
        assert isinstance(report, setBLOBVector)
        assert (dict(report), report.state) == ({}, State.ALERT)

    async def test_of_what_is_for_information_is_logged_alone(
        self, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
    ) -> None:
        driver = make_driver(self.Faulty, faults=[ValueError("oops")])
        publisher = await start(nursery, driver)
        await ask(driver, enableBLOB("Dev"))
        assert publisher.events == []
        assert "enableBLOB of Dev" in caplog.text

    async def test_of_a_property_disabled_meanwhile_is_logged_alone(
        self, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Leaving(IPyDriver):
            async def clientevent(self, event: Any) -> None:
                event.vector.enable = False
                raise ValueError("oops")

        driver = make_driver(Leaving)
        publisher = await start(nursery, driver)
        await ask(driver, newNumberVector("Dev", "number", {"a": 1.0}))
        assert publisher.events == []
        assert "oops" in caplog.text

    @staticmethod
    async def ends(driver: IPyDriver, error: type[BaseException], match: str = "") -> None:
        """Ask a driver, and see it end with an error."""

        async def run() -> None:
            async with trio.open_nursery() as nursery:
                await start(nursery, driver)
                await ask(driver, newNumberVector("Dev", "number", {"a": 1.0}))
                await trio.sleep_forever()

        with pytest.raises(BaseExceptionGroup) as caught:
            await run()
        assert caught.group_contains(error, match=match)
        assert not driver.running

    @pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
    async def test_what_ends_the_program_ends_the_driver(self, end: type[BaseException]) -> None:
        await self.ends(make_driver(self.Faulty, faults=[end()]), end)

    async def test_a_handler_that_cancels_all_handlers_ends_the_driver(self) -> None:
        """It would run on, and hear nothing."""

        class Saboteur(IPyDriver):
            async def clientevent(self, event: Any) -> None:
                nursery = trio.lowlevel.current_task().parent_nursery
                assert nursery is not None
                nursery.cancel_scope.cancel()

        await self.ends(make_driver(Saboteur), RuntimeError, "a handler has cancelled")

    async def test_a_cancellation_that_was_kept_ends_the_driver(self) -> None:
        class Hoarder(IPyDriver):
            async def clientevent(self, event: Any) -> None:
                kept = None
                with trio.CancelScope() as scope:
                    scope.cancel()
                    try:
                        await trio.lowlevel.checkpoint()
                    except trio.Cancelled as cancelled:
                        kept = cancelled
                assert kept is not None
                raise kept

        await self.ends(make_driver(Hoarder), RuntimeError, "a handler has cancelled")

    async def test_an_author_who_cancels_cancels_what_he_meant(
        self, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
    ) -> None:
        class Patient(Recorder):
            async def clientevent(self, event: Any) -> None:
                with trio.move_on_after(5) as scope:
                    await trio.sleep_forever()
                self.heard.append(scope.cancelled_caught)

        driver = make_driver(Patient)
        publisher = await start(nursery, driver)
        await ask(driver, newNumberVector("Dev", "number", {"a": 1.0}))
        await trio.sleep(6)
        assert (driver.heard, publisher.events) == ([True], [])


async def test_a_driver_without_handlers_takes_everything(nursery: trio.Nursery) -> None:
    driver = driver_of(NumberVector("n", perm="rw", numbermembers=[NumberMember("a")]))
    publisher: RecordingPublisher = await start(nursery, driver)
    peer = await ask(driver, newNumberVector("Dev", "n", {"a": 1.0}))
    assert (peer.replies, publisher.events, peer.in_flight) == ([], [], 0)
