"""What the user wants set before anything is checked, such as a connection or an exposure.

A setting is written as DEVICE.PROPERTY.MEMBER=VALUE, where the device may have quotes. Nothing else
that a check sends is meant to change anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trindi.conformance.picture import show_place
from trindi.conformance.writing import write
from trindi.errors import TrindiError
from trindi.protocol import Kind, parse_number

if TYPE_CHECKING:
    from trindi.conformance.picture import Place, Property
    from trindi.conformance.session import Session

__all__ = ["SettingError", "apply_settings", "split_setting"]


class SettingError(TrindiError):
    """A setting cannot be made; the text is one line for the user."""


def split_setting(text: str) -> tuple[Place, str, str]:
    """Split DEVICE.PROPERTY.MEMBER=VALUE into place, member and value.

    Raises:
        SettingError: it has not that form.
    """
    path, equals, value = text.partition("=")
    parts = path.rsplit(".", 2)
    if not equals or len(parts) != 3 or not all(parts):
        raise SettingError(f"{text!r} is not DEVICE.PROPERTY.MEMBER=VALUE")
    device, name, member = parts
    if device[0] in "\"'" and device[0] == device[-1] and len(device) > 2:
        device = device[1:-1]
    return (device, name), member, value


async def apply_settings(session: Session) -> None:
    """Make the settings, each once the one before has come to its end.

    Raises:
        SettingError: one cannot be made.
    """
    for text in session.options.settings:
        session.progress("Setting", text)
        place, member, value = split_setting(text)
        known = session.picture.properties.get(place)
        if known is None:
            raise SettingError(f"cannot set {text!r}: there is no {show_place(place)}")
        _check(known, member, value, text)
        written = await write(session, known, {member: value})
        if written.fault:
            raise SettingError(f"cannot set {text!r}: {written.fault}")
        # What depends on it is defined only now, and an image may still be on its way.
        await session.settle()


def _check(known: Property, member: str, value: str, text: str) -> None:
    """Refuse what the definition does not allow."""
    if member not in known.values:
        raise SettingError(f"cannot set {text!r}: there is no member {member}")
    if not known.writable or known.kind in (Kind.BLOB, Kind.LIGHT):
        raise SettingError(f"cannot set {text!r}: it cannot be written")
    if known.kind is Kind.SWITCH and value not in ("On", "Off"):
        raise SettingError(f"cannot set {text!r}: a switch is On or Off")
    if known.kind is Kind.NUMBER:
        try:
            parse_number(value)
        except ValueError as error:
            raise SettingError(f"cannot set {text!r}: {error}") from None
