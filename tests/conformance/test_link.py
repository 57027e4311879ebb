"""A link never waits without an end, whatever its peer does or does not do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import lockstep_stream_pair, memory_stream_pair

from trindi.conformance import Peer
from trindi.conformance.link import Link
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

HELLO = Message(None, "hello")


class Pair:
    """A link, and the other end of its stream."""

    def __init__(self, streams: Any) -> None:
        ours, self.theirs = streams
        self.watched: list[Any] = []
        self.link = Link(Peer(ours), lambda _link, seen: self.watched.append(seen.item))


@pytest.fixture
async def pair(nursery: trio.Nursery) -> Pair:
    pair = Pair(memory_stream_pair())
    await nursery.start(pair.link.run)
    return pair


@pytest.fixture
async def deaf(nursery: trio.Nursery) -> Pair:
    """One whose other end does not read."""
    pair = Pair(lockstep_stream_pair())
    await nursery.start(pair.link.run)
    return pair


def is_hello(seen: Any) -> bool:
    return bool(seen.item == HELLO)


async def test_what_is_waited_for(pair: Pair, autojump_clock: MockClock) -> None:
    await pair.theirs.send_all(encode(HELLO))
    assert await pair.link.wait_for(is_hello, 1)
    # It has come already.
    assert await pair.link.wait_for(is_hello, 1)
    pair.link.forget()
    start = trio.current_time()
    assert not await pair.link.wait_for(is_hello, 1)
    assert trio.current_time() - start == pytest.approx(1)
    assert pair.watched == [HELLO]


async def test_nothing_is_waited_for_at_the_end(pair: Pair, autojump_clock: MockClock) -> None:
    await pair.theirs.send_all(b"last words")
    await pair.theirs.aclose()
    start = trio.current_time()
    assert not await pair.link.wait_for(is_hello, 1000)
    await pair.link.wait_quiet(1, 1000)
    assert trio.current_time() == start
    assert pair.link.ended
    assert [seen.junk for seen in pair.link.heard] == ["last words"]
    assert await pair.link.fate() == "it closed the connection"


async def test_what_never_ends_is_said_so(pair: Pair, autojump_clock: MockClock) -> None:
    assert await pair.link.fate() == "it does not answer"

    async def never() -> str:
        await trio.sleep_forever()
        raise AssertionError

    pair.link.peer.wait_ended = never  # type: ignore[method-assign]
    await pair.theirs.send_stream.aclose()
    await pair.link.wait_for(is_hello, 1)
    assert await pair.link.fate() == "it has closed its output"


async def test_quiet_is_waited_for_but_not_for_ever(pair: Pair, autojump_clock: MockClock) -> None:
    async def talk() -> None:
        while True:
            await trio.sleep(0.4)
            await pair.theirs.send_all(encode(HELLO))

    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(talk)
        await pair.link.wait_quiet(0.5, 10)
        nursery.cancel_scope.cancel()
    assert trio.current_time() - start == pytest.approx(10)


async def test_pings_are_answered(pair: Pair, autojump_clock: MockClock) -> None:
    await pair.theirs.send_all(encode(pingRequest("1")))
    assert await pair.theirs.receive_some() == b'<pingReply uid="1"/>\n'


async def test_a_peer_that_does_not_read_is_given_up(deaf: Pair, autojump_clock: MockClock) -> None:
    start = trio.current_time()
    for _ in range(20):
        await deaf.link.send(getProperties(), seconds=1)
    await deaf.link.finish(seconds=1)
    assert 0 < trio.current_time() - start < 25
    # Its pings are not answered, and what it says is heard.
    await deaf.theirs.send_all(encode(pingRequest("1")) + encode(HELLO))
    assert await deaf.link.wait_for(is_hello, 1)


async def test_a_peer_that_does_not_read_any_more_is_still_heard(
    pair: Pair, autojump_clock: MockClock
) -> None:
    await pair.theirs.receive_stream.aclose()
    for _ in range(20):
        await pair.link.send(getProperties(), seconds=1)
    await pair.theirs.send_all(encode(HELLO))
    assert await pair.link.wait_for(is_hello, 1)
    assert not pair.link.ended


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

    link = Link(Peer(Broken()), lambda _link, _seen: None)
    async with trio.open_nursery() as nursery:
        await nursery.start(link.run)
        await link.finish(seconds=1)
        assert not await link.wait_for(is_hello, 10)
        assert link.ended
        link.close()


async def test_what_comes_after_its_end_is_not_heard(pair: Pair, autojump_clock: MockClock) -> None:
    await pair.theirs.send_all(encode(HELLO))
    pair.link.close()
    await trio.testing.wait_all_tasks_blocked()
    assert pair.watched == []


# What is kept ------------------------------------------------------------------------------------


def blob(size: int) -> bytes:
    about = {"F": SizeFormat(size, ".bin")}
    return encode(setBLOBVector("D", "P", {"F": bytes(size)}, about, state=State.OK))


async def test_of_blobs_only_the_rest_is_kept(pair: Pair, autojump_clock: MockClock) -> None:
    await pair.theirs.send_all(blob(5000) + encode(HELLO))
    assert await pair.link.wait_for(is_hello, 1)
    (judged, _hello) = pair.watched
    assert judged["F"] == bytes(5000)
    seen: Any = pair.link.heard[0]
    assert (seen.item.devicename, seen.item.state, seen.item["F"]) == ("D", State.OK, b"")
    assert seen.raw.place == "D.P"
    assert (seen.raw.data, seen.raw.members) == (b"", ())


async def test_what_is_kept_has_its_bounds(
    pair: Pair, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def texts() -> list[str]:
        return [event.message for event in pair.link.items(Message)]

    async def say(*messages: str) -> None:
        await pair.theirs.send_all(b"".join(encode(Message("D", text)) for text in messages))
        await trio.testing.wait_all_tasks_blocked()

    monkeypatch.setattr("trindi.conformance.link._HEARD_BYTES", 1000)
    monkeypatch.setattr("trindi.conformance.link._HEARD", 4)
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
    pair.link.forget()
    await say("z" * 400)
    await pair.theirs.send_all(blob(5000) + blob(5000))
    await trio.testing.wait_all_tasks_blocked()
    assert len(pair.link.heard) == 3
