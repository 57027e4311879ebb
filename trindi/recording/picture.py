"""What a client knows after some part of a recording: the definitions, and what has changed since.

Pure: plain calls on events; no time, no I/O.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from trindi.protocol import (
    ELEMENTS,
    DefVector,
    SetVector,
    SnoopEvent,
    defLightVector,
    defNumberVector,
    delProperty,
    setBLOBVector,
    setLightVector,
)

if TYPE_CHECKING:
    from collections.abc import Iterable


__all__ = ["Picture"]

_EVERY_DEVICE: Final = (None, "*")


def _place(event: Any) -> tuple[str, str]:
    return event.devicename, event.vectorname


class Picture:
    """The definitions as they are by now."""

    def __init__(self, definitions: Iterable[DefVector]) -> None:
        self._definitions = {_place(event): event for event in definitions}

    def take(self, event: SnoopEvent) -> None:
        """Take note of what the server says."""
        if isinstance(event, DefVector):
            self._definitions[_place(event)] = event
        elif isinstance(event, SetVector):
            known = self._definitions.get(_place(event))
            if known is not None:
                self._definitions[_place(event)] = _updated(known, event)
        elif isinstance(event, delProperty):
            for place in self._matching(event.devicename, event.vectorname):
                del self._definitions[place]

    def definitions(self, devicename: str | None, vectorname: str | None) -> list[DefVector]:
        """The definitions that a getProperties asks for."""
        return [self._definitions[place] for place in self._matching(devicename, vectorname)]

    def report(self, devicename: str, vectorname: str) -> SetVector | None:
        """The values and the state of a property, if it is there; no payloads of BLOBs."""
        known: Any = self._definitions.get((devicename, vectorname))
        if known is None:
            return None
        cls = ELEMENTS[type(known).__name__.replace("def", "set", 1)].cls
        said = {} if isinstance(known, defLightVector) else {"timeout": known.timeout}
        if cls is not setBLOBVector:
            said["members"] = known.members
        report: SetVector = cls(devicename, vectorname, state=known.state, **said)
        return report

    def _matching(self, devicename: str | None, vectorname: str | None) -> list[tuple[str, str]]:
        return [
            (device, vector)
            for device, vector in self._definitions
            if (devicename in _EVERY_DEVICE or devicename == device)
            and vectorname in (None, vector)
        ]


def _updated(known: Any, event: Any) -> DefVector:
    """Return a definition with the values, the state and the limits of a report."""
    changes: dict[str, Any] = {}
    if event.state is not None:
        changes["state"] = event.state
    if not isinstance(event, (setLightVector, setBLOBVector)) and event.timeout is not None:
        changes["timeout"] = event.timeout
    if not isinstance(event, setBLOBVector):
        own = {name: value for name, value in event.members.items() if name in known.members}
        changes["members"] = {**known.members, **own}
    if isinstance(known, defNumberVector) and getattr(event, "limits", {}):
        labels = dict(known.memberlabels)
        for name, limits in event.limits.items():
            if name in labels:
                labels[name] = labels[name]._replace(**limits._asdict())
        changes["memberlabels"] = labels
    updated: DefVector = replace(known, **changes)
    return updated
