"""Queues and what is put into them, for the tests of the transport."""

from __future__ import annotations

from typing import Any

from trindi import (
    NumberLabel,
    Permission,
    SizeFormat,
    State,
    defNumberVector,
    setBLOBVector,
    setNumberVector,
    setTextVector,
)
from trindi.protocol import encode
from trindi.transport import EncodedEvent, EventQueue


def encoded(event: Any) -> EncodedEvent:
    return EncodedEvent(event, encode(event))


def number(vector: str, /, **members: float) -> EncodedEvent:
    return encoded(setNumberVector("Dev", vector, members, State.OK))


def text(vector: str, size: int, letter: str = "x") -> EncodedEvent:
    return encoded(setTextVector("Dev", vector, {"t": letter * size}, State.OK))


def frame(size: int, letter: bytes = b"x", vector: str = "blob") -> EncodedEvent:
    return EncodedEvent(
        setBLOBVector("Dev", vector, {"b": letter * size}, {"b": SizeFormat(size, ".bin")})
    )


def definition(vector: str) -> EncodedEvent:
    labels = {"a": NumberLabel("a", "%g", 0, 0, 0)}
    return encoded(
        defNumberVector("Dev", vector, vector, "", State.OK, Permission.RO, {"a": 0.0}, labels)
    )


def waiting(queue: EventQueue) -> list[Any]:
    """Take everything out."""
    events = []
    while len(queue):
        events.append(queue.pop().event)
        queue.task_done()
    return events


def lagging_queue(**kwargs: Any) -> EventQueue:
    """A queue above its high-water mark, by a text that nobody is to care about."""
    queue = EventQueue(high_water=20_000, **kwargs)
    queue.put(text("filler", 9_000))
    queue.put(text("more filler", 5_000))
    assert queue.lagging
    return queue


def after_filler(queue: EventQueue) -> list[Any]:
    return [event for event in waiting(queue) if "filler" not in (event.vectorname or "")]
