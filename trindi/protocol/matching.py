"""What a device name and a property name cover: the one place for the rules of names.

The device None, or ``*`` as chained indiservers ask for (protocol §5.5), is every device. The
property None is the whole device, its messages included. A delProperty has the same wildcards and
ends all that it covers, so an interest in one property covers the deletion of its device (§12). A
BLOB policy of a device replaces those of its properties (§4.4), and one of every device replaces
all: indiserver, too, takes it for all BLOBs of a client. Pure: names and events only.
"""

from collections.abc import Collection, Iterator
from typing import Any, Final

from trindi.protocol.events import delProperty, enableBLOB
from trindi.protocol.values import BLOBPolicy

EVERY_DEVICE: Final = "*"
"""The device that a chained indiserver asks for: every one."""

MAX_INTEREST_BYTES: Final = 4 * 1024 * 1024
"""Bytes of names in one `Interest`; beyond them it covers everything."""

MAX_POLICY_BYTES: Final = 4 * 1024 * 1024
"""Bytes of names in `BLOBPolicies`; further ones are not noted."""

# What keeping a name takes beyond its characters, roughly.
_NAME_OVERHEAD: Final = 512


def _weight(devicename: str | None, vectorname: str | None) -> int:
    return _NAME_OVERHEAD + len(devicename or "") + len(vectorname or "")


def is_all(devicename: str | None) -> bool:
    """Whether this name stands for every device."""
    return devicename is None or devicename == EVERY_DEVICE


def covered_devices(devicename: str | None, devices: Collection[str]) -> Collection[str]:
    """Return those of some devices that a name stands for."""
    if devicename is None or is_all(devicename):
        return devices
    return [devicename] if devicename in devices else ()


def matches(
    devicename: str | None, vectorname: str | None, of_device: str | None, of_vector: str | None
) -> bool:
    """Whether a request with the first two names is about the property with the others."""
    return (vectorname is None or vectorname == of_vector) and (
        devicename == of_device or is_all(devicename)
    )


def covers(devicename: str | None, vectorname: str | None, event: Any) -> bool:
    """Whether an interest in these names covers an event.

    An event without a device is covered only by an interest in every device; a delProperty is
    covered where it ends anything that the interest is in.
    """
    of_vector = getattr(event, "vectorname", None)
    if type(event) is delProperty:
        return (
            devicename == event.devicename or is_all(devicename) or is_all(event.devicename)
        ) and (vectorname == of_vector or vectorname is None or of_vector is None)
    return matches(devicename, vectorname, event.devicename, of_vector)


def ends(event: Any, devicename: str, vectorname: str) -> bool:
    """Whether an event is the end of this property: a delProperty of it, its device or all."""
    return type(event) is delProperty and matches(
        event.devicename, event.vectorname, devicename, vectorname
    )


class Interest:
    """The devices and properties that a receiver wants to hear of; it only grows.

    Iterating yields (device, property) pairs as a getProperties names them; (None, None) is
    everything. Beyond `max_bytes` of names it is `everything`: no peer can fill the memory.
    """

    __slots__ = ("_bytes", "_max_bytes", "_names", "everything")

    def __init__(self, max_bytes: int = MAX_INTEREST_BYTES) -> None:
        self.everything = False
        self._max_bytes = max_bytes
        self._bytes = 0
        # By device, then by property; None is the whole device.
        self._names: dict[str | None, set[str | None]] = {}

    def __iter__(self) -> Iterator[tuple[str | None, str | None]]:
        if self.everything:
            yield None, None
        for devicename, vectornames in self._names.items():
            for vectorname in vectornames:
                yield devicename, vectorname

    def add(self, devicename: str | None, vectorname: str | None = None) -> bool:
        """Add a property, a device, or everything; return whether the interest has grown.

        Without a device it is everything, even where a property is named (§5.2).
        """
        names = self._names.get(devicename, ())
        if self.everything or None in names or vectorname in names:
            return False
        weight = _weight(devicename, vectorname)
        if is_all(devicename) or self._bytes + weight > self._max_bytes:
            self.everything = True
        else:
            self._bytes += weight
            self._names.setdefault(devicename, set()).add(vectorname)
        return True

    def covers(self, event: Any) -> bool:
        """Whether any of it covers an event, as `covers` does."""
        if self.everything:
            return True
        devicename, vectorname = event.devicename, getattr(event, "vectorname", None)
        if type(event) is delProperty and (vectorname is None or is_all(devicename)):
            return any(covers(device, vector, event) for device, vector in self)
        names = self._names.get(devicename)
        return names is not None and (vectorname in names or None in names)


class BLOBPolicies:
    """The BLOB policies that a receiver has set, in at most `max_bytes` of names.

    Iterating yields the requests that set them.
    """

    __slots__ = ("_bytes", "_max_bytes", "_policies")

    def __init__(self, max_bytes: float = MAX_POLICY_BYTES) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        # By device, then by property; None is the whole device.
        self._policies: dict[str, dict[str | None, BLOBPolicy]] = {}

    def __iter__(self) -> Iterator[enableBLOB]:
        for devicename, policies in self._policies.items():
            for vectorname, policy in policies.items():
                yield enableBLOB(devicename, vectorname, policy)

    def set(self, request: enableBLOB) -> None:
        """Note a policy; that of a device replaces those of its properties."""
        devicename, vectorname = request.devicename, request.vectorname
        if vectorname is None and is_all(devicename):
            self._policies.clear()
            self._bytes = 0
        elif vectorname is None:
            replaced = self._policies.pop(devicename, {})
            self._bytes -= sum(_weight(devicename, name) for name in replaced)
        if vectorname not in self._policies.get(devicename, {}):
            weight = _weight(devicename, vectorname)
            if self._bytes + weight > self._max_bytes:
                return
            self._bytes += weight
        self._policies.setdefault(devicename, {})[vectorname] = request.policy

    def find(self, devicename: str, vectorname: str | None = None) -> BLOBPolicy:
        """Return the policy of a property: its own, its device's, that of all devices, or Never."""
        for policies in map(self._policies.get, (devicename, EVERY_DEVICE)):
            for name in (vectorname, None):
                if policies is not None and name in policies:
                    return policies[name]
        return BLOBPolicy.NEVER
