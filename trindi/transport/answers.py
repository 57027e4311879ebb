"""Definitions that wait for a peer without counting against it.

Who asks for all definitions may get more than its queue takes, before it could read the first one;
that is no slowness of the peer. So a definition for which there is no room does not count, but only
one of each property: where it is defined anew, or deleted, while it waits, it counts from then on.
All queues share the bytes of a definition. This module knows no queues.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

from trindi.protocol import DefVector, delProperty, ends
from trindi.transport.encoded import EncodedEvent

if TYPE_CHECKING:
    from trindi.protocol import Event

_DEFINITIONS: Final[frozenset[type[Any]]] = frozenset(get_args(DefVector))


def is_definition(event: Event) -> bool:
    return type(event) in _DEFINITIONS


class Uncounted(EncodedEvent):
    """A definition that weighs next to nothing until it is `counted`; bytes are shared."""

    __slots__ = ("_counted_weight",)

    def __init__(self, definition: EncodedEvent) -> None:
        super().__init__(definition.event, definition._data)
        self._counted_weight = self.weight
        self.weight = 1  # so that a queue of these is not taken for an empty one

    def count(self) -> int:
        """Count it; return what it weighs more than before."""
        growth = self._counted_weight - self.weight
        self.weight = self._counted_weight
        return growth


class UncountedDefinitions:
    """The uncounted definitions of one queue, by their properties."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], Uncounted] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, definition: EncodedEvent) -> Uncounted:
        """Return a definition that is to wait; the last one of its property is superseded."""
        item = self._waiting[_names(definition.event)] = Uncounted(definition)
        return item

    def supersede(self, event: Any) -> int:
        """Count the definitions that an event makes out of date; return their weight."""
        if not self._waiting:
            return 0
        if is_definition(event):
            found = [_names(event)]
        elif type(event) is delProperty:
            found = [names for names in self._waiting if ends(event, *names)]
        else:
            return 0
        gone = [self._waiting.pop(names, None) for names in found]
        return sum(one.count() for one in gone if one is not None)

    def remove(self, encoded: EncodedEvent) -> None:
        """Forget a definition that has been taken out of the queue."""
        names = _names(encoded.event)
        if self._waiting.get(names) is encoded:
            del self._waiting[names]

    def clear(self) -> None:
        self._waiting.clear()


def _names(definition: Any) -> tuple[str, str]:
    return definition.devicename, definition.vectorname
