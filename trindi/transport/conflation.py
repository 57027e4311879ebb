"""Newest state wins: which waiting set… event a newer one replaces, and what both say together.

A newer report of a property replaces the one that waits, member by member. What is more than state
is never replaced: a reply to one peer, an Alert, a message for the user. A report never moves to
before one of these of its property, nor before a definition or a deletion. Of frames only the
payload is replaced, if they have state that must stay. (indiserver replaces nothing: it drops the
client.) This module knows events and their encoding, no queues.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from trindi.protocol import (
    Base64,
    Interest,
    SetVector,
    State,
    delProperty,
    encode,
    encode_parts,
    ends,
    getProperties,
    is_all,
    replace,
    setSwitchVector,
)
from trindi.transport.encoded import EncodedEvent

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Sequence

# Events that are looked through for sets to replace when a peer begins to lag: a few milliseconds.
_LOOK_BACK: Final = 4096

_MAPPINGS: Final = ("members", "limits", "sizeformat", "text")
_SCALARS: Final = ("state", "timeout")


@dataclass(slots=True, eq=False)
class Slot:
    """A set in a queue that a newer one may replace, or only its payload, if it is `fixed`."""

    encoded: EncodedEvent
    fixed: bool = False


Queued: TypeAlias = EncodedEvent | Slot
_Key: TypeAlias = tuple[str, str]


def encoded_of(item: Queued) -> EncodedEvent:
    return item.encoded if isinstance(item, Slot) else item


class Conflation:
    """The last set of each property in a queue; newer ones replace it unless it is far in front."""

    def __init__(self, queue: deque[Queued]) -> None:
        self._queue = queue
        self._slots: dict[_Key, Slot] = {}
        barriers = Interest()
        passed: set[_Key] = set()  # by an answer, an Alert or a message
        found: list[tuple[int, Slot]] = []
        for back, item in enumerate(itertools.islice(reversed(queue), _LOOK_BACK), 1):
            encoded = encoded_of(item)
            event: Any = encoded.event
            key = _key(event)
            if key is None:
                if hasattr(event, "vectorname") and not isinstance(event, getProperties):
                    barriers.add(event.devicename, event.vectorname)
            elif not (key in self._slots or barriers.covers(event)):
                fixed = key in passed or not _is_state(encoded)
                if fixed and not _has_payload(encoded):
                    passed.add(key)
                else:
                    self._slots[key] = Slot(encoded, fixed)
                    found.append((back, self._slots[key]))
        for back, slot in found:
            queue[-back] = slot

    def replace(self, encoded: EncodedEvent) -> int | None:
        """Replace what waits, if it may be; return by how much the weight of all has grown.

        None: nothing was replaced, so that the event is to be added.
        """
        key = _key(encoded.event)
        slot = self._slots.get(key) if key is not None else None
        if slot is None:
            return None
        before = slot.encoded
        if _is_state(encoded) and not slot.fixed:
            slot.encoded = _merge(before, encoded)
            return slot.encoded.weight - before.weight
        if not (_has_payload(before) and _has_payload(encoded)):
            return None
        # A frame gives way to the newest, but what it says besides stays where it is.
        slot.encoded = _without_payload(before)
        merged = _merge(before, encoded)
        self._queue.append(self.add(merged))
        return slot.encoded.weight - before.weight + merged.weight

    def add(self, encoded: EncodedEvent) -> Slot:
        """Return a slot for an event that is appended to the queue."""
        slot = Slot(encoded)
        event: Any = encoded.event
        key = _key(event)
        if key is not None:
            before = self._slots.get(key)
            slot.fixed = not _is_state(encoded)
            if slot.fixed and before is not None and not _has_payload(encoded):
                # It is passed by no later report; a frame before it may still give way to one.
                before.fixed = True
            else:
                self._slots[key] = slot
        elif isinstance(event, delProperty) and (
            event.vectorname is None or is_all(event.devicename)
        ):
            for gone in [key for key in self._slots if ends(event, *key)]:
                del self._slots[gone]
        elif hasattr(event, "vectorname"):
            self._slots.pop((event.devicename, event.vectorname), None)
        return slot

    def remove(self, item: Queued) -> None:
        key = _key(encoded_of(item).event)
        if key is not None and self._slots.get(key) is item:
            del self._slots[key]


def _key(event: Any) -> _Key | None:
    return (event.devicename, event.vectorname) if isinstance(event, SetVector) else None


def _is_state(encoded: EncodedEvent) -> bool:
    """Whether a report says nothing that counts once a newer one has been sent."""
    event: Any = encoded.event
    return not (encoded.is_reply or event.state is State.ALERT or event.message)


def _has_payload(encoded: EncodedEvent) -> bool:
    event: Any = encoded.event
    return encoded.blob and bool(event.members)


def _without_payload(encoded: EncodedEvent) -> EncodedEvent:
    event = replace(encoded.event, members={}, sizeformat={})
    return EncodedEvent(event, encode(event))


def _merge(older: EncodedEvent, newer: EncodedEvent) -> EncodedEvent:
    """Return the newer set, with what only the older one says."""
    old: Any = older.event
    new: Any = newer.event
    if type(old) is not type(new):
        return newer
    kept: dict[str, Any] = {}
    for name in _MAPPINGS:
        if getattr(old, name, {}).keys() - getattr(new, name, {}).keys():
            kept[name] = {**getattr(old, name), **getattr(new, name)}
    for name in _SCALARS:
        if _says(old, name) and not _says(new, name):
            kept[name] = getattr(old, name)
    if "members" in kept and isinstance(new, setSwitchVector):
        # Those going Off stand first (§3.4).
        kept["members"] = dict(sorted(kept["members"].items(), key=lambda item: item[1] == "On"))
    return _merge_parts(replace(new, **kept), older, newer) if kept else newer


def _merge_parts(event: Any, older: EncodedEvent, newer: EncodedEvent) -> EncodedEvent:
    """Return the merged event; payloads that are compressed already are kept as they are."""
    encoded = EncodedEvent(event)
    if older.parts and newer.parts:
        # A start tag, three parts for each member, an end tag.
        first, last = encode_parts(replace(event, members={}))
        of_member: dict[str, Sequence[bytes | Base64]] = {}
        for one in (older, newer):
            for index, name in enumerate(getattr(one.event, "members", ())):
                of_member[name] = one.parts[3 * index + 1 : 3 * index + 4]
        middle = itertools.chain.from_iterable(of_member[name] for name in event.members)
        encoded.set_parts([first, *middle, last])
    return encoded


def _says(event: Any, name: str) -> bool:
    return getattr(event, name, None) not in (None, "")
