"""A recorded session as a driver: it answers clients as the recorded server did.

It begins when a client first asks for definitions. The initial definitions of the session are the
answer; the rest of what the server sent follows at the recorded times, to all clients. A client
that comes later gets the definitions as of then.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

import trio

from trindi.driver import DriverCore, IPyDriver, Sender
from trindi.errors import ProtocolError
from trindi.properties import Device, message_text
from trindi.protocol import (
    DefVector,
    Event,
    Message,
    NewVector,
    Property,
    Snapshot,
    SnoopEvent,
    State,
    delProperty,
    encode,
    getProperties,
    setBLOBVector,
)
from trindi.recording.jsonl import EndOfStream, Entry, Side
from trindi.recording.player import check_speed
from trindi.transport import EncodedBatch, EncodedEvent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from trindi.recording.reader import Recording

OPENING: Final = 1.0
"""Seconds after the first definition in which others belong to the same answer."""


def _make_device(devicename: str) -> Device:
    device = Device("replayed", [])
    # The name may be one that an author could not give.
    device.devicename = devicename
    return device


def _names(event: DefVector) -> tuple[str, str]:
    return event.devicename, event.vectorname


def _server_event(entry: Entry) -> SnoopEvent | None:
    is_servers = entry.source is Side.SERVER and isinstance(entry.item, SnoopEvent)
    return cast("SnoopEvent", entry.item) if is_servers else None


class _ReplayCore(DriverCore):
    """Answers from what was recorded, and refuses requests."""

    _driver: ReplayDriver

    def receive(self, item: Event | ProtocolError, sender: Sender) -> Awaitable[None] | None:
        if isinstance(item, getProperties):
            self._driver._asked.set()
        if isinstance(item, ProtocolError):
            if item.is_request:
                self._refuse(item.devicename or "", item.vectorname or "", sender)
            return None
        if isinstance(item, NewVector):
            self._refuse(item.devicename, item.vectorname, sender)
            return None
        return super().receive(item, sender)

    def _refuse(self, devicename: str, vectorname: str, sender: Sender) -> None:
        text = message_text(f"[WARNING] {vectorname} is unchanged: this is a recording")
        known = self._driver._snapshot.find(devicename, vectorname)
        now = self.sink.stamp(None, text)
        if known is None:
            sender.reply(Message(devicename, text, now))
        else:
            report = known.as_set()
            sender.reply(replace(report, state=State.ALERT, message=text, timestamp=now))

    def encoded_definitions(
        self, devicename: str | None = None, vectorname: str | None = None
    ) -> EncodedBatch:
        definitions = self._driver._snapshot.definitions(devicename, vectorname)
        return EncodedBatch(EncodedEvent(event, encode(event)) for event in definitions)


class ReplayDriver(IPyDriver):
    """Shows a recorded session to clients; serve it with `IPyServer`.

    `speed` is recorded seconds in a second; `math.inf` means no pauses. Requests to set a value are
    refused, with the present values. `finished` is set when all has been shown; the last values
    stay.

    Raises:
        RecordingError: a line of the recording cannot be read.
        ValueError: the speed is not above 0.
    """

    _core_class = _ReplayCore

    def __init__(self, recording: Recording, speed: float = 1.0) -> None:
        self._speed = check_speed(speed)
        self._recording = recording
        # What it holds is part of the recording, whose size is bounded.
        self._snapshot = Snapshot(Property, max_bytes=sys.maxsize)
        self._zero = 0.0
        devicenames = self._take_opening(recording.without_blobs())
        self._opening = frozenset(map(_names, self._snapshot.definitions()))
        super().__init__(map(_make_device, devicenames))
        self._asked = trio.Event()
        self.finished = trio.Event()

    def _take_opening(self, entries: Iterable[Entry]) -> list[str]:
        """Take the initial definitions, and return all devices; a bad line is reported here."""
        devicenames: dict[str, None] = {}
        for entry in entries:
            event = _server_event(entry)
            if event is not None and event.devicename is not None:
                devicenames[event.devicename] = None
            if isinstance(event, DefVector):
                if not self._snapshot.devices:
                    self._zero = entry.time
                if (
                    entry.time <= self._zero + OPENING
                    and self._snapshot.find(*_names(event)) is None
                ):
                    self._snapshot.apply(event)
        return list(devicenames)

    async def hardware(self) -> None:
        await self._asked.wait()
        start, opening, ended = trio.current_time(), set(self._opening), False
        for entry, load in self._recording.unloaded():
            ended = ended or isinstance(entry.item, EndOfStream)
            if ended and isinstance(entry.item, getProperties):
                # A client that is connected again knows nothing of what was before.
                ended = False
                await trio.sleep_until(start + (entry.time - self._zero) / self._speed)
                for known in list(self._snapshot.definitions()):
                    await self._show(delProperty(*_names(known)))
            event = _server_event(entry)
            if event is not None and load is not None:
                event = _server_event(await self._sink.runtime.in_thread(load))
            if event is None:
                continue
            if isinstance(event, DefVector) and _names(event) in opening:
                opening.remove(_names(event))
            else:
                await trio.sleep_until(start + (entry.time - self._zero) / self._speed)
                await self._show(event)
        self.finished.set()

    async def _show(self, event: SnoopEvent) -> None:
        await self._sink.ready()
        self._snapshot.apply(event)
        if isinstance(event, setBLOBVector):
            await self._sink.publish_blob(event)
        else:
            self._sink.publish(event)
        await self._sink.yield_if_due()
