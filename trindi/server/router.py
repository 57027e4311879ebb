"""Who hears what: subscriptions, BLOB policies, snooping. Pure: plain calls, no I/O, no tasks.

The rules are those of indiserver (protocol §5.2, §5.4) with three differences. BLOB policies are
kept by device and property, as the specification says, not by connection (§4.4). A subscriber of
one property also hears that its whole device is gone (§12). A getProperties without a device always
widens a subscription, even after narrower ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from trindi.protocol import (
    BLOBPolicy,
    Event,
    Message,
    NewVector,
    delProperty,
    enableBLOB,
    getProperties,
    setBLOBVector,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Router", "Subscription"]

C = TypeVar("C")
D = TypeVar("D")

MAX_ROUTES: Final = 16384
"""Remembered answers to who hears a property; past it they are forgotten and found again."""

MAX_NAMED: Final = 4 * 1024 * 1024
"""Bytes of names that one subscription may keep, so that no client can fill the memory with them; a
client that names more hears everything, and its further BLOB policies are not noted."""

# What keeping a name takes beyond its own characters, roughly.
_NAME_OVERHEAD: Final = 512

CHAINED: Final = "*"
"""The device that a chained indiserver asks for: it means all (§5.5)."""


class Subscription:
    """What one client, or one snooping driver, wants to hear."""

    def __init__(self) -> None:
        self.everything = False
        # By device, then by property; None stands for the whole device.
        self._names: dict[str, set[str | None]] = {}
        self._policies: dict[str, dict[str | None, BLOBPolicy]] = {}
        self._kept = 0

    def add(self, devicename: str | None, vectorname: str | None) -> bool:
        """Subscribe to everything, a device, or one property; True where that is new."""
        if self.everything or vectorname in self._names.get(devicename or "", ()):
            return False
        if devicename is None or devicename == CHAINED or not self._keep(devicename, vectorname):
            self.everything = True
        else:
            self._names.setdefault(devicename, set()).add(vectorname)
        return True

    def set_policy(self, devicename: str, vectorname: str | None, policy: BLOBPolicy) -> None:
        """Keep what is wanted of BLOBs; the last one said wins."""
        if vectorname is None:
            # What is said of a device is newer than what was said of its properties.
            forgotten = self._policies.pop(devicename, {})
            self._kept -= sum(_weight(devicename, name) for name in forgotten)
        known = vectorname in self._policies.get(devicename, {})
        if known or self._keep(devicename, vectorname):
            self._policies.setdefault(devicename, {})[vectorname] = policy

    def policy(self, devicename: str, vectorname: str | None) -> BLOBPolicy:
        """What is wanted of the BLOBs of a property: its own policy, its device's, or Never."""
        policies = self._policies.get(devicename, {})
        return policies.get(vectorname, policies.get(None, BLOBPolicy.NEVER))

    def hears(self, event: Any) -> bool:
        """Whether an event from the owner of a device is wanted."""
        devicename: str | None = event.devicename
        if devicename is None:
            return True
        vectorname: str | None = getattr(event, "vectorname", None)
        if not self._covers(devicename, vectorname, event):
            return False
        if isinstance(event, setBLOBVector):
            return self.policy(devicename, vectorname) is not BLOBPolicy.NEVER
        return self.policy(devicename, None) is not BLOBPolicy.ONLY

    def _covers(self, devicename: str, vectorname: str | None, event: Any) -> bool:
        names = self._names.get(devicename, ())
        if self.everything or None in names or vectorname in names:
            return True
        # The end of a device is the end of each of its properties (§12).
        return vectorname is None and bool(names) and isinstance(event, delProperty)

    def _keep(self, devicename: str, vectorname: str | None) -> bool:
        weight = _weight(devicename, vectorname)
        if self._kept + weight > MAX_NAMED:
            return False
        self._kept += weight
        return True


def _weight(devicename: str, vectorname: str | None) -> int:
    return len(devicename) + len(vectorname or "") + _NAME_OVERHEAD


class Router(Generic[C, D]):
    """Keeps who is there and what they want, and says who hears an event.

    `C` stands for a client and `D` for a driver, whatever these are; both need only be hashable.
    """

    def __init__(self) -> None:
        self._clients: dict[C, Subscription] = {}
        self._snoopers: dict[D, Subscription] = {}
        self._owners: dict[str, D] = {}
        self._routes: dict[tuple[type[Any], str | None, str | None], tuple[C, ...]] = {}

    # Who is there ------------------------------------------------------------------------------

    def add_driver(self, driver: D, devicenames: Iterable[str]) -> None:
        """Make a driver the owner of its devices."""
        self._owners |= dict.fromkeys(devicenames, driver)

    def add_client(self, client: C) -> None:
        """Let a client be heard of; it hears nothing of devices before it asks."""
        self._clients[client] = Subscription()
        self._routes.clear()

    def remove_client(self, client: C) -> None:
        """Forget a client."""
        del self._clients[client]
        self._routes.clear()

    def forget_snooping(self, driver: D) -> None:
        """Forget what a driver snoops on."""
        self._snoopers.pop(driver, None)

    # What they want ----------------------------------------------------------------------------

    def subscribe(self, client: C, event: Event) -> None:
        """Note what a client wants to hear, which it says by whatever it asks (§5.2)."""
        subscription = self._clients[client]
        if isinstance(event, enableBLOB):
            subscription.set_policy(event.devicename, event.vectorname, event.policy)
            subscription.add(event.devicename, event.vectorname)
            self._routes.clear()
        elif isinstance(event, (getProperties, NewVector)) and subscription.add(
            event.devicename, event.vectorname
        ):
            self._routes.clear()

    def snoop(self, driver: D, event: getProperties | enableBLOB) -> None:
        """Note what a driver snoops on."""
        subscription = self._snoopers.setdefault(driver, Subscription())
        if isinstance(event, enableBLOB):
            subscription.set_policy(event.devicename, event.vectorname, event.policy)
        else:
            subscription.add(event.devicename, event.vectorname)

    # Who hears ---------------------------------------------------------------------------------

    def owners(self, devicename: str | None) -> tuple[D, ...]:
        """The drivers that a request for a device, or for all, goes to."""
        if devicename is None or devicename == CHAINED:
            return tuple(dict.fromkeys(self._owners.values()))
        return (self._owners[devicename],) if devicename in self._owners else ()

    def clients(self, event: Any) -> tuple[C, ...]:
        """The clients that hear what a driver says."""
        place = (type(event), event.devicename, getattr(event, "vectorname", None))
        route = self._routes.get(place)
        if route is None:
            route = tuple(c for c, wants in self._clients.items() if wants.hears(event))
            if len(self._routes) >= MAX_ROUTES:
                self._routes.clear()
            self._routes[place] = route
        return route

    def snoopers(self, event: Any, speaker: D) -> tuple[D, ...]:
        """The drivers that hear what another one says."""
        if not self._snoopers or (isinstance(event, Message) and event.devicename is None):
            return ()
        return tuple(
            driver
            for driver, wants in self._snoopers.items()
            if driver is not speaker and wants.hears(event)
        )
