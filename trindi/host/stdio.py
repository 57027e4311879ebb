"""One driver on standard input and output, as indiserver runs it, and how it ends.

Its one peer, the server, speaks for all clients and for the devices that are snooped on. The driver
ends at the end of input (protocol §6), and on SIGTERM or Ctrl-C.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Any, Final, get_args

import trio

from trindi.errors import ProtocolError, TrindiError
from trindi.host.guard import guarded_stdio
from trindi.protocol import (
    DefVector,
    NewVector,
    SetVector,
    SnoopEvent,
    delProperty,
    encode,
    ends,
    newBLOBVector,
)
from trindi.transport import Connection, EncodedEvent, FrameSender, StdioStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from trindi.driver import IPyDriver
    from trindi.protocol import Event, setBLOBVector
    from trindi.transport import EncodedBatch

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

    def admit(event: type[Any], *asked: Any) -> bool:
        # Other BLOBs are of devices that are snooped on, and come only where they were asked for.
        if event is newBLOBVector:
            driver.admit(event, *asked)
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
            driver.hear(EncodedEvent(item))
            return None
        if isinstance(item, (NewVector, ProtocolError)):
            peer.define_first(driver, item)
        return driver.receive(item, peer)

    try:
        if driver.running:
            raise RuntimeError("the driver is running already")
        async with trio.open_nursery() as nursery:
            await nursery.start(driver.serve, peer)
            task_status.started()
            await connection.run(receive)
            nursery.cancel_scope.cancel()
        if connection.disconnect_reason:
            raise TrindiError("standard output is not read, and too much waits for it")
    finally:
        stream.close()


# Asking a set for the type takes a tenth of what isinstance takes with their union.
_REPORTS: Final[frozenset[type[Any]]] = frozenset(get_args(SetVector))


class _StdioPeer:
    """The peer of the driver: what it reports goes there, and the answers, once it is defined.

    A driver says nothing of a property before its definition (§6), whose values are as new as those
    of the reports that are dropped here.
    """

    def __init__(self, connection: Connection) -> None:
        self._queue = connection.queue
        self._reply = connection.reply
        self._forward = connection.forward
        self.waits = connection.waits
        # Nobody else is throttled by waiting, as in libindi, whose drivers wait in their write.
        self._frames = FrameSender(one_receiver=True)
        self._defined: set[tuple[str, str]] = set()
        self.request_started = connection.request_started
        self.request_finished = connection.request_finished

    def publish(self, event: Event) -> None:
        if self._may_say(event):
            # Encoded at once, so that the queue knows its weight, and errors are the sender's.
            self._queue.put(EncodedEvent(event, encode(event)))

    def reply(self, event: Event) -> None:
        if self._may_say(event):
            self._reply(event)

    def forward(self, batch: EncodedBatch) -> None:
        for encoded in batch.items:
            self._may_say(encoded.event)
        self._forward(batch)

    async def publish_blob(self, event: setBLOBVector, *, wait: bool = True) -> None:
        if self._may_say(event):
            await self._frames.send(EncodedEvent(event), [self._queue], wait=wait)
        else:
            await trio.lowlevel.checkpoint()

    def define_first(self, driver: IPyDriver, item: NewVector | ProtocolError) -> None:
        """Send the definition of a property that is requested, since the answer is a report."""
        names = item.devicename, item.vectorname
        if None not in names and names not in self._defined:
            self.forward(driver.encoded_definitions(*names))

    def _may_say(self, event: Any) -> bool:
        """Note definitions and their ends; return whether the property is defined, if it is one."""
        if type(event) in _REPORTS:
            return (event.devicename, event.vectorname) in self._defined
        if isinstance(event, DefVector):
            self._defined.add((event.devicename, event.vectorname))
        elif type(event) is delProperty:
            self._defined = {names for names in self._defined if not ends(event, *names)}
            self._frames.delete(event)
        return True


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
