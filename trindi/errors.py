"""What can go wrong, by whose fault it is.

`ProtocolError` is the peer's fault: it ends or warns that peer only. `ConfigurationError` (a
`ValueError`) is the author's fault: it is raised at once, at the line that is wrong; the two checks
are for the numbers that authors give. This module knows nothing else of trindi.
"""

from __future__ import annotations

import math
from typing import Any


class TrindiError(Exception):
    """The parent of every error that trindi defines."""


class ConfigurationError(TrindiError, ValueError):
    """The author declared something that cannot be; the message says how to mend it."""


class ProtocolError(TrindiError):
    """A peer sent something that is not INDI.

    Attributes:
        reason: what is wrong, in one phrase.
        element: name of the element it was found in, or None between elements.
        offset: where that element starts, in bytes from the start of the stream.
        devicename: the device the element was for, where that much could be read.
        vectorname: the property the element was for, where that much could be read.
        malformed: the element itself is broken; False where it is sound, and only what it says is
            not legal: then its sender can be told so.
        too_large: it counts as malformed, but was sound until it was cut off: its sender is told.
        events: events that `Decoder.feed` had read from the same bytes before the fault.
    """

    def __init__(
        self,
        reason: str,
        *,
        element: str | None = None,
        offset: int = 0,
        devicename: str | None = None,
        vectorname: str | None = None,
        malformed: bool = True,
        too_large: bool = False,
    ) -> None:
        where = f"<{element}> at byte {offset}" if element else f"byte {offset}"
        super().__init__(f"{where}: {reason}")
        self.reason = reason
        self.element = element
        self.offset = offset
        self.devicename = devicename
        self.vectorname = vectorname
        self.malformed = malformed
        self.too_large = too_large
        self.events: tuple[Any, ...] = ()

    @property
    def is_request(self) -> bool:
        """Whether it is about a client's request for new values that can be answered."""
        is_new = (self.element or "").startswith("new")
        is_sound = self.too_large or not self.malformed
        return is_new and is_sound and None not in (self.devicename, self.vectorname)


class RefusedError(TrindiError):
    """A client asked for something that a property does not allow; the text says why."""


def check_count(name: str, value: Any, least: int, most: float = math.inf) -> int:
    """Return the value of an argument that is a number of things.

    Raises:
        TypeError: it is no int.
        ValueError: it is below `least`, or above `most`.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is an int, not {type(value).__name__}")
    if not least <= value <= most:
        limit = f"at least {least}" if value < least else f"at most {most}"
        raise ConfigurationError(f"{name} is {limit}, not {value}")
    return value


def check_delay(name: str, value: Any) -> float:
    """Return the value of an argument that is a number of seconds.

    Raises:
        TypeError: it is no number.
        ValueError: it is below 0, or without an end.
    """
    delay = float(value)
    if not 0 <= delay < math.inf:
        raise ConfigurationError(f"{name} is a number of seconds, not {value!r}")
    return delay
