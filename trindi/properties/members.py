"""Members: the single switches, lights, texts, numbers and BLOBs that a vector is made of.

A member checks every value it is given, at once, whoever gives it; reading gives the type that the
kind has in Python. Members know their vector, and nothing of drivers, events or the wire.
"""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from trindi.errors import ConfigurationError
from trindi.protocol import (
    Limits,
    NumberLabel,
    State,
    SwitchState,
    check_format,
    check_name,
    decompress,
    format_number,
    to_float,
)

if TYPE_CHECKING:
    from trindi.properties.vector import Vector

__all__ = ["BLOBMember", "BLOBSource", "LightMember", "Member", "NumberMember", "Numeric"]
__all__ += ["SwitchMember", "TextMember", "check_state", "check_text"]

V = TypeVar("V")

Numeric: TypeAlias = str | float | Decimal
"""What an author may give for a number; a str may be sexagesimal."""

BLOBSource: TypeAlias = bytes | bytearray | memoryview | str | Path | IO[bytes]
"""What an author may give for a BLOB: bytes, the path of a file, or a readable binary file."""


class Member(Generic[V]):
    """One named value of a vector.

    Attributes:
        name: printable ASCII, unique in its vector.
        changed: the value is new since it was last sent; True at first.
        vector: the vector it belongs to, once it does.
    """

    def __init__(self, name: str, label: str | None, membervalue: Any) -> None:
        self.name = check_name(name, "member")
        self._label = check_text(name if label is None else label, "a label")
        self.changed = True
        self.vector: Vector[Any, Any] | None = None
        self._value: V = self.convert(membervalue)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, membervalue={self._value!r})"

    @property
    def label(self) -> str:
        """What a client shows; it learns of another one when the vector is defined again."""
        return self._label

    @label.setter
    def label(self, label: str) -> None:
        self._label = check_text(label, "a label")
        self._invalidate_definition()

    def _invalidate_definition(self) -> None:
        if self.vector is not None:
            self.vector.invalidate_definition()

    @property
    def membervalue(self) -> V:
        """The value; setting it is the same as setting it in the vector."""
        return self._value

    @membervalue.setter
    def membervalue(self, value: Any) -> None:
        if self.vector is None:
            self.assign(self.convert(value))
        else:
            self.vector[self.name] = value

    def convert(self, value: Any) -> V:
        """Return the value as this kind holds it.

        Raises:
            ValueError: not a legal value.
            TypeError: not of a type that this kind takes.
        """
        raise NotImplementedError

    def assign(self, value: V) -> None:
        """Take a value that `convert` has returned; the vector calls this."""
        if value != self._value:
            self.changed = True
            self._value = value
            self._invalidate_definition()

    def sent(self) -> None:
        """Note that the value is on its way to clients; the vector calls this."""
        self.changed = False

    @property
    def definition_value(self) -> Any:
        """The value that a definition carries."""
        return self._value

    def definition_label(self) -> Any:
        """What a definition says of this member beside its value."""
        return self.label


class SwitchMember(Member[SwitchState]):
    """A switch: On or Off. A bool is taken too."""

    def __init__(
        self, name: str, label: str | None = None, membervalue: str | bool = "Off"
    ) -> None:
        super().__init__(name, label, membervalue)

    def convert(self, value: Any) -> SwitchState:
        """Return On or Off."""
        if isinstance(value, bool):
            return SwitchState.ON if value else SwitchState.OFF
        try:
            return SwitchState(value)
        except ValueError:
            raise ConfigurationError(f"{value!r} is no switch value: use 'On' or 'Off'") from None


class LightMember(Member[State]):
    """A light: Idle, Ok, Busy or Alert."""

    def __init__(self, name: str, label: str | None = None, membervalue: str = "Idle") -> None:
        super().__init__(name, label, membervalue)

    def convert(self, value: Any) -> State:
        """Return one of the four states."""
        return check_state(value)


class TextMember(Member[str]):
    """A text; blanks around it cannot be carried by the protocol."""

    def __init__(self, name: str, label: str | None = None, membervalue: str = "") -> None:
        super().__init__(name, label, membervalue)

    def convert(self, value: Any) -> str:
        """Return the text."""
        return check_text(value, "a text")


class NumberMember(Member[float]):
    """A number, held as a float.

    Args:
        name: printable ASCII.
        label: what a client shows.
        format: how a client shows the value, such as ``%5.2f`` or ``%10.6m``; ``%g`` where empty.
        min: the least value that a client may set.
        max: the greatest value that a client may set; `min` == `max` means no limits.
        step: the increment that a client may offer; 0 means any.
        membervalue: str (decimal or sexagesimal), int, float or Decimal.

    Attributes:
        has_new_limits: they have changed, and no client has been told yet.

    Raises:
        ValueError: a text is no INDI number, or the format is none, or `min` is above `max`.
    """

    def __init__(
        self,
        name: str,
        label: str | None = None,
        format: str = "",
        min: Numeric = "0",
        max: Numeric = "0",
        step: Numeric = "0",
        membervalue: Numeric = "0",
    ) -> None:
        super().__init__(name, label, membervalue)
        self._format = check_format(format or "%g")
        self._limits = _check_limits(min, max, step)
        self.has_new_limits = False

    def convert(self, value: Any) -> float:
        """Return the number as a float."""
        return to_float(value)

    @property
    def format(self) -> str:
        """How a client shows the value, such as ``%5.2f`` or ``%10.6m``."""
        return self._format

    @format.setter
    def format(self, format: str) -> None:
        self._format = check_format(format)
        self._invalidate_definition()

    @property
    def limits(self) -> Limits:
        """The limits as ``(min, max, step)``; `min` == `max` means none.

        New ones go to clients with the next values that are sent (§2); a client that does not know
        this keeps the old ones, unless the property is deleted and defined again.
        """
        return self._limits

    @limits.setter
    def limits(self, limits: tuple[Numeric, Numeric, Numeric]) -> None:
        self._limits = _check_limits(*limits)
        self.has_new_limits = self.changed = True
        self._invalidate_definition()

    def sent(self) -> None:
        """Note that the value is on its way, and new limits with it."""
        self.changed = self.has_new_limits = False

    @property
    def min(self) -> float:
        """The least value that a client may set."""
        return self._limits.min

    @property
    def max(self) -> float:
        """The greatest value that a client may set."""
        return self._limits.max

    @property
    def step(self) -> float:
        """The increment that a client may offer; 0 means any."""
        return self._limits.step

    @property
    def formatted(self) -> str:
        """The value as its format shows it."""
        return format_number(self._value, self.format)

    def definition_label(self) -> NumberLabel:
        """The label, the format and the limits."""
        return NumberLabel(self.label, self.format, *self._limits)


class BLOBMember(Member[bytes | Path | IO[bytes] | None]):
    """A BLOB: bytes, or a file that is read in a worker thread when it is sent.

    Args:
        name: printable ASCII.
        label: what a client shows.
        blobsize: bytes before any compression; 0 means the length of the value. Clients are told
            the true length in any case.
        blobformat: file suffix such as ``.fits``. With one that ends in ``.z`` the bytes are
            compressed on their way, unless a `blobsize` that is not their length says that they
            are already. Where it is empty, the suffix of the path, else ``.bin``.
        membervalue: bytes or bytes-like, a path (str or Path), or a readable binary file.
    """

    def __init__(
        self,
        name: str,
        label: str | None = None,
        blobsize: int = 0,
        blobformat: str = "",
        membervalue: BLOBSource | None = None,
    ) -> None:
        super().__init__(name, label, membervalue)
        self.blobsize = blobsize
        self.blobformat = blobformat

    @property
    def blobsize(self) -> int:
        """Bytes before any compression; 0 means the length of the value."""
        return self._blobsize

    @blobsize.setter
    def blobsize(self, size: int) -> None:
        if not isinstance(size, int) or size < 0:
            raise ConfigurationError(f"blobsize is a number of bytes, not {size!r}")
        self._blobsize = size

    @property
    def blobformat(self) -> str:
        """The file suffix that clients see, never empty."""
        if self._blobformat:
            return self._blobformat
        suffix = self._value.suffix if isinstance(self._value, Path) else ""
        return suffix if len(suffix) > 1 else ".bin"

    @blobformat.setter
    def blobformat(self, suffix: str) -> None:
        if not isinstance(suffix, str):
            raise TypeError(f"blobformat is a str such as '.fits', not {type(suffix).__name__}")
        if len(suffix) == 1:
            raise ConfigurationError(f"blobformat {suffix!r} is too short: use one such as '.fits'")
        self._blobformat = suffix

    def convert(self, value: Any) -> bytes | Path | IO[bytes] | None:
        """Return bytes, a path or an open file as they are."""
        if value is None or isinstance(value, (bytes, Path)):
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

    def assign(self, value: bytes | Path | IO[bytes] | None) -> None:
        """Take a value; the same bytes again are a new frame."""
        self.changed = True
        self._value = value

    @property
    def definition_value(self) -> None:
        """None: a definition carries no payload."""
        return None

    @property
    def at_hand(self) -> bool:
        """Whether `load` returns at once: nothing is to be read or decompressed."""
        source = self._value
        return source is None or (isinstance(source, bytes) and not self._compressed(source))

    def load(self) -> bytes:
        """Return the plain bytes of the value; may take long.

        Raises:
            OSError: a file cannot be read.
            ValueError: there is no value, or it is not compressed as `blobsize` claims.
        """
        data = self._read()
        if not self._compressed(data):
            return data
        try:
            return decompress(data, self._blobsize)
        except ValueError as error:
            raise ConfigurationError(
                f"BLOB {self.name!r} holds {len(data)} bytes and its blobsize is {self._blobsize}, "
                f"so it should be compressed, but {error}: leave blobsize at 0 for plain bytes"
            ) from None

    def _read(self) -> bytes:
        source = self._value
        if source is None:
            raise ConfigurationError(f"BLOB {self.name!r} has no value to send: set it first")
        if isinstance(source, bytes):
            return source
        data = source.read_bytes() if isinstance(source, Path) else source.read()
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(
                f"the file of BLOB {self.name!r} gives {type(data).__name__}, not bytes"
            )
        return bytes(data)

    def _compressed(self, data: bytes) -> bool:
        """Whether the author has compressed the bytes already; events carry plain ones."""
        return self.blobformat.endswith(".z") and self._blobsize not in (0, len(data))


def check_text(text: Any, what: str) -> str:
    """Return a text.

    Raises:
        TypeError: not a str.
    """
    if not isinstance(text, str):
        raise TypeError(f"{what} is a str, not {type(text).__name__}: use str(…)")
    return text


def check_state(value: Any) -> State:
    """Return a state.

    Raises:
        ValueError: not one of the four.
    """
    try:
        return State(value)
    except ValueError:
        raise ConfigurationError(
            f"{value!r} is no state: use 'Idle', 'Ok', 'Busy' or 'Alert'"
        ) from None


def _check_limits(low: Numeric, high: Numeric, step: Numeric) -> Limits:
    limits = Limits(to_float(low), to_float(high), to_float(step))
    if limits.min > limits.max:
        raise ConfigurationError(f"min {limits.min:g} is above max {limits.max:g}")
    if limits.step < 0:
        raise ConfigurationError(f"step {limits.step:g} is below 0")
    return limits
