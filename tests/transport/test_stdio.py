"""Standard input and output as a stream."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from tests.kit.stdio import memfd, open_descriptors, send_with_descriptors
from trindi.errors import ProtocolError, RefusedError
from trindi.protocol import UnloadedEvent, newBLOBVector
from trindi.transport import StdioStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture(params=["pipes", "socket pair"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[int, int, int, int]]:
    """Descriptors: the two of the stream, and those that feed and drain it."""
    if request.param == "pipes":
        read_fd, into = os.pipe()
        out, write_fd = os.pipe()
        fds = {read_fd, into, out, write_fd}
    else:
        ours, theirs = (sock.detach() for sock in socket.socketpair())
        read_fd = write_fd = ours
        into = out = theirs
        fds = {ours, theirs}
    yield read_fd, write_fd, into, out
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)


# The stream -------------------------------------------------------------------------------------


async def test_its_peer_is_gone_when_nobody_reads_its_output(
    ends: tuple[int, int, int, int],
) -> None:
    read_fd, write_fd, into, out = ends
    stream = StdioStream(read_fd, write_fd)
    os.write(into, b"unread")
    assert not stream.hung_up()
    if into != out:
        os.close(into)
        assert not stream.hung_up()
    os.close(out)
    assert stream.hung_up()
    await stream.aclose()
    assert stream.hung_up()


async def test_bytes_go_both_ways(ends: tuple[int, int, int, int]) -> None:
    read_fd, write_fd, into, out = ends
    async with StdioStream(read_fd, write_fd) as stream:
        os.write(into, b"question")
        assert await stream.receive_some() == b"question"
        await stream.send_all(b"answer")
        assert os.read(out, 100) == b"answer"


async def test_reading_and_writing_wait_for_their_turn(ends: tuple[int, int, int, int]) -> None:
    read_fd, write_fd, into, out = ends
    payload = os.urandom(1024 * 1024)
    received = b""
    async with StdioStream(read_fd, write_fd) as stream, trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, payload)
        await trio.testing.wait_all_tasks_blocked()
        while len(received) < len(payload):
            received += os.read(out, 65536)
            await trio.testing.wait_all_tasks_blocked()
        assert received == payload

        nursery.start_soon(_write_later, into)
        assert await stream.receive_some() == b"late"


async def _write_later(fd: int) -> None:
    await trio.testing.wait_all_tasks_blocked()
    os.write(fd, b"late")


async def test_the_end_of_input(ends: tuple[int, int, int, int]) -> None:
    read_fd, write_fd, into, _out = ends
    async with StdioStream(read_fd, write_fd) as stream:
        os.close(into)
        assert await stream.receive_some() == b""


async def test_a_peer_that_is_gone_breaks_the_stream(ends: tuple[int, int, int, int]) -> None:
    read_fd, write_fd, into, out = ends
    async with StdioStream(read_fd, write_fd) as stream:
        for fd in {into, out}:
            os.close(fd)
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(b"is anybody there?")


async def test_a_reset_breaks_the_stream(sockets: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = sockets
    async with StdioStream(ours.fileno(), ours.fileno()) as stream:
        await stream.send_all(b"never read")
        theirs.close()
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()


async def test_the_descriptors_are_given_back_as_they_were(
    ends: tuple[int, int, int, int],
) -> None:
    read_fd, write_fd, _into, _out = ends
    before = open_descriptors()
    stream = StdioStream(read_fd, write_fd)
    assert not os.get_blocking(read_fd)
    await stream.aclose()
    assert os.get_blocking(read_fd)
    assert os.get_blocking(write_fd)
    assert open_descriptors() == before
    for attempt in (stream.receive_some, stream.wait_send_all_might_not_block):
        with pytest.raises(trio.ClosedResourceError):
            await attempt()
    with pytest.raises(trio.ClosedResourceError):
        await stream.send_all(b"too late")


async def test_non_blocking_descriptors_stay_so(ends: tuple[int, int, int, int]) -> None:
    read_fd, write_fd, _into, _out = ends
    os.set_blocking(read_fd, False)
    await StdioStream(read_fd, write_fd).aclose()
    assert not os.get_blocking(read_fd)


async def test_closing_wakes_whoever_waits(ends: tuple[int, int, int, int]) -> None:
    read_fd, write_fd, _into, _out = ends
    stream = StdioStream(read_fd, write_fd)

    async def read() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await stream.receive_some()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        await stream.aclose()


async def test_nothing_is_lost_by_cancelling_a_reader(ends: tuple[int, int, int, int]) -> None:
    read_fd, write_fd, into, _out = ends
    async with StdioStream(read_fd, write_fd) as stream:
        os.write(into, b"still here")
        with trio.CancelScope() as scope:
            scope.cancel()
            await stream.receive_some()
        assert scope.cancelled_caught
        assert await stream.receive_some() == b"still here"


async def test_regular_files_never_make_anyone_wait(tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"all of it")
    with (tmp_path / "in").open("rb") as source, (tmp_path / "out").open("wb") as sink:
        async with StdioStream(source.fileno(), sink.fileno()) as stream:
            assert await stream.receive_some() == b"all of it"
            assert await stream.receive_some() == b""
            await stream.wait_send_all_might_not_block()
            await stream.send_all(b"and back")
    assert (tmp_path / "out").read_bytes() == b"and back"


async def test_sockets_of_other_families() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _address = listener.accept()
    with ours, theirs:
        async with StdioStream(ours.fileno(), ours.fileno()) as stream:
            theirs.sendall(b"question")
            assert await stream.receive_some() == b"question"
            await stream.wait_send_all_might_not_block()


# Descriptors that are handed over ---------------------------------------------------------------


def attached(*members: tuple[str, int], vector: str = 'name="image"') -> bytes:
    blobs = "".join(
        f'<oneBLOB name="{name}" size="{size}" format=".bin" attached="true"/>'
        for name, size in members
    )
    return f'<newBLOBVector device="D" {vector}>{blobs}</newBLOBVector>\n'.encode()


class Upload:
    """A decoder that reads from a stream what a server hands over."""

    def __init__(self, ours: socket.socket, server: socket.socket) -> None:
        self.stream = StdioStream(ours.fileno(), ours.fileno())
        self.server = server
        self.decoder = self.stream.decoder()

    def send(self, data: bytes, *fds: int) -> None:
        send_with_descriptors(self.server, data, fds)

    async def next(self, max_bytes: int = 65536) -> list[object]:
        """What the next read brings: payloads of uploads, and reasons of refusals."""
        items = self.decoder.feed_all(await self.stream.receive_some(max_bytes))
        return [
            dict(item) if isinstance(item, newBLOBVector) else item.reason
            for item in items
            if isinstance(item, (newBLOBVector, ProtocolError))
        ]


@pytest.fixture
async def upload(
    sockets: tuple[socket.socket, socket.socket],
) -> AsyncIterator[Upload]:
    upload = Upload(*sockets)
    yield upload
    await upload.stream.aclose()


async def test_a_file_may_be_larger_than_the_blob(upload: Upload) -> None:
    upload.send(attached(("a", 5)), memfd(b"hello and more", 1024 * 1024))
    assert await upload.next() == [{"a": b"hello"}]


async def test_a_blob_of_no_bytes(upload: Upload) -> None:
    upload.send(attached(("a", 0), ("b", 1)), memfd(b"x"), memfd(b"y"))
    assert await upload.next() == [{"a": b"", "b": b"y"}]


async def test_more_than_one_read_may_be_needed_for_a_file(
    upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trindi.transport.stdio.MAX_READ", 3)
    upload.send(attached(("a", 8)), memfd(b"hello and more"))
    assert await upload.next() == [{"a": b"hello an"}]


async def test_as_many_descriptors_as_indiserver_hands_over(upload: Upload) -> None:
    names = [f"m{number}" for number in range(16)]
    upload.send(
        attached(*((name, len(name)) for name in names)), *(memfd(n.encode()) for n in names)
    )
    assert await upload.next() == [{name: name.encode() for name in names}]


async def test_others_who_share_a_file_are_not_disturbed(upload: Upload) -> None:
    """Every receiver of one descriptor shares its offset."""
    fd = memfd(b"hello")
    shared = os.dup(fd)
    os.lseek(shared, 2, os.SEEK_SET)
    upload.send(attached(("a", 5)), fd)
    assert await upload.next() == [{"a": b"hello"}]
    assert os.read(shared, 10) == b"llo"
    os.close(shared)


@pytest.mark.parametrize("max_bytes", [1, 7, 100])
async def test_descriptors_find_their_elements_however_bytes_are_cut(
    upload: Upload, max_bytes: int
) -> None:
    first = attached(("a", 3), ("b", 3))
    second = attached(("a", 5))
    upload.send(first, memfd(b"one"), memfd(b"two"))
    upload.server.sendall(b"<getProperties version='1.7'/>\n")
    upload.send(second, memfd(b"three"))
    found: list[object] = []
    while len(found) < 2:
        found += await upload.next(max_bytes)
    assert found == [{"a": b"one", "b": b"two"}, {"a": b"three"}]


async def test_a_descriptor_may_come_before_its_element_is_whole(upload: Upload) -> None:
    whole = attached(("a", 5))
    upload.send(whole[:20], memfd(b"hello"))
    assert await upload.next() == []
    upload.server.sendall(whole[20:])
    assert await upload.next() == [{"a": b"hello"}]


async def test_a_missing_descriptor_refuses_its_element_only(upload: Upload) -> None:
    upload.server.sendall(attached(("a", 5)))
    assert await upload.next() == ["a: the descriptor of an attached BLOB is missing"]
    upload.send(attached(("a", 5)), memfd(b"hello"))
    assert await upload.next() == [{"a": b"hello"}]


@pytest.mark.parametrize(
    "refused",
    [
        attached(("a", 5), vector=""),
        attached(("a", 5)).replace(b'size="5"', b'size="abc"'),
        attached(("a", 5)).replace(b"</newBLOB", b"</newSwitch"),
        attached(("a", 5)).replace(b' attached="true"', b""),
        attached(("a", 2**40)),
        b"<newNumberVector device='D' name='N'><oneNumber name='a'>1</oneNumber></newNumberVector>",
        b"just text",
    ],
    ids=["no name", "size", "end tag", "not attached", "too large", "no BLOB", "junk"],
)
async def test_a_descriptor_that_nobody_claims_is_closed(upload: Upload, refused: bytes) -> None:
    before = open_descriptors()
    upload.send(refused, memfd(b"wrong"))
    await upload.next()
    # An element that was never finished ends where the next one starts.
    upload.server.sendall(b"<pingRequest uid='1'/>")
    await upload.next()
    upload.send(attached(("a", 5)), memfd(b"right"))
    assert await upload.next() == [{"a": b"right"}]
    assert open_descriptors() == before


@pytest.mark.parametrize("suffix", [b".bin", b".bin.z"])
async def test_the_file_of_a_blob_that_is_not_taken_is_closed_unread(
    sockets: tuple[socket.socket, socket.socket], suffix: bytes
) -> None:
    def refuse(*_asked: object) -> bool:
        raise RefusedError("it is read-only")

    upload = Upload(*sockets)
    for admit, expected in ((refuse, "it is read-only"), (lambda *_: False, {"a": b""})):
        upload.decoder = upload.stream.decoder(admit)
        before = open_descriptors()
        fd = memfd(b"hello")
        upload.send(attached(("a", 5)).replace(b".bin", suffix), fd)
        assert await upload.next() == [expected]
        assert open_descriptors() == before
    await upload.stream.aclose()


async def test_a_file_is_read_by_whoever_loads_the_event(upload: Upload) -> None:
    before = open_descriptors()
    upload.send(attached(("a", 5), ("b", 5)), memfd(b"hello"), memfd(b"there"))
    (unloaded,) = [
        item
        for item in upload.decoder.items(await upload.stream.receive_some())
        if item is not None
    ]
    assert isinstance(unloaded, UnloadedEvent)
    # The next read closes what nobody has claimed.
    upload.send(attached(("a", 5)), memfd(b"third"))
    assert await upload.next() == [{"a": b"third"}]
    event = unloaded.load()
    assert isinstance(event, newBLOBVector)
    assert event.members == {"a": b"hello", "b": b"there"}
    assert open_descriptors() == before


async def test_a_file_that_is_too_short_is_refused(upload: Upload) -> None:
    upload.send(attached(("a", 6)), memfd(b"hello"))
    assert await upload.next() == ["a: an attached BLOB is shorter than its size"]


async def test_what_is_no_file_is_refused(upload: Upload, tmp_path: Path) -> None:
    """A pipe would have the whole driver wait for whoever handed it over."""
    read_end, write_end = os.pipe()
    before = open_descriptors()
    upload.send(attached(("a", 1)), read_end)
    upload.send(attached(("a", 1)), os.open(tmp_path, os.O_RDONLY))
    assert await upload.next() == ["a: an attached BLOB is no file"]
    assert await upload.next() == ["a: an attached BLOB is no file"]
    os.close(write_end)
    assert len(open_descriptors()) == len(before) - 2


async def test_a_file_that_may_not_be_read_is_refused(upload: Upload, tmp_path: Path) -> None:
    upload.send(attached(("a", 1)), os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT))
    os.truncate(tmp_path / "out", 10)
    assert await upload.next() == ["a: an attached BLOB cannot be read: Bad file descriptor"]


async def test_a_flood_of_descriptors_is_bounded(upload: Upload) -> None:
    """An element that never ends may bring as many as it likes."""
    before = len(open_descriptors())
    fd = memfd(b"x")
    upload.server.sendall(b"<newBLOBVector device='D' ")
    await upload.next()
    for _ in range(10):
        upload.send(b" ", *(os.dup(fd) for _ in range(100)))
        await upload.next()
    assert len(open_descriptors()) <= before + 600
    await upload.stream.aclose()
    os.close(fd)
    assert len(open_descriptors()) <= before


async def test_descriptors_are_not_inherited_by_programs(upload: Upload) -> None:
    before = open_descriptors()
    upload.send(attached(("a", 5))[:20], memfd(b"hello"))
    await upload.next()
    (new,) = open_descriptors().keys() - before.keys()
    assert not os.get_inheritable(new)


async def test_a_file_that_is_cut_while_it_is_read_is_refused(
    upload: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    fd = memfd(b"hello")
    shared = os.dup(fd)
    pread = os.pread

    def cut_and_read(fd: int, size: int, offset: int) -> bytes:
        os.ftruncate(shared, 0)
        return pread(fd, size, offset)

    monkeypatch.setattr(os, "pread", cut_and_read)
    upload.send(attached(("a", 5)), fd)
    assert await upload.next() == ["a: an attached BLOB has become shorter than its size"]
    os.close(shared)
