"""An upstream whose devices are learned from what it says: a program, or another server.

What it has said is kept as a snapshot, for snoopers that come late and for its withdrawal. A
client's getProperties goes on to it, and what it then says is the answer: a definition that only
repeats what the snapshot holds goes to the clients that have asked, and to no others.

A subclass adds `run`: it writes what is in `queue` to the program, and gives what the program says
to the broker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from trindi.protocol import (
    DefVector,
    Effect,
    Event,
    Message,
    NewVector,
    Property,
    Snapshot,
    SnoopEvent,
    encode,
    getProperties,
    matches,
    newBLOBVector,
)
from trindi.server.upstream.base import Upstream
from trindi.transport import EncodedBatch, EncodedEvent, EventQueue

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from trindi.driver import Sender
    from trindi.errors import ProtocolError

MAX_QUESTIONS: Final = 256
"""Different getProperties of one client that are remembered; one that asks more asks for all."""


class OpenQuestions:
    """Which clients have asked for definitions, and when, counted in questions."""

    def __init__(self) -> None:
        self._asked: dict[Any, dict[tuple[str | None, str | None], int]] = {}
        self._answered: dict[tuple[str, str], int] = {}
        self._count = 0

    def ask(self, asker: Any, devicename: str | None, vectorname: str | None) -> None:
        self._count += 1
        questions = self._asked.setdefault(asker, {})
        if len(questions) >= MAX_QUESTIONS:
            questions.clear()
            devicename = vectorname = None
        questions[devicename, vectorname] = self._count

    def answer(self, definition: DefVector) -> set[Any]:
        """Return those that have asked for a property since its last definition."""
        names = definition.devicename, definition.vectorname
        before, self._answered[names] = self._answered.get(names, 0), self._count
        return {
            asker
            for asker, questions in self._asked.items()
            if any(count > before and matches(*asked, *names) for asked, count in questions.items())
        }

    def delete(self, devicename: str, vectorname: str) -> None:
        self._answered.pop((devicename, vectorname), None)

    def forget(self, asker: Any) -> None:
        self._asked.pop(asker, None)


class RelayedUpstream(Upstream):
    """A program or a server; what it says is passed on.

    The bound of `queue` and its overflow policy are the subclass's: a program that does not read
    must cost the others nothing. Requests for which there is no room in it are refused.
    """

    def __init__(self, name: str, queue: EventQueue | None = None) -> None:
        super().__init__(name)
        self.snapshot: Snapshot[Property] = Snapshot(Property)
        self.questions = OpenQuestions()
        self._queue = EventQueue() if queue is None else queue

    @property
    def queue(self) -> EventQueue:
        return self._queue

    def receive(self, item: Event | ProtocolError, sender: Sender) -> Awaitable[None] | None:
        if isinstance(item, newBLOBVector):
            return self._put_upload(item, sender)
        if isinstance(item, getProperties):
            self.questions.ask(sender, item.devicename, item.vectorname)
        if isinstance(item, (getProperties, NewVector)):
            self._put(EncodedEvent(item, encode(item)), sender)
        return None

    async def _put_upload(self, item: newBLOBVector, sender: Sender) -> None:
        encoded = EncodedEvent(item)
        await encoded.prepare(self.runtime.in_thread)
        self._put(encoded, sender)

    def _put(self, encoded: EncodedEvent, sender: Sender) -> None:
        if self._queue.has_room(encoded.weight):
            self._queue.put(encoded)
        else:
            text = f"[ERROR] {self.name} does not read what is sent to it: the request is refused"
            event: Any = encoded.event
            sender.reply(Message(event.devicename, text, self.runtime.now().replace(microsecond=0)))

    def definitions(self, devicename: str | None, vectorname: str | None) -> EncodedBatch:
        known = self.snapshot.definitions(devicename, vectorname)
        return EncodedBatch(EncodedEvent(event, encode(event)) for event in known)

    def defined_names(self) -> dict[str, list[str]]:
        return {device: list(names) for device, names in self.snapshot.devices.items()}

    def defines(self, devicename: str) -> bool:
        return devicename in self.snapshot.devices

    def note(self, event: SnoopEvent) -> set[Any] | None:
        effect, records = self.snapshot.apply(event)
        if effect in (Effect.UNKNOWN, Effect.REFUSED):
            self.dropped += 1
            return set()
        if effect is Effect.DELETED:
            for record in records:
                self.questions.delete(record.definition.devicename, record.definition.vectorname)
        if not isinstance(event, DefVector):
            return None
        askers = self.questions.answer(event)
        return askers if effect is Effect.REPEATED and not event.message else None

    def forget_definitions(self) -> None:
        self.snapshot.clear()
        self.questions = OpenQuestions()

    def forget(self, client: Sender) -> None:
        self.questions.forget(client)
