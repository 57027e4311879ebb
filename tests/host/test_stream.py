"""A driver on a stream of descriptors, in the very process that tests it."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from tests.kit.stdio import Peer, memfd
from trindi import (
    Device,
    IPyDriver,
    Message,
    NumberMember,
    NumberVector,
    SizeFormat,
    State,
    defNumberVector,
    newBLOBVector,
    newNumberVector,
    setNumberVector,
)
from trindi.driver.property_queue import PROPERTY_QUEUE
from trindi.errors import TrindiError
from trindi.host import run_on_stream
from trindi.protocol import encode, pingReply
from trindi.transport import StdioStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trindi import ClientEvent

ASK = '<getProperties version="1.7"/>\n'


class Counter(IPyDriver):
    """Answers each number with the next one."""

    def __init__(self) -> None:
        number = NumberVector(name="number", perm="rw", numbermembers=[NumberMember("value")])
        super().__init__([Device("Counter", [number])])
        self.ended = False

    async def hardware(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self.ended = True

    async def clientevent(self, event: ClientEvent) -> None:
        if isinstance(event, newNumberVector):
            event.vector["value"] = event["value"] + 1
            await event.vector.send_setVector()


@asynccontextmanager
async def socketpair() -> AsyncIterator[tuple[Peer, int]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        async with trio.SocketStream(trio.socket.from_stdlib_socket(ours)) as stream:
            yield Peer(stream, ours), theirs.fileno()


async def test_it_is_started_in_a_nursery() -> None:
    driver = Counter()
    async with socketpair() as (peer, fd), trio.open_nursery() as nursery:
        await nursery.start(run_on_stream, driver, StdioStream(fd, fd))
        assert driver.running
        await peer.send(ASK)
        await peer.next(defNumberVector)
        await peer.send(
            '<newNumberVector device="Counter" name="number"><oneNumber name="value">1'
            "</oneNumber></newNumberVector>"
        )
        await peer.next(setNumberVector, when=lambda event: event["value"] == 2)
        await peer.end_input()
    assert driver.ended
    assert not driver.running


class Eager(Counter):
    """Reports as soon as it runs, as that of the README does."""

    async def hardware(self) -> None:
        self["Counter"]["number"]["value"] = 7
        await self["Counter"]["number"].send_setVector("too early")
        await self.send_message("here I am")
        await super().hardware()


async def test_nothing_is_said_of_a_property_before_its_definition() -> None:
    """libindi's drivers may do that; its clients drop what they cannot place."""
    driver = Eager()
    async with socketpair() as (peer, fd), trio.open_nursery() as nursery:
        await nursery.start(run_on_stream, driver, StdioStream(fd, fd))
        first, report, message = [await peer.receive() for _ in range(3)]
        assert isinstance(first, defNumberVector)
        assert first["value"] == 7
        assert report.message == "[INFO] too early"
        assert message.message == "[INFO] here I am"
        await peer.send(ASK)
        assert isinstance(await peer.receive(), defNumberVector)
        # Once is enough.
        await driver["Counter"]["number"].send_setVector("now")
        assert (await peer.receive()).message == "[INFO] now"
        await peer.end_input()


@pytest.mark.parametrize("value", ["1", "nonsense"])
async def test_a_request_before_any_question_is_answered_behind_the_definition(value: str) -> None:
    async with socketpair() as (peer, fd), trio.open_nursery() as nursery:
        await nursery.start(run_on_stream, Counter(), StdioStream(fd, fd))
        await peer.send(
            '<newNumberVector device="Counter" name="number"><oneNumber name="value">'
            f"{value}</oneNumber></newNumberVector>"
        )
        first, second = await peer.receive(), await peer.receive()
        assert isinstance(first, defNumberVector)
        assert isinstance(second, setNumberVector)
        await peer.end_input()


async def test_nothing_is_kept_of_an_upload_that_is_not_taken() -> None:
    payload = os.urandom(3 * 1024 * 1024)
    about = {"file": SizeFormat(len(payload), ".bin")}
    data = encode(newBLOBVector("Counter", "number", {"file": payload}, about))
    async with socketpair() as (peer, fd), trio.open_nursery() as nursery:
        stream = StdioStream(fd, fd)
        await nursery.start(run_on_stream, Counter(), stream)
        await peer.send(ASK)
        await peer.next(defNumberVector)
        for at in range(0, len(data), 64 * 1024):
            await peer.send(data[at : at + 64 * 1024])
            assert stream._decoder is not None
            assert stream._decoder.kept < 1.5 * 1024 * 1024
        answer = await peer.next(setNumberVector)
        assert answer.state is State.ALERT
        assert answer.message.endswith("it is a Number vector, not a BLOB vector")
        # What is attached is not read, either.
        tag = '<oneBLOB name="file" size="5" format=".bin" attached="true"/>'
        vector = f'<newBLOBVector device="Counter" name="nothing">{tag}</newBLOBVector>'
        peer.send_attached(vector, memfd(b"hello"))
        assert (await peer.next(Message)).message == "[ERROR] Counter has no property nothing"
        await peer.end_input()


async def test_it_can_be_run_again() -> None:
    driver = Counter()
    for _ in range(2):
        async with socketpair() as (peer, fd), trio.open_nursery() as nursery:
            nursery.start_soon(run_on_stream, driver, StdioStream(fd, fd))
            await peer.send(ASK)
            await peer.next(defNumberVector)
            await peer.end_input()
        assert driver.ended
        assert not driver.running


async def test_it_does_not_run_twice_at_a_time() -> None:
    driver = Counter()
    async with (
        socketpair() as (peer, fd),
        socketpair() as (_other, second),
        trio.open_nursery() as nursery,
    ):
        await nursery.start(run_on_stream, driver, StdioStream(fd, fd))
        with pytest.raises(RuntimeError, match="running already"):
            await run_on_stream(driver, StdioStream(second, second))
        assert os.get_blocking(second)
        # The first has not noticed.
        await peer.send('<pingRequest uid="1"/>')
        await peer.next(pingReply)
        nursery.cancel_scope.cancel()


async def test_signals_are_the_programs_own_again_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    saved = os.dup(0), os.dup(1)
    driver = Counter()
    async with socketpair() as (_peer, fd):
        os.dup2(fd, 0)
        os.dup2(fd, 1)
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(driver.run)
                assert signal.getsignal(signal.SIGTERM) != before[0]
                os.kill(os.getpid(), signal.SIGTERM)
            # Only the driver was ended, not those it ran among.
            assert driver.ended
        finally:
            for number, descriptor in enumerate(saved):
                os.dup2(descriptor, number)
                os.close(descriptor)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


class Talkative(Counter):
    """Says more than any queue holds, and never looks who listens."""

    async def hardware(self) -> None:
        for _ in range(42_000):
            await self.send_message("x" * 1993)  # 80 MiB together
        await trio.sleep_forever()


async def test_a_driver_that_nobody_listens_to_fails(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with socketpair() as (_peer, fd):
        with pytest.raises(TrindiError, match="is not read"):
            await run_on_stream(Talkative(), StdioStream(fd, fd))


class Stuck(Counter):
    """A handler that never ends."""

    async def clientevent(self, event: ClientEvent) -> None:
        await trio.sleep_forever()


class Mount(IPyDriver):
    """A goto that takes until it is aborted."""

    def __init__(self) -> None:
        names = ("goto", "abort")
        vectors = [NumberVector(n, perm="rw", numbermembers=[NumberMember("value")]) for n in names]
        super().__init__([Device("Mount", vectors)])
        self.aborted = trio.Event()

    async def clientevent(self, event: ClientEvent) -> None:
        if event.vectorname == "abort":
            self.aborted.set()
        await self.aborted.wait()
        await event.vector.send_setVector("done")


def _request(vectorname: str) -> newNumberVector:
    return newNumberVector("Mount", vectorname, {"value": 1.0})


async def test_an_abort_passes_a_property_that_is_asked_too_often(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Stock indiserver is one peer for all clients: what one of them asks must not stop another."""
    async with socketpair() as (peer, fd), trio.open_nursery() as nursery:
        await nursery.start(run_on_stream, Mount(), StdioStream(fd, fd))
        await peer.send(*[_request("goto") for _ in range(500)], _request("abort"))
        done = await peer.next(setNumberVector, "abort")
        assert done.message == "[INFO] done"
        await peer.end_input()
    refused = [one for one in peer.heard if getattr(one, "state", None) is State.ALERT]
    assert {one.message for one in refused} == {
        f"[ERROR] goto is unchanged: {PROPERTY_QUEUE} requests for it wait already"
    }
    # One was being worked on.
    assert len(refused) == 500 - PROPERTY_QUEUE - 1


async def test_it_is_gone_within_a_second_of_the_end_of_input(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Also where a request is being worked on, and nobody reads what there is to say."""
    driver = Stuck()
    async with socketpair() as (peer, fd):
        async with trio.open_nursery() as nursery:
            await nursery.start(run_on_stream, driver, StdioStream(fd, fd))
            for _ in range(4200):
                await driver.send_message("x" * 1993)  # 8 MiB together
            await peer.send(
                '<newNumberVector device="Counter" name="number">'
                '<oneNumber name="value">1</oneNumber></newNumberVector>'
            )
            await trio.testing.wait_all_tasks_blocked()
            start = trio.current_time()
            await peer.end_input()
        assert 0 < trio.current_time() - start < 1
