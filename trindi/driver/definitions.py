"""What a driver's properties are, for whoever asks: encoded once, until one of them changes.

Clients ask for all of it when they connect, and some ask again and again. The time in a definition
is when what it says was last true anew, not when somebody asked. This module knows no peers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from trindi.protocol import encode
from trindi.transport import Bundle, Parcel

if TYPE_CHECKING:
    from trindi.properties import Device, Vector

__all__ = ["Definitions", "matching"]

ALL: Final = (None, "*")
"""Devices that mean all of them; a chained indiserver asks for the second (§5.5)."""


class Definitions:
    """The definitions of the devices of one driver."""

    def __init__(self, devices: dict[str, Device]) -> None:
        self._devices = devices
        self._parcels: dict[Vector[Any, Any], Parcel] = {}
        self._bundles: dict[str | None, tuple[int, Bundle]] = {}

    def forget(self) -> None:
        """Make all definitions anew: a run may have another time of day than the last."""
        for device in self._devices.values():
            for vector in device.values():
                vector.redefine()

    def of(self, devicename: str | None, vectorname: str | None) -> Bundle:
        """The definitions that a getProperties with these attributes asks for, as they are now."""
        if vectorname is not None or (devicename not in ALL and devicename not in self._devices):
            return self._make(devicename, vectorname)
        changes = sum(device.changes for device in self._devices.values())
        known = self._bundles.get(devicename)
        if known is None or known[0] != changes:
            known = self._bundles[devicename] = changes, self._make(devicename, None)
        return known[1]

    def _make(self, devicename: str | None, vectorname: str | None) -> Bundle:
        return Bundle(map(self._parcel, matching(self._devices, devicename, vectorname)))

    def _parcel(self, vector: Vector[Any, Any]) -> Parcel:
        event = vector.defined
        parcel = self._parcels.get(vector)
        if parcel is None or parcel.event is not event:
            parcel = self._parcels[vector] = Parcel(event, encode(event))
        return parcel


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
