"""Members: the single switches, lights, texts, numbers and BLOBs that a vector is made of.

A member checks each value at once, on every assignment. Reading gives the Python type of its kind.
Members know what they need of their vector, and nothing of drivers, events or the wire.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from trindi.errors import ConfigurationError
from trindi.properties.values import (
    BLOBSource,
    BLOBValue,
    Numeric,
    blob_format,
    check_blob_format,
    check_label,
    check_text,
    convert_blob,
    convert_choice,
    convert_limits,
    convert_switch,
    read_blob,
)
from trindi.protocol import (
    Limits,
    NumberLabel,
    State,
    SwitchState,
    check_format,
    check_name,
    decompress,
    format_number,
    to_reading,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from trindi.properties.owners import VectorOfMember

V = TypeVar("V")


class Member(Generic[V]):
    """One named value of a vector; `changed` says that it is new since it was last sent."""

    _convert: Callable[[Any], V]
    """Returns a value as this kind holds it; raises ValueError or TypeError if it cannot."""

    def __init__(self, name: str, label: str | None, membervalue: Any) -> None:
        self.name = check_name(name, "member")
        self._label = check_label(name if label is None else label, "a label")
        self.changed = True
        self.vector: VectorOfMember | None = None
        self._value: V = self._convert(membervalue)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, membervalue={self._value!r})"

    @property
    def label(self) -> str:
        """What a client shows. Send the definition again to tell clients of a new label."""
        return self._label

    @label.setter
    def label(self, label: str) -> None:
        self._label = check_label(label, "a label")
        self._invalidate_definition()

    @property
    def membervalue(self) -> V:
        """The value; setting it is the same as setting it in the vector."""
        return self._value

    @membervalue.setter
    def membervalue(self, value: Any) -> None:
        if self.vector is None:
            self._assign(self._convert(value))
        else:
            self.vector[self.name] = value

    def _assign(self, value: V) -> None:
        """Assign an already converted value."""
        # NaN is not equal to itself, but always the same object.
        if value != self._value and value is not self._value:
            self.changed = True
            self._value = value
            self._invalidate_definition()

    def _note_sent(self) -> None:
        self.changed = False

    def _definition_value(self) -> Any:
        return self._value

    def _definition_label(self) -> Any:
        return self._label

    def _invalidate_definition(self) -> None:
        if self.vector is not None:
            self.vector.invalidate_definition()


class SwitchMember(Member[SwitchState]):
    """A switch: On or Off. A bool is taken too."""

    _convert = staticmethod(convert_switch)

    def __init__(
        self, name: str, label: str | None = None, membervalue: str | bool = "Off"
    ) -> None:
        super().__init__(name, label, membervalue)


class LightMember(Member[State]):
    """A light: Idle, Ok, Busy or Alert."""

    _convert = staticmethod(partial(convert_choice, State, what="state"))

    def __init__(self, name: str, label: str | None = None, membervalue: str = "Idle") -> None:
        super().__init__(name, label, membervalue)


class TextMember(Member[str]):
    """A text; the protocol cannot carry blanks around it."""

    _convert = staticmethod(partial(check_text, what="a text"))

    def __init__(self, name: str, label: str | None = None, membervalue: str = "") -> None:
        super().__init__(name, label, membervalue)


class NumberMember(Member[float]):
    """A number, held as a float.

    It is given as str (decimal or sexagesimal), int, float or Decimal. The format "" means ``%g``.
    ValueError: a text is no INDI number, or the format is none, or `min` is above `max`.
    """

    _convert = staticmethod(to_reading)

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
        self._limits = convert_limits(min, max, step)
        self._has_unsent_limits = False

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

        New limits go to clients with the next values that are sent (§2). A client that does not
        read them there keeps the old ones, until the property is deleted and defined again.
        """
        return self._limits

    @limits.setter
    def limits(self, limits: tuple[Numeric, Numeric, Numeric]) -> None:
        self._limits = convert_limits(*limits)
        self._has_unsent_limits = self.changed = True
        self._invalidate_definition()

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
        return format_number(self._value, self._format)

    def _note_sent(self) -> None:
        self.changed = self._has_unsent_limits = False

    def _definition_label(self) -> NumberLabel:
        return NumberLabel(self._label, self._format, *self._limits)


class BLOBMember(Member[BLOBValue | None]):
    """A BLOB: bytes, or a file that is read in a worker thread when it is sent.

    The value is bytes or bytes-like, a path (str or Path), or a readable binary file. The format is
    a file suffix such as ``.fits``; "" means that of the path, or else ``.bin``. If it ends in
    ``.z``, the bytes are compressed on their way; a `blobsize` that is not their length says that
    they are compressed already.
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
        return blob_format(self._blobformat, self._value)

    @blobformat.setter
    def blobformat(self, suffix: str) -> None:
        self._blobformat = check_blob_format(suffix)

    def _convert(self, value: Any) -> BLOBValue | None:
        return None if value is None else convert_blob(value)

    def _assign(self, value: BLOBValue | None) -> None:
        # The same bytes again are a new frame.
        self.changed = True
        self._value = value

    def _definition_value(self) -> None:
        """Return None: a definition carries no payload."""

    def _is_loaded(self) -> bool:
        value = self._value
        return value is None or (isinstance(value, bytes) and not self._is_compressed(value))

    def _load(self) -> bytes:
        """Return the plain bytes of the value; may take long. OSError: it cannot be read."""
        if self._value is None:
            raise ConfigurationError(f"BLOB {self.name!r} has no value to send: set it first")
        data = read_blob(self._value, self.name)
        if not self._is_compressed(data):
            return data
        try:
            return decompress(data, self._blobsize)
        except ValueError as error:
            raise ConfigurationError(
                f"BLOB {self.name!r} holds {len(data)} bytes and its blobsize is {self._blobsize}, "
                f"so it should be compressed, but {error}: leave blobsize at 0 for plain bytes"
            ) from None

    def _is_compressed(self, data: bytes) -> bool:
        """Return whether the author compressed the bytes; events carry plain ones."""
        return self.blobformat.endswith(".z") and self._blobsize not in (0, len(data))
