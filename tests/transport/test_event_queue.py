"""The queue of a peer: in order while it keeps up, the newest state while it does not."""

from __future__ import annotations

import random
import tracemalloc
from functools import partial
from typing import Any

import pytest
import trio
from hypothesis import given, settings, strategies as st

from trindi import (
    Limits,
    Message,
    NumberLabel,
    Permission,
    SizeFormat,
    State,
    SwitchState,
    defNumberVector,
    delProperty,
    getProperties,
    newBLOBVector,
    setBLOBVector,
    setNumberVector,
    setSwitchVector,
    setTextVector,
)
from trindi.protocol import Decoder, encode
from trindi.transport import (
    BLOB_TIMEOUT,
    BOUND,
    HIGH_WATER,
    EncodedBatch,
    EncodedEvent,
    EventQueue,
    pieces_of,
    put_blob,
)

ON, OFF = SwitchState.ON, SwitchState.OFF


def encoded(event: Any) -> EncodedEvent:
    return EncodedEvent(event, encode(event))


def number(vector: str, /, **members: float) -> EncodedEvent:
    return encoded(setNumberVector("Dev", vector, members, State.OK))


def text(vector: str, size: int, letter: str = "x") -> EncodedEvent:
    return encoded(setTextVector("Dev", vector, {"t": letter * size}, State.OK))


def frame(size: int, letter: bytes = b"x", vector: str = "blob") -> EncodedEvent:
    return EncodedEvent(
        setBLOBVector("Dev", vector, {"b": letter * size}, {"b": SizeFormat(size, ".bin")})
    )


def definition(vector: str) -> EncodedEvent:
    labels = {"a": NumberLabel("a", "%g", 0, 0, 0)}
    return encoded(
        defNumberVector("Dev", vector, vector, "", State.OK, Permission.RO, {"a": 0.0}, labels)
    )


def waiting(outbox: EventQueue) -> list[Any]:
    """Take everything out."""
    events = []
    while len(outbox):
        events.append(outbox.pop().event)
        outbox.task_done()
    return events


def lagging_outbox(**kwargs: Any) -> EventQueue:
    """An outbox above its high-water mark, by a text that nobody is to care about."""
    outbox = EventQueue(high_water=1000, **kwargs)
    outbox.put(text("filler", 900))
    outbox.put(text("more filler", 500))
    assert outbox.lagging
    return outbox


def after_filler(outbox: EventQueue) -> list[Any]:
    return [event for event in waiting(outbox) if "filler" not in (event.vectorname or "")]


class TestKeepingUp:
    def test_everything_arrives_in_order(self) -> None:
        outbox = EventQueue()
        items = [number("n", a=1), number("n", a=2), definition("n"), number("n", a=3)]
        for encoded in items:
            outbox.put(encoded)
        assert waiting(outbox) == [encoded.event for encoded in items]
        assert (outbox.drops, outbox.taken, outbox.lagging) == (0, 4, False)

    def test_one_event_larger_than_the_mark_is_not_lagging(self) -> None:
        outbox = EventQueue(high_water=10)
        outbox.put(text("t", 1000))
        assert not outbox.lagging

    def test_counts_its_bytes_until_they_have_left(self) -> None:
        outbox = EventQueue()
        encoded = number("n", a=1)
        outbox.put(encoded)
        assert outbox.size == len(encoded.data)
        outbox.pop()
        assert (outbox.size, len(outbox)) == (len(encoded.data), 0)
        outbox.task_done()
        assert outbox.size == 0

    def test_takes_as_many_bytes_as_are_worth_a_write(self) -> None:
        outbox = EventQueue()
        items = [number("n", a=value) for value in range(10)]
        for encoded in items:
            outbox.put(encoded)
        size = len(items[0].data)
        assert outbox.take(3 * size) == items[:3]
        assert outbox.take(100 * size) == items[3:]

    def test_a_large_event_comes_by_itself(self) -> None:
        outbox = EventQueue()
        small, large = number("n", a=1), text("t", 10_000)
        for encoded in (small, large, small):
            outbox.put(encoded)
        assert [outbox.take(1000) for _ in range(3)] == [[small], [large], [small]]
        assert next(large.pieces()) is large.data

    def test_what_is_in_a_bundle_is_put_as_by_itself(self) -> None:
        batch = EncodedBatch(
            [number("n", a=1), definition("n"), number("n", a=2), number("m", a=3)]
        )
        for high_water in (10_000, 10):
            together, one_by_one = (
                EventQueue(high_water=high_water),
                EventQueue(high_water=high_water),
            )
            together.put_all(batch)
            for encoded in batch.items:
                one_by_one.put(encoded)
            assert (together.size, together.lagging) == (one_by_one.size, one_by_one.lagging)
            assert waiting(together) == waiting(one_by_one)

    def test_a_closed_outbox_takes_nothing_more_even_once_it_has_drained(self) -> None:
        outbox = lagging_outbox()
        outbox.close()
        assert len(waiting(outbox)) == 2
        outbox.put(number("n", a=1))
        outbox.put_all(EncodedBatch([number("n", a=1)] * 5))
        assert (len(outbox), outbox.size, outbox.lagging) == (0, 0, False)

    def test_what_is_relayed_leaves_as_it_was_received(self) -> None:
        received = b"<setNumberVector device='Dev'  name='n'/>"
        relayed = EncodedEvent(setNumberVector("Dev", "n"), received)
        outbox = EventQueue()
        outbox.put(relayed)
        assert outbox.size == len(received)
        assert list(pieces_of(outbox.take(1000), 1000)) == [received]

    def test_nothing_to_take_is_an_error(self) -> None:
        with pytest.raises(IndexError):
            EventQueue().pop()

    def test_bounds_are_as_published(self) -> None:
        assert (HIGH_WATER, BOUND, BLOB_TIMEOUT) == (8 * 2**20, 64 * 2**20, 5.0)


class TestLagging:
    def test_a_newer_set_takes_the_place_of_the_older(self) -> None:
        outbox = lagging_outbox()
        for encoded in (number("n", a=1), number("m", a=2), number("n", a=3)):
            outbox.put(encoded)
        assert [(e.vectorname, e["a"]) for e in after_filler(outbox)] == [("n", 3), ("m", 2)]
        assert outbox.drops == 1

    def test_it_is_as_before_once_it_has_drained(self) -> None:
        outbox = lagging_outbox()
        waiting(outbox)
        outbox.put(number("n", a=1))
        outbox.put(number("n", a=2))
        assert (len(outbox), outbox.lagging) == (2, False)

    def test_a_set_never_moves_before_the_end_of_its_device(self) -> None:
        outbox = EventQueue(high_water=1000)
        gone = encoded(delProperty("Dev"))
        for item in (number("n", a=1), gone, text("filler", 900), number("n", a=2)):
            outbox.put(item)
        outbox.put(number("n", a=3))
        heard = [e for e in waiting(outbox) if e.vectorname != "filler"]
        assert heard[:2] == [number("n", a=1).event, gone.event]
        assert [event["a"] for event in heard[2:]] == [3]

    def test_after_many_answers_nothing_goes_at_once(self) -> None:
        at_once: list[bytes] = []

        def send(data: bytes) -> int:
            at_once.append(data)
            return len(data)

        outbox = EventQueue(send_nowait=send)
        outbox.prompt = True
        outbox.put_all(EncodedBatch([number("n", a=1)] * 5))
        waiting(outbox)
        outbox.put(number("n", a=2))
        assert (at_once, len(outbox)) == ([], 1)

    def test_a_set_far_in_front_is_delivered_as_well(self) -> None:
        outbox = EventQueue(high_water=500_000)
        sent = [number("far", a=1), *(number(f"n{index % 7}", a=index) for index in range(6000))]
        for encoded in sent:
            outbox.put(encoded)
        assert outbox.lagging
        last = [number("far", a=2), *(number(f"n{index}", a=-1) for index in range(7))]
        for encoded in last:
            outbox.put(encoded)
        heard = waiting(outbox)
        assert [event["a"] for event in heard if event.vectorname == "far"] == [1, 2]
        newest = {event.vectorname: event["a"] for event in heard}
        assert newest == {"far": 2, **{f"n{index}": -1 for index in range(7)}}

    def test_the_newest_state_wins_member_by_member(self) -> None:
        outbox = lagging_outbox()
        outbox.put(number("n", a=1, b=1))
        outbox.put(number("n", b=2))
        outbox.put(number("n", c=3))
        (event,) = after_filler(outbox)
        assert dict(event) == {"a": 1, "b": 2, "c": 3}

    def test_what_the_newer_does_not_say_is_kept(self) -> None:
        outbox = lagging_outbox()
        limits = {"a": Limits(0, 5, 1)}
        outbox.put(
            EncodedEvent(
                setNumberVector(
                    "Dev", "n", {"a": 1.0}, State.BUSY, 60, None, "moving", limits=limits
                )
            )
        )
        outbox.put(EncodedEvent(setNumberVector("Dev", "n", {"a": 2.0})))
        (event,) = after_filler(outbox)
        assert event == setNumberVector(
            "Dev", "n", {"a": 2.0}, State.BUSY, 60, None, "moving", limits
        )

    def test_what_the_newer_says_wins(self) -> None:
        outbox = lagging_outbox()
        outbox.put(
            EncodedEvent(setNumberVector("Dev", "n", {"a": 1.0}, State.BUSY, 60, None, "old"))
        )
        newer = setNumberVector("Dev", "n", {"a": 2.0}, State.OK, 0.0, None, "new")
        outbox.put(EncodedEvent(newer))
        assert after_filler(outbox) == [newer]

    def test_switches_going_off_still_stand_first(self) -> None:
        outbox = lagging_outbox()
        outbox.put(encoded(setSwitchVector("Dev", "s", {"a": OFF, "b": ON}, State.OK)))
        outbox.put(encoded(setSwitchVector("Dev", "s", {"c": OFF}, State.OK)))
        (event,) = after_filler(outbox)
        assert list(event.items()) == [("a", OFF), ("c", OFF), ("b", ON)]

    def test_a_set_of_another_kind_replaces_the_older_whole(self) -> None:
        outbox = lagging_outbox()
        outbox.put(number("n", a=1))
        other = setTextVector("Dev", "n", {"t": "x"}, State.OK)
        outbox.put(encoded(other))
        assert after_filler(outbox) == [other]

    def test_definitions_deletions_and_messages_are_never_dropped(self) -> None:
        outbox = lagging_outbox()
        events = [
            definition("n").event,
            Message("Dev", "hello"),
            delProperty("Dev", "n"),
            definition("n").event,
            Message(None, "hello"),
            delProperty("Dev"),
        ]
        for event in events:
            outbox.put(encoded(event))
        assert [
            event for event in waiting(outbox) if not isinstance(event, setTextVector)
        ] == events
        assert outbox.drops == 0

    @pytest.mark.parametrize(
        "barrier",
        [
            definition("n").event,
            *(delProperty(device, name) for device in ("Dev", None, "*") for name in ("n", None)),
        ],
    )
    @pytest.mark.parametrize("lags_before", [True, False])
    def test_nothing_moves_across_a_definition_or_a_deletion(
        self, barrier: Any, lags_before: bool
    ) -> None:
        outbox = lagging_outbox() if lags_before else EventQueue(high_water=1000)
        outbox.put(number("n", a=1))
        outbox.put(encoded(barrier))
        if not lags_before:
            outbox.put(text("filler", 1000))
        outbox.put(number("n", a=2))
        assert after_filler(outbox) == [number("n", a=1).event, barrier, number("n", a=2).event]

    @pytest.mark.parametrize(
        "other",
        [
            definition("m").event,
            delProperty("Other"),
            delProperty(None, "m"),
            Message("Dev"),
            getProperties(),
        ],
    )
    def test_those_of_others_are_no_barrier(self, other: Any) -> None:
        outbox = lagging_outbox()
        for event in (number("n", a=1).event, other, number("n", a=2).event):
            outbox.put(encoded(event))
        assert outbox.drops == 1

    def test_what_waited_before_it_lagged_is_replaced_too(self) -> None:
        outbox = EventQueue(high_water=1000)
        for encoded in (number("n", a=1), number("n", a=2), text("filler", 1000), number("n", a=3)):
            outbox.put(encoded)
        assert [event["a"] for event in after_filler(outbox)] == [1, 3]

    def test_what_has_been_taken_is_not_replaced(self) -> None:
        outbox = EventQueue(high_water=1000)
        outbox.put(number("n", a=1))
        outbox.put(text("filler", 1000))
        outbox.put(number("m", a=0))
        taken = outbox.pop()
        outbox.put(number("n", a=2))
        assert taken.event == number("n", a=1).event
        assert [event["a"] for event in after_filler(outbox)] == [0, 2]

    def test_ends_when_all_has_left(self) -> None:
        outbox = lagging_outbox()
        outbox.pop()
        outbox.task_done()
        assert outbox.lagging
        outbox.pop()
        outbox.task_done()
        assert not outbox.lagging

    def test_half_drained_it_keeps_everything_again(self) -> None:
        outbox = lagging_outbox()
        outbox.pop()
        outbox.task_done()
        outbox.put(number("n", a=1))
        outbox.put(number("n", a=2))
        assert outbox.lagging
        assert [event["a"] for event in after_filler(outbox)] == [1, 2]

    def test_half_drained_a_frame_still_gives_way_to_the_newest(self) -> None:
        outbox = lagging_outbox()
        outbox.pop()
        outbox.task_done()
        outbox.put(encoded(frame(10, b"1").event))
        outbox.put(encoded(frame(10, b"2").event))
        assert outbox.has_room(1)
        assert [event["b"][:1] for event in after_filler(outbox)] == [b"2"]

    def test_waits_in_bounded_memory_for_ever(self) -> None:
        outbox = lagging_outbox()
        for value in range(1000):
            outbox.put(number("n", a=value))
        assert outbox.size < 5000
        assert outbox.drops == 999


class TestOverflow:
    def test_beyond_the_bound_what_waits_is_dropped_and_said(self) -> None:
        told: list[int] = []

        def drop(queue: EventQueue) -> None:
            queue.drop_all()
            told.append(len(queue))

        outbox = EventQueue(high_water=100, bound=1000, at_bound=drop)
        for _ in range(5):
            outbox.put(encoded(Message("Dev", "x" * 300)))
        assert told == [0]
        assert (outbox.drops, len(outbox)) == (3, 2)

    def test_it_is_said_each_time(self) -> None:
        told: list[int] = []

        def drop(queue: EventQueue) -> None:
            told.append(len(queue))
            queue.drop_all()

        outbox = EventQueue(bound=1000, at_bound=drop)
        for _ in range(3):
            outbox.put(text("t", 2000))
        assert told == [1, 1, 1]

    def test_a_policy_may_close_the_queue_and_keep_what_waits(self) -> None:
        outbox = EventQueue(bound=1000, at_bound=EventQueue.close)
        for _ in range(3):
            outbox.put(text("t", 800))
        assert (outbox.drops, len(waiting(outbox))) == (0, 2)

    def test_a_farewell_is_taken_however_large(self) -> None:
        def farewell(queue: EventQueue) -> None:
            queue.drop_all()
            queue.put(encoded(Message("Dev", "goodbye" * 500)))
            queue.close()

        outbox = EventQueue(bound=1000, at_bound=farewell)
        outbox.put(text("t", 2000))
        outbox.put(text("t", 2000))
        assert [event.message for event in waiting(outbox)] == ["goodbye" * 500]

    def test_by_default_all_that_waits_is_dropped(self) -> None:
        outbox = EventQueue(bound=1000)
        for size in (500, 2000, 500):
            outbox.put(text("t", size))
        assert (outbox.drops, len(outbox)) == (2, 1)

    def test_one_blob_more_is_allowed(self) -> None:
        outbox = EventQueue(
            high_water=100, bound=1000, at_bound=lambda _queue: pytest.fail("too early")
        )
        outbox.put(frame(50_000))
        outbox.put(text("t", 500))
        assert len(outbox) == 2

    def test_an_upload_has_its_place_beside_the_bound_as_a_frame_has(self) -> None:
        outbox = EventQueue(
            high_water=100, bound=1000, at_bound=lambda _queue: pytest.fail("too early")
        )
        about = {"b": SizeFormat(5000, ".bin")}
        upload = encoded(newBLOBVector("Dev", "blob", {"b": bytes(5000)}, about))
        outbox.put(upload)
        assert waiting(outbox) == [upload.event]

    def test_what_nobody_encoded_is_guessed(self) -> None:
        event = setTextVector("Dev", "t", {"t": "x" * 100_000}, State.OK, message="y" * 100_000)
        assert 200_000 < EncodedEvent(event).weight < 202_000
        blob = frame(100_000)
        assert 100_000 < blob.weight < 102_000
        assert EncodedEvent(Message("Dev", "x")).weight < 1000


class TestWaiting:
    async def test_for_news(self, nursery: trio.Nursery) -> None:
        outbox = EventQueue()
        got: list[Any] = []

        async def writer() -> None:
            while await outbox.wait_news():
                got.append(outbox.pop().event)
                outbox.task_done()
            got.append("the end")

        nursery.start_soon(writer)
        await trio.testing.wait_all_tasks_blocked()
        assert got == []
        outbox.put(number("n", a=1))
        await trio.testing.wait_all_tasks_blocked()
        outbox.close()
        outbox.put(number("n", a=2))
        await trio.testing.wait_all_tasks_blocked()
        assert got == [number("n", a=1).event, "the end"]

    async def test_for_everything_to_leave(self, autojump_clock: trio.testing.MockClock) -> None:
        outbox = EventQueue()
        outbox.put(number("n", a=1))
        outbox.pop()
        with trio.move_on_after(1) as scope:
            await outbox.wait_drained()
        assert scope.cancelled_caught
        outbox.task_done()
        await outbox.wait_drained()

    async def test_what_waits_can_be_taken_after_closing(self) -> None:
        outbox = EventQueue()
        outbox.put(number("n", a=1))
        outbox.close()
        assert await outbox.wait_news()
        assert waiting(outbox) == [number("n", a=1).event]
        assert not await outbox.wait_news()


class TestBLOBs:
    """Whoever keeps up gets every frame; whoever does not costs one short wait."""

    async def test_with_room_nobody_waits(self, autojump_clock: trio.testing.MockClock) -> None:
        outboxes = [EventQueue(), EventQueue()]
        await put_blob(frame(100), outboxes)
        assert trio.current_time() == autojump_clock.current_time()
        assert [len(outbox) for outbox in outboxes] == [1, 1]

    async def test_a_frame_larger_than_the_mark_needs_an_empty_outbox(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        outbox = EventQueue(high_water=100)
        await put_blob(frame(1000), [outbox])
        assert not outbox.lagging
        assert not outbox.has_room(frame(2000).weight)

    def test_one_that_fits_exactly_has_room(self) -> None:
        outbox = EventQueue(high_water=1000)
        outbox.put(text("filler", 500))
        room = 1000 - outbox.size
        assert outbox.has_room(room)
        assert not outbox.has_room(room + 1)

    async def test_the_slow_are_waited_for(
        self, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
    ) -> None:
        outbox = EventQueue(high_water=1000)
        got: list[bytes] = []

        async def slow_writer() -> None:
            while await outbox.wait_news():
                event: Any = outbox.pop().event
                await trio.sleep(4)
                got.append(event["b"][:1])
                outbox.task_done()

        nursery.start_soon(slow_writer)
        letters = [b"a", b"b", b"c", b"d", b"e"]
        for letter in letters:
            await put_blob(frame(2000, letter), [outbox])
        assert not outbox.lagging
        await trio.sleep(10)
        assert got == letters

    async def test_the_dead_cost_one_wait_of_five_seconds(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        dead = EventQueue(high_water=1000)
        dead.put(frame(2000, b"0"))
        start = trio.current_time()
        await put_blob(frame(2000, b"1"), [dead])
        assert trio.current_time() - start == pytest.approx(5)
        assert dead.lagging
        for letter in (b"2", b"3", b"4"):
            await put_blob(frame(2000, letter), [dead])
        assert trio.current_time() - start == pytest.approx(5)
        assert [event["b"][:1] for event in waiting(dead)] == [b"4"]
        assert dead.drops == 4
        assert not dead.lagging

    async def test_once_drained_it_is_waited_for_again(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        outbox = EventQueue(high_water=1000)
        for letter in (b"1", b"2"):
            await put_blob(frame(2000, letter), [outbox])
        waiting(outbox)
        start = trio.current_time()
        for letter in (b"3", b"4"):
            await put_blob(frame(2000, letter), [outbox])
        assert trio.current_time() - start == pytest.approx(5)

    async def test_the_dead_do_not_delay_the_quick(
        self, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
    ) -> None:
        quick, dead = EventQueue(high_water=1000), EventQueue(high_water=1000)
        arrived: list[float] = []

        async def quick_writer() -> None:
            while await quick.wait_news():
                quick.pop()
                await trio.sleep(1)
                arrived.append(trio.current_time() - start)
                quick.task_done()

        start = trio.current_time()
        for outbox in (quick, dead):
            outbox.put(frame(2000))
        nursery.start_soon(quick_writer)
        await put_blob(frame(2000), [quick, dead])
        await put_blob(frame(2000), [dead, quick])
        await trio.sleep(10)
        assert arrived == pytest.approx([1, 2, 6])
        assert not quick.lagging

    async def test_the_dead_get_it_in_the_order_in_which_they_are_named(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        given_up: list[int] = []

        def give_up(number: int, queue: EventQueue) -> None:
            given_up.append(number)
            queue.drop_all()

        outboxes = [
            EventQueue(high_water=2000, bound=100, at_bound=partial(give_up, number))
            for number in reversed(range(20))
        ]
        outboxes.reverse()
        for outbox in outboxes:
            outbox.put(frame(600))
        assert given_up == []
        await put_blob(frame(600, vector="other"), outboxes)
        assert given_up == list(range(20))

    async def test_one_that_closes_meanwhile_is_not_waited_for(
        self, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
    ) -> None:
        outbox = EventQueue(high_water=1000)
        outbox.put(frame(2000))

        async def leave() -> None:
            await trio.sleep(1)
            outbox.clear()
            outbox.close()

        nursery.start_soon(leave)
        start = trio.current_time()
        await put_blob(frame(2000), [outbox])
        assert trio.current_time() - start == pytest.approx(1)
        assert len(outbox) == 0

    async def test_cancelled_while_it_waits_the_frame_is_not_put(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        outbox = EventQueue(high_water=1000)
        outbox.put(frame(2000, b"1"))
        with trio.move_on_after(1):
            await put_blob(frame(2000, b"2"), [outbox])
        assert [event["b"][:1] for event in waiting(outbox)] == [b"1"]

    @pytest.mark.parametrize(("size", "suffix"), [(10, ".bin"), (2**20, ".bin"), (2**20, ".z")])
    async def test_weighs_what_it_is_and_leaves_in_small_pieces(
        self, size: int, suffix: str
    ) -> None:
        payload = random.Random(size).randbytes(size)
        event = setBLOBVector("Dev", "b", {"b": payload}, {"b": SizeFormat(size, suffix)})
        encoded, outbox = EncodedEvent(event), EventQueue()
        await encoded.prepare()
        outbox.put(encoded)
        assert outbox.take(2**16) == [encoded]
        pieces = list(encoded.pieces())
        assert b"".join(pieces) == encode(event)
        assert max(map(len, pieces)) <= 2**16
        assert encoded.weight == outbox.size == len(encode(event))


@pytest.mark.parametrize("suffix", [".bin", ".bin.z"])
async def test_frames_that_are_merged_still_leave_in_small_pieces(suffix: str) -> None:
    size = 2**20
    payloads = {name: random.Random(name).randbytes(size) for name in "abc"}

    async def frame_of(**members: bytes) -> EncodedEvent:
        about = {name: SizeFormat(size, suffix) for name in members}
        encoded = EncodedEvent(
            setBLOBVector("Dev", "b", members, about, State.BUSY, message="hello")
        )
        await encoded.prepare()
        return encoded

    outbox = EventQueue(high_water=1000)
    outbox.put(text("filler", 900))
    outbox.put(text("more filler", 500))
    outbox.put(await frame_of(a=payloads["b"], b=payloads["b"]))
    outbox.put(await frame_of(c=payloads["c"]))
    outbox.put(await frame_of(a=payloads["a"]))
    outbox.take(100)
    outbox.task_done()
    outbox.take(100)
    outbox.task_done()
    size_before = outbox.size
    (merged,) = outbox.take(2**16)
    pieces = list(merged.pieces())
    (event,) = Decoder().feed(b"".join(pieces))
    assert isinstance(event, setBLOBVector)
    assert dict(event) == payloads
    assert event.message == "hello"
    assert max(map(len, pieces)) <= 2**16
    assert size_before == sum(map(len, pieces))


# What the reader has in the end -----------------------------------------------------------------

DEVICES = st.sampled_from(["D", "E"])
VECTORS = st.sampled_from(["m", "n", "o"])
MEMBERS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 9).map(float))
STATES = st.none() | st.sampled_from(list(State))
SETS = st.builds(
    setNumberVector,
    DEVICES,
    VECTORS,
    MEMBERS,
    STATES,
    st.none() | st.sampled_from([0.0, 5.0]),
)
DEFS = st.builds(
    lambda device, vector: defNumberVector(
        device, vector, "", "", State.IDLE, Permission.RO, {"a": 0.0, "b": 0.0, "c": 0.0}
    ),
    DEVICES,
    VECTORS,
)
DELS = st.builds(delProperty, st.none() | DEVICES, st.none() | VECTORS).filter(
    lambda event: event.devicename or not event.vectorname
)
EVENTS = st.one_of(SETS, SETS, SETS, DEFS, DELS, st.builds(Message, DEVICES, st.text(max_size=9)))
STEPS = st.lists(st.one_of(EVENTS, EVENTS, EVENTS, st.just("take"), st.just("left")), max_size=80)


class Reader:
    """What a client knows after some events."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], dict[str, Any]] = {}

    def read(self, event: Any) -> None:
        if isinstance(event, defNumberVector):
            place = (event.devicename, event.vectorname)
            self.known[place] = {"state": event.state, "timeout": event.timeout, **event}
        elif isinstance(event, delProperty):
            for device, vector in list(self.known):
                if event.devicename in (None, device) and event.vectorname in (None, vector):
                    del self.known[device, vector]
        elif isinstance(event, setNumberVector):
            known = self.known.setdefault((event.devicename, event.vectorname), {})
            known |= event
            said = {"state": event.state, "timeout": event.timeout}
            known |= {name: value for name, value in said.items() if value is not None}


@given(STEPS, st.sampled_from([1, 500, 2000]))
@settings(deadline=None)
def test_the_reader_ends_with_the_newest_state(steps: list[Any], high_water: int) -> None:
    outbox = EventQueue(high_water=high_water)
    truth, reader = Reader(), Reader()
    put: list[Any] = []
    got: list[Any] = []
    for step in steps:
        if step == "left":
            outbox.task_done()
        elif step != "take":
            outbox.put(encoded(step))
            put.append(step)
            truth.read(step)
        elif len(outbox):
            got.append(outbox.pop().event)
    got += waiting(outbox)
    outbox.task_done()
    for event in got:
        reader.read(event)
    assert reader.known == truth.known
    assert len(got) + outbox.drops == len(put)
    assert [e for e in got if not isinstance(e, setNumberVector)] == [
        e for e in put if not isinstance(e, setNumberVector)
    ]
    assert (outbox.size, outbox.lagging) == (0, False)


@given(STEPS)
def test_below_the_mark_the_reader_gets_every_event(steps: list[Any]) -> None:
    outbox = EventQueue()
    put = [step for step in steps if not isinstance(step, str)]
    for event in put:
        outbox.put(encoded(event))
    assert waiting(outbox) == put


@given(STEPS)
@settings(deadline=None)
def test_each_state_a_reader_sees_of_a_property_was_its_state_once(steps: list[Any]) -> None:
    """Coalescing leaves states out; it makes none up."""
    outbox = EventQueue(high_water=500)
    truth, reader = Reader(), Reader()
    history: dict[tuple[str, str], list[Any]] = {}
    for step in steps:
        if isinstance(step, str):
            continue
        outbox.put(encoded(step))
        truth.read(step)
        for place in [(d, v) for d in "DE" for v in "mno"]:
            history.setdefault(place, [None]).append(dict(truth.known.get(place) or {}) or None)
    for event in waiting(outbox):
        reader.read(event)
        for place, states in history.items():
            assert (dict(reader.known.get(place) or {}) or None) in states


def test_ten_thousand_puts_to_a_dead_peer_cost_no_memory() -> None:
    outbox = lagging_outbox()
    items = [number("n", a=value) for value in range(100)]
    tracemalloc.start()
    for _ in range(100):
        for encoded in items:
            outbox.put(encoded)
    _size, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000
