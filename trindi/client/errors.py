"""What can go wrong between a client and a property. This module knows names and texts only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trindi.errors import TrindiError

if TYPE_CHECKING:
    from trindi.protocol import Message


class NotConnected(TrindiError):
    """There is no connection to a server, or it was lost; the text says why."""


class PropertyError(TrindiError):
    """A property did not become what the caller asked for; `message` is what the device says.

    `messages` are all that the device has said since the request, the oldest first.
    """

    _what = "has failed"

    def __init__(self, devicename: str, vectorname: str, message: str = "") -> None:
        text = f"{devicename} {vectorname} {self._what}"
        super().__init__(f"{text}: {message}" if message else text)
        self.devicename = devicename
        self.vectorname = vectorname
        self.message = message
        self.messages: tuple[Message, ...] = ()


class PropertyAlert(PropertyError):
    """The device answered with Alert."""

    _what = "is in Alert"


class PropertyTimeout(PropertyError):
    """The property was Busy for longer than its timeout, or the caller's."""

    _what = "is Busy for too long"


class PropertyDeleted(PropertyError):
    """The device deleted the property."""

    _what = "is gone"
