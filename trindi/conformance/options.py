"""How to check: what may be sent, how long to wait, and what to set first.

This module only holds these values; it imports nothing of the checker.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from trindi.errors import TrindiError
from trindi.visible import join_names

ProgressCallback: TypeAlias = Callable[[str, str], None]
"""Called as each step begins, with a heading and the rule or action below it."""


class SettingError(TrindiError):
    """A setting cannot be made; the text is one line for the user."""


class Setting(NamedTuple):
    """A value to set before anything is checked, such as a connection or an exposure."""

    key: tuple[str, str]  # The device and the property.
    member: str
    value: str

    def __str__(self) -> str:
        return f"{join_names(*self.key, self.member)}={self.value}"


def split_setting(text: str) -> Setting:
    """Read DEVICE.PROPERTY.MEMBER=VALUE, or raise `SettingError`; DEVICE may stand in quotes."""
    path, equals, value = text.partition("=")
    parts = path.rsplit(".", 2)
    if not equals or len(parts) != 3 or not all(parts):
        raise SettingError(f"{text!r} is not DEVICE.PROPERTY.MEMBER=VALUE")
    device, name, member = parts
    if device[0] in "\"'" and device[0] == device[-1] and len(device) > 2:
        device = device[1:-1]
    return Setting((device, name), member, value)


class Timing(NamedTuple):
    """How long the checker waits, in seconds.

    Attributes:
        start: minimum for the first definition of a program that was just started.
        early: how long a peer must stay silent before the first request.
        quiet: silence after which all definitions count as received.
        unexpected: how long to listen for messages that must not come.
        settle: the longest wait for silence.
        refusal: how long after the sentinel a refusal may still come.
        exit: how long a program may take to exit: a second, and a margin for a busy machine.
        give_up: after this time the checker stops waiting for the exit.
    """

    start: float = 15.0
    early: float = 0.5
    quiet: float = 0.5
    unexpected: float = 0.2
    settle: float = 10.0
    refusal: float = 0.5
    exit: float = 3.0
    give_up: float = 10.0


class Options(NamedTuple):
    """How to check.

    Attributes:
        timeout: seconds for each answer.
        write: also make requests that a driver may act on, and write values as they are.
        hostile: also send input that crashes drivers and servers in wide use.
        settings: what to set first, each a `Setting` or ``DEVICE.PROPERTY.MEMBER=VALUE``.
        timing: the other times that the checker waits.
        input_scale: the size of large bad inputs, as a share of their full size.
    """

    timeout: float = 5.0
    write: bool = False
    hostile: bool = False
    settings: tuple[Setting | str, ...] = ()
    timing: Timing = Timing()
    input_scale: float = 1.0
