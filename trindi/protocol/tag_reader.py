"""What all readers of elements share: their start tags. An element without members, to its event.

Most tags that a peer sends it has sent before, but for a time: start tags without their times, and
attributes of members, are remembered with their meaning.
"""

import dataclasses
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, TypeAlias, TypeVar

from trindi.protocol.attributes import read_fields, read_policy
from trindi.protocol.blobs import Payloads
from trindi.protocol.elements import Element
from trindi.protocol.events import Event
from trindi.protocol.markup import Buffer, Memory, Steps, attributes_steps, finish, text_of
from trindi.protocol.unloaded import UnloadedEvent

V = TypeVar("V")

Values: TypeAlias = list[Any] | str
"""The arguments of an event's class as far as a start tag has them, or what is wrong with it."""
StartTag: TypeAlias = tuple[Values, datetime | None]
"""What a start tag means: its values, and its time."""
Result: TypeAlias = tuple[int, Event | UnloadedEvent | None, str] | None
"""Where an element ends, its event (or None), and what is wrong (or ""); None where the element is
not whole, or not in the plain form."""

# This many tags of a kind are remembered, and none that is longer: hostile ones cannot fill the
# memory.
MAX_REMEMBERED: Final = 1024
MAX_REMEMBERED_LENGTH: Final = 256

# A policy is no longer: resolving the references of a long text would take time.
_MAX_POLICY_LENGTH: Final = 64


def remember(read: Callable[[Any], V]) -> Memory[Any, V]:
    return Memory(read, MAX_REMEMBERED, lambda key, _: len(key) <= MAX_REMEMBERED_LENGTH)


class Malformed(str):
    """What is wrong with the form of an element, and not only with a value in it."""

    __slots__ = ()


class TooLarge(Malformed):
    """An element was sound as far as it was read."""

    __slots__ = ()


class Reader:
    """Reads the events of one element: here, of one without members."""

    def __init__(self, element: Element) -> None:
        self._element = element
        self._make = element.cls._made
        fields = [one.name for one in dataclasses.fields(element.cls)]
        # Field → its index among the arguments of the event's class.
        self._index = {name: index for index, name in enumerate(fields)}
        self._timestamp = self._index.get("timestamp")
        self._content = self._index.get(element.content)
        self._end = re.compile(f"([^<]*+)</{element.xml}>".encode())
        self._nothing = f"</{element.xml}>".encode()
        self.values = remember(self._read_values)

    def _read_values(self, attributes: bytes) -> Values:
        return finish(self.values_steps(attributes))

    def values_steps(self, attributes: bytes) -> Steps[Values]:
        try:
            found = yield from attributes_steps(attributes)
            event = self._element.cls(**read_fields(self._element, found))
        except ValueError as error:
            return Malformed(error)
        return [getattr(event, name) for name in self._index]

    def rest(self, buffer: Buffer, at: int, stop: int, tag: StartTag, payloads: Payloads) -> Result:
        """Read what follows the start tag, which ends at `at`; for `stop` see `read`."""
        found = self._end.match(buffer, at, stop)
        if found is None:
            return None
        end = found.end()
        values, timestamp = tag
        if not isinstance(values, list):
            return end, None, values
        values = values.copy()
        if self._timestamp is not None:
            values[self._timestamp] = timestamp
        if self._content is not None:
            content = found[1].strip()
            try:
                text = text_of(content) if len(content) <= _MAX_POLICY_LENGTH else ""
                values[self._content] = read_policy(text)
            except ValueError as error:
                return end, None, str(error)
        return end, self._make(*values), ""

    def rest_steps(
        self, buffer: Buffer, at: int, stop: int, tag: StartTag, payloads: Payloads
    ) -> Steps[Result]:
        """Read as `rest` does, in steps."""
        yield
        return self.rest(buffer, at, stop, tag, payloads)

    def none(self, _: Buffer, at: int, _stop: int, tag: StartTag, payloads: Payloads) -> Result:
        """Read an element that ends with its start tag as one that is empty."""
        found = self.rest(self._nothing, 0, len(self._nothing), tag, payloads)
        return found and (at, *found[1:])
