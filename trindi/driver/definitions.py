"""The definitions of a driver's properties: encoded once, until one of them changes.

The timestamp of a definition says when its values last changed or were sent, not when a peer asked.
This module knows no peers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trindi.protocol import covered_devices, encode
from trindi.transport import EncodedBatch, EncodedEvent

if TYPE_CHECKING:
    from trindi.properties import Device, Vector


class Definitions:
    def __init__(self, devices: dict[str, Device]) -> None:
        self._devices = devices
        self._encoded: dict[Vector[Any, Any], EncodedEvent] = {}
        self._batches: dict[str | None, tuple[int, EncodedBatch]] = {}

    def invalidate(self) -> None:
        """Make all definitions anew: a run may have another time of day than the last."""
        for device in self._devices.values():
            for vector in device.values():
                vector.invalidate_definition()

    def encoded(self, devicename: str | None, vectorname: str | None) -> EncodedBatch:
        if vectorname is not None or not covered_devices(devicename, self._devices):
            return self._encode(devicename, vectorname)
        revision = sum(device.revision for device in self._devices.values())
        known = self._batches.get(devicename)
        if known is None or known[0] != revision:
            known = self._batches[devicename] = revision, self._encode(devicename, None)
        return known[1]

    def _encode(self, devicename: str | None, vectorname: str | None) -> EncodedBatch:
        vectors = matching(self._devices, devicename, vectorname)
        return EncodedBatch(map(self._encode_vector, vectors))

    def _encode_vector(self, vector: Vector[Any, Any]) -> EncodedEvent:
        event = vector.current_definition
        encoded = self._encoded.get(vector)
        if encoded is None or encoded.event is not event:
            encoded = self._encoded[vector] = EncodedEvent(event, encode(event))
        return encoded


def matching(
    devices: dict[str, Device], devicename: str | None, vectorname: str | None
) -> list[Vector[Any, Any]]:
    """Return the enabled vectors that a getProperties with these names asks for."""
    return [
        vector
        for name in covered_devices(devicename, devices)
        for vector in devices[name].values()
        if vectorname in (None, vector.name) and vector.enabled
    ]
