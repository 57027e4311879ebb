"""An upstream whose devices are learned from what it says: a program, or another server.

What it has said is kept as a snapshot, for snoopers that come late and for its withdrawal. A
client's getProperties goes on to it, and what it then says is the answer: a definition that only
repeats what the snapshot holds goes to those who have asked, and to nobody else.

A subclass adds `run`: it writes what is in `queue` to the program, and gives what the program says
to the broker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from trindi.protocol import (
    DefVector,
    Effect,
    Event,
    NewVector,
    Property,
    Snapshot,
    SnoopEvent,
    encode,
    getProperties,
)
from trindi.server.upstream.base import Upstream
from trindi.transport import EncodedBatch, EncodedEvent, EventQueue

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trindi.driver import Sender
    from trindi.errors import ProtocolError

Names: TypeAlias = tuple[str, str]


class OpenQuestions:
    """Who has asked for which definitions, and has not heard them yet."""

    def __init__(self) -> None:
        self._pending: dict[Any, set[Names]] = {}

    def ask(self, asker: Any, known: Iterable[DefVector]) -> None:
        # What is not known yet goes to everybody anyway.
        names = {(event.devicename, event.vectorname) for event in known}
        if names:
            self._pending.setdefault(asker, set()).update(names)

    def answer(self, definition: DefVector) -> set[Any]:
        """Return those that have asked for a definition, and forget that they have."""
        name = (definition.devicename, definition.vectorname)
        answered = {asker for asker, pending in self._pending.items() if name in pending}
        for asker in answered:
            self._pending[asker].discard(name)
            if not self._pending[asker]:
                del self._pending[asker]
        return answered

    def forget(self, asker: Any) -> None:
        self._pending.pop(asker, None)


class RelayedUpstream(Upstream):
    """A program or a server; what it says is passed on.

    The bound of `queue`, and what happens there, are the subclass's: a program that does not read
    must cost the others nothing.
    """

    def __init__(self, name: str, queue: EventQueue | None = None) -> None:
        super().__init__(name)
        self.snapshot: Snapshot[Property] = Snapshot(Property)
        self.questions = OpenQuestions()
        self._queue = queue or EventQueue()

    @property
    def queue(self) -> EventQueue:
        return self._queue

    def receive(self, item: Event | ProtocolError, sender: Sender) -> None:
        if isinstance(item, getProperties):
            known = self.snapshot.definitions(item.devicename, item.vectorname)
            self.questions.ask(sender, known)
        elif not isinstance(item, NewVector):
            return
        self._queue.put(EncodedEvent(item, encode(item)))

    def definitions(self, devicename: str | None, vectorname: str | None) -> EncodedBatch:
        known = self.snapshot.definitions(devicename, vectorname)
        return EncodedBatch(EncodedEvent(event, encode(event)) for event in known)

    def defined_names(self) -> dict[str, list[str]]:
        return {device: list(names) for device, names in self.snapshot.devices.items()}

    def note(self, event: SnoopEvent) -> set[Any] | None:
        effect = self.snapshot.apply(event).effect
        if not isinstance(event, DefVector):
            return None
        askers = self.questions.answer(event)
        return askers if effect is Effect.REPEATED and not event.message else None

    def forget_definitions(self) -> None:
        self.snapshot.clear()
        self.questions = OpenQuestions()

    def forget(self, client: Sender) -> None:
        self.questions.forget(client)
