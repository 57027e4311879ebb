"""The core of `IPyClient`. One task reads, and never waits for another.

Each event changes the mirror, wakes the tasks that wait for that change, and goes to the iterators.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import trio

from trindi.client.connector import Connector
from trindi.client.errors import NotConnected
from trindi.client.inbox import Events, Frames, Inboxes
from trindi.client.mirror import Mirror
from trindi.client.requests import Upload, make_request
from trindi.client.saving import SavedFrames
from trindi.client.server_connection import AnswerBarrier, ServerConnection
from trindi.client.waiting import AnswerWaiter, ConditionWaiter, Waiters
from trindi.errors import ConfigurationError
from trindi.protocol import BLOBPolicy, Decoder, Kind, SnoopEvent, State, setBLOBVector
from trindi.transport import check_trio

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from trindi.client.answer import Answer
    from trindi.client.remote import RemoteVector
    from trindi.client.subscriptions import Subscriptions
    from trindi.protocol import Event, NewVector
    from trindi.transport import Runtime

Inbox = TypeVar("Inbox", Events, Frames)


class ClientCore:
    """The state of one client of a server with this name in the log; see `IPyClient`."""

    def __init__(
        self,
        name: str,
        subscriptions: Subscriptions,
        *,
        max_element_bytes: int,
        max_blob_bytes: int,
        max_mirror_bytes: int,
        runtime: Runtime,
    ) -> None:
        self._name = name
        self._subscriptions = subscriptions
        self._runtime = runtime
        self._make_decoder = partial(
            Decoder,
            max_element_bytes=max_element_bytes,
            max_blob_bytes=max_blob_bytes,
            admit=self._wants_blob,
        )
        self._make = partial(make_request, max_bytes=max_element_bytes)
        self._waiters = Waiters()
        self._inboxes = Inboxes()
        # Held by the task that waits for an answer: one at a time for each property.
        self._locks: WeakKeyDictionary[RemoteVector, trio.Lock] = WeakKeyDictionary()
        self.connector = Connector(
            name, self._make_connection, subscriptions.requests, self._connection_lost
        )
        self.mirror = Mirror(
            self, now=runtime.now, max_bytes=max_mirror_bytes, max_frame_bytes=max_blob_bytes
        )

    def _make_connection(self, stream: trio.abc.Stream) -> ServerConnection:
        return ServerConnection(
            stream,
            name=self._name,
            decoder=self._make_decoder(),
            on_event=self._receive,
            on_progress=self._inboxes.report_progress,
            runtime=self._runtime,
        )

    def _wants_blob(
        self, event: type[Any], devicename: str, vectorname: str, _membername: str, _size: int
    ) -> bool:
        """Whether payloads are to be kept; the others are thrown away as they come."""
        return event is setBLOBVector and self._subscriptions.wants_blobs(devicename, vectorname)

    def _receive(self, event: Event) -> None:
        if not isinstance(event, SnoopEvent):
            # Servers show clients the requests of others (§5.2).
            return
        if isinstance(event, setBLOBVector):
            event = self._subscriptions.filter_blobs(event)
        changed = self.mirror.apply(event)
        self._inboxes.put(event)
        for vector in changed:
            self._waiters.check(vector, event)

    def _connection_lost(self, reason: str, final: bool) -> None:
        self.mirror.make_stale()
        self._waiters.connection_lost(reason, final=final)
        if final:
            self._inboxes.close()

    def listen(self, inbox: Inbox) -> Inbox:
        if isinstance(inbox, Frames):
            self.check_has_blobs(inbox.devicename, inbox.vectorname)
        self._inboxes.add(inbox)
        if self.connector.ended:
            inbox.close()
        return inbox

    def save(self, frames: Frames, directory: str | Path) -> SavedFrames:
        return SavedFrames(self.listen(frames), directory, self._runtime.in_thread)

    def check_has_blobs(self, devicename: str, vectorname: str) -> None:
        """Raise ConfigurationError if the property is defined, and not of BLOBs."""
        vector = self.mirror.find(devicename, vectorname)
        if vector is not None and vector.kind is not Kind.BLOB:
            raise ConfigurationError(
                f"{devicename} {vectorname} has no BLOBs, it is a {vector.kind.value} vector"
            )

    async def wait_for(
        self, devicename: str, vectorname: str | None, predicate: Callable[[RemoteVector], bool]
    ) -> RemoteVector:
        check_trio()
        await trio.lowlevel.checkpoint()
        self.connector.check_not_ended()
        waiter = ConditionWaiter(predicate)
        for name, vector in self.mirror.devices.get(devicename, {}).items():
            if vectorname in (None, name):
                waiter.check(vector, None)
        with self._waiters.registered(devicename, vectorname, waiter):
            return await waiter.wait_finished()

    async def set(self, vector: RemoteVector, values: Mapping[str, Any]) -> None:
        await self._send(vector, await self._make_request(vector, values))

    async def set_and_wait(
        self, vector: RemoteVector, values: Mapping[str, Any], timeout: float | None = None
    ) -> Answer:
        request = self._make(vector, values)
        self._check_answer_comes(vector)

        async def send(barrier: AnswerBarrier) -> None:
            # Checked and made once more: earlier requests may have changed what is not named here.
            self._check_answer_comes(vector)
            await self._send(vector, await self._make_request(vector, values), barrier)

        # What comes of a BLOB is not known.
        wanted = {} if isinstance(request, Upload) else {name: request[name] for name in values}
        waiter = AnswerWaiter(vector, wanted, timeout)
        with self._waiters.registered(vector.devicename, vector.name, waiter):
            return await waiter.wait(self._locks.setdefault(vector, trio.Lock()), send)

    def _check_answer_comes(self, vector: RemoteVector) -> None:
        """Refuse to wait for an answer that the BLOB policy keeps the server from sending."""
        device = vector.devicename
        lost = f"the answer of {device} {vector.name} would not be received"
        if vector.kind is not Kind.BLOB:
            if self._blobs_only(device):
                raise ConfigurationError(
                    f"{lost}, as only BLOBs are enabled for {device}: call enable_blobs with policy"
                    " 'Also' first"
                )
        elif not self._subscriptions.wants_blobs(device, vector.name):
            raise ConfigurationError(f"{lost}: call enable_blobs first")

    def _blobs_only(self, devicename: str) -> bool:
        return self._subscriptions.policy(devicename) is BLOBPolicy.ONLY

    async def _make_request(self, vector: RemoteVector, values: Mapping[str, Any]) -> NewVector:
        await trio.lowlevel.checkpoint()
        request = self._make(vector, values)
        if not isinstance(request, Upload):
            return request
        if request.at_hand:
            return request.load()
        loaded: NewVector = await self._runtime.in_thread(request.load)
        return loaded

    async def _send(
        self, vector: RemoteVector, request: NewVector, barrier: AnswerBarrier | None = None
    ) -> None:
        # Where only BLOBs are enabled, the server may never define the property again.
        if self.connector.connection and vector.stale and not self._blobs_only(vector.devicename):
            raise NotConnected(
                f"{vector.devicename} {vector.name} is of a connection that was lost: wait until it"
                " is defined again with wait_defined"
            )
        await self.connector.send(request, partial(self._note_sent, vector), barrier)

    def _note_sent(self, vector: RemoteVector) -> None:
        # It is Busy until the device says otherwise (§2).
        vector.state = State.BUSY
        self._waiters.check(vector)
