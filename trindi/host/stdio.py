"""One driver on standard input and output, as indiserver runs it, and how it ends.

Its one peer, the server, speaks for all clients and for the devices that are snooped on. The driver
ends at the end of input (protocol §6), and on SIGTERM or Ctrl-C.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Any, Final

import trio

from trindi.driver import core_of
from trindi.errors import ProtocolError, TrindiError
from trindi.host.guard import guarded_stdio
from trindi.protocol import SnoopEvent, delProperty, encode, newBLOBVector
from trindi.transport import Connection, EncodedEvent, FrameSender, StdioStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from trindi.driver import IPyDriver
    from trindi.protocol import Event, setBLOBVector

STDIN_LINGER: Final = 0.4
"""Seconds for outstanding replies after the end of input, and again for them to leave. With the
clean-up that follows, the driver ends within the second that indiserver gives it."""


async def run_on_stdio(
    driver: IPyDriver, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Run a driver on standard input and output until input ends, or a signal arrives."""
    scope = trio.CancelScope()
    # Signals come first: one that arrives while descriptors are given back must do no harm.
    with _cancelled_by_signals(scope), guarded_stdio() as (read_fd, write_fd), scope:
        await run_on_stream(driver, StdioStream(read_fd, write_fd), task_status=task_status)


async def run_on_stream(
    driver: IPyDriver,
    stream: StdioStream,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a driver on a stream until its input ends, and close the stream."""
    core = core_of(driver)

    def admit(event: type[Any], *asked: Any) -> bool:
        # Other BLOBs are of devices that are snooped on, and come only where they were asked for.
        if event is newBLOBVector:
            core.admit(event, *asked)
        return True

    connection = Connection(
        stream,
        name="standard input",
        decoder=stream.decoder(admit),
        # All clients share this connection: malformed elements of one must not end it, and the
        # requests of one must not keep those of others from being read.
        max_errors=None,
        waits=False,
        linger=STDIN_LINGER,
    )

    peer = _StdioPeer(connection)

    def receive(item: Event | ProtocolError) -> Awaitable[None] | None:
        if isinstance(item, SnoopEvent):
            core.hear(EncodedEvent(item))
            return None
        return core.receive(item, peer)

    try:
        if core.running:
            raise RuntimeError("the driver is running already")
        async with trio.open_nursery() as nursery:
            await nursery.start(core.serve, peer)
            task_status.started()
            await connection.run(receive)
            nursery.cancel_scope.cancel()
        if connection.disconnect_reason:
            raise TrindiError("standard output is not read, and too much waits for it")
    finally:
        stream.close()


class _StdioPeer:
    """The peer of the driver: what it reports goes there, and the answers."""

    def __init__(self, connection: Connection) -> None:
        self._queue = connection.queue
        self.waits = connection.waits
        # Nobody else is throttled by waiting, as in libindi, whose drivers wait in their write.
        self._frames = FrameSender(one_receiver=True)
        self.reply = connection.reply
        self.forward = connection.forward
        self.request_started = connection.request_started
        self.request_finished = connection.request_finished

    def publish(self, event: Event) -> None:
        if type(event) is delProperty:
            self._frames.delete(event)
        # Encoded at once, so that the queue knows its weight, and errors are the sender's.
        self._queue.put(EncodedEvent(event, encode(event)))

    async def publish_blob(self, event: setBLOBVector, *, wait: bool = True) -> None:
        await self._frames.send(EncodedEvent(event), [self._queue], wait=wait)


@contextlib.contextmanager
def _cancelled_by_signals(scope: trio.CancelScope) -> Iterator[None]:
    """Cancel the scope on SIGTERM or Ctrl-C; further signals do not disturb the clean-up.

    A signal that is ignored stays ignored: a shell that starts indiserver in the background wants
    that. Python handles signals in the main thread only, so a driver in another thread gets none.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    token = trio.lowlevel.current_trio_token()

    def cancel(_number: int, _frame: object) -> None:
        token.run_sync_soon(scope.cancel, idempotent=True)

    handled = [
        number
        for number in (signal.SIGTERM, signal.SIGINT)
        if signal.getsignal(number) != signal.SIG_IGN
    ]
    before = {number: signal.signal(number, cancel) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
