"""A connection never waits without an end, whatever its peer does or does not do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import lockstep_stream_pair, memory_stream_pair

from trindi.conformance import Peer, Timing
from trindi.conformance.connection import CheckedConnection
from trindi.protocol import (
    Message,
    SizeFormat,
    State,
    encode,
    getProperties,
    pingRequest,
    setBLOBVector,
)

if TYPE_CHECKING:
    from trio.testing import MockClock

    from trindi.conformance.scanner import Observation

HELLO = Message(None, "hello")


class Pair:
    """A connection, and the other end of its stream."""

    def __init__(self, streams: Any, **bounds: int) -> None:
        ours, self.theirs = streams
        self.observed: list[Any] = []
        self.connection = CheckedConnection(Peer(ours), self._observe, Timing(), **bounds)

    def _observe(self, _connection: CheckedConnection, observation: Observation) -> None:
        self.observed.append(observation.item)


@pytest.fixture
async def pair(nursery: trio.Nursery) -> Pair:
    pair = Pair(memory_stream_pair())
    await nursery.start(pair.connection.run)
    return pair


@pytest.fixture
async def deaf(nursery: trio.Nursery) -> Pair:
    """One whose other end does not read."""
    pair = Pair(lockstep_stream_pair())
    await nursery.start(pair.connection.run)
    return pair


def is_hello(seen: Any) -> bool:
    return bool(seen.item == HELLO)


async def test_what_is_waited_for(pair: Pair, autojump_clock: MockClock) -> None:
    await pair.theirs.send_all(encode(HELLO))
    assert await pair.connection.wait_for(is_hello, 1)
    # It has come already.
    assert await pair.connection.wait_for(is_hello, 1)
    pair.connection.clear()
    start = trio.current_time()
    assert not await pair.connection.wait_for(is_hello, 1)
    assert trio.current_time() - start == pytest.approx(1)
    assert pair.observed == [HELLO]


async def test_nothing_is_waited_for_at_the_end(pair: Pair, autojump_clock: MockClock) -> None:
    await pair.theirs.send_all(b"last words")
    await pair.theirs.aclose()
    start = trio.current_time()
    assert not await pair.connection.wait_for(is_hello, 1000)
    await pair.connection.wait_quiet(1, 1000)
    assert trio.current_time() == start
    assert pair.connection.ended
    assert [seen.junk for seen in pair.connection.received] == ["last words"]
    assert await pair.connection.describe_end() == "it closed the connection"


async def test_what_never_ends_is_said_so(pair: Pair, autojump_clock: MockClock) -> None:
    assert await pair.connection.describe_end() == "it does not answer"

    async def never() -> str:
        await trio.sleep_forever()
        raise AssertionError

    pair.connection.peer.wait_ended = never  # type: ignore[method-assign]
    await pair.theirs.send_stream.aclose()
    await pair.connection.wait_for(is_hello, 1)
    assert await pair.connection.describe_end() == "it has closed its output"


async def test_quiet_is_waited_for_but_not_for_ever(pair: Pair, autojump_clock: MockClock) -> None:
    async def talk() -> None:
        while True:
            await trio.sleep(0.4)
            await pair.theirs.send_all(encode(HELLO))

    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(talk)
        await pair.connection.wait_quiet(0.5, 10)
        nursery.cancel_scope.cancel()
    assert trio.current_time() - start == pytest.approx(10)


async def test_pings_are_answered(pair: Pair, autojump_clock: MockClock) -> None:
    await pair.theirs.send_all(encode(pingRequest("1")))
    assert await pair.theirs.receive_some() == b'<pingReply uid="1"/>\n'


async def test_a_peer_that_does_not_read_is_given_up(deaf: Pair, autojump_clock: MockClock) -> None:
    start = trio.current_time()
    for _ in range(20):
        await deaf.connection.send(getProperties(), seconds=1)
    await deaf.connection.send_eof(seconds=1)
    assert 0 < trio.current_time() - start < 25
    # Its pings are not answered, and what it says is heard.
    await deaf.theirs.send_all(encode(pingRequest("1")) + encode(HELLO))
    assert await deaf.connection.wait_for(is_hello, 1)


async def test_a_peer_that_does_not_read_any_more_is_still_heard(
    pair: Pair, autojump_clock: MockClock
) -> None:
    await pair.theirs.receive_stream.aclose()
    for _ in range(20):
        await pair.connection.send(getProperties(), seconds=1)
    await pair.theirs.send_all(encode(HELLO))
    assert await pair.connection.wait_for(is_hello, 1)
    assert not pair.connection.ended


async def test_a_stream_that_breaks_is_an_end(autojump_clock: MockClock) -> None:
    class Broken(trio.abc.HalfCloseableStream):
        async def receive_some(self, max_bytes: int | None = None) -> bytes:
            await trio.sleep(1)
            raise trio.BrokenResourceError

        async def send_all(self, data: object) -> None:
            raise trio.BrokenResourceError

        async def send_eof(self) -> None:
            raise trio.BrokenResourceError

        async def wait_send_all_might_not_block(self) -> None:
            await trio.lowlevel.checkpoint()

        async def aclose(self) -> None:
            await trio.lowlevel.checkpoint()

    connection = CheckedConnection(Peer(Broken()), lambda _connection, _seen: None, Timing())
    async with trio.open_nursery() as nursery:
        await nursery.start(connection.run)
        await connection.send_eof(seconds=1)
        assert not await connection.wait_for(is_hello, 10)
        assert connection.ended
        connection.close()


async def test_what_comes_after_its_end_is_not_heard(pair: Pair, autojump_clock: MockClock) -> None:
    await pair.theirs.send_all(encode(HELLO))
    pair.connection.close()
    await trio.testing.wait_all_tasks_blocked()
    assert pair.observed == []


# What is kept ------------------------------------------------------------------------------------


def blob(size: int) -> bytes:
    about = {"F": SizeFormat(size, ".bin")}
    return encode(setBLOBVector("D", "P", {"F": bytes(size)}, about, state=State.OK))


async def test_of_blobs_only_the_rest_is_kept(pair: Pair, autojump_clock: MockClock) -> None:
    await pair.theirs.send_all(blob(5000) + encode(HELLO))
    assert await pair.connection.wait_for(is_hello, 1)
    (observed, _hello) = pair.observed
    assert observed["F"] == bytes(5000)
    seen: Any = pair.connection.received[0]
    assert (seen.item.devicename, seen.item.state, seen.item["F"]) == ("D", State.OK, b"")
    assert seen.raw.address == "D.P"
    assert (seen.raw.data, seen.raw.members) == (b"", ())


async def test_what_is_kept_has_its_bounds(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    pair = Pair(memory_stream_pair(), max_observations=4, max_bytes=1000)
    await nursery.start(pair.connection.run)

    def texts() -> list[str]:
        items = [each.item for each in pair.connection.received]
        return [item.message for item in items if isinstance(item, Message)]

    async def say(*messages: str) -> None:
        await pair.theirs.send_all(b"".join(encode(Message("D", text)) for text in messages))
        await trio.testing.wait_all_tasks_blocked()

    await say("1", "2", "x" * 700, "y" * 100)
    assert texts() == ["1", "2", "x" * 700, "y" * 100]
    # More in number, then more in bytes; the newest is kept, however large it is.
    await say("5")
    assert texts() == ["2", "x" * 700, "y" * 100, "5"]
    await say("z" * 400)
    assert texts() == ["y" * 100, "5", "z" * 400]
    await say("w" * 2000)
    assert texts() == ["w" * 2000]
    # BLOBs do not count, as they are not kept.
    pair.connection.clear()
    await say("z" * 400)
    await pair.theirs.send_all(blob(5000) + blob(5000))
    await trio.testing.wait_all_tasks_blocked()
    assert len(pair.connection.received) == 3
