"""Drivers and their client in memory, through the real encoder, decoder and router.

A server that does not listen runs the drivers; a client is joined to it by a stream that holds no
bytes: what one end sends waits until the other reads, as on a line whose buffers are full. So a
client that does not read is noticed at once, and nothing is ever on its way outside the program.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import trio
from trio.testing import lockstep_stream_pair

from trindi.client import IPyClient
from trindi.driver import IPyDriver
from trindi.recording import Recording, ReplayDriver, record
from trindi.recording.playing import LINGER, play
from trindi.server import IPyServer
from trindi.testing.faults import FaultyStream
from trindi.testing.reproducible import (
    is_virtual,
    make_reproducible,
    make_runtime,
    virtual_now,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from trindi.recording import Entry
    from trindi.testing.faults import Fault
    from trindi.transport import Runtime

__all__ = ["connect", "join", "replay_to", "start_driver", "start_replay", "start_server"]

SETTLE_PATIENCE: Final = 600.0
"""Seconds for all definitions to arrive; a test that waits for ever tells nobody why."""

WORK_PATIENCE: Final = 600.0
"""Seconds for handlers that are still at work at the end of a recording."""


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
        nursery: gets the driver and the client; what the driver raises, its handlers included, is
            raised there.
        driver: not running yet.
        seed: the order of tasks that are ready together is drawn from it, under a mock clock. Where
            none is given, that of this run goes on; the first is 0.
        contain_errors: treat exceptions as in an observatory: those of handlers are logged, and a
            driver that fails is started again.
        faults: what goes wrong on the client's line.
        recording: path of a file in which the session is recorded.
        settle: return when all definitions are here; where False, at once.

    Raises:
        RuntimeError: the driver is running already.
        NotConnected: a fault has struck before the definitions were here.
        TooSlowError: they were not here after ten minutes.
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

    Args:
        nursery: see `start_driver`, as for all that is not said here.
        drivers: not running yet; or a server of them, which `join` takes for more clients. It
            does not listen here.
        seed: see `start_driver`.
        contain_errors: see `start_driver`.
        faults: see `start_driver`.
        recording: see `start_driver`.
        settle: see `start_driver`.

    Raises:
        RuntimeError: one of the drivers is running already.
        NotConnected: a fault has struck before the definitions were here.
        TooSlowError: they were not here after ten minutes.
        ValueError: no driver, or a device name in two drivers.
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

    Args:
        nursery: gets the client.
        server: it counts among its `maxconnections`.
        faults: what goes wrong on this client's line.
        recording: path of a file in which its session is recorded.
        settle: return when all definitions are here; where False, at once.

    Raises:
        NotConnected: a fault has struck before the definitions were here, or the server has turned
            the client away.
        TooSlowError: they were not here after ten minutes.
    """
    stream = connect(nursery, server)
    if troubles := tuple(faults):
        stream = FaultyStream(stream, troubles)
    if recording is not None:
        stream = record(stream, recording, now=virtual_now if is_virtual() else None)
    client: IPyClient = await nursery.start(IPyClient(runtime=make_runtime()).run_on, stream)
    if settle:
        try:
            with trio.fail_after(SETTLE_PATIENCE):
                await client.settled()
        except trio.TooSlowError as error:
            error.add_note(
                f"the definitions were not here after {SETTLE_PATIENCE:g} s: a handler of"
                " getProperties has not returned, or a fault holds them up; see settle=False"
            )
            raise
    return client


def connect(nursery: trio.Nursery, server: IPyServer) -> trio.abc.Stream:
    """Return the stream of one more client, for a test that sends bytes of its own.

    Args:
        nursery: gets the task that serves it.
        server: is running.
    """
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

    Args:
        nursery: gets both.
        recording: what was recorded, or its path.
        speed: recorded seconds in a second; `math.inf` for no pauses.
        seed: see `start_driver`.

    Raises:
        RecordingError: it cannot be read.
    """
    return await start_driver(nursery, ReplayDriver(_read(recording), speed), seed=seed)


async def replay_to(
    nursery: trio.Nursery,
    drivers: IPyDriver | Iterable[IPyDriver] | IPyServer,
    recording: str | os.PathLike[str] | Recording,
    *,
    speed: float = 1.0,
    seed: int | None = None,
    contain_errors: bool = False,
) -> list[Entry]:
    """Run drivers, ask them what a recorded client has asked, and return what they say.

    It returns when the recording has ended and no handler is at work any more, or ten minutes
    later. What drivers say afterwards by themselves is heard for half a second: without pauses, no
    more of a long move than that. Under a mock clock pauses take no time, so let them be.

    Args:
        nursery: see `start_driver`.
        drivers: one, several, or a server of them.
        recording: what was recorded, or its path.
        speed: recorded seconds in a second; `math.inf` for no pauses.
        seed: see `start_driver`.
        contain_errors: see `start_driver`.

    Returns:
        What they have said, each `Entry` with its time since now.

    Raises:
        RecordingError: it cannot be read.
        RuntimeError: one of the drivers is running already.
    """
    played = _read(recording)
    server = await _start(nursery, drivers, seed, contain_errors)
    return await play(played, connect(nursery, server), partial(_rest, server), speed=speed)


async def _rest(server: IPyServer) -> None:
    """Wait until no handler is at work, and what was said has been heard."""
    rested = 0
    with trio.move_on_after(WORK_PATIENCE):
        # Twice: what a handler said last may still be on its way when it has returned.
        while rested < 2:
            await trio.sleep(LINGER)
            working = any(client.in_flight for client in server.statistics().clients)
            rested = 0 if working else rested + 1


def _read(recording: str | os.PathLike[str] | Recording) -> Recording:
    return recording if isinstance(recording, Recording) else Recording(recording)


async def _start(
    nursery: trio.Nursery,
    drivers: IPyDriver | Iterable[IPyDriver] | IPyServer,
    seed: int | None,
    contain_errors: bool,
) -> IPyServer:
    """Run a server in the nursery."""
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
    """Run a server; the one exception that ends it is raised without the groups around it."""
    failure: BaseException | None = None
    try:
        await server.run(listen=False, runtime=runtime, task_status=task_status)
    except ExceptionGroup as group:
        failure = group
        while isinstance(failure, ExceptionGroup) and len(failure.exceptions) == 1:
            (failure,) = failure.exceptions
    # Not where it was caught: that would make the group a part of its story.
    if failure is not None:
        raise failure
