"""A recorded session as a driver: it answers clients as what was recorded did.

It begins when a client first asks. Definitions that the session began with are the answer; all else
that the server said follows at the recorded times, to whoever is there. Clients that come later get
the definitions as they are by then. So any server, with any number of clients, can show it; this
module knows none of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from trindi.driver import IPyDriver
from trindi.properties import Device
from trindi.protocol import (
    Event,
    Message,
    NewVector,
    SnoopEvent,
    State,
    encode,
    getProperties,
    setBLOBVector,
)
from trindi.recording.picture import Opening, Picture
from trindi.recording.player import Pace, check_speed
from trindi.transport import EncodedBatch, EncodedEvent

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from trindi.driver import Sender
    from trindi.errors import ProtocolError
    from trindi.recording.reader import Recording

__all__ = ["ReplayDriver"]


class _Shown(Device):
    """A device of a recording; others' devices may have names that an author's may not."""

    def __init__(self, devicename: str) -> None:
        super().__init__("replayed", [])
        self.devicename = devicename


class ReplayDriver(IPyDriver):
    """Shows a recorded session to clients; serve it with `IPyServer`.

    What clients want set is refused, with the values as they are.

    Args:
        recording: what was recorded.
        speed: recorded seconds in a second; `math.inf` for no pauses.

    Attributes:
        finished: set when all has been shown; the last values stay.

    Raises:
        RecordingError: a line of the recording cannot be read.
        ValueError: the speed is not above 0.
    """

    def __init__(self, recording: Recording, speed: float = 1.0) -> None:
        self._speed = check_speed(speed)
        self._recording = recording
        # Read whole once: what is wrong with it shows now, and not in mid-night.
        self._opening = Opening(recording.without_blobs())
        super().__init__([_Shown(name) for name in self._opening.devicenames])
        self._picture = Picture(self._opening.definitions.values())
        self._asked = trio.Event()
        self.finished = trio.Event()

    async def hardware(self) -> None:
        """Show the session."""
        await self._asked.wait()
        pace = Pace(self._speed, self._opening.zero)
        for time, event in self._opening.rest(self._recording):
            await pace.wait_until(time)
            await self._show(event)
        self.finished.set()

    async def _show(self, event: SnoopEvent) -> None:
        await self.sink.ready()
        self._picture.take(event)
        if isinstance(event, setBLOBVector):
            await self.sink.publish_blob(event)
        else:
            self.sink.publish(event)
        await self.sink.yield_if_due()

    def receive(self, item: Event | ProtocolError, sender: Sender) -> Awaitable[None] | None:
        """Begin where a client asks for definitions; refuse what it wants set."""
        if isinstance(item, getProperties):
            self._asked.set()
        if isinstance(item, NewVector):
            self._refuse(item, sender)
            return None
        return super().receive(item, sender)

    def _refuse(self, item: NewVector, sender: Sender) -> None:
        text = f"[WARNING] {item.vectorname} is unchanged: this is a recording"
        report = self._picture.report(item.devicename, item.vectorname)
        if report is None:
            sender.reply(Message(item.devicename, text, self.sink.now()))
        else:
            now = self.sink.now()
            sender.reply(replace(report, state=State.ALERT, message=text, timestamp=now))

    def encoded_definitions(
        self, devicename: str | None = None, vectorname: str | None = None
    ) -> EncodedBatch:
        """The definitions as they are by now."""
        definitions = self._picture.definitions(devicename, vectorname)
        return EncodedBatch(EncodedEvent(event, encode(event)) for event in definitions)
