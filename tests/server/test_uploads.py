"""Uploads: what is kept of them, and for whom, while they come."""

from __future__ import annotations

import base64
import random
import tracemalloc
import zlib
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.kit.peers import Client
from tests.kit.server import Bench
from trindi import (
    BLOBMember,
    BLOBVector,
    Device,
    IPyDriver,
    IPyServer,
    Message,
    SizeFormat,
    State,
    newBLOBVector,
    setBLOBVector,
    setNumberVector,
)
from trindi.protocol import BLOBPolicy, Event, enableBLOB, encode, getProperties
from trindi.server.clients import STALLED
from trindi.testing import reproducible
from trindi.transport import Runtime

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 1024 * 1024
PAYLOAD = random.Random(0).randbytes(3 * MIB)
HELD = 1.5 * MIB


class Slow(Bench):
    """Its handler returns when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.done = trio.Event()

    async def clientevent(self, event: Any) -> None:
        self.asked.append(event)
        await self.done.wait()


def upload(
    vectorname: str = "upload", membername: str = "file", data: bytes = PAYLOAD, suffix: str = ".x"
) -> newBLOBVector:
    about = {membername: SizeFormat(len(data), suffix)}
    return newBLOBVector("Bench", vectorname, {membername: data}, about)


class Line:
    """A server that does not listen, and what it does in threads."""

    def __init__(self, nursery: trio.Nursery, *drivers: IPyDriver, **options: Any) -> None:
        self.nursery = nursery
        self.server = IPyServer(drivers, **options)
        self.threads: list[Any] = []
        self.kept = 0

    async def start(self) -> Line:
        runtime = Runtime(in_thread=self._note)
        await self.nursery.start(partial(self.server.run, listen=False, runtime=runtime))
        return self

    async def _note(self, function: Callable[..., Any], *args: Any) -> Any:
        self.threads.append(function)
        return await reproducible.at_once(function, *args)

    async def join(self) -> Client:
        ours, theirs = trio.testing.lockstep_stream_pair()
        self.nursery.start_soon(partial(self.server.serve_stream, theirs, name="a client"))
        client = Client(ours)
        await client.send(getProperties(), enableBLOB("Bench", None, BLOBPolicy.ALSO))
        await client.sync()
        return client

    async def send(self, client: Client, data: bytes | Event) -> None:
        """Send in pieces, and note how much the server keeps of all clients."""
        data = data if isinstance(data, bytes) else encode(data)
        for at in range(0, len(data), 64 * 1024):
            await client.send(data[at : at + 64 * 1024])
            await trio.testing.wait_all_tasks_blocked()
            self.kept = max(self.kept, self.held())

    def held(self) -> int:
        return sum(client.upload_bytes() for client in self.server._clients)


@pytest.fixture
async def bench(nursery: trio.Nursery, autojump_clock: Any) -> Line:
    return await Line(nursery, Bench()).start()


@pytest.mark.parametrize("suffix", [".x", ".x.z"])
@pytest.mark.parametrize(
    ("vectorname", "membername", "reason"),
    [
        ("nothing", "file", "Bench has no property nothing"),
        ("frame", "image", "frame is unchanged: it is read-only"),
        ("target", "x", "target is unchanged: it is a Number vector, not a BLOB vector"),
        ("upload", "other", "upload is unchanged: it has no member other"),
    ],
)
async def test_nothing_is_kept_of_an_upload_that_is_not_taken(
    bench: Line, vectorname: str, membername: str, reason: str, suffix: str
) -> None:
    client = await bench.join()
    sent = upload(vectorname, membername, suffix=suffix)
    await bench.send(client, sent)
    answers = await client.sync()
    assert [answer.message for answer in answers[:-1]] == [f"[ERROR] {reason}"]
    assert bench.kept < HELD
    # A small one, which is read whole before it is refused, is answered in the same way.
    await client.send(upload(vectorname, membername, PAYLOAD[:100], suffix))
    assert [type(answer) for answer in await client.sync()] == list(map(type, answers))
    assert client.heard[-2].message == answers[0].message
    # Nothing was decompressed, and the client goes on.
    assert bench.threads == []
    await client.send(upload(data=b"abc"))
    assert (await client.next(setBLOBVector))["file"] == b"abc"


async def test_nothing_is_kept_for_a_device_that_is_not_there(bench: Line) -> None:
    client = await bench.join()
    device = encode(upload()).replace(b'"Bench"', b'"Other"')
    await bench.send(client, device)
    assert len(await client.sync()) == 1
    assert bench.kept < HELD


async def test_a_client_can_make_no_server_keep_reports(bench: Line) -> None:
    client = await bench.join()
    event = upload()
    await bench.send(
        client, setBLOBVector("Bench", "upload", event.members, event.sizeformat, State.OK)
    )
    assert len(await client.sync()) == 1
    assert bench.kept < HELD


async def test_an_upload_to_a_driver_that_is_down(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    class Failing(Bench):
        async def hardware(self) -> None:
            raise OSError("the cable is out")

    line = await Line(nursery, Failing(), max_restarts=0).start()
    client = await line.join()
    await line.send(client, upload())
    answer = (await client.sync())[0]
    assert isinstance(answer, Message)
    assert answer.message == "[ERROR] the driver of Bench is not running"
    assert line.kept < HELD


async def test_a_property_has_a_bound_of_its_own(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    vector = BLOBVector("small", perm="wo", blobmembers=[BLOBMember("file")], max_bytes=MIB)
    driver = Bench()
    driver["Bench"]._by_name["small"] = vector
    vector.device = driver["Bench"]
    line = await Line(nursery, driver).start()
    client = await line.join()
    for suffix in (".x", ".x.z"):
        for data in (PAYLOAD, PAYLOAD[: MIB + 1]):
            await line.send(client, upload("small", data=data, suffix=suffix))
            (answer, _) = await client.sync()
            assert answer.state is State.ALERT
            assert answer.message == "[ERROR] small is unchanged: it takes at most 1048576 bytes"
    assert line.kept < MIB + HELD
    assert line.threads == []


async def test_a_property_takes_what_just_fits(nursery: trio.Nursery, autojump_clock: Any) -> None:
    taken: list[bytes] = []

    class Taking(IPyDriver):
        async def clientevent(self, event: Any) -> None:
            if isinstance(event, newBLOBVector):
                taken.append(event["file"])

    vector = BLOBVector("upload", perm="wo", blobmembers=[BLOBMember("file")], max_bytes=MIB)
    line = await Line(nursery, Taking([Device("Bench", [vector])])).start()
    client = await line.join()
    for suffix in (".x", ".x.z"):
        await line.send(client, upload(data=PAYLOAD[:MIB], suffix=suffix))
        await client.sync()
    assert taken == [PAYLOAD[:MIB]] * 2


async def test_a_bomb_is_unpacked_beside_the_others_and_no_further_than_it_claims(
    bench: Line,
) -> None:
    client = await bench.join()
    data = upload(data=bytes(20 * MIB), suffix=".x.z")
    await bench.send(client, encode(data).replace(b'size="20971520"', b'size="100000"'))
    (answer, _) = await client.sync()
    assert answer.message.endswith("decompresses to more than the 100000 bytes it claims")
    assert len(bench.threads) == 1


async def test_uploads_of_all_clients_together_are_bounded(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    line = await Line(nursery, Bench(), max_upload_bytes=5 * MIB).start()
    first, second, third = [await line.join() for _ in range(3)]
    whole = encode(upload())
    await line.send(first, whole[:-100])
    assert line.held() > 2.9 * MIB
    # The second is refused when both together are too much, and what it sends is thrown away.
    await line.send(second, whole)
    (answer, _) = await second.sync()
    assert answer.message == (
        "[ERROR] upload is unchanged: the server has too many uploads at the moment: try again "
        "later"
    )
    assert line.kept < 5 * MIB + HELD
    # So is one that would be decompressed into too much, before it is.
    zipped = encode(upload(data=bytes(3 * MIB), suffix=".x.z"))
    await line.send(third, zipped)
    (answer, _) = await third.sync()
    assert "too many uploads" in answer.message
    assert line.threads == []
    # The first goes on, and when it is done there is room again.
    await line.send(first, whole[-100:])
    await first.next(setBLOBVector)
    await trio.testing.wait_all_tasks_blocked()
    assert line.held() == 0
    await line.send(third, zipped)
    await third.next(setBLOBVector, when=lambda event: event["file"] == bytes(3 * MIB))


async def test_an_upload_counts_until_it_is_handled(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    driver = Slow()
    line = await Line(nursery, driver, max_upload_bytes=4 * MIB).start()
    first, second = await line.join(), await line.join()
    await line.send(first, upload())
    await line.send(second, upload())
    (answer, _) = await second.sync()
    assert "too many uploads" in answer.message
    driver.done.set()
    await trio.testing.wait_all_tasks_blocked()
    assert line.held() == 0
    await line.send(second, upload())
    await trio.testing.wait_all_tasks_blocked()
    assert [type(event) for event in driver.asked].count(newBLOBVector) == 2


async def test_what_a_client_leaves_behind_does_not_count(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    line = await Line(nursery, Bench(), max_upload_bytes=4 * MIB).start()
    first, second = await line.join(), await line.join()
    await line.send(first, encode(upload())[:-100])
    await first.aclose()
    await trio.testing.wait_all_tasks_blocked()
    await line.send(second, upload())
    assert (await second.next(setBLOBVector))["file"] == PAYLOAD


async def test_others_are_served_while_a_blob_is_decompressed(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    """The thread is one that ends when it is told to: the loop goes on."""
    driver, ready = Bench(), trio.Event()

    async def waiting(function: Callable[..., Any], *args: Any) -> Any:
        await ready.wait()
        return function(*args)

    server = IPyServer([driver])
    runtime = Runtime(in_thread=waiting)
    await nursery.start(partial(server.run, listen=False, runtime=runtime))
    line = Line(nursery)
    line.server = server
    first, second = await line.join(), await line.join()
    text = base64.b64encode(zlib.compress(bytes(MIB)))
    data = encode(upload(data=b"")).replace(b'size="0" format=".x"', b'size="1048576" format=".z"')
    await first.send(data.replace(b"</oneBLOB>", text + b"</oneBLOB>"))
    await trio.testing.wait_all_tasks_blocked()
    assert line.held() == MIB
    await driver.count()
    assert (await second.next(setNumberVector))["n"] == 1
    ready.set()
    assert (await first.next(setBLOBVector))["file"] == bytes(MIB)


async def test_an_upload_that_makes_no_progress_gives_way_to_another(
    nursery: trio.Nursery, autojump_clock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Else two clients that send most of a gigabyte, and then nothing, end all uploads for good."""
    line = await Line(nursery, Bench(), max_upload_bytes=5 * MIB).start()
    first, second = await line.join(), await line.join()
    whole = encode(upload())
    await line.send(first, whole[: 3 * MIB])
    await trio.sleep(STALLED / 2)
    # Now and then a byte is no progress.
    await line.send(first, whole[3 * MIB : 3 * MIB + 1000])
    await trio.sleep(STALLED / 2 - 1)
    await line.send(second, upload())
    (answer, _) = await second.sync()
    assert "too many uploads" in answer.message
    await trio.sleep(1)
    await line.send(second, upload())
    assert (await second.next(setBLOBVector))["file"] == PAYLOAD
    assert "has made no progress in 60 s" in (await first.next(Message)).message
    await trio.sleep(1)
    assert line.held() == 0
    assert "a client is disconnected: the server has too many uploads" in caplog.text


async def test_an_upload_that_is_slow_goes_on(nursery: trio.Nursery, autojump_clock: Any) -> None:
    line = await Line(nursery, Bench(), max_upload_bytes=5 * MIB).start()
    first, second = await line.join(), await line.join()
    whole = encode(upload(suffix=".x.z"))
    for at in range(0, 4 * MIB, 256 * 1024):
        await line.send(first, whole[at : at + 256 * 1024])
        await trio.sleep(STALLED - 1)
    await line.send(second, upload())
    (answer, _) = await second.sync()
    assert "too many uploads" in answer.message
    await line.send(first, whole[4 * MIB :])
    assert (await first.next(setBLOBVector))["file"] == PAYLOAD


async def test_the_size_that_an_upload_announces_costs_nothing(
    nursery: trio.Nursery, autojump_clock: Any
) -> None:
    line = await Line(nursery, Bench(), max_upload_bytes=8 * MIB).start()
    start = encode(upload(data=bytes(32 * MIB)))[: 3 * MIB]
    tracemalloc.start()
    try:
        for client in [await line.join() for _ in range(3)]:
            await line.send(client, start)
        assert tracemalloc.get_traced_memory()[0] < 16 * MIB
    finally:
        tracemalloc.stop()
