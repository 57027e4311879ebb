"""Drivers and their clients in memory, through the real encoder, decoder and router.

A client is connected to a server by a stream without a buffer: what one end sends waits until the
other reads, as over TCP when all buffers are full. So no bytes are outside the program.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import trio
from trio.testing import lockstep_stream_pair

from trindi.client import IPyClient
from trindi.driver import IPyDriver
from trindi.recording import Entry, Recording, ReplayDriver, Side, record
from trindi.recording.player import LINGER, Player
from trindi.server import IPyServer
from trindi.testing.faults import Fault, FaultyStream
from trindi.testing.reproducible import is_virtual, make_reproducible, make_runtime, virtual_now

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from trindi.transport import Runtime

SETTLE_TIMEOUT: Final = 600.0  # seconds: a test that waits for ever gives no reason
WORK_TIMEOUT: Final = 600.0  # seconds for handlers that still work at the end of a recording


async def start_driver(
    nursery: trio.Nursery,
    driver: IPyDriver,
    *,
    seed: int | None = None,
    contain_errors: bool = False,
    faults: Iterable[Fault] = (),
    recording: str | os.PathLike[str] | None = None,
    settle: bool = True,
) -> IPyClient:
    """Run a driver until the nursery is cancelled, and return a client of it.

    Under a mock clock the same test does the same each time, event for event.

    Args:
        nursery: runs both; exceptions of the driver and its handlers are raised there.
        driver: not running yet.
        seed: of the order of tasks under a mock clock; by default the current one, at first 0.
        contain_errors: treat exceptions as in an observatory: those of handlers are logged, and a
            driver that fails is started again.
        faults: what goes wrong on the client's connection.
        recording: path of a file in which the session is recorded.
        settle: return when all definitions have arrived; if False, at once.

    Raises:
        ValueError: the driver is in another server.
        RuntimeError: the driver is running already.
        NotConnected: a fault has struck before the definitions arrived.
        TooSlowError: the definitions did not arrive within ten minutes.
    """
    server = await _start(nursery, driver, seed, contain_errors)
    return await join(nursery, server, faults=faults, recording=recording, settle=settle)


async def start_server(
    nursery: trio.Nursery,
    drivers: Iterable[IPyDriver] | IPyServer,
    *,
    seed: int | None = None,
    contain_errors: bool = False,
    faults: Iterable[Fault] = (),
    recording: str | os.PathLike[str] | None = None,
    settle: bool = True,
) -> IPyClient:
    """Run drivers in one server until the nursery is cancelled, and return a client of it.

    All but `drivers` is as for `start_driver`. They are not running yet; or they are a server of
    them, so that `join` can connect more clients to it. It does not listen here. ValueError if
    there is no driver, or a device name in two drivers.
    """
    server = await _start(nursery, drivers, seed, contain_errors)
    return await join(nursery, server, faults=faults, recording=recording, settle=settle)


async def join(
    nursery: trio.Nursery,
    server: IPyServer,
    *,
    faults: Iterable[Fault] = (),
    recording: str | os.PathLike[str] | None = None,
    settle: bool = True,
) -> IPyClient:
    """Return one more client of a server that `start_server` runs.

    The nursery runs the client, which counts towards the server's `maxconnections`: if that is
    reached, this raises `NotConnected`. `faults`, `recording` and `settle` are those of this
    client, as for `start_driver`.
    """
    stream = connect(nursery, server)
    if given := tuple(faults):
        stream = FaultyStream(stream, given)
    if recording is not None:
        stream = record(stream, recording, now=virtual_now if is_virtual() else None)
    client: IPyClient = await nursery.start(IPyClient(runtime=make_runtime()).run_on, stream)
    if settle:
        try:
            with trio.fail_after(SETTLE_TIMEOUT):
                await client.wait_settled()
        except trio.TooSlowError as error:
            error.add_note(
                f"the definitions did not arrive within {SETTLE_TIMEOUT:g} s: a handler of"
                " getProperties has not returned, or a fault holds them up; see settle=False"
            )
            raise
    return client


def connect(nursery: trio.Nursery, server: IPyServer) -> trio.abc.Stream:
    """Return the stream of one more client, for a test that sends bytes of its own."""
    ours, theirs = lockstep_stream_pair()
    nursery.start_soon(partial(server.serve_stream, theirs, name="a client in memory"))
    return ours


async def start_replay(
    nursery: trio.Nursery,
    recording: str | os.PathLike[str] | Recording,
    *,
    speed: float = 1.0,
    seed: int | None = None,
) -> IPyClient:
    """Show a recorded session to a client, from now on, and return the client.

    The speed is recorded seconds in a second, `math.inf` for no pauses; the rest is as for
    `start_driver`. RecordingError if the recording cannot be read.
    """
    return await start_driver(nursery, ReplayDriver(_open(recording), speed), seed=seed)


async def replay_to(
    nursery: trio.Nursery,
    drivers: IPyDriver | Iterable[IPyDriver] | IPyServer,
    recording: str | os.PathLike[str] | Recording,
    *,
    speed: float = 1.0,
    seed: int | None = None,
    contain_errors: bool = False,
) -> list[Entry]:
    """Run drivers, send them what a recorded client sent, and return what they send.

    It returns when the recording has ended and no handler works any more, or ten minutes later.
    Reports that drivers send by themselves are collected for half a second more: without pauses,
    this is all that is left of a long move. Under a mock clock pauses take no time: keep them.

    The speed is recorded seconds in a second, `math.inf` for no pauses. Each `Entry` has its time
    since this call. The rest is as for `start_server`. RecordingError if the recording cannot be
    read.
    """
    session = _open(recording)
    server = await _start(nursery, drivers, seed, contain_errors)
    stream, wait_idle = connect(nursery, server), partial(_wait_idle, server)
    player = Player(stream, Side.CLIENT, speed, wait_idle, make_runtime().in_thread)
    return await player.play(session)


async def _wait_idle(server: IPyServer) -> None:
    """Wait until no handler works, and its reports have arrived."""
    idle = 0
    with trio.move_on_after(WORK_TIMEOUT):
        # Twice: the last report of a handler may be in a queue when the handler has returned.
        while idle < 2:
            await trio.sleep(LINGER)
            working = any(client.in_flight for client in server.statistics().clients)
            idle = 0 if working else idle + 1


def _open(recording: str | os.PathLike[str] | Recording) -> Recording:
    return recording if isinstance(recording, Recording) else Recording(recording)


async def _start(
    nursery: trio.Nursery,
    drivers: IPyDriver | Iterable[IPyDriver] | IPyServer,
    seed: int | None,
    contain_errors: bool,
) -> IPyServer:
    make_reproducible(seed)
    if isinstance(drivers, IPyDriver):
        drivers = [drivers]
    server = drivers if isinstance(drivers, IPyServer) else IPyServer(drivers)
    await nursery.start(_run, server, make_runtime(contain_errors=contain_errors))
    return server


async def _run(
    server: IPyServer,
    runtime: Runtime,
    *,
    task_status: trio.TaskStatus[IPyServer] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a server; an exception that ends it alone is raised without the groups around it."""
    failure: BaseException | None = None
    try:
        await server.run(listen=False, runtime=runtime, task_status=task_status)
    except ExceptionGroup as group:
        failure = group
        while isinstance(failure, ExceptionGroup) and len(failure.exceptions) == 1:
            (failure,) = failure.exceptions
    # Raised outside the except block, so that the group is not its context.
    if failure is not None:
        raise failure
