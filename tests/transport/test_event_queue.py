"""The queue of a peer: in order while it keeps up, the newest state while it does not."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
import trio
from hypothesis import given, settings, strategies as st

from tests.kit.queues import (
    after_filler,
    definition,
    encoded,
    frame,
    lagging_queue,
    number,
    text,
    waiting,
)
from trindi import (
    Limits,
    Message,
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
from trindi.protocol import encode, replace
from trindi.transport import (
    BLOB_TIMEOUT,
    BOUND,
    HIGH_WATER,
    EncodedBatch,
    EncodedEvent,
    EventQueue,
    Reply,
    pieces_of,
)

ON, OFF = SwitchState.ON, SwitchState.OFF


class TestKeepingUp:
    def test_everything_arrives_in_order(self) -> None:
        queue = EventQueue()
        items = [number("n", a=1), number("n", a=2), definition("n"), number("n", a=3)]
        for item in items:
            queue.put(item)
        assert waiting(queue) == [item.event for item in items]
        assert (queue.drops, queue.taken, queue.lagging) == (0, 4, False)

    def test_one_event_larger_than_the_mark_is_not_lagging(self) -> None:
        queue = EventQueue(high_water=10)
        queue.put(text("t", 1000))
        assert not queue.lagging

    def test_counts_its_bytes_until_they_have_left(self) -> None:
        queue = EventQueue()
        item = number("n", a=1)
        queue.put(item)
        assert queue.size == item.weight > len(item.data)
        queue.pop()
        assert (queue.size, len(queue)) == (item.weight, 0)
        queue.task_done()
        assert queue.size == 0

    def test_takes_as_many_bytes_as_are_worth_a_write(self) -> None:
        queue = EventQueue()
        items = [number("n", a=value) for value in range(10)]
        for item in items:
            queue.put(item)
        size = len(items[0].data)
        assert queue.take(3 * size) == items[:3]
        assert queue.take(100 * size) == items[3:]

    def test_a_large_event_comes_by_itself(self) -> None:
        queue = EventQueue()
        small, large = number("n", a=1), text("t", 10_000)
        for item in (small, large, small):
            queue.put(item)
        assert [queue.take(1000) for _ in range(3)] == [[small], [large], [small]]
        assert next(large.pieces()) is large.data

    def test_what_is_in_a_bundle_is_put_as_by_itself(self) -> None:
        batch = EncodedBatch(
            [number("n", a=1), definition("n"), number("n", a=2), number("m", a=3)]
        )
        for high_water in (10_000, 10):
            together, one_by_one = (
                EventQueue(high_water=high_water, counts_definitions=False),
                EventQueue(high_water=high_water, counts_definitions=False),
            )
            together.put_all(batch)
            for item in batch.items:
                one_by_one.put(item)
            assert (together.size, together.lagging) == (one_by_one.size, one_by_one.lagging)
            assert waiting(together) == waiting(one_by_one)

    def test_a_closed_queue_takes_nothing_more_even_once_it_has_drained(self) -> None:
        queue = lagging_queue()
        queue.close()
        assert len(waiting(queue)) == 2
        queue.put(number("n", a=1))
        queue.put_all(EncodedBatch([number("n", a=1)] * 5))
        assert (len(queue), queue.size, queue.lagging) == (0, 0, False)

    def test_what_is_relayed_leaves_as_it_was_received(self) -> None:
        received = b"<setNumberVector device='Dev'  name='n'/>"
        relayed = EncodedEvent(setNumberVector("Dev", "n"), received)
        queue = EventQueue()
        queue.put(relayed)
        assert relayed.size == len(received)
        assert list(pieces_of(queue.take(1000), 1000)) == [received]

    def test_nothing_to_take_is_an_error(self) -> None:
        with pytest.raises(IndexError):
            EventQueue().pop()

    def test_bounds_are_as_published(self) -> None:
        assert (HIGH_WATER, BOUND, BLOB_TIMEOUT) == (8 * 2**20, 64 * 2**20, 5.0)


class TestLagging:
    def test_a_newer_set_takes_the_place_of_the_older(self) -> None:
        queue = lagging_queue()
        for item in (number("n", a=1), number("m", a=2), number("n", a=3)):
            queue.put(item)
        assert [(e.vectorname, e["a"]) for e in after_filler(queue)] == [("n", 3), ("m", 2)]
        assert queue.drops == 1

    def test_it_is_as_before_once_it_has_drained(self) -> None:
        queue = lagging_queue()
        waiting(queue)
        queue.put(number("n", a=1))
        queue.put(number("n", a=2))
        assert (len(queue), queue.lagging) == (2, False)

    def test_a_set_never_moves_before_the_end_of_its_device(self) -> None:
        queue = EventQueue(high_water=20_000)
        gone = encoded(delProperty("Dev"))
        for item in (number("n", a=1), gone, text("filler", 9_000), number("n", a=2)):
            queue.put(item)
        queue.put(number("n", a=3))
        heard = [e for e in waiting(queue) if e.vectorname != "filler"]
        assert heard[:2] == [number("n", a=1).event, gone.event]
        assert [event["a"] for event in heard[2:]] == [3]

    def test_after_many_answers_nothing_goes_at_once(self) -> None:
        at_once: list[bytes] = []

        def send(data: bytes) -> int:
            at_once.append(data)
            return len(data)

        queue = EventQueue(send_nowait=send)
        queue.prompt = True
        queue.put_all(EncodedBatch([number("n", a=1)] * 5))
        waiting(queue)
        queue.put(number("n", a=2))
        assert (at_once, len(queue)) == ([], 1)

    def test_a_set_far_in_front_is_delivered_as_well(self) -> None:
        queue = EventQueue(high_water=5_500_000)
        sent = [number("far", a=1), *(number(f"n{index % 7}", a=index) for index in range(6000))]
        for item in sent:
            queue.put(item)
        assert queue.lagging
        last = [number("far", a=2), *(number(f"n{index}", a=-1) for index in range(7))]
        for item in last:
            queue.put(item)
        heard = waiting(queue)
        assert [event["a"] for event in heard if event.vectorname == "far"] == [1, 2]
        newest = {event.vectorname: event["a"] for event in heard}
        assert newest == {"far": 2, **{f"n{index}": -1 for index in range(7)}}

    def test_the_newest_state_wins_member_by_member(self) -> None:
        queue = lagging_queue()
        queue.put(number("n", a=1, b=1))
        queue.put(number("n", b=2))
        queue.put(number("n", c=3))
        (event,) = after_filler(queue)
        assert dict(event) == {"a": 1, "b": 2, "c": 3}

    def test_what_the_newer_does_not_say_is_kept(self) -> None:
        queue = lagging_queue()
        limits = {"a": Limits(0, 5, 1)}
        queue.put(
            EncodedEvent(
                setNumberVector("Dev", "n", {"a": 1.0}, State.BUSY, 60, None, limits=limits)
            )
        )
        queue.put(EncodedEvent(setNumberVector("Dev", "n", {"a": 2.0})))
        (event,) = after_filler(queue)
        assert event == setNumberVector("Dev", "n", {"a": 2.0}, State.BUSY, 60, None, "", limits)

    def test_what_the_newer_says_wins(self) -> None:
        queue = lagging_queue()
        queue.put(EncodedEvent(setNumberVector("Dev", "n", {"a": 1.0}, State.BUSY, 60)))
        newer = setNumberVector("Dev", "n", {"a": 2.0}, State.OK, 0.0)
        queue.put(EncodedEvent(newer))
        assert after_filler(queue) == [newer]

    def test_switches_going_off_still_stand_first(self) -> None:
        queue = lagging_queue()
        queue.put(encoded(setSwitchVector("Dev", "s", {"a": OFF, "b": ON}, State.OK)))
        queue.put(encoded(setSwitchVector("Dev", "s", {"c": OFF}, State.OK)))
        (event,) = after_filler(queue)
        assert list(event.items()) == [("a", OFF), ("c", OFF), ("b", ON)]

    def test_a_set_of_another_kind_replaces_the_older_whole(self) -> None:
        queue = lagging_queue()
        queue.put(number("n", a=1))
        other = setTextVector("Dev", "n", {"t": "x"}, State.OK)
        queue.put(encoded(other))
        assert after_filler(queue) == [other]

    def test_definitions_deletions_and_messages_are_never_dropped(self) -> None:
        queue = lagging_queue()
        events = [
            definition("n").event,
            Message("Dev", "hello"),
            delProperty("Dev", "n"),
            definition("n").event,
            Message(None, "hello"),
            delProperty("Dev"),
        ]
        for event in events:
            queue.put(encoded(event))
        assert [event for event in waiting(queue) if not isinstance(event, setTextVector)] == events
        assert queue.drops == 0

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
        queue = lagging_queue() if lags_before else EventQueue(high_water=20_000)
        queue.put(number("n", a=1))
        queue.put(encoded(barrier))
        if not lags_before:
            queue.put(text("filler", 10_000))
        queue.put(number("n", a=2))
        assert after_filler(queue) == [number("n", a=1).event, barrier, number("n", a=2).event]

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
        queue = lagging_queue()
        for event in (number("n", a=1).event, other, number("n", a=2).event):
            queue.put(encoded(event))
        assert queue.drops == 1

    def test_what_waited_before_it_lagged_is_replaced_too(self) -> None:
        queue = EventQueue(high_water=20_000)
        for item in (
            number("n", a=1),
            number("n", a=2),
            text("filler", 10_000),
            number("n", a=3),
        ):
            queue.put(item)
        assert [event["a"] for event in after_filler(queue)] == [1, 3]

    def test_what_has_been_taken_is_not_replaced(self) -> None:
        queue = EventQueue(high_water=20_000)
        queue.put(number("n", a=1))
        queue.put(text("filler", 10_000))
        queue.put(number("m", a=0))
        taken = queue.pop()
        queue.put(number("n", a=2))
        assert taken.event == number("n", a=1).event
        assert [event["a"] for event in after_filler(queue)] == [0, 2]

    def test_ends_when_all_has_left(self) -> None:
        queue = lagging_queue()
        queue.pop()
        queue.task_done()
        assert queue.lagging
        queue.pop()
        queue.task_done()
        assert not queue.lagging

    def test_half_drained_it_keeps_everything_again(self) -> None:
        queue = lagging_queue()
        queue.pop()
        queue.task_done()
        queue.put(number("n", a=1))
        queue.put(number("n", a=2))
        assert queue.lagging
        assert [event["a"] for event in after_filler(queue)] == [1, 2]

    def test_half_drained_a_frame_still_gives_way_to_the_newest(self) -> None:
        queue = lagging_queue()
        queue.pop()
        queue.task_done()
        queue.put(encoded(frame(10, b"1").event))
        queue.put(encoded(frame(10, b"2").event))
        assert queue.has_room(1)
        assert [event["b"][:1] for event in after_filler(queue)] == [b"2"]

    def test_waits_in_bounded_memory_for_ever(self) -> None:
        queue = lagging_queue()
        for value in range(1000):
            queue.put(number("n", a=value))
        assert queue.size < 40_000
        assert queue.drops == 999


class TestAnswers:
    """Definitions that a peer has asked for are no slowness of it, however many they are."""

    def definitions(self, count: int = 100) -> EncodedBatch:
        return EncodedBatch(definition(f"n{number}") for number in range(count))

    def test_an_answer_beyond_the_bound_is_taken_whole(self) -> None:
        answer = self.definitions()
        overflows: list[EventQueue] = []
        queue = EventQueue(high_water=4000, bound=5000, at_bound=overflows.append)
        assert answer.weight > 5000
        queue.put(number("n0", a=1))
        queue.put_all(answer)
        queue.put(number("n0", a=2))
        assert (queue.lagging, queue.drops, overflows) == (False, 0, [])
        assert queue.size < 4000
        expected = [number("n0", a=1).event, *(one.event for one in answer.items)]
        assert waiting(queue) == [*expected, number("n0", a=2).event]
        assert queue.size == 0

    def test_it_leaves_in_pieces(self) -> None:
        queue = EventQueue(high_water=1000, bound=5000)
        answer = self.definitions()
        queue.put_all(answer)
        taken = []
        while len(queue):
            piece = queue.take(1000)
            assert 0 < sum(one.size for one in piece) <= 2000
            queue.task_done()
            taken += [one.data for one in piece]
        assert taken == [one.data for one in answer.items]

    def test_definitions_that_are_published_together_are_none_either(self) -> None:
        queue = EventQueue(high_water=1000, bound=5000, counts_definitions=False)
        answer = self.definitions()
        for one in answer.items:
            queue.put(one)
        assert (queue.lagging, queue.drops) == (False, 0)
        assert waiting(queue) == [one.event for one in answer.items]

    def test_those_of_which_nothing_else_bounds_the_number_count(self) -> None:
        overflows: list[EventQueue] = []
        queue = EventQueue(high_water=1000, bound=5000, at_bound=overflows.append)
        for one in self.definitions().items:
            queue.put(one)
        assert queue.lagging
        assert overflows

    def test_who_asks_again_and_again_without_reading_is_slow(self) -> None:
        overflows: list[EventQueue] = []
        queue = EventQueue(high_water=1000, bound=50_000, at_bound=overflows.append)
        answer = self.definitions()
        asked = 50_000 // answer.weight + 1
        for _ in range(asked):
            assert not overflows
            queue.put_all(answer)
        queue.put_all(answer)
        assert overflows

    @pytest.mark.parametrize("gone", [delProperty("Dev"), delProperty("Dev", "n7")])
    def test_what_is_deleted_and_defined_again_and_again_counts(self, gone: delProperty) -> None:
        queue = EventQueue(high_water=100, bound=100_000)
        weight = definition("n7").weight
        for number_ in range(1, 10):
            queue.put_all(EncodedBatch([definition("n7")] * 1))
            queue.put_all(EncodedBatch([definition("n8")]))
            queue.put(encoded(gone))
            assert queue.size >= number_ * weight

    def test_a_definition_that_is_out_of_date_counts(self) -> None:
        queue = EventQueue(high_water=100, bound=100_000, counts_definitions=False)
        queue.put_all(self.definitions(2))
        before = queue.size
        queue.put(definition("n1"))
        assert queue.size == before + definition("n1").weight
        assert len(waiting(queue)) == 3
        assert queue.size == 0

    def test_what_has_left_is_defined_anew_as_for_the_first_time(self) -> None:
        queue = EventQueue(high_water=100, bound=100_000)
        for _ in range(3):
            queue.put_all(self.definitions(2))
            assert queue.size == 2
            assert len(queue.take(1000)) == 2
            assert queue.size == 2
            queue.task_done()
            assert queue.size == 0

    def test_once_it_has_left_all_is_as_before(self) -> None:
        queue = EventQueue(high_water=10_000, bound=50_000)
        queue.put_all(self.definitions())
        waiting(queue)
        queue.put(number("n", a=1))
        queue.put_all(self.definitions(3))
        assert queue.size == number("n", a=1).weight + self.definitions(3).weight

    def test_dropped_it_leaves_nothing_behind(self) -> None:
        queue = EventQueue(high_water=100, bound=100_000)
        queue.put_all(self.definitions(2))
        queue.drop_all()
        queue.put_all(self.definitions(2))
        queue.put(encoded(delProperty("Dev", "n0")))
        assert len(waiting(queue)) == 3
        assert queue.size == 0


class TestWhatIsNeverReplaced:
    """State only: what tells a user something, or one client its answer, arrives."""

    def test_a_refusal_stays_a_refusal(self) -> None:
        queue = lagging_queue()
        refusal = setNumberVector("Dev", "n", {"a": 1.0}, State.OK, message="[ERROR] unchanged: no")
        items = [
            number("n", a=1),
            Reply(refusal, encode(refusal)),
            number("n", a=2),
            number("n", a=3),
        ]
        for item in items:
            queue.put(item)
        assert after_filler(queue) == [items[0].event, refusal, items[3].event]

    @pytest.mark.parametrize("message", ["", "[ERROR] it broke"])
    @pytest.mark.parametrize("lags_before", [True, False])
    def test_an_alert_is_seen_at_its_place(self, message: str, lags_before: bool) -> None:
        queue = lagging_queue() if lags_before else EventQueue(high_water=20_000)
        alert = setNumberVector("Dev", "n", {"a": 2.0}, State.ALERT, message=message)
        before, after, newest = number("n", a=1), number("n", a=3), number("n", a=4)
        queue.put(before)
        queue.put(encoded(alert))
        if not lags_before:
            queue.put(text("filler", 20_000))
        queue.put(after)
        queue.put(newest)
        assert after_filler(queue) == [before.event, alert, newest.event]

    def test_each_alert_and_each_message_is_seen(self) -> None:
        queue = lagging_queue()
        said = [
            setTextVector("Dev", "t", {}, State.ALERT),
            setTextVector("Dev", "t", {}, State.ALERT),
            setTextVector("Dev", "t", {}, State.OK, message="[INFO] one"),
            setTextVector("Dev", "t", {}, State.OK, message="[INFO] two"),
        ]
        for event in said:
            queue.put(encoded(event))
        assert after_filler(queue) == said

    def test_alerts_without_end_are_bounded(self) -> None:
        queue = EventQueue(high_water=10_000, bound=50_000)
        largest = 0
        for _ in range(1000):
            queue.put(encoded(setTextVector("Dev", "t", {}, State.ALERT)))
            largest = max(largest, queue.size)
        assert largest < 60_000
        assert queue.drops > 0

    def test_a_frame_gives_way_but_not_what_it_says(self) -> None:
        """Otherwise the frames of a camera that says something with each would fill the memory."""
        queue = lagging_queue()
        for letter in (b"1", b"2", b"3"):
            shot = frame(1000, letter).event
            queue.put(EncodedEvent(replace(shot, message=f"[INFO] frame {letter.decode()}")))
        events = after_filler(queue)
        assert [event.message[-1] for event in events] == ["1", "2", "3"]
        assert [event.get("b", b"")[:1] for event in events] == [b"", b"", b"3"]
        assert queue.drops == 2

    def test_a_frame_does_not_pass_an_alert(self) -> None:
        queue = lagging_queue()
        alert = setBLOBVector("Dev", "blob", {}, {}, State.ALERT, message="[ERROR] no light")
        for item in (frame(1000, b"1"), encoded(alert), frame(1000, b"2"), frame(1000, b"3")):
            queue.put(item)
        first, second, third = after_filler(queue)
        assert (len(first), second, third["b"][:1]) == (0, alert, b"3")

    def test_frames_before_the_lag_are_replaced_alike(self) -> None:
        queue = EventQueue(high_water=20_000)
        said = replace(frame(1000, b"1").event, message="[INFO] frame 1")
        queue.put(EncodedEvent(said))
        queue.put(EncodedEvent(setBLOBVector("Dev", "blob", {}, {}, State.ALERT)))
        queue.put(text("filler", 20_000))
        queue.put(frame(1000, b"2"))
        first, second, third = after_filler(queue)
        assert (len(first), first.message) == (0, "[INFO] frame 1")
        assert (second.state, third["b"][:1]) == (State.ALERT, b"2")


class TestMark:
    def test_falls_again_when_a_large_frame_has_left(self) -> None:
        queue = EventQueue(high_water=10_000)
        queue.put(frame(300_000))
        queue.put(text("t", 2_000))
        assert queue.has_room(4_000)
        queue.pop()
        assert queue.has_room(4_000)
        queue.task_done()
        # What has stood behind it still waits.
        assert queue.has_room(4_000)
        assert not queue.has_room(6_000)
        assert not queue.lagging
        queue.put(text("t", 4_000))
        assert queue.lagging

    def test_that_of_the_next_large_one_counts_then(self) -> None:
        queue = EventQueue(high_water=10_000)
        for size in (300_000, 100_000):
            queue.put(frame(size, vector=f"blob {size}"))
        queue.pop()
        queue.task_done()
        assert queue.has_room(5_000)
        assert not queue.has_room(50_000)

    def test_falls_when_all_is_dropped(self) -> None:
        queue = EventQueue(high_water=10_000)
        queue.put(frame(300_000))
        queue.drop_all()
        queue.put(text("t", 3_000))
        assert not queue.has_room(8_000)


class TestOverflow:
    def test_beyond_the_bound_what_waits_is_dropped_and_said(self) -> None:
        told: list[int] = []

        def drop(queue: EventQueue) -> None:
            queue.drop_all()
            told.append(len(queue))

        queue = EventQueue(high_water=100, bound=6_000, at_bound=drop)
        for _ in range(5):
            queue.put(encoded(Message("Dev", "x" * 1_000)))
        assert told == [0]
        assert (queue.drops, len(queue)) == (3, 2)

    def test_it_is_said_each_time(self) -> None:
        told: list[int] = []

        def drop(queue: EventQueue) -> None:
            told.append(len(queue))
            queue.drop_all()

        queue = EventQueue(bound=1000, at_bound=drop)
        for _ in range(3):
            queue.put(text("t", 2000))
        assert told == [1, 1, 1]

    def test_a_policy_may_close_the_queue_and_keep_what_waits(self) -> None:
        queue = EventQueue(bound=20_000, at_bound=EventQueue.close)
        for _ in range(3):
            queue.put(text("t", 8_000))
        assert (queue.drops, len(waiting(queue))) == (0, 2)

    def test_a_farewell_is_taken_however_large(self) -> None:
        def farewell(queue: EventQueue) -> None:
            queue.drop_all()
            queue.put(encoded(Message("Dev", "goodbye" * 500)))
            queue.close()

        queue = EventQueue(bound=1000, at_bound=farewell)
        queue.put(text("t", 2000))
        queue.put(text("t", 2000))
        assert [event.message for event in waiting(queue)] == ["goodbye" * 500]

    def test_by_default_all_that_waits_is_dropped(self) -> None:
        queue = EventQueue(bound=20_000)
        for size in (5_000, 20_000, 5_000):
            queue.put(text("t", size))
        assert (queue.drops, len(queue)) == (2, 1)

    def test_one_blob_more_is_allowed(self) -> None:
        queue = EventQueue(
            high_water=100, bound=3000, at_bound=lambda _queue: pytest.fail("too early")
        )
        queue.put(frame(50_000))
        queue.put(text("t", 500))
        assert len(queue) == 2

    def test_an_upload_has_its_place_beside_the_bound_as_a_frame_has(self) -> None:
        queue = EventQueue(
            high_water=100, bound=1000, at_bound=lambda _queue: pytest.fail("too early")
        )
        about = {"b": SizeFormat(5000, ".bin")}
        upload = encoded(newBLOBVector("Dev", "blob", {"b": bytes(5000)}, about))
        queue.put(upload)
        assert waiting(queue) == [upload.event]

    def test_what_nobody_encoded_is_guessed(self) -> None:
        event = setTextVector("Dev", "t", {"t": "x" * 100_000}, State.OK, message="y" * 100_000)
        assert 200_000 < EncodedEvent(event).weight < 202_000
        blob = frame(100_000)
        assert 100_000 < blob.weight < 102_000
        assert EncodedEvent(Message("Dev", "x")).weight < 1000


class TestWaiting:
    async def test_for_news(self, nursery: trio.Nursery) -> None:
        queue = EventQueue()
        got: list[Any] = []

        async def writer() -> None:
            while await queue.wait_news():
                got.append(queue.pop().event)
                queue.task_done()
            got.append("the end")

        nursery.start_soon(writer)
        await trio.testing.wait_all_tasks_blocked()
        assert got == []
        queue.put(number("n", a=1))
        await trio.testing.wait_all_tasks_blocked()
        queue.close()
        queue.put(number("n", a=2))
        await trio.testing.wait_all_tasks_blocked()
        assert got == [number("n", a=1).event, "the end"]

    async def test_for_everything_to_leave(self, autojump_clock: trio.testing.MockClock) -> None:
        queue = EventQueue()
        queue.put(number("n", a=1))
        queue.pop()
        with trio.move_on_after(1) as scope:
            await queue.wait_drained()
        assert scope.cancelled_caught
        queue.task_done()
        await queue.wait_drained()

    async def test_what_waits_can_be_taken_after_closing(self) -> None:
        queue = EventQueue()
        queue.put(number("n", a=1))
        queue.close()
        assert await queue.wait_news()
        assert waiting(queue) == [number("n", a=1).event]
        assert not await queue.wait_news()


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
    queue = EventQueue(high_water=high_water)
    truth, reader = Reader(), Reader()
    put: list[Any] = []
    got: list[Any] = []
    for step in steps:
        if step == "left":
            queue.task_done()
        elif step != "take":
            queue.put(encoded(step))
            put.append(step)
            truth.read(step)
        elif len(queue):
            got.append(queue.pop().event)
    got += waiting(queue)
    queue.task_done()
    for event in got:
        reader.read(event)
    assert reader.known == truth.known
    assert len(got) + queue.drops == len(put)
    assert [e for e in got if not isinstance(e, setNumberVector)] == [
        e for e in put if not isinstance(e, setNumberVector)
    ]
    assert (queue.size, queue.lagging) == (0, False)


@given(STEPS)
def test_below_the_mark_the_reader_gets_every_event(steps: list[Any]) -> None:
    queue = EventQueue()
    put = [step for step in steps if not isinstance(step, str)]
    for event in put:
        queue.put(encoded(event))
    assert waiting(queue) == put


@given(STEPS)
@settings(deadline=None)
def test_each_state_a_reader_sees_of_a_property_was_its_state_once(steps: list[Any]) -> None:
    """Coalescing leaves states out; it makes none up."""
    queue = EventQueue(high_water=500)
    truth, reader = Reader(), Reader()
    history: dict[tuple[str, str], list[Any]] = {}
    for step in steps:
        if isinstance(step, str):
            continue
        queue.put(encoded(step))
        truth.read(step)
        for place in [(d, v) for d in "DE" for v in "mno"]:
            history.setdefault(place, [None]).append(dict(truth.known.get(place) or {}) or None)
    for event in waiting(queue):
        reader.read(event)
        for place, states in history.items():
            assert (dict(reader.known.get(place) or {}) or None) in states


def test_ten_thousand_puts_to_a_dead_peer_cost_no_memory() -> None:
    queue = lagging_queue()
    items = [number("n", a=value) for value in range(100)]
    tracemalloc.start()
    for _ in range(100):
        for item in items:
            queue.put(item)
    _size, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000
