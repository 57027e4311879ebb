"""Cancellation at every await of server, driver and stdio: no task, socket or thread is left."""

from __future__ import annotations

import os
import socket
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tests.kit.cancellation import Steps, cancel_at_every_step
from tests.kit.stdio import Peer, memfd
from trindi import (
    BLOBMember,
    BLOBVector,
    Device,
    IPyDriver,
    IPyServer,
    Message,
    NumberMember,
    NumberVector,
    defBLOBVector,
    defNumberVector,
    delProperty,
    newBLOBVector,
    newNumberVector,
    setBLOBVector,
    setNumberVector,
)
from trindi.driver import core_of
from trindi.host import run_on_stream
from trindi.protocol import Decoder, getProperties, pingReply
from trindi.transport import StdioStream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trindi.protocol import ClientEvent, Event, SnoopEvent
    from trindi.transport import EncodedBatch

LARGE = 4 * 1024 * 1024
"""Bytes of a frame that the buffers of a socket cannot take whole, as they are on loopback."""

FRAMES = 2
"""The number that, when set, has a driver send so many large frames."""

ASK = '<getProperties version="1.7"/>\n'


def new_number(device: str, value: float) -> str:
    return (
        f'<newNumberVector device="{device}" name="number"><oneNumber name="value">{value}'
        "</oneNumber></newNumberVector>\n"
    )


def new_blob(device: str, content: str = "aGVsbG8=", extra: str = "") -> str:
    return (
        f'<newBLOBVector device="{device}" name="image"><oneBLOB name="frame" size="5" '
        f'format=".bin"{extra}>{content}</oneBLOB></newBLOBVector>\n'
    )


class Instrument(IPyDriver):
    """Two of these snoop on each other; each does a bit of everything that waits.

    Attributes:
        open: what it has open, as it were: its hardware, its task.
        parked: its clean-up, which may take its time, has come to its end.
    """

    def __init__(self, name: str, other: str, file: Path | None = None) -> None:
        number = NumberVector(name="number", perm="rw", numbermembers=[NumberMember("value")])
        image = BLOBVector(name="image", perm="rw", blobmembers=[BLOBMember("frame")])
        super().__init__([Device(name, [number, image])], tasks=[self.tick])
        self.name = name
        self.other = other
        self.file = file
        self.open: set[str] = set()
        self.parked = True
        self.fails = False
        self.stalled = trio.Event()
        self.snoop(other, "number", timeout=5)

    async def hardware(self) -> None:
        self.open.add("hardware")
        self.parked = False
        try:
            await self.send_getProperties(self.other, "image")
            await self.send_enableBLOB(self.other, "image")
            await self[self.name]["number"].send_setVectorMembers(members=["value"])
            await trio.sleep_forever()
        finally:
            self.open.remove("hardware")
            with trio.move_on_after(30, shield=True):
                await trio.lowlevel.checkpoint()
                await self[self.name]["number"].send_setVectorMembers(state="Idle")
                self.parked = True

    async def tick(self) -> None:
        self.open.add("task")
        try:
            await trio.lowlevel.checkpoint()
            await self.stalled.wait()
            self.stalled = trio.Event()
            raise RuntimeError("stalled")
        finally:
            self.open.remove("task")

    async def move(self) -> None:
        await trio.lowlevel.checkpoint()
        await self.send_message("moved")
        if self.fails:
            self.fails = False
            self.stalled.set()

    async def clientevent(self, event: ClientEvent) -> None:
        match event:
            case newNumberVector(vector=vector):
                vector["value"] = event["value"]
                await vector.send_setVectorMembers(members=["value"])
                self.start_soon(self.move)
                if event["value"] == FRAMES:
                    await self.send_frames()
            case newBLOBVector(vector=vector):
                vector["frame"] = self.file or event["frame"]
                await vector.send_setVectorMembers(members=["frame"])

    async def send_frames(self) -> None:
        vector = self[self.name]["image"]
        for number in range(FRAMES):
            vector["frame"] = bytes([number]) * LARGE
            await vector.send_setVectorMembers(members=["frame"])

    async def snoopevent(self, event: SnoopEvent) -> None:
        await trio.lowlevel.checkpoint()
        if isinstance(event, setBLOBVector):
            await self.send_message(f"{self.name} saw a frame")


def check_driver(driver: Instrument) -> None:
    assert not driver.running
    assert driver.open == set()
    assert driver.parked


# The server ---------------------------------------------------------------------------------------


class WholeServer:
    """Two drivers that snoop on each other, one client that asks, sets and uploads, and leaves."""

    def __init__(self) -> None:
        self.drivers = [Instrument("A", "B"), Instrument("B", "A")]
        self.server = IPyServer(self.drivers, "localhost", 0, maxconnections=1, restart_delay=0)

    async def run(self, steps: Steps) -> None:
        with steps.counted():
            async with trio.open_nursery() as nursery:
                await nursery.start(self.server.run)
                await self.client()
                nursery.cancel_scope.cancel()

    async def client(self) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", self.server.port) as stream:
            peer = Peer(stream)
            await peer.send(ASK + '<enableBLOB device="A">Also</enableBLOB>\n')
            await peer.next(defBLOBVector, when=lambda event: event.devicename == "B")
            await peer.send(new_number("A", 4))
            await peer.next(setNumberVector, when=lambda event: event.get("value") == 4)
            await peer.next(Message, when=lambda event: event.message == "[INFO] moved")
            await peer.send(new_blob("A"))
            frame = await peer.next(setBLOBVector)
            assert frame["frame"] == b"hello"
            await peer.next(Message, when=lambda event: event.message == "[INFO] B saw a frame")

    def check(self) -> None:
        for driver in self.drivers:
            check_driver(driver)
        assert self.server.statistics().clients == ()
        assert self.server.addresses == ()


def test_a_server_with_drivers_that_snoop_on_each_other() -> None:
    cancel_at_every_step(WholeServer)


class TwoFamilies(trio.abc.HostnameResolver):
    """A name with an IPv4 and an IPv6 address, which not every system's localhost has."""

    async def getaddrinfo(self, host: object, port: object, *_rest: int) -> Any:
        await trio.lowlevel.checkpoint()
        assert host == b"localhost"
        kind = socket.SOCK_STREAM
        return [
            (socket.AF_INET, kind, 6, "", ("127.0.0.1", port)),
            (socket.AF_INET6, kind, 6, "", ("::1", port, 0, 0)),
        ]

    async def getnameinfo(self, *_arguments: object) -> tuple[str, str]:
        raise NotImplementedError


class ServerOnTwoAddresses(WholeServer):
    """One socket of two may be open already when it is cancelled."""

    async def run(self, steps: Steps) -> None:
        trio.socket.set_custom_hostname_resolver(TwoFamilies())
        with steps.counted():
            async with trio.open_nursery() as nursery:
                await nursery.start(self.server.run)
                assert len(self.server.addresses) == 2
                nursery.cancel_scope.cancel()


@pytest.mark.skipif(not socket.has_ipv6, reason="there is no IPv6")
def test_a_server_that_listens_on_two_addresses() -> None:
    cancel_at_every_step(ServerOnTwoAddresses)


class ServerAlone(WholeServer):
    """The server is cancelled, and its client is not: it finds the end of its stream."""

    async def run(self, steps: Steps) -> None:
        ready = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.serve, steps, ready)
            await ready.wait()
            try:
                await self.client()
            except (OSError, trio.BrokenResourceError, AssertionError):
                assert steps.cancelled
            nursery.cancel_scope.cancel()

    async def serve(self, steps: Steps, ready: trio.Event) -> None:
        with steps.counted():
            async with trio.open_nursery() as nursery:
                await nursery.start(self.server.run)
                ready.set()
        # It may have been cancelled before it came so far.
        ready.set()


def test_a_server_alone() -> None:
    cancel_at_every_step(ServerAlone)


class ClientAlone(WholeServer):
    """A client is cancelled at some point, which is all the same to the next one."""

    async def run(self, steps: Steps) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.server.run)
            with steps.counted():
                await self.client()
            while self.server.statistics().clients:
                await trio.lowlevel.checkpoint()
            await self.client()
            nursery.cancel_scope.cancel()


def test_a_client_alone() -> None:
    cancel_at_every_step(ClientAlone)


class FailingDriver(WholeServer):
    """A driver fails, its devices go, and it comes back."""

    async def client(self) -> None:
        driver = self.drivers[0]
        driver.fails = True
        async with await trio.open_tcp_stream("127.0.0.1", self.server.port) as stream:
            peer = Peer(stream)
            await peer.send(ASK)
            await peer.next(defBLOBVector, when=lambda event: event.devicename == "B")
            await peer.send(new_number("A", 4))
            await peer.next(delProperty, when=lambda event: event.devicename == "A")
            await peer.next(defNumberVector, when=lambda event: event.devicename == "A")


def test_a_driver_that_fails_and_is_started_again() -> None:
    cancel_at_every_step(FailingDriver)


class UnwelcomeClients(WholeServer):
    """One client too many, and one that writes nothing but nonsense."""

    async def client(self) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", self.server.port) as first:
            peer = Peer(first)
            await peer.send('<pingRequest uid="1"/>')
            await peer.next(pingReply)
            async with await trio.open_tcp_stream("127.0.0.1", self.server.port) as second:
                await Peer(second).next(Message)
                await second.send_eof()
                assert await second.receive_some() == b""
            await peer.send("<newTextVector device=x>" * 102)
            await peer.next(Message, when=lambda event: "malformed" in event.message)
            await first.send_eof()
            await peer.rest()


def test_clients_that_are_sent_away() -> None:
    cancel_at_every_step(UnwelcomeClients)


class SlowClient(WholeServer):
    """A client that does not read has a driver wait for room for its frames."""

    async def client(self) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", self.server.port) as stream:
            peer = Peer(stream)
            await peer.send(ASK + '<enableBLOB device="A">Also</enableBLOB>\n')
            await peer.send(new_number("A", FRAMES))
            await self.frames_wait()
            for _ in range(FRAMES):
                await peer.next(setBLOBVector)

    async def frames_wait(self) -> None:
        """Wait until frames do, in as many steps each time.

        They are encoded in threads, which may take their time; so another thread looks.
        """
        given_up = threading.Event()

        def look() -> None:
            while self.server.statistics().queue_bytes <= LARGE and not given_up.wait(0.001):
                pass

        try:
            await trio.to_thread.run_sync(look, abandon_on_cancel=True)
        finally:
            given_up.set()


def test_a_client_that_does_not_read() -> None:
    cancel_at_every_step(SlowClient)


# A driver alone -----------------------------------------------------------------------------------


class Recorder:
    """A link, and a peer, that note what the driver says."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.waits = True
        self.in_flight = 0
        self._news = trio.lowlevel.ParkingLot()

    def publish(self, event: Event) -> None:
        self.events.append(event)
        self._news.unpark_all()

    reply = publish

    def forward(self, batch: EncodedBatch) -> None:
        for encoded in batch.items:
            self.publish(encoded.event)

    async def publish_blob(self, event: setBLOBVector, *, wait: bool = True) -> None:
        await trio.lowlevel.checkpoint()
        self.publish(event)

    def request_started(self, _event: ClientEvent) -> None:
        self.in_flight += 1

    def request_finished(self, _event: ClientEvent) -> None:
        self.in_flight -= 1
        self._news.unpark_all()

    async def wait(self, kind: type[Event], count: int = 1) -> None:
        while sum(isinstance(event, kind) for event in self.events) < count:
            await self._news.park()


class DriverAlone:
    """A driver that is asked so much that a queue fills, under a mock clock."""

    def __init__(self) -> None:
        self.driver = Instrument("A", "B")
        self.link = Recorder()

    async def run(self, steps: Steps) -> None:
        self.link = Recorder()
        with steps.counted():
            async with trio.open_nursery() as nursery:
                await nursery.start(core_of(self.driver).serve, self.link)
                await self.ask()
                nursery.cancel_scope.cancel()

    async def ask(self) -> None:
        requests = [ASK, new_number("A", 4), new_number("A", 5), *[new_blob("A")] * 5]
        for event in Decoder().feed("".join(requests).encode()):
            waiting = core_of(self.driver).receive(event, self.link)
            if waiting is not None:
                await waiting
        await self.link.wait(setBLOBVector, 5)
        await self.link.wait(Message, 2)
        # Nothing is heard of the other's number: it is asked for again.
        await self.link.wait(getProperties, 4)
        assert self.link.in_flight == 0

    def check(self) -> None:
        check_driver(self.driver)
        # Whoever waits for its requests to be worked on must not wait for ever.
        assert self.link.in_flight == 0


def test_a_driver_alone() -> None:
    cancel_at_every_step(DriverAlone, partial(MockClock, autojump_threshold=0))


# Standard input and output ------------------------------------------------------------------------


class OnStream:
    """A driver on a socket pair, with BLOBs handed over as descriptors, that sends a file."""

    def __init__(self, file: Path) -> None:
        self.driver = Instrument("A", "B", file)

    async def run(self, steps: Steps) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        async with trio.SocketStream(trio.socket.from_stdlib_socket(ours)) as stream:
            with theirs:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.talk, Peer(stream, ours), steps)
                    with steps.counted():
                        await self.drive(theirs.fileno())
                    nursery.cancel_scope.cancel()
                assert os.get_blocking(theirs.fileno())

    async def drive(self, fd: int) -> None:
        await run_on_stream(self.driver, StdioStream(fd, fd))

    async def talk(self, peer: Peer, steps: Steps) -> None:
        try:
            await self.ask(peer)
        except (trio.BrokenResourceError, AssertionError):
            assert steps.cancelled

    async def ask(self, peer: Peer) -> None:
        await peer.send(ASK + '<pingRequest uid="1"/>\n')
        await peer.next(pingReply)
        await peer.send(new_number("A", 4))
        await peer.next(Message, when=lambda event: event.message == "[INFO] moved")
        peer.send_attached(new_blob("A", "", ' attached="true"'), memfd(b"hello", 4096))
        await peer.next(setBLOBVector, when=lambda event: event["frame"] == b"a file")
        # This one is never whole, and its descriptor is never claimed.
        snooped = new_blob("B", "", ' attached="true"').replace("new", "set")
        peer.send_attached(snooped + snooped[:-10], memfd(b"world"), memfd(b"never read"))
        await peer.next(Message, when=lambda event: event.message == "[INFO] A saw a frame")
        await peer.send(new_number("A", 5))
        await peer.end_input()
        await peer.next(setNumberVector, when=lambda event: event.get("value") == 5)

    def check(self) -> None:
        check_driver(self.driver)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "frame"
    file.write_bytes(b"a file")
    return file


def test_a_driver_on_a_socket_pair(file: Path) -> None:
    cancel_at_every_step(partial(OnStream, file))


class OnStandardIO(OnStream):
    """The same on descriptors 0 and 1, with all that guards them."""

    async def drive(self, fd: int) -> None:
        with _standard_io(fd):
            await self.driver.run()


@contextmanager
def _standard_io(fd: int) -> Iterator[None]:
    """Let a descriptor be 0 and 1 for a while."""
    saved = os.dup(0), os.dup(1)
    try:
        os.dup2(fd, 0)
        os.dup2(fd, 1)
        yield
    finally:
        for number, before in enumerate(saved):
            os.dup2(before, number)
            os.close(before)


def test_a_driver_on_standard_input_and_output(file: Path) -> None:
    cancel_at_every_step(partial(OnStandardIO, file))
