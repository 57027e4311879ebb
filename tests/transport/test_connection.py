"""One peer on one stream: order, back-pressure, and the ways in which a connection can end."""

from __future__ import annotations

import random
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.kit.client import texts
from tests.kit.peers import Client
from trindi.errors import ProtocolError
from trindi.protocol import (
    Decoder,
    Event,
    Message,
    SizeFormat,
    encode,
    getProperties,
    newBLOBVector,
    newTextVector,
    pingReply,
    pingRequest,
    setTextVector,
)
from trindi.testing import FaultyStream, Reset
from trindi.transport import Connection, EncodedBatch, EncodedEvent, Runtime
from trindi.transport.connection import (
    ANSWER_TIMEOUT,
    FAREWELL,
    KEEPALIVE,
    LINGER,
    MAX_ERRORS,
    THREAD_BYTES,
)
from trindi.transport.runtime import MAX_LOADS, MAX_STREAK

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from trindi.testing import Fault

FAULT = b"<newTextVector =></newTextVector>"


class Line:
    """A connection with the peer at its other end, and everything the peer has said.

    What a peer sends waits without bound; what it is sent does only where it reads ahead.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        *,
        reads_ahead: bool = True,
        faults: Sequence[Fault] = (),
        **options: Any,
    ) -> None:
        to_us, from_peer = trio.testing.memory_stream_one_way_pair()
        way = "memory" if reads_ahead else "lockstep"
        to_peer, from_us = getattr(trio.testing, f"{way}_stream_one_way_pair")()
        self.peer = Client(trio.StapledStream(to_us, from_us))
        stream: trio.abc.Stream = trio.StapledStream(to_peer, from_peer)
        self.connection = Connection(
            FaultyStream(stream, faults) if faults else stream, name="the peer", **options
        )
        self.heard: list[Event | ProtocolError] = []
        self.ended = trio.Event()
        nursery.start_soon(self._run)

    async def _run(self) -> None:
        await self.connection.run(self.handle)
        self.ended.set()

    def handle(self, item: Event | ProtocolError) -> Awaitable[None] | None:
        self.heard.append(item)
        return None


async def test_hears_everything_in_order(nursery: trio.Nursery, autojump_clock: Any) -> None:
    line = Line(nursery)
    await line.peer.send(getProperties("A"), FAULT, getProperties("B"))
    await line.peer.sync()
    first, fault, last = line.heard
    assert (first, last) == (getProperties("A"), getProperties("B"))
    assert isinstance(fault, ProtocolError)
    assert (line.connection.events_in, line.connection.errors) == (2, 1)


async def test_pings_are_answered_in_the_order_of_the_stream(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    class Echo(Line):
        def handle(self, item: Event | ProtocolError) -> None:
            assert isinstance(item, getProperties)
            self.connection.reply(Message(item.devicename))

    line = Echo(nursery)
    sent: list[Event] = [getProperties("A"), pingRequest("1"), pingRequest("2"), getProperties("B")]
    await line.peer.send(*sent)
    answers = [await line.peer.receive() for _ in sent]
    assert answers == [Message("A"), pingReply("1"), pingReply("2"), Message("B")]


async def test_a_full_receiver_holds_up_the_reader(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    room = trio.Event()

    class Busy(Line):
        def handle(self, item: Event | ProtocolError) -> Awaitable[None] | None:
            self.heard.append(item)
            return room.wait()

    line = Busy(nursery)
    await line.peer.send(getProperties("A"), getProperties("B"))
    await trio.testing.wait_all_tasks_blocked()
    assert line.heard == [getProperties("A")]
    room.set()
    await line.peer.sync()
    assert line.heard == [getProperties("A"), getProperties("B")]


async def test_others_have_their_turn_while_one_peer_talks(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    turns = 0
    turns_at_event: list[int] = []

    async def want_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    class Counting(Line):
        def handle(self, item: Event | ProtocolError) -> None:
            turns_at_event.append(turns)

    line = Counting(nursery)
    nursery.start_soon(want_turns)
    await line.peer.send(*[getProperties("A")] * 10 * MAX_STREAK)
    await line.peer.sync()
    assert turns_at_event[-1] - turns_at_event[0] >= 5


async def test_a_reply_weighs_what_it_is(nursery: trio.Nursery) -> None:
    ours, _theirs = trio.testing.memory_stream_pair()
    connection = Connection(ours, name="the peer")
    connection.reply(newTextVector("D", "P", {"t": "x" * 100_000}))
    assert connection.queue.size > 100_000


# Saying goodbye ----------------------------------------------------------------------------------


async def test_replies_are_finished_after_the_peer_has_said_its_last(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    class Worker(Line):
        def handle(self, item: Event | ProtocolError) -> None:
            self.connection.request_started(getProperties())
            nursery.start_soon(self.work)

        async def work(self) -> None:
            await trio.sleep(LINGER / 2)
            self.connection.reply(Message(None, "done"))
            self.connection.request_finished(getProperties())

    line = Worker(nursery)
    await line.peer.send(getProperties(), getProperties())
    await line.peer.stream.send_eof()  # type: ignore[attr-defined]
    assert await line.peer.rest() == [Message(None, "done")] * 2
    await line.ended.wait()
    assert trio.current_time() == pytest.approx(LINGER / 2)


async def test_work_that_takes_long_does_not_hold_a_peer_that_has_said_its_last(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    class Endless(Line):
        def handle(self, item: Event | ProtocolError) -> None:
            self.connection.request_started(getProperties())
            self.connection.reply(Message(None, "begun"))

    line = Endless(nursery)
    await line.peer.send(getProperties())
    await line.peer.stream.send_eof()  # type: ignore[attr-defined]
    assert await line.peer.rest() == [Message(None, "begun")]
    await line.ended.wait()
    assert trio.current_time() == pytest.approx(LINGER)


async def test_replies_that_do_not_leave_are_given_up(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    line = Line(nursery, reads_ahead=False)
    await line.peer.stream.send_eof()  # type: ignore[attr-defined]
    line.connection.reply(Message(None, "nobody reads this"))
    await line.ended.wait()
    assert trio.current_time() == pytest.approx(LINGER)


def told(events: list[Any]) -> list[str]:
    """What messages say; all are about the whole server, and have a time."""
    assert all(isinstance(event, Message) and event.devicename is None for event in events)
    assert all(event.timestamp is not None for event in events)
    return [event.message for event in events]


async def test_a_peer_that_is_sent_away_is_told_why_and_nothing_else(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    line = Line(nursery, reads_ahead=False)
    for number in range(10):
        line.connection.queue.put(EncodedEvent(Message(None, str(number))))
    line.connection.disconnect("the house is full")
    line.connection.disconnect("another reason")
    line.connection.reply(Message(None, "too late"))
    assert told(await line.peer.rest()) == ["[ERROR] the house is full"]
    await line.peer.aclose()
    await line.ended.wait()


async def test_a_peer_that_is_sent_away_and_does_not_go_is_cut_off(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    line = Line(nursery)
    line.connection.disconnect("the house is full")
    assert told(await line.peer.rest()) == ["[ERROR] the house is full"]
    await line.ended.wait()
    assert trio.current_time() == pytest.approx(FAREWELL)


async def test_a_peer_that_is_sent_away_and_does_not_read_is_cut_off(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    line = Line(nursery, reads_ahead=False)
    line.connection.disconnect("the house is full")
    await line.ended.wait()
    assert trio.current_time() == pytest.approx(FAREWELL)


async def test_a_stream_that_cannot_be_half_closed_is_closed(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    class NoHalfClose(trio.abc.Stream):
        """A stream without `send_eof`."""

        async def send_all(self, data: bytes | bytearray | memoryview) -> None:
            await ours.send_all(data)

        async def wait_send_all_might_not_block(self) -> None:
            await ours.wait_send_all_might_not_block()

        async def receive_some(self, max_bytes: int | None = None) -> bytes:
            return bytes(await ours.receive_some(max_bytes))

        async def aclose(self) -> None:
            await ours.aclose()

    ours, theirs = trio.testing.memory_stream_pair()
    peer = Client(theirs)
    connection = Connection(NoHalfClose(), name="the peer")
    nursery.start_soon(connection.run, lambda _item: None)
    connection.disconnect("the house is full")
    assert told(await peer.rest()) == ["[ERROR] the house is full"]
    assert trio.current_time() == 0


# Faults of the peer ------------------------------------------------------------------------------


async def test_too_many_malformed_elements_end_the_connection(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    line = Line(nursery)
    await line.peer.send(FAULT * (MAX_ERRORS - 1))
    assert await line.peer.sync() == [pingReply("sync 1")]
    await line.peer.send(FAULT * 50, getProperties())
    (farewell,) = await line.peer.rest()
    assert isinstance(farewell, Message)
    assert "malformed" in farewell.message
    # What came in the same breath as the last straw is not acted on.
    assert len(line.heard) == MAX_ERRORS


async def test_requests_that_a_driver_refuses_end_no_connection(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    line = Line(nursery)
    bad = encode(newTextVector("D", "P", {"n": "much"})).replace(b"Text", b"Number")
    await line.peer.send(bad * MAX_ERRORS * 2)
    await line.peer.sync()
    assert len(line.heard) == MAX_ERRORS * 2
    assert line.connection.errors == 0


async def test_the_number_of_malformed_elements_need_not_be_bounded(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    line = Line(nursery, max_errors=None)
    await line.peer.send(FAULT * MAX_ERRORS * 2)
    await line.peer.sync()
    assert line.connection.errors == MAX_ERRORS * 2


async def test_a_peer_that_never_reads_its_replies_is_sent_away(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    class Talkative(Line):
        def handle(self, item: Event | ProtocolError) -> None:
            super().handle(item)
            self.connection.reply(Message(None, "x" * 1000))

    line = Talkative(nursery, reads_ahead=False, high_water=10_000, bound=50_000)
    await line.peer.send(encode(getProperties()) * 1000)
    await line.ended.wait()
    assert len(line.heard) < 1000


async def test_what_a_peer_said_before_it_left_is_heard(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    room = trio.Event()

    class Busy(Line):
        def handle(self, item: Event | ProtocolError) -> Awaitable[None] | None:
            self.heard.append(item)
            return room.wait()

    line = Busy(nursery)
    await line.peer.send(newTextVector("D", "P"), newTextVector("D", "Q"))
    await trio.testing.wait_all_tasks_blocked()
    await line.peer.aclose()
    line.connection.reply(Message(None, "nobody hears this"))
    await trio.testing.wait_all_tasks_blocked()
    assert line.connection.queue.size == 0
    room.set()
    await line.ended.wait()
    assert line.heard == [newTextVector("D", "P"), newTextVector("D", "Q")]


async def test_a_peer_that_has_left_cannot_hold_the_reader_for_ever(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    class Stuck(Line):
        def handle(self, item: Event | ProtocolError) -> Awaitable[None] | None:
            return trio.Event().wait()

    line = Stuck(nursery)
    await line.peer.send(newTextVector("D", "P"))
    await trio.testing.wait_all_tasks_blocked()
    await line.peer.aclose()
    line.connection.reply(Message(None, "nobody hears this"))
    await line.ended.wait()
    assert trio.current_time() == pytest.approx(LINGER)


# Our own end -------------------------------------------------------------------------------------


async def test_cancelling_closes_the_stream_at_once(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    ours, theirs = trio.testing.lockstep_stream_pair()
    connection = Connection(ours, name="the peer")
    async with trio.open_nursery() as inner:
        inner.start_soon(partial(connection.run, lambda _item: None))
        connection.reply(Message(None, "half of this is out"))
        await trio.testing.wait_all_tasks_blocked()
        inner.cancel_scope.cancel()
    with pytest.raises(trio.BrokenResourceError):
        await theirs.send_all(b"<getProperties/>")
    connection.reply(Message(None, "this goes nowhere"))
    assert len(connection.queue) == 0


async def test_a_fault_of_the_handler_is_ours_and_closes_the_stream(autojump_clock: Any) -> None:
    def fail(_item: Event | ProtocolError) -> None:
        raise LookupError("a bug")

    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.send_all(b"<getProperties/>")
    with pytest.raises(ExceptionGroup) as raised:
        await Connection(ours, name="the peer").run(fail)
    assert raised.group_contains(LookupError, match="a bug")
    assert await theirs.receive_some() == b""


async def test_events_are_gathered_into_large_writes(autojump_clock: Any) -> None:
    writes: list[bytes] = []

    async def note() -> None:
        writes.append(bytes(sending.get_data_nowait()))

    sending = trio.testing.MemorySendStream(send_all_hook=note)
    _unused, silent = trio.testing.memory_stream_one_way_pair()
    connection = Connection(trio.StapledStream(sending, silent), name="the peer")
    for number in range(1000):
        connection.queue.put(EncodedEvent(setTextVector("D", f"P{number}", {"t": "x"})))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.run, lambda _item: None)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert len(writes) < 20
    assert connection.queue.taken == 1000


@pytest.mark.parametrize(("suffix", "calls"), [(".bin", 0), (".bin.z", 1)])
async def test_only_what_is_left_to_do_at_its_end_is_done_beside_the_others(
    nursery: trio.Nursery, suffix: str, calls: int
) -> None:
    called: list[Any] = []

    async def noted(function: Callable[..., Any], *args: Any) -> Any:
        called.append(function)
        return await trio.to_thread.run_sync(function, *args)

    line = Line(nursery, runtime=Runtime(in_thread=noted))
    payload = random.Random(0).randbytes(400_000)
    blob = newBLOBVector("A", "b", {"m": payload}, {"m": SizeFormat(len(payload), suffix)})
    data = encode(blob)
    for start in range(0, len(data), 50_000):
        await line.peer.send(data[start : start + 50_000])
        await trio.testing.wait_all_tasks_blocked()
    await line.peer.send(getProperties("A"))
    await line.peer.sync()
    assert line.heard == [blob, getProperties("A")]
    assert len(called) == calls


async def test_few_large_blobs_of_peers_are_loaded_at_one_time(nursery: trio.Nursery) -> None:
    """More threads would keep the task that serves all peers waiting for Python's lock."""
    loading = 0
    may_end = trio.Event()

    async def in_thread(function: Callable[..., Any], *args: Any) -> Any:
        nonlocal loading
        loading += 1
        await may_end.wait()
        return function(*args)

    size = THREAD_BYTES + 1
    upload = newBLOBVector("D", "P", {"b": bytes(size)}, {"b": SizeFormat(size, ".x.z")})
    lines = [Line(nursery, runtime=Runtime(in_thread=in_thread)) for _ in range(MAX_LOADS + 2)]
    for line in lines:
        await line.peer.send(upload)
    await trio.testing.wait_all_tasks_blocked()
    assert loading == MAX_LOADS
    may_end.set()
    for line in lines:
        await line.peer.sync()
        assert [type(item) for item in line.heard] == [newBLOBVector]


# Being held up ------------------------------------------------------------------------------------


async def test_a_peer_that_waits_for_room_gets_signs_of_life(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    room = trio.Event()

    class Full(Line):
        def handle(self, item: Event | ProtocolError) -> Any:
            return room.wait()

    line = Full(nursery)
    await line.peer.send(pingRequest("1"), getProperties(), pingRequest("2"))
    assert await line.peer.next(pingReply) == pingReply("1")
    for number in (1, 2):
        assert await line.peer.next(pingReply) == pingReply("none")
        assert trio.current_time() == number * KEEPALIVE
    room.set()
    assert await line.peer.next(pingReply) == pingReply("2")
    assert trio.current_time() == 2 * KEEPALIVE


async def test_a_peer_that_knows_no_pings_gets_none(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    room = trio.Event()

    class Full(Line):
        def handle(self, item: Event | ProtocolError) -> Any:
            return room.wait()

    line = Full(nursery)
    await line.peer.send(getProperties())
    await trio.sleep(10 * KEEPALIVE)
    room.set()
    await line.peer.send(pingRequest("1"))
    assert await line.peer.receive() == pingReply("1")


class Stuck(Line):
    """Takes the first request, and has no room for the second one."""

    def handle(self, item: Event | ProtocolError) -> Any:
        self.heard.append(item)
        return trio.Event().wait() if len(self.heard) == 2 else None


async def test_a_peer_that_hangs_up_while_it_waits_for_room_is_let_go(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    line = Stuck(nursery, faults=[Reset(time=3)])
    await line.peer.send(*[newTextVector("D", "P")] * 10)
    await line.ended.wait()
    assert trio.current_time() == KEEPALIVE + LINGER
    assert len(line.heard) == 2


async def test_what_a_peer_said_before_it_hung_up_is_heard_if_there_is_room_soon(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    class Busy(Line):
        def handle(self, item: Event | ProtocolError) -> Any:
            self.heard.append(item)
            return self.make_room() if len(self.heard) == 1 else None

        async def make_room(self) -> None:
            await trio.sleep(KEEPALIVE + LINGER / 2)

    line = Busy(nursery, faults=[Reset(time=3)])
    await line.peer.send(*[newTextVector("D", "P")] * 10)
    await line.ended.wait()
    assert trio.current_time() == KEEPALIVE + LINGER / 2
    assert len(line.heard) == 10


async def test_a_peer_that_is_there_may_wait_for_room_for_ever(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    line = Stuck(nursery)
    await line.peer.send(*[newTextVector("D", "P")] * 10)
    await trio.sleep(100 * KEEPALIVE)
    assert not line.ended.is_set()


# Long answers -------------------------------------------------------------------------------------


def long_answer() -> EncodedBatch:
    """Definitions of more bytes than the connections of these tests may hold."""
    given: Any = {"members": {"a": "x" * 1000}, "memberlabels": {"a": "A"}}
    events = [texts(f"n{number}", **given) for number in range(100)]
    return EncodedBatch(EncodedEvent(event, encode(event)) for event in events)


class Answering(Line):
    """Answers each getProperties at length."""

    def __init__(self, nursery: trio.Nursery) -> None:
        super().__init__(nursery, reads_ahead=False, high_water=1000, bound=10_000)

    def handle(self, item: Event | ProtocolError) -> None:
        if isinstance(item, getProperties):
            self.connection.forward(long_answer())


async def test_a_peer_that_reads_slowly_gets_a_long_answer_whole(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    line = Answering(nursery)
    await line.peer.send(getProperties(), pingRequest("1", "getProperties"))
    answer = long_answer().items
    for definition in answer:
        await trio.sleep(ANSWER_TIMEOUT / 100)
        assert await line.peer.receive() == definition.event
    assert await line.peer.receive() == pingReply("1", "getProperties")


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="it has no small buffers elsewhere")
async def test_a_peer_that_reads_a_large_definition_slowly_gets_it(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    ours, theirs = trio.socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    connection = Connection(trio.SocketStream(ours), name="the peer", high_water=1000)
    nursery.start_soon(connection.run, lambda _item: None)
    await trio.testing.wait_all_tasks_blocked()
    events = [texts(name, members={"a": "x" * 200_000}) for name in ("first", "second")]
    data = [encode(event) for event in events]
    connection.forward(EncodedBatch(map(EncodedEvent, events, data)))
    with theirs:
        heard = b""
        while len(heard) < len(b"".join(data)):
            piece = await theirs.recv(10_000)
            assert piece, "its connection was ended"
            heard += piece
            await trio.sleep(ANSWER_TIMEOUT / 2)
        assert heard == b"".join(data)


async def test_a_peer_that_takes_none_of_a_long_answer_is_sent_away(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    line = Answering(nursery)
    await line.peer.send(getProperties())
    await line.ended.wait()
    assert ANSWER_TIMEOUT <= trio.current_time() <= 2 * ANSWER_TIMEOUT + 2 * FAREWELL
    assert "it has taken nothing of its answer in 60 s" in caplog.text


async def test_a_peer_that_asks_again_and_again_for_a_long_answer_is_sent_away_at_the_bound(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    line = Answering(nursery)
    await line.peer.send(*[getProperties()] * 3)
    await line.ended.wait()
    assert trio.current_time() <= 2 * FAREWELL
    assert "does not read fast enough" in caplog.text


@pytest.mark.parametrize(
    "data",
    [
        b"<" * 60_000,
        b"<a/>" * 15_000,
        b"<newTextVector device='D' name='P'>"
        + b"".join(b"<oneText name='%d'/>" % number for number in range(20_000))
        + b"</newTextVector>",
    ],
    ids=["junk", "unknown elements", "one large element"],
)
async def test_others_have_their_turn_while_nothing_comes_of_what_a_peer_sends(
    nursery: trio.Nursery, autojump_clock: Any, data: bytes
) -> None:
    turns = 0

    async def want_turns() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    line = Line(nursery, max_errors=None)
    await line.peer.send(data + b"<pingRequest uid='1'/>")
    nursery.start_soon(want_turns)
    # The clock of a test stands still: the steps are counted.
    assert await line.peer.next(pingReply) == pingReply("1")
    assert turns > len(data) // (MAX_STREAK * 8192)
    steps = sum(item is None for item in Decoder().items(data))
    assert turns >= steps // MAX_STREAK
