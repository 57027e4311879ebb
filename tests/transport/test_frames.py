"""Frames on their way to several peers: who is waited for, and how long."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.kit.queues import definition, encoded, frame, text, waiting
from trindi import SizeFormat, State, defNumberVector, delProperty, setBLOBVector
from trindi.protocol import Decoder, encode
from trindi.transport import EncodedEvent, EventQueue, FrameSender

if TYPE_CHECKING:
    from collections.abc import Callable


async def put_blob(encoded: EncodedEvent, queues: list[EventQueue]) -> None:
    """Send a frame as a publisher does that has sent none before."""
    await FrameSender().send(encoded, queues, in_thread=None)


class TestBLOBs:
    """Whoever keeps up gets every frame; whoever does not costs one short wait."""

    async def test_with_room_nobody_waits(self, autojump_clock: trio.testing.MockClock) -> None:
        queues = [EventQueue(), EventQueue()]
        await put_blob(frame(100), queues)
        assert trio.current_time() == autojump_clock.current_time()
        assert [len(queue) for queue in queues] == [1, 1]

    async def test_a_frame_larger_than_the_mark_needs_an_empty_queue(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        queue = EventQueue(high_water=100)
        await put_blob(frame(1000), [queue])
        assert not queue.lagging
        assert not queue.has_room(frame(2000).weight)

    def test_one_that_fits_exactly_has_room(self) -> None:
        queue = EventQueue(high_water=1000)
        queue.put(text("filler", 500))
        room = 1000 - queue.size
        assert queue.has_room(room)
        assert not queue.has_room(room + 1)

    async def test_the_slow_are_waited_for(
        self, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
    ) -> None:
        queue = EventQueue(high_water=1000)
        got: list[bytes] = []

        async def slow_writer() -> None:
            while await queue.wait_news():
                event: Any = queue.pop().event
                await trio.sleep(1)
                got.append(event["b"][:1])
                queue.task_done()

        nursery.start_soon(slow_writer)
        letters = [b"a", b"b", b"c", b"d", b"e"]
        for letter in letters:
            await put_blob(frame(2000, letter), [queue])
        assert not queue.lagging
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
        queue = EventQueue(high_water=1000)
        for letter in (b"1", b"2"):
            await put_blob(frame(2000, letter), [queue])
        waiting(queue)
        # Once what the first wait has spent of its budget is there again.
        await trio.sleep(100)
        start = trio.current_time()
        for letter in (b"3", b"4"):
            await put_blob(frame(2000, letter), [queue])
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
        for queue in (quick, dead):
            queue.put(frame(2000))
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

        queues = [
            EventQueue(high_water=2000, bound=100, at_bound=partial(give_up, number))
            for number in reversed(range(20))
        ]
        queues.reverse()
        for queue in queues:
            queue.put(frame(600))
        assert given_up == []
        await put_blob(frame(600, vector="other"), queues)
        assert given_up == list(range(20))

    async def test_one_that_closes_meanwhile_is_not_waited_for(
        self, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
    ) -> None:
        queue = EventQueue(high_water=1000)
        queue.put(frame(2000))

        async def leave() -> None:
            await trio.sleep(1)
            queue.clear()
            queue.close()

        nursery.start_soon(leave)
        start = trio.current_time()
        await put_blob(frame(2000), [queue])
        assert trio.current_time() - start == pytest.approx(1)
        assert len(queue) == 0

    async def test_cancelled_while_it_waits_the_frame_is_not_put(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        queue = EventQueue(high_water=1000)
        queue.put(frame(2000, b"1"))
        with trio.move_on_after(1):
            await put_blob(frame(2000, b"2"), [queue])
        assert [event["b"][:1] for event in waiting(queue)] == [b"1"]

    @pytest.mark.parametrize(("size", "suffix"), [(10, ".bin"), (2**20, ".bin"), (2**20, ".z")])
    async def test_weighs_what_it_is_and_leaves_in_small_pieces(
        self, size: int, suffix: str
    ) -> None:
        payload = random.Random(size).randbytes(size)
        event = setBLOBVector("Dev", "b", {"b": payload}, {"b": SizeFormat(size, suffix)})
        encoded, queue = EncodedEvent(event), EventQueue()
        await encoded.prepare()
        queue.put(encoded)
        assert queue.take(2**16) == [encoded]
        pieces = list(encoded.pieces())
        assert b"".join(pieces) == encode(event)
        assert max(map(len, pieces)) <= 2**16
        assert encoded.size == len(encode(event))
        # What is compressed is in memory twice.
        copies = size if suffix == ".z" else 0
        assert 0 <= encoded.weight - encoded.size - copies < 1000
        assert queue.size == encoded.weight

    async def test_one_that_is_slow_for_a_moment_loses_nothing_and_one_that_always_is_costs_little(
        self, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
    ) -> None:
        """Both read at one third of the rate of the frames: one for a while, the other for ever.

        indiserver waits for nobody, and drops a client that is too slow.
        """
        now_and_then, always = EventQueue(high_water=10_000), EventQueue(high_water=10_000)
        got: list[bytes] = []

        async def read(queue: EventQueue, pause: Callable[[], float]) -> None:
            while await queue.wait_news():
                event: Any = queue.pop().event
                await trio.sleep(pause())
                if queue is now_and_then:
                    got.append(event["b"][:4])
                queue.task_done()

        start = trio.current_time()
        nursery.start_soon(read, now_and_then, lambda: 3 if trio.current_time() < start + 9 else 0)
        nursery.start_soon(read, always, lambda: 3)
        sender = FrameSender()
        sent: list[bytes] = []
        while trio.current_time() < start + 1000:
            sent.append(len(sent).to_bytes(4, "big"))
            payload = setBLOBVector(
                "Dev", "blob", {"b": sent[-1] * 1000}, {"b": SizeFormat(4000, ".bin")}
            )
            await sender.send(EncodedEvent(payload), [now_and_then, always], in_thread=None)
            await trio.sleep(1)
        await trio.sleep(10)
        assert got == sent
        assert now_and_then.drops == 0
        assert always.drops > 500
        # 5 s at first, and a twentieth of the time from then on.
        assert len(sent) > 1000 / 1.06 - 6

    async def test_all_who_are_slow_together_cost_a_publisher_a_tenth_of_its_time(
        self, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
    ) -> None:
        queues = [EventQueue(high_water=10_000) for _ in range(100)]

        async def read(queue: EventQueue, number: int) -> None:
            await trio.sleep(number)
            while await queue.wait_news():
                queue.pop()
                await trio.sleep(3)
                queue.task_done()

        for number, queue in enumerate(queues):
            nursery.start_soon(read, queue, number)
        start = trio.current_time()
        waited = 0.0
        sender = FrameSender()
        while trio.current_time() < start + 1000:
            began = trio.current_time()
            await sender.send(frame(4000), queues, in_thread=None)
            waited += trio.current_time() - began
            await trio.sleep(1)
        assert 10 < waited <= 10 + 0.1 * 1001

    async def test_who_comes_again_and_again_has_no_more_time(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        """A new connection has a budget of its own; that of the publisher ends it."""
        sender = FrameSender()
        start = trio.current_time()
        for _ in range(50):
            queue = EventQueue(high_water=1000)
            queue.put(frame(2000))
            await sender.send(frame(2000), [queue], in_thread=None)
        assert trio.current_time() - start <= 12

    async def test_a_stream_that_waits_for_nobody(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        queue = EventQueue(high_water=1000)
        start = trio.current_time()
        for letter in (b"1", b"2", b"3"):
            await FrameSender().send(frame(2000, letter), [queue], wait=False, in_thread=None)
        assert trio.current_time() == start
        assert [event["b"][:1] for event in waiting(queue)] == [b"3"]

    async def test_the_only_receiver_is_waited_for_each_time(
        self, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
    ) -> None:
        """On stdio nobody else is throttled: as in libindi, the driver is as slow as its peer."""
        queue = EventQueue(high_water=1000)
        got: list[bytes] = []

        async def read() -> None:
            while await queue.wait_news():
                event: Any = queue.pop().event
                await trio.sleep(4)
                got.append(event["b"][:1])
                queue.task_done()

        nursery.start_soon(read)
        sender = FrameSender(one_receiver=True)
        letters = [bytes([letter]) for letter in b"abcdefgh"]
        for letter in letters:
            await sender.send(frame(2000, letter), [queue], in_thread=None)
        await trio.sleep(10)
        assert got == letters


class TestDeleted:
    """A frame that waits for room is no frame of the property that is defined afterwards."""

    @pytest.mark.parametrize(
        "end", [delProperty("Dev", "blob"), delProperty("Dev"), delProperty(None)]
    )
    async def test_what_waits_is_dropped(
        self, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery, end: delProperty
    ) -> None:
        queue, sender = EventQueue(high_water=1000), FrameSender()
        queue.put(frame(2000, b"1"))

        async def delete() -> None:
            await trio.sleep(1)
            sender.delete(end)
            for item in (encoded(end), definition("blob")):
                queue.put(item)

        nursery.start_soon(delete)
        start = trio.current_time()
        await sender.send(frame(2000, b"2"), [queue], in_thread=None)
        # It has ended at once, as if it had been sent.
        assert trio.current_time() - start == pytest.approx(1)
        await trio.sleep(10)
        assert [type(event) for event in waiting(queue)] == [
            setBLOBVector,
            delProperty,
            defNumberVector,
        ]

    async def test_where_room_comes_in_the_same_moment_too(
        self, autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
    ) -> None:
        queue, sender = EventQueue(high_water=1000), FrameSender()
        queue.put(frame(2000, b"1"))
        nursery.start_soon(partial(sender.send, frame(2000, b"2"), [queue], in_thread=None))
        await trio.testing.wait_all_tasks_blocked()
        waiting(queue)
        sender.delete(delProperty("Dev"))
        await trio.testing.wait_all_tasks_blocked()
        assert len(queue) == 0

    async def test_while_it_is_compressed_too(self, autojump_clock: trio.testing.MockClock) -> None:
        queue, sender = EventQueue(), FrameSender()

        async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
            sender.delete(delProperty("Dev", "blob"))
            return function(*args)

        packed = setBLOBVector("Dev", "blob", {"b": b"x"}, {"b": SizeFormat(1, ".z")})
        await sender.send(EncodedEvent(packed), [queue], in_thread=in_thread)
        assert len(queue) == 0

    async def test_those_of_others_are_not(self, autojump_clock: trio.testing.MockClock) -> None:
        queue, sender = EventQueue(high_water=1000), FrameSender()
        queue.put(frame(2000, b"1"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(sender.send, frame(2000, b"2"), [queue], in_thread=None))
            await trio.testing.wait_all_tasks_blocked()
            sender.delete(delProperty("Dev", "other"))
            sender.delete(delProperty("Other"))
            assert [event["b"][:1] for event in waiting(queue)] == [b"1"]
        assert [event["b"][:1] for event in waiting(queue)] == [b"2"]


@pytest.mark.parametrize("suffix", [".bin", ".bin.z"])
async def test_frames_that_are_merged_still_leave_in_small_pieces(suffix: str) -> None:
    size = 2**20
    payloads = {name: random.Random(name).randbytes(size) for name in "abc"}

    async def frame_of(**members: bytes) -> EncodedEvent:
        about = {name: SizeFormat(size, suffix) for name in members}
        encoded = EncodedEvent(setBLOBVector("Dev", "b", members, about, State.BUSY, 60.0))
        await encoded.prepare()
        return encoded

    queue = EventQueue(high_water=1000)
    queue.put(text("filler", 90_000))
    queue.put(text("more filler", 50_000))
    queue.put(await frame_of(a=payloads["b"], b=payloads["b"]))
    queue.put(await frame_of(c=payloads["c"]))
    queue.put(await frame_of(a=payloads["a"]))
    queue.take(100)
    queue.task_done()
    queue.take(100)
    queue.task_done()
    size_before = queue.size
    (merged,) = queue.take(2**16)
    pieces = list(merged.pieces())
    (event,) = Decoder().feed(b"".join(pieces))
    assert isinstance(event, setBLOBVector)
    assert dict(event) == payloads
    assert event.timeout == 60.0
    assert max(map(len, pieces)) <= 2**16
    assert merged.size == sum(map(len, pieces))
    assert size_before == merged.weight
