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

MAX_INTERESTS: Final = 65536
"""Properties that one subscription may name; a client that names more hears everything."""

CHAINED: Final = "*"
"""The device that a chained indiserver asks for: it means all (§5.5)."""


class Subscription:
    """What one client, or one snooping driver, wants to hear."""

    def __init__(self) -> None:
        self.everything = False
        self._devices: set[str] = set()
        self._vectors: dict[str, set[str]] = {}
        self._count = 0
        self._policies: dict[tuple[str, str | None], BLOBPolicy] = {}

    def add(self, devicename: str | None, vectorname: str | None) -> bool:
        """Subscribe to everything, a device, or one property; True where that is new."""
        if devicename is None or devicename == CHAINED or self._count >= MAX_INTERESTS:
            new = not self.everything
            self.everything = True
            return new
        before = self._count
        if vectorname is None:
            self._count += devicename not in self._devices
            self._devices.add(devicename)
        else:
            names = self._vectors.setdefault(devicename, set())
            self._count += vectorname not in names
            names.add(vectorname)
        return self._count > before

    def set_policy(self, devicename: str, vectorname: str | None, policy: BLOBPolicy) -> None:
        """Keep what is wanted of BLOBs; the last one said wins."""
        if vectorname is None:
            # What is said of a device is newer than what was said of its properties.
            for place in [place for place in self._policies if place[0] == devicename]:
                del self._policies[place]
        if len(self._policies) < MAX_INTERESTS:
            self._policies[devicename, vectorname] = policy

    def policy(self, devicename: str, vectorname: str | None) -> BLOBPolicy:
        """What is wanted of the BLOBs of a property: its own policy, its device's, or Never."""
        device = self._policies.get((devicename, None), BLOBPolicy.NEVER)
        return self._policies.get((devicename, vectorname), device)

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
        return self._policies.get((devicename, None)) is not BLOBPolicy.ONLY

    def _covers(self, devicename: str, vectorname: str | None, event: Any) -> bool:
        if self.everything or devicename in self._devices:
            return True
        names = self._vectors.get(devicename)
        if names is None:
            return False
        if vectorname is None:
            return isinstance(event, delProperty)
        return vectorname in names


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
