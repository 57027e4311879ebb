"""What the user wants set before anything is checked, such as a connection or an exposure.

A setting may be written as DEVICE.PROPERTY.MEMBER=VALUE, where the device may have quotes. Nothing
else that a check sends is meant to change anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from trindi.conformance.picture import Place, show_place
from trindi.conformance.writing import write
from trindi.errors import TrindiError
from trindi.protocol import Kind, SwitchState, parse_number

if TYPE_CHECKING:
    from trindi.conformance.picture import Property
    from trindi.conformance.session import Session

__all__ = ["Setting", "SettingError", "apply_settings", "split_setting"]


class SettingError(TrindiError):
    """A setting cannot be made; the text is one line for the user."""


class Setting(NamedTuple):
    """What is to be set.

    Attributes:
        place: the device and the property.
        member: of the property.
        value: as text.
    """

    place: Place
    member: str
    value: str

    def __str__(self) -> str:
        return f"{show_place(self.place)}.{self.member}={self.value}"


def split_setting(text: str) -> Setting:
    """Read a setting that is written as DEVICE.PROPERTY.MEMBER=VALUE.

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
    return Setting((device, name), member, value)


async def apply_settings(session: Session) -> None:
    """Make the settings, each once the one before has come to its end.

    Raises:
        SettingError: one cannot be made.
    """
    for each in session.options.settings:
        setting = split_setting(each) if isinstance(each, str) else each
        text = str(setting)
        session.progress("Setting", text)
        known = session.picture.properties.get(setting.place)
        if known is None:
            raise SettingError(f"cannot set {text!r}: there is no {show_place(setting.place)}")
        written = await write(session, known, {setting.member: _checked(known, setting)})
        if written.fault:
            raise SettingError(f"cannot set {text!r}: {written.fault}")
        # What depends on it is defined only now, and an image may still be on its way.
        await session.settle()


def _checked(known: Property, setting: Setting) -> str:
    """Return the value as it is sent; refuse what the definition does not allow."""
    text, value = str(setting), setting.value
    if setting.member not in known.values:
        raise SettingError(f"cannot set {text!r}: there is no member {setting.member}")
    if not known.writable or known.kind in (Kind.BLOB, Kind.LIGHT):
        raise SettingError(f"cannot set {text!r}: it cannot be written")
    try:
        if known.kind is Kind.SWITCH:
            return str(_switch(value))
        if known.kind is Kind.NUMBER:
            parse_number(value)
    except ValueError as error:
        raise SettingError(f"cannot set {text!r}: {error}") from None
    return value


def _switch(value: str) -> SwitchState:
    try:
        return SwitchState(value.capitalize())
    except ValueError:
        raise ValueError("a switch is On or Off") from None
