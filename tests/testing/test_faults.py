"""Faults of a connection, at a byte or a time, and their effect at both ends."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trindi.errors import ConfigurationError
from trindi.testing import Cut, Direction, Fault, FaultyStream, Garbage, Reset, Slow, Stall

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio.testing import MockClock

SENT, RECEIVED = Direction.SENT, Direction.RECEIVED


class FaultyPair:
    """A faulty stream and its other end; notes what passes, with the times.

    Attributes:
        stream: the faulty end.
        far: the other end.
    """

    def __init__(self, *faults: Fault, lockstep: bool = True) -> None:
        self.far: trio.abc.Stream
        if lockstep:
            within: trio.abc.Stream
            within, self.far = trio.testing.lockstep_stream_pair()
        else:
            within, self.far = trio.testing.memory_stream_pair()
        self._start = trio.current_time()
        self.stream = FaultyStream(within, faults)

    def now(self) -> float:
        return round(trio.current_time() - self._start, 6)

    async def read(
        self, stream: trio.abc.ReceiveStream, most: int | None = None
    ) -> list[tuple[float, Any]]:
        """Read to the end; return what came, with its times, and last b"" or None if it broke."""
        found: list[tuple[float, Any]] = []
        while not found or found[-1][1]:
            try:
                data: Any = bytes(await stream.receive_some(most))
            except trio.BrokenResourceError:
                data = None
            found.append((self.now(), data))
        return found

    async def write(self, *pieces: tuple[float, bytes]) -> None:
        """Let the other end write these pieces, each at its time, and close."""
        for time, data in pieces:
            await trio.sleep_until(self._start + time)
            await self.far.send_all(data)
        await self.far.aclose()

    async def take(self) -> list[tuple[float, Any]]:
        """Let the other end read to the end."""
        return await self.read(self.far)


async def both(first: Callable[[], Awaitable[Any]], other: Callable[[], Awaitable[Any]]) -> Any:
    """Run two things at once; return what the first has returned."""
    found: list[Any] = []

    async def run() -> None:
        found.append(await first())

    async def run_other() -> None:
        await other()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        nursery.start_soon(run_other)
    return found[0]


async def receive(pair: FaultyPair, *pieces: tuple[float, bytes], most: int | None = None) -> Any:
    """Return what the faulty end reads while the other end writes."""

    async def write() -> None:
        # The other end of a cut connection cannot go on.
        try:
            await pair.write(*pieces)
        except trio.BrokenResourceError:
            await pair.far.aclose()

    return await both(lambda: pair.read(pair.stream, most), write)


async def send(pair: FaultyPair, *pieces: bytes) -> tuple[Any, str]:
    """Return what the other end reads while the faulty end writes, and how writing ended."""
    ends = []

    async def write() -> None:
        try:
            for piece in pieces:
                await pair.stream.send_all(piece)
        except trio.BrokenResourceError:
            ends.append("broken")
        else:
            ends.append("all sent")
        await pair.stream.aclose()

    heard = await both(pair.take, write)
    return heard, ends[0]


@pytest.fixture(params=[True, False], ids=["lockstep", "buffered"])
def lockstep(request: pytest.FixtureRequest) -> bool:
    found: bool = request.param
    return found


def joined(found: list[tuple[float, Any]]) -> bytes:
    return b"".join(data for _, data in found if data)


# Without, and with each -------------------------------------------------------------------------


async def test_without_faults_all_passes(lockstep: bool, autojump_clock: MockClock) -> None:
    assert await receive(FaultyPair(lockstep=lockstep), (1, b"abc"), (2, b"def")) == [
        (1, b"abc"),
        (2, b"def"),
        (2, b""),
    ]
    heard, end = await send(FaultyPair(lockstep=lockstep), b"abc", b"def")
    assert (joined(heard), heard[-1], end) == (b"abcdef", (0, b""), "all sent")


async def test_a_cut_in_what_is_received(lockstep: bool, autojump_clock: MockClock) -> None:
    pair = FaultyPair(Cut(byte=4), lockstep=lockstep)
    heard = await receive(pair, (1, b"abc"), (2, b"def"), (3, b"ghi"))
    assert heard == [(1, b"abc"), (2, b"d"), (2, b"")]
    assert await pair.stream.receive_some() == b""
    with pytest.raises(trio.BrokenResourceError):
        await pair.stream.send_all(b"x")


async def test_a_cut_in_what_is_sent(lockstep: bool, autojump_clock: MockClock) -> None:
    pair = FaultyPair(Cut(byte=4, direction=SENT), lockstep=lockstep)
    heard, end = await send(pair, b"abc", b"def")
    assert (joined(heard), heard[-1], end) == (b"abcd", (0, b""), "broken")
    with pytest.raises(trio.BrokenResourceError):
        await pair.far.send_all(b"x")


async def test_a_cut_right_behind_what_is_sent_does_not_wait(
    lockstep: bool, autojump_clock: MockClock
) -> None:
    pair = FaultyPair(Cut(byte=3, direction="sent"), lockstep=lockstep)
    heard, end = await send(pair, b"abc")
    assert (joined(heard), end) == (b"abc", "all sent")
    with pytest.raises(trio.BrokenResourceError):
        await pair.stream.send_all(b"")


@pytest.mark.parametrize("direction", Direction)
async def test_a_cut_by_time_strikes_who_reads(
    lockstep: bool, direction: Direction, autojump_clock: MockClock
) -> None:
    pair = FaultyPair(Cut(time=5, direction=direction), lockstep=lockstep)
    assert await receive(pair, (1, b"abc"), (9, b"def")) == [(1, b"abc"), (5, b"")]


async def test_a_cut_by_time_strikes_who_writes(autojump_clock: MockClock) -> None:
    pair = FaultyPair(Cut(time=5))
    with pytest.raises(trio.BrokenResourceError):
        await pair.stream.send_all(b"nobody reads this")
    assert pair.now() == 5
    # Bytes that were in transit may arrive.
    assert (await pair.take())[-1] == (5, b"")


async def test_a_cut_in_what_is_sent_strikes_who_reads_as_well(
    lockstep: bool, autojump_clock: MockClock
) -> None:
    pair = FaultyPair(Cut(byte=2, direction=SENT), lockstep=lockstep)

    async def write() -> None:
        await trio.sleep(3)
        with pytest.raises(trio.BrokenResourceError):
            await pair.stream.send_all(b"abc")

    async def far() -> None:
        assert await pair.take() == [(3, b"ab"), (3, b"")]

    async def read() -> Any:
        return await pair.read(pair.stream)

    assert await both(read, lambda: both(write, far)) == [(3, b"")]


@pytest.mark.parametrize("fault", [Reset(byte=4), Reset(time=2.5)], ids=["byte", "time"])
async def test_a_reset_breaks_the_line(
    lockstep: bool, fault: Fault, autojump_clock: MockClock
) -> None:
    pair = FaultyPair(fault, lockstep=lockstep)
    *before, end = await receive(pair, (1, b"abc"), (2, b"d"), (9, b"efg"))
    assert joined(before) == b"abcd"
    assert end == (2.5 if fault.time else 2, None)
    with pytest.raises(trio.BrokenResourceError):
        await pair.stream.send_all(b"x")


async def test_a_reset_is_an_end_for_the_other_side(
    lockstep: bool, autojump_clock: MockClock
) -> None:
    pair = FaultyPair(Reset(byte=2, direction=SENT), lockstep=lockstep)
    heard, end = await send(pair, b"abcd")
    assert (joined(heard), heard[-1], end) == (b"ab", (0, b""), "broken")
    with pytest.raises(trio.BrokenResourceError):
        await pair.far.send_all(b"x")


async def test_garbage_at_a_byte(lockstep: bool, autojump_clock: MockClock) -> None:
    pair = FaultyPair(Garbage(b"<<<", byte=2), lockstep=lockstep)
    assert joined(await receive(pair, (1, b"abcdef"))) == b"ab<<<cdef"
    pair = FaultyPair(Garbage(b"<<<", byte=2, direction=SENT), lockstep=lockstep)
    heard, end = await send(pair, b"abc", b"def")
    assert (joined(heard), end) == (b"ab<<<cdef", "all sent")


async def test_garbage_behind_the_last_byte(lockstep: bool, autojump_clock: MockClock) -> None:
    pair = FaultyPair(Garbage(b"<<<", byte=3), lockstep=lockstep)
    assert joined(await receive(pair, (1, b"abc"))) == b"abc<<<"
    pair = FaultyPair(Garbage(b"<<<", byte=3, direction=SENT), lockstep=lockstep)
    assert joined((await send(pair, b"abc"))[0]) == b"abc<<<"


async def test_garbage_at_a_time(lockstep: bool, autojump_clock: MockClock) -> None:
    pair = FaultyPair(Garbage(b"<<<", time=5), Garbage(time=6), lockstep=lockstep)
    heard = await receive(pair, (1, b"abc"), (9, b"def"))
    assert heard[:2] == [(1, b"abc"), (5, b"<<<")]
    (time, junk), *rest = heard[2:]
    assert (time, rest) == (6, [(9, b"def"), (9, b"")])
    assert b"<" in junk


async def test_no_more_is_read_than_was_asked_for(autojump_clock: MockClock) -> None:
    pair = FaultyPair(Garbage(b"<<<", byte=2), lockstep=False)
    heard = await receive(pair, (1, b"abcd"), most=1)
    assert [data for _, data in heard] == [b"a", b"b", b"<", b"<", b"<", b"c", b"d", b""]


async def test_a_stall_at_a_byte(lockstep: bool, autojump_clock: MockClock) -> None:
    pair = FaultyPair(Stall(10, byte=2), lockstep=lockstep)
    assert await receive(pair, (1, b"abcd"), (2, b"ef")) == [
        (1, b"ab"),
        *([(11, b"cd"), (11, b"ef")] if lockstep else [(11, b"cdef")]),
        (11, b""),
    ]
    pair = FaultyPair(Stall(10, byte=2, direction=SENT), lockstep=lockstep)
    heard, _ = await send(pair, b"abcd")
    assert heard == [(0, b"ab"), (10, b"cd"), (10, b"")]


async def test_a_stall_at_a_time_holds_what_comes_meanwhile(
    lockstep: bool, autojump_clock: MockClock
) -> None:
    pair = FaultyPair(Stall(10, time=2), lockstep=lockstep)
    heard = await receive(pair, (1, b"a"), (3, b"b"), (15, b"c"))
    assert heard == [(1, b"a"), (12, b"b"), (15, b"c"), (15, b"")]


async def test_a_stall_that_is_over_before_anything_comes_is_not_noticed(
    autojump_clock: MockClock,
) -> None:
    assert await receive(FaultyPair(Stall(10, time=2)), (20, b"a")) == [(20, b"a"), (20, b"")]


async def test_a_stall_for_ever_may_end_in_a_cut(autojump_clock: MockClock) -> None:
    pair = FaultyPair(Stall(time=2), Cut(time=100))
    assert await receive(pair, (1, b"a"), (3, b"b")) == [(1, b"a"), (100, b"")]
    assert Stall(time=2).seconds == math.inf


async def test_a_stall_outlives_who_gives_up(autojump_clock: MockClock, nursery: Any) -> None:
    pair = FaultyPair(Stall(10, byte=1))
    nursery.start_soon(pair.write, (0, b"abc"))
    assert await pair.stream.receive_some() == b"a"
    with trio.move_on_after(4) as scope:
        await pair.stream.receive_some()
    assert scope.cancelled_caught
    assert await pair.stream.receive_some() == b"bc"
    assert pair.now() == 10


async def test_nothing_is_lost_to_who_gives_up(autojump_clock: MockClock, nursery: Any) -> None:
    pair = FaultyPair(Stall(10, time=1))
    nursery.start_soon(pair.write, (2, b"abc"))
    for _ in range(3):
        with trio.move_on_after(3):
            await pair.stream.receive_some()
    assert await pair.stream.receive_some() == b"abc"
    assert pair.now() == 11


async def test_a_slow_reader(lockstep: bool, autojump_clock: MockClock) -> None:
    pair = FaultyPair(Slow(100, byte=0), lockstep=lockstep)
    heard = await receive(pair, (0, bytes(1000)))
    assert joined(heard) == bytes(1000)
    assert heard[-1][0] == pytest.approx(10)
    assert max(len(data) for _, data in heard) == 10


async def test_a_slow_reader_slows_down_who_writes(autojump_clock: MockClock) -> None:
    pair = FaultyPair(Slow(100, byte=0))
    done: list[float] = []

    async def write() -> None:
        await pair.far.send_all(bytes(1000))
        done.append(pair.now())
        await pair.far.aclose()

    await both(lambda: pair.read(pair.stream), write)
    assert done[0] == pytest.approx(9.9)


async def test_a_slow_writer_from_some_time_on(lockstep: bool, autojump_clock: MockClock) -> None:
    pair = FaultyPair(Slow(2, time=5, direction=SENT), lockstep=lockstep)

    async def write() -> None:
        await pair.stream.send_all(b"abc")
        await trio.sleep(6)
        await pair.stream.send_all(b"def")
        await pair.stream.aclose()

    heard = await both(pair.take, write)
    assert heard == [(0, b"abc"), (6, b"d"), (6.5, b"e"), (7, b"f"), (7, b"")]


async def test_a_slow_line_can_be_cut(autojump_clock: MockClock) -> None:
    pair = FaultyPair(Slow(10, byte=0), Cut(time=3.05))
    heard = await receive(pair, (0, bytes(100)))
    assert (len(joined(heard)), heard[-1]) == (31, (3.05, b""))


async def test_several_strike_in_the_order_given(autojump_clock: MockClock) -> None:
    faults = [Garbage(b"1", byte=1), Garbage(b"2", byte=1), Garbage(b"3", byte=2), Cut(byte=3)]
    assert joined(await receive(FaultyPair(*faults), (0, b"abcd"))) == b"a12b3c"


async def test_the_directions_do_not_mix(autojump_clock: MockClock) -> None:
    pair = FaultyPair(Cut(byte=3, direction=SENT), Garbage(b"!", byte=0))
    assert joined(await receive(pair, (0, b"abcdef"))) == b"!abcdef"


# What is around it ------------------------------------------------------------------------------


async def test_it_can_be_closed_by_halves(autojump_clock: MockClock) -> None:
    pair = FaultyPair(lockstep=False)
    await pair.stream.wait_send_all_might_not_block()
    await pair.stream.send_eof()
    assert await pair.far.receive_some() == b""
    pair = FaultyPair(Cut(byte=0))
    assert await pair.stream.receive_some() == b""
    await pair.stream.wait_send_all_might_not_block()
    await pair.stream.send_eof()


async def test_closed_it_says_so(autojump_clock: MockClock) -> None:
    pair = FaultyPair()
    await pair.stream.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await pair.stream.receive_some()
    with pytest.raises(trio.ClosedResourceError):
        await pair.stream.send_all(b"x")


async def test_a_stream_that_cannot_be_closed_by_halves(autojump_clock: MockClock) -> None:
    sent: list[Any] = []

    class Whole(trio.abc.Stream):
        async def send_all(self, data: Any) -> None:
            sent.append(bytes(data))

        wait_send_all_might_not_block: Any = None
        receive_some: Any = None
        aclose: Any = None

    stream = FaultyStream(Whole(), [])
    await stream.send_eof()
    # Nothing was closed.
    await stream.send_all(b"x")
    assert sent == [b"x"]


@pytest.mark.parametrize(
    "make",
    [
        Cut,
        lambda: Cut(byte=1, time=1),
        lambda: Reset(byte=-1),
        lambda: Stall(time=-0.5),
        lambda: Stall(time=math.nan),
        lambda: Slow(0, byte=1),
        lambda: Slow(math.nan, byte=1),
        lambda: Stall(-5, byte=1),
        lambda: Stall(math.nan, byte=1),
        lambda: Cut(byte=1, direction="up"),
        lambda: Cut(byte=1, direction=None),  # type: ignore[arg-type]
    ],
)
def test_a_fault_that_cannot_be_is_refused(make: Callable[[], Fault]) -> None:
    words = "a fault strikes|byte is at least 0|number of seconds, 0 or more|rate is above"
    with pytest.raises(ConfigurationError, match=rf"{words}|is 'received' or 'sent', not"):
        make()
    assert issubclass(ConfigurationError, ValueError)


@pytest.mark.parametrize(
    ("fault", "values", "words"),
    [
        (Cut, {"byte": 300.5}, "byte is an int, not float"),
        (Cut, {"byte": True}, "byte is an int, not bool"),
        (Cut, {"time": "5"}, "time is a number, not str"),
        (Stall, {"seconds": "5", "byte": 1}, "seconds is a number, not str"),
        (Slow, {"rate": None, "byte": 1}, "rate is a number, not NoneType"),
        (Garbage, {"data": "text", "byte": 1}, 'data is bytes, not str: write b"…"'),
    ],
)
def test_a_value_of_another_type_is_refused(fault: Any, values: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        fault(**values)


async def test_what_is_no_fault_is_refused() -> None:
    nothing: Any = None
    with pytest.raises(TypeError, match=r"faults are such as Cut\(byte=300\), not type"):
        FaultyStream(nothing, [Cut])  # type: ignore[list-item]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_garbage_may_be_bytes_of_any_kind(kind: Any) -> None:
    assert Garbage(kind(b"x"), byte=1) == Garbage(b"x", byte=1)
