"""Checks and conversions of the values that authors of drivers and clients give.

Pure functions. An error says what is wrong, and what to write instead: a TypeError for a value of
the wrong type, a ValueError for any other. `trindi.protocol.to_float` converts numbers.
"""

from __future__ import annotations

import io
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, Final, TypeAlias, TypeVar

from trindi.errors import ConfigurationError
from trindi.protocol import (
    MAX_ATTRIBUTE_LENGTH,
    MAX_ELEMENT_BYTES,
    Limits,
    State,
    SwitchState,
    clean,
    to_float,
)

E = TypeVar("E", bound=StrEnum)

Numeric: TypeAlias = str | float | Decimal
"""What may be given for a number; a str may be sexagesimal."""

BLOBSource: TypeAlias = bytes | bytearray | memoryview | str | Path | IO[bytes]
"""What may be given for a BLOB: bytes, the path of a file, or a readable binary file."""

BLOBValue: TypeAlias = bytes | Path | IO[bytes]
"""As what a BLOB is held until it is sent."""

_LEVELS: Final = "[INFO]", "[WARNING]", "[ERROR]", "[DEBUG]"

MAX_MESSAGE_BYTES: Final = 2_000
"""Bytes of a message; a longer one is cut. libindi's clients keep 2,047 of it and its time."""

MAX_DEFINITION_BYTES: Final = MAX_ELEMENT_BYTES * 15 // 16
"""Bytes of a definition without its message and time. A peer drops an element that is too large."""


def check_text(text: Any, what: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"{what} is a str, not {type(text).__name__}: use str(…)")
    return text


def message_text(text: Any, state: State | None = None) -> str:
    """Return a message with a level at its head: KStars shows none without.

    One without a level gets ``[ERROR]`` with the state Alert, or else ``[INFO]``; "" is no message.
    A long one is cut, and ends with "…".
    """
    if text == "":
        return ""
    said = check_text(text, "a message").lstrip()
    if not said.startswith(_LEVELS):
        said = f"[{'ERROR' if state is State.ALERT else 'INFO'}] {said}"
    return said if len(said) <= MAX_MESSAGE_BYTES // 4 else _cut(said)


def _cut(text: str) -> str:
    data, end = clean(text).encode(), "…"
    if len(data) <= MAX_MESSAGE_BYTES:
        return text
    # What remains of a character that the cut divides is dropped.
    return data[: MAX_MESSAGE_BYTES - len(end.encode())].decode(errors="ignore") + end


def check_label(text: Any, what: str) -> str:
    """Return a text that fits into an attribute."""
    if len(check_text(text, what)) > MAX_ATTRIBUTE_LENGTH:
        raise ConfigurationError(
            f"{what} of {len(text)} characters is too long: use {MAX_ATTRIBUTE_LENGTH} at most"
        )
    return str(text)


def check_sendable_text(text: Any, what: str) -> str:
    """Return a text that INDI can carry unchanged."""
    sendable = clean(check_text(text, what))
    if sendable != text:
        raise ConfigurationError(
            f"{what}: {text!r} has control characters or lone surrogates, which INDI cannot carry"
        )
    return sendable


def convert_choice(choices: type[E], value: Any, what: str) -> E:
    """Return a value as a member of an enumeration, such as a `State`."""
    try:
        return choices(value)
    except ValueError:
        *most, last = (repr(str(choice)) for choice in choices)
        known = f"{', '.join(most)} or {last}"
        raise ConfigurationError(f"{value!r} is no {what}: use {known}") from None


def convert_switch(value: Any) -> SwitchState:
    """Return On or Off; a bool is taken too."""
    if isinstance(value, bool):
        return SwitchState.ON if value else SwitchState.OFF
    return convert_choice(SwitchState, value, "switch value")


def convert_limits(low: Numeric, high: Numeric, step: Numeric) -> Limits:
    limits = Limits(to_float(low), to_float(high), to_float(step))
    if limits.min > limits.max:
        raise ConfigurationError(f"min {limits.min:g} is above max {limits.max:g}")
    if limits.step < 0:
        raise ConfigurationError(f"step {limits.step:g} is below 0")
    return limits


def is_allowed(value: float, low: float, high: float) -> bool:
    """Return whether a value is within limits; equal limits allow every value (§3.3)."""
    return low == high or low <= value <= high


def convert_blob(value: Any) -> BLOBValue:
    """Return bytes, a path or an open file; a str is a path."""
    if isinstance(value, (bytes, Path)):
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, str):
        return Path(value)
    if callable(getattr(value, "read", None)) and not isinstance(value, io.TextIOBase):
        return value  # type: ignore[no-any-return]
    raise TypeError(
        "a BLOB is bytes, the path of a file, or a file opened in binary mode, "
        f"not {type(value).__name__}"
    )


def check_blob_format(suffix: Any) -> str:
    """Return a file suffix that was given, or "" for none."""
    if not isinstance(suffix, str):
        raise TypeError(f"blobformat is a str such as '.fits', not {type(suffix).__name__}")
    check_label(suffix, "blobformat")
    if len(suffix) == 1:
        raise ConfigurationError(f"blobformat {suffix!r} is too short: use one such as '.fits'")
    return suffix


def blob_format(given: str, value: BLOBValue | None, default: str = ".bin") -> str:
    """Return the format of a BLOB: the one given, else the suffix of its path, else a default."""
    suffix = value.suffix if isinstance(value, Path) else ""
    return given or (suffix if len(suffix) > 1 else default)


def read_blob(value: BLOBValue, name: str) -> bytes:
    """Return the bytes of a BLOB; reading a file may take long, and raise OSError."""
    if isinstance(value, bytes):
        return value
    data: Any = value.read_bytes() if isinstance(value, Path) else value.read()
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"the file of BLOB {name!r} gives {type(data).__name__}, not bytes")
    return bytes(data)
