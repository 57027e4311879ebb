"""The values of INDI as text and as Python: enumerations, numbers, timestamps, legal characters.

Pure functions. A value that is not legal raises `ValueError` with a phrase that its sender can be
told. This module knows no elements and no bytes.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from decimal import Decimal


class SwitchState(StrEnum):
    """Value of a switch."""

    OFF = "Off"
    ON = "On"


class State(StrEnum):
    """State of a property, and value of a light."""

    IDLE = "Idle"
    OK = "Ok"
    BUSY = "Busy"
    ALERT = "Alert"


class Permission(StrEnum):
    """Whether a client may read a property, write it, or both."""

    RO = "ro"
    WO = "wo"
    RW = "rw"


class Rule(StrEnum):
    """How many switches of a vector may be On together."""

    ONE_OF_MANY = "OneOfMany"
    AT_MOST_ONE = "AtMostOne"
    ANY_OF_MANY = "AnyOfMany"


class BLOBPolicy(StrEnum):
    """Whether a client receives BLOBs, and other events (protocol §4.4)."""

    NEVER = "Never"
    ALSO = "Also"
    ONLY = "Only"


MAX_ATTRIBUTE_LENGTH: Final = 64 * 1024
"""Characters of one attribute; libindi's clients keep about 2,000 of the longest, ``message``."""

BLANKS: Final = " \t\r\n"
"""White space in INDI; `str.strip` and ``\\s`` take more than XML does."""

_DECIMAL: Final = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_REAL: Final = re.compile(rf"[+-]?{_DECIMAL}")
_SEPARATOR: Final = r"(?:[:;]| +)"
# Only the last component may be empty ("10:" is 10); an empty first or middle one is an error.
_SEXAGESIMAL: Final = re.compile(
    rf"([+-]?)({_DECIMAL}){_SEPARATOR}(?:({_DECIMAL})(?:{_SEPARATOR}({_DECIMAL})?)?)?"
)
# No number needs more digits; hostile ones would cost time.
MAX_NUMBER_LENGTH: Final = 128


NO_READING: Final = math.nan
"""The value of a number that a driver does not know. It is always this object: two events with it
are equal, since equality of mappings looks at identity first."""


def parse_number(text: str) -> float:
    """Read an INDI number: a decimal, or one to three sexagesimal components (protocol §3.1).

    Such as ``1.5``, ``-10:30:18``, ``10 20.5`` or ``-0;30``: a leading minus negates all.
    ValueError for anything else (NaN, infinity, hexadecimal, trailing letters, …).
    """
    text = text.strip(BLANKS)
    if len(text) > MAX_NUMBER_LENGTH:
        raise ValueError(f"{text[:40]!r}… is too long for a number")
    value = float(text) if _REAL.fullmatch(text) else _from_sexagesimal(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]!r} is out of range")
    return value


def _from_sexagesimal(text: str) -> float:
    match = _SEXAGESIMAL.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a number")
    sign, whole, minutes, seconds = match.groups(default="0")
    value = float(whole) + float(minutes) / 60 + float(seconds) / 3600
    return -value if sign == "-" else value


def to_float(value: str | float | Decimal) -> float:
    """Convert what an author may give for a number to a finite float.

    ValueError for text that is no INDI number, NaN or infinity; TypeError for other types.
    """
    if isinstance(value, str):
        return parse_number(value)
    # Numbers of other libraries, such as numpy's scalars, convert too.
    if not hasattr(value, "__float__"):
        raise TypeError(
            f"a number is given as str, int, float or Decimal, not {type(value).__name__}"
        )
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"{value!r} is too large for a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not a finite number: INDI has no NaN and no infinity")
    return number


def number_to_text(value: float) -> str:
    """Write the shortest decimal that reads back the same; ValueError for NaN and infinity."""
    text = repr(value)
    if text[-1] not in "0123456789":
        raise ValueError(f"{text} cannot be sent: INDI has no NaN and no infinity")
    return text[:-2] if text[-2:] == ".0" else text


def parse_reading(text: str) -> float:
    """Read what a driver reports for a number; `NO_READING` where it is none, such as ``nan``."""
    try:
        return parse_number(text)
    except ValueError:
        return NO_READING


def is_unknown(value: object) -> bool:
    """Whether a value is no reading: NaN is the only one that is not equal to itself."""
    return value != value  # noqa: PLR0124


def to_reading(value: str | float | Decimal | None) -> float:
    """Convert what an author may give for a number, or NaN or None for `NO_READING`.

    The errors are those of `to_float`; text that is no INDI number is one.
    """
    if value is None or is_unknown(value):
        return NO_READING
    return to_float(value)


def reading_to_text(value: float) -> str:
    """Write a number as `number_to_text` does, or ``nan``; ValueError for infinity."""
    text = repr(value)
    if text[-1] not in "0123456789":
        if text == "nan":
            return text
        raise ValueError(f"{text} cannot be sent: INDI has no infinity")
    return text[:-2] if text[-2:] == ".0" else text


_SEXAGESIMAL_FORMAT: Final = re.compile(r"%([0-9]{1,3})\.([0-9]{1,3})m")
_PRINTF: Final = re.compile(
    r"(?:[^%]|%%)*%[-+ #0]*([0-9]{0,2})(?:\.([0-9]{0,2}))?(?:l|L)?([eEfFgG])(?:[^%]|%%)*", re.DOTALL
)
# By the number after the point (protocol §3.2): units of the last place in one whole, in a minute,
# in a second (0 where there are none), and decimals.
_UNITS: Final = {
    9: (360_000, 6_000, 100, 2),
    8: (36_000, 600, 10, 1),
    6: (3_600, 60, 1, 0),
    5: (600, 10, 0, 1),
}
# libindi keeps 64 bytes for a formatted number.
_MAX_FORMATTED: Final = 63


@lru_cache(maxsize=1024)
def check_format(text: str) -> str:
    """Return a display format if it is legal; otherwise ValueError.

    It has one conversion of a double (``%5.2f``, ``%g`` …), or starts as ``%<width>.<fraction>m``.
    """
    if len(text) > MAX_ATTRIBUTE_LENGTH:
        raise ValueError(f"a format has {MAX_ATTRIBUTE_LENGTH} characters at most")
    if _PRINTF.fullmatch(text) or _sexagesimal(text):
        return text
    raise ValueError(
        f"format {text!r} is no number format: use one conversion such as '%5.2f', '%g' or '%10.6m'"
    )


def _sexagesimal(text: str) -> tuple[int, int] | None:
    match = _SEXAGESIMAL_FORMAT.match(text)
    return (int(match[1]), int(match[2])) if match else None


def format_number(value: float, display: str) -> str:
    """Return a number in its display format (§3.2), in at most 63 characters, or ValueError."""
    check_format(display)
    sexagesimal = _sexagesimal(display)
    if sexagesimal is None or not abs(value) < 2**31:
        text = "%g" % value if sexagesimal else display % value  # noqa: UP031 - printf is meant
    else:
        text = _format_sexagesimal(value, *sexagesimal)
    return text[:_MAX_FORMATTED]


def resolution(value: float, display: str) -> float:
    """Return what one is in the last place of a formatted number; 0 for an illegal format."""
    sexagesimal, plain = _sexagesimal(display), _PRINTF.fullmatch(display)
    if sexagesimal is not None:
        return 1 / _UNITS.get(sexagesimal[1], (60,))[0]
    if plain is None:
        return 0.0
    digits = 6 if plain[2] is None else int(plain[2] or 0)
    if plain[3] in "gG":
        digits = max(digits, 1) - 1
    exponent = 0 if plain[3] in "fF" or value == 0 else math.floor(math.log10(abs(value)))
    return float(10.0 ** (exponent - digits))


def _format_sexagesimal(value: float, width: int, fraction: int) -> str:
    base, minute, second, decimals = _UNITS.get(fraction, (60, 1, 0, 0))
    degrees, rest = divmod(math.floor(abs(value) * base + 0.5), base)
    room = width - fraction
    if value < 0 and degrees == 0:
        # As printf's "%*s-0": a negative width pads as many blanks as a positive one.
        text = " " * abs(room - 2) + "-0"
    else:
        text = "%*d" % (room, -degrees if value < 0 else degrees)  # noqa: UP031 - printf is meant
    for unit in filter(None, (minute, second)):
        part, rest = divmod(rest, unit)
        text += f":{part:02d}"
    return f"{text}.{rest:0{decimals}d}" if decimals else text


def to_utc(when: datetime) -> datetime:
    """Convert to aware UTC; a naive time is UTC already."""
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


# The second that was written last, as a time and as text: the next time is likely in the same one.
# It is replaced as a whole, because a worker thread may encode at the same time.
_last_second: Final = [(datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00")]


def format_timestamp(when: datetime) -> str:
    """Write a time as INDI has it: UTC without a zone, to the microsecond where there is one."""
    if when.tzinfo is not UTC:
        when = to_utc(when)
    second, text = _last_second[0]
    past = when - second
    if past.days or past.seconds:
        second = when.replace(microsecond=0)
        text = second.replace(tzinfo=None).isoformat()
        _last_second[0] = second, text
        past = when - second
    return f"{text}.{past.microseconds:06}" if past.microseconds else text


def parse_timestamp(text: str) -> datetime | None:
    """Read a timestamp leniently (``Z``, a zone, a blank for ``T``); None where it is no time."""
    try:
        return datetime.fromisoformat(text + "Z")
    except ValueError:
        pass
    try:
        return to_utc(datetime.fromisoformat(text.strip(BLANKS)))
    except (ValueError, OverflowError):
        return None


# Characters that no XML 1.0 document may hold, and lone surrogates, which UTF-8 cannot carry.
_ILLEGAL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


def clean(text: str) -> str:
    """Drop the characters that may not be on the wire (protocol §1.3)."""
    return _ILLEGAL.sub("", text)


def check_name(name: str, what: str) -> str:
    """Return the name of a device, vector or member if it is legal; otherwise ValueError.

    It is printable ASCII, not empty, without blanks around it. TypeError where it is not a str.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a {what} is a str, not {type(name).__name__}")
    if not name:
        raise ValueError(f"the name of a {what} may not be empty")
    if not (name.isascii() and name.isprintable()) or name != name.strip():
        raise ValueError(
            f"the name of a {what} is printable ASCII without blanks around it, not {name!r}"
        )
    if len(name) > MAX_ATTRIBUTE_LENGTH:
        raise ValueError(f"the name of a {what} has {MAX_ATTRIBUTE_LENGTH} characters at most")
    return name
