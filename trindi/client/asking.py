"""What is asked of the properties of a server, one by one: new values, and BLOBs.

Each request is checked before anything leaves, and the answer that it is to get is waited for here.
This module does not know how a property is found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import trio

from trindi.client.inbox import Frames, Progress
from trindi.client.requests import Upload, make_request
from trindi.client.saving import SavedFrames
from trindi.client.waiting import Completion
from trindi.errors import ConfigurationError
from trindi.protocol import BLOBPolicy, Kind
from trindi.transport import HIGH_WATER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from trindi.client.link import Mark
    from trindi.client.remote import RemoteVector
    from trindi.client.session import Session
    from trindi.client.wishes import Wishes
    from trindi.protocol import NewVector
    from trindi.transport.runtime import InThread

__all__ = ["Asking"]


class Asking:
    """Asks properties for something, through the session that they belong to.

    Args:
        session: knows the connection, and who waits for what.
        wishes: knows which BLOBs are wanted.
        in_thread: reads files.
    """

    def __init__(self, session: Session, wishes: Wishes, in_thread: InThread) -> None:
        self._session = session
        self._wishes = wishes
        self._in_thread = in_thread
        # Whose answer is waited for: the next one is asked for when that is here.
        self._turns: WeakKeyDictionary[RemoteVector, trio.Lock] = WeakKeyDictionary()

    # New values --------------------------------------------------------------------------------

    async def set(self, vector: RemoteVector, values: Mapping[str, Any]) -> None:
        """Ask for new values; see `IPyClient.set`."""
        request = await self._make_request(vector, values)
        await self._session.send(vector, request)

    async def set_and_wait(
        self, vector: RemoteVector, values: Mapping[str, Any], timeout: float | None = None
    ) -> None:
        """Ask for new values, and wait until they are there; see `IPyClient.set_and_wait`."""
        self._check(vector, values)
        self._check_heard(vector)

        async def send(mark: Mark) -> None:
            # Looked at again: what is not named is sent as it is by now.
            self._check_heard(vector)
            request = await self._make_request(vector, values)
            await self._session.send(vector, request, mark)

        completion = Completion(vector, timeout)
        with self._session.waits.listed((vector.devicename, vector.name), completion):
            await completion.wait(self._turns.setdefault(vector, trio.Lock()), send)

    @staticmethod
    def _check(vector: RemoteVector, values: Mapping[str, Any]) -> None:
        if vector.kind is Kind.BLOB:
            Upload(vector, values)
        else:
            make_request(vector, values)

    def _check_heard(self, vector: RemoteVector) -> None:
        """Refuse to wait for an answer that the server is not to send."""
        place = (vector.devicename, vector.name)
        if vector.kind is Kind.BLOB and not self._wishes.wants(*place):
            raise ConfigurationError(
                f"{' '.join(place)} would not be heard to answer: call enable_blobs first"
            )
        if vector.kind is not Kind.BLOB and self._wishes.policy(place[0]) is BLOBPolicy.ONLY:
            raise ConfigurationError(
                f"{' '.join(place)} would not be heard to answer, as only BLOBs are wanted of"
                f" {place[0]}: call enable_blobs with policy 'Also' first"
            )

    async def _make_request(self, vector: RemoteVector, values: Mapping[str, Any]) -> NewVector:
        if vector.kind is not Kind.BLOB:
            await trio.lowlevel.checkpoint()
            return make_request(vector, values)
        upload = Upload(vector, values)
        if not upload.at_hand:
            loaded: NewVector = await self._in_thread(upload.load)
            return loaded
        await trio.lowlevel.checkpoint()
        return upload.load()

    # BLOBs -------------------------------------------------------------------------------------

    def frames(
        self,
        devicename: str,
        vectorname: str,
        progress: Callable[[Progress], None] | None = None,
        high_water: int = HIGH_WATER,
    ) -> Frames:
        """Receive BLOBs; see `IPyClient.frames`."""
        self.check_blobs(devicename, vectorname)
        return self._session.listen(Frames(devicename, vectorname, progress, high_water))

    def save_frames(
        self,
        devicename: str,
        vectorname: str,
        directory: str | Path,
        progress: Callable[[Progress], None] | None = None,
    ) -> SavedFrames:
        """Save BLOBs to files; see `IPyClient.save_frames`."""
        frames = self.frames(devicename, vectorname, progress)
        return SavedFrames(frames, directory, self._in_thread)

    def check_blobs(self, devicename: str, vectorname: str) -> None:
        """Refuse a property that is known, and is none of BLOBs."""
        vector = self._session.picture.find(devicename, vectorname)
        if vector is not None and vector.kind is not Kind.BLOB:
            raise ConfigurationError(
                f"{devicename} {vectorname} has no BLOBs, it is a {vector.kind.value} vector"
            )
