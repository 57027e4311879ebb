"""What a driver's properties are, for whoever asks: encoded once, until one of them changes.

Clients ask for all of it when they connect, and some ask again and again. The time in a definition
is when what it says was last true anew, not when somebody asked. This module knows no peers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from trindi.protocol import encode
from trindi.transport import EncodedBatch, EncodedEvent

if TYPE_CHECKING:
    from trindi.properties import Device, Vector

__all__ = ["Definitions", "matching"]

ALL: Final = (None, "*")
"""Devices that mean all of them; a chained indiserver asks for the second (§5.5)."""


class Definitions:
    """The definitions of the devices of one driver."""

    def __init__(self, devices: dict[str, Device]) -> None:
        self._devices = devices
        self._encoded: dict[Vector[Any, Any], EncodedEvent] = {}
        self._batches: dict[str | None, tuple[int, EncodedBatch]] = {}

    def forget(self) -> None:
        """Make all definitions anew: a run may have another time of day than the last."""
        for device in self._devices.values():
            for vector in device.values():
                vector.invalidate_definition()

    def of(self, devicename: str | None, vectorname: str | None) -> EncodedBatch:
        """The definitions that a getProperties with these attributes asks for, as they are now."""
        if vectorname is not None or (devicename not in ALL and devicename not in self._devices):
            return self._make(devicename, vectorname)
        changes = sum(device.revision for device in self._devices.values())
        known = self._batches.get(devicename)
        if known is None or known[0] != changes:
            known = self._batches[devicename] = changes, self._make(devicename, None)
        return known[1]

    def _make(self, devicename: str | None, vectorname: str | None) -> EncodedBatch:
        return EncodedBatch(
            map(self._encoded_event, matching(self._devices, devicename, vectorname))
        )

    def _encoded_event(self, vector: Vector[Any, Any]) -> EncodedEvent:
        event = vector.current_definition
        encoded = self._encoded.get(vector)
        if encoded is None or encoded.event is not event:
            encoded = self._encoded[vector] = EncodedEvent(event, encode(event))
        return encoded


def matching(
    devices: dict[str, Device], devicename: str | None, vectorname: str | None
) -> list[Vector[Any, Any]]:
    """The enabled vectors that a getProperties with these attributes asks for."""
    return [
        vector
        for device in devices.values()
        if devicename in ALL or devicename == device.devicename
        for vector in device.values()
        if vectorname in (None, vector.name) and vector.enabled
    ]
