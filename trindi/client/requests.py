"""What a client requests of a device, checked: a vector and the wanted values in, an event out.

And what came back of it, compared.

A driver checks again; but it can only refuse, where this raises at the line that is wrong.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from trindi.errors import ConfigurationError
from trindi.properties import (
    BLOBValue,
    blob_format,
    check_blob_format,
    check_sendable_text,
    convert_blob,
    convert_switch,
    read_blob,
)
from trindi.protocol import (
    MAX_ELEMENT_BYTES,
    Kind,
    NewVector,
    Permission,
    Rule,
    SizeFormat,
    State,
    SwitchState,
    encode,
    is_unknown,
    newBLOBVector,
    newNumberVector,
    newSwitchVector,
    newTextVector,
    resolution,
    to_float,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from trindi.client.remote import RemoteNumber, RemoteVector


def check_writable(vector: RemoteVector, values: Mapping[str, Any]) -> None:
    place = f"{vector.devicename} {vector.name}"
    if not vector.defined:
        raise ConfigurationError(f"{place} is gone: wait until it is defined with wait_defined")
    if vector.perm is Permission.RO:
        raise ConfigurationError(f"{place} is read-only: it can be watched, not set")
    if not values:
        raise ConfigurationError(f"{place}: name at least one of {', '.join(vector)} to set")
    for name in values:
        vector.member(name)


def make_request(
    vector: RemoteVector, values: Mapping[str, Any], max_bytes: int = MAX_ELEMENT_BYTES
) -> NewVector | Upload:
    """Make the event that requests these values; for BLOBs an `Upload` that makes it.

    Numbers and texts are requested of all members, as the protocol wants it (§3.5): those that are
    not given with their present value. KeyError, TypeError or ValueError if a value cannot be,
    or if texts take more than `max_bytes`: the client would drop their definition.
    """
    check_writable(vector, values)
    request = _MAKE[vector.kind](vector, values)
    if isinstance(request, newTextVector) and (size := len(encode(request))) > max_bytes:
        raise ConfigurationError(
            f"{vector.devicename} {vector.name}: texts of {size} bytes could not be sent back: "
            f"{max_bytes} at most"
        )
    return request


def _numbers(vector: RemoteVector, values: Mapping[str, Any]) -> newNumberVector:
    members: dict[str, Any] = dict(vector.members)
    wanted = {name: _number(members[name], value) for name, value in values.items()}
    # The device would refuse a present value that is beyond its own limits.
    kept = {name: one.value for name, one in members.items() if one.allows(one.value)}
    sent = {name: wanted.get(name, kept.get(name)) for name in members}
    return newNumberVector(
        vector.devicename, vector.name, {k: v for k, v in sent.items() if v is not None}
    )


def _number(member: RemoteNumber, value: Any) -> float:
    try:
        number = to_float(value)
    except ValueError as error:
        raise ConfigurationError(f"{member.name}: {error}") from None
    if not member.allows(number):
        raise ConfigurationError(
            f"{member.name} is between {member.min:g} and {member.max:g}, not {number:g}"
        )
    return number


def _texts(vector: RemoteVector, values: Mapping[str, Any]) -> newTextVector:
    wanted = {name: check_sendable_text(value, name) for name, value in values.items()}
    return newTextVector(vector.devicename, vector.name, {**vector, **wanted})


def _switches(vector: RemoteVector, values: Mapping[str, Any]) -> newSwitchVector:
    wanted = {name: convert_switch(value) for name, value in values.items()}
    on = [name for name, value in wanted.items() if value is SwitchState.ON]
    if len(on) > 1 and vector.rule is not Rule.ANY_OF_MANY:
        raise ConfigurationError(f"only one of {', '.join(on)} may be On: {vector.rule}")
    if not on and vector.rule is Rule.ONE_OF_MANY:
        others = ", ".join(name for name in vector if name not in wanted)
        raise ConfigurationError(f"turn another On instead, under {vector.rule}: {others}")
    if on and vector.rule is not Rule.ANY_OF_MANY:
        # Under AtMostOne, libindi's drivers turn no other Off by themselves. Off stands first.
        off = {name: SwitchState.OFF for name in vector if name not in on}
        wanted = off | dict.fromkeys(on, SwitchState.ON)
    return newSwitchVector(vector.devicename, vector.name, wanted)


class Upload:
    """BLOBs for a device: checked when this is made, and read by `load`; `at_hand`: that is quick.

    Each value is bytes, a path, a file opened in binary mode, or a pair of one of these and the
    format; that is by default the suffix of the path, that of the member's newest frame, or .bin.
    """

    def __init__(self, vector: RemoteVector, values: Mapping[str, Any]) -> None:
        self._vector = vector
        self._blobs = {name: _blob(vector.members[name], value) for name, value in values.items()}
        self.at_hand = all(isinstance(value, bytes) for value, _ in self._blobs.values())

    def load(self) -> newBLOBVector:
        data = {name: read_blob(value, name) for name, (value, _) in self._blobs.items()}
        about = {name: SizeFormat(len(data[name]), one[1]) for name, one in self._blobs.items()}
        return newBLOBVector(self._vector.devicename, self._vector.name, data, about)


def _blob(member: Any, value: Any) -> tuple[BLOBValue, str]:
    data, suffix = value if isinstance(value, tuple) and len(value) == 2 else (value, "")
    if data is None:
        raise TypeError(f"{member.name} is bytes, a path or a file, not None")
    blob = convert_blob(data)
    default = member.format if len(member.format) > 1 else ".bin"
    return blob, blob_format(check_blob_format(suffix), blob, default)


_MAKE: Final[dict[Kind, Callable[[RemoteVector, Mapping[str, Any]], NewVector | Upload]]] = {
    Kind.NUMBER: _numbers,
    Kind.TEXT: _texts,
    Kind.SWITCH: _switches,
    Kind.BLOB: Upload,
}


def find_differences(
    vector: RemoteVector, wanted: Mapping[str, Any], reported: Collection[str]
) -> dict[str, tuple[Any, Any]]:
    """Compare what was asked for with the present values, of members that were reported since."""
    if vector.perm is Permission.WO or _is_released(vector):
        return {}
    return {
        name: (value, vector[name])
        for name, value in wanted.items()
        if name in reported and name in vector and not _is_same(vector, name, value)
    }


def _is_released(vector: RemoteVector) -> bool:
    """Whether this is a button that has done its work, and is up again: Ok, and all are Off."""
    if vector.kind is not Kind.SWITCH or vector.state is not State.OK:
        return False
    return SwitchState.ON not in vector.values()


def _is_same(vector: RemoteVector, name: str, wanted: Any) -> bool:
    value = vector[name]
    if vector.kind is Kind.TEXT:
        # Blanks around a text are layout on the wire.
        return bool(value.strip() == wanted.strip())
    if vector.kind is not Kind.NUMBER:
        return bool(value == wanted)
    if is_unknown(value):
        return False
    member: Any = vector.member(name)
    # Rounded or cut off by the device: by less than one in the last place.
    allowed = resolution(wanted, member.format) * (1 - 1e-6)
    return abs(value - wanted) < allowed or math.isclose(value, wanted, rel_tol=1e-9)
