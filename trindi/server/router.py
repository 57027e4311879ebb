"""Who hears an event and who is asked: subscriptions, BLOB policies, snooping, ownership. Pure.

The rules are those of indiserver (protocol §5.2, §5.4) with three differences. BLOB policies are
kept by device and property, as the specification says, not by connection (§4.4). A subscriber of
one property also hears that its whole device is gone (§12). A getProperties without a device always
widens a subscription, even after narrower ones.

Clients, upstreams that snoop and chained servers are receivers alike. This module does no I/O, runs
no tasks and knows receivers and upstreams only as keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from trindi.protocol import (
    BLOBPolicies,
    BLOBPolicy,
    Event,
    Interest,
    Message,
    NewVector,
    enableBLOB,
    getProperties,
    is_all,
    setBLOBVector,
)

if TYPE_CHECKING:
    from collections.abc import Callable

C = TypeVar("C")
U = TypeVar("U")
R = TypeVar("R")

MAX_ROUTES: Final = 16384
"""Routes that are remembered; beyond it all are forgotten and found again."""

MAX_ROUTE_NAMES: Final = 512
"""Characters of device and property name up to which a route is remembered."""

RESERVATION: Final = 60.0
"""Seconds for which the name of a withdrawn device is kept for its last owner."""


class Subscription:
    """What one receiver wants to hear.

    An upstream that `snoops` hears no message that is about no device, and asking for BLOBs
    subscribes it to nothing else (§5.4).
    """

    def __init__(self, *, snoops: bool = False) -> None:
        self.interest = Interest()
        self.policies = BLOBPolicies()
        self._snoops = snoops

    def note(self, request: Event) -> bool:
        """Note what a request says of its sender's interest; True where that has changed (§5.2)."""
        if isinstance(request, enableBLOB):
            self.policies.set(request)
            if not self._snoops:
                self.interest.add(request.devicename, request.vectorname)
            return True
        if not isinstance(request, (getProperties, NewVector)):
            return False
        return self.interest.add(request.devicename, request.vectorname)

    def hears(self, event: Any) -> bool:
        """Whether an event from the owner of a device is wanted."""
        devicename: str | None = event.devicename
        if devicename is None:
            return not (self._snoops and isinstance(event, Message))
        if not self.interest.covers(event):
            return False
        if isinstance(event, setBLOBVector):
            return self.policies.find(devicename, event.vectorname) is not BLOBPolicy.NEVER
        return self.policies.find(devicename) is not BLOBPolicy.ONLY


class Route(NamedTuple, Generic[R]):
    """Who hears an event."""

    receivers: tuple[R, ...]
    as_bytes: bool  # one of them takes bytes, so that the event is to be encoded


class _Owner(NamedTuple, Generic[U]):
    """The upstream that owns a device, and when it has withdrawn it, if it has."""

    upstream: U
    withdrawn: float | None = None

    def is_free(self, now: float) -> bool:
        return self.withdrawn is not None and now - self.withdrawn >= RESERVATION


class Router(Generic[C, U]):
    """Keeps who is there and what they want, and says who hears an event.

    `C` stands for a client and `U` for an upstream; both need only be hashable. A client is a
    receiver, and so is an upstream that snoops.
    """

    def __init__(self) -> None:
        self._subscriptions: dict[C | U, Subscription] = {}
        self._takes_bytes: set[C | U] = set()
        # Whether an upstream's devices are learned from what it says.
        self._learns: dict[U, bool] = {}
        self._owners: dict[str, _Owner[U]] = {}
        self._routes: dict[tuple[type[Any], str | None, str | None, U], Route[C | U]] = {}

    # Receivers ---------------------------------------------------------------------------------

    def join(self, receiver: C | U, *, snoops: bool = False, takes_bytes: bool = True) -> None:
        """Add a receiver; it hears nothing of devices before it asks."""
        self._subscriptions[receiver] = Subscription(snoops=snoops)
        if takes_bytes:
            self._takes_bytes.add(receiver)
        self._routes.clear()

    def leave(self, receiver: C | U) -> None:
        self._subscriptions.pop(receiver, None)
        self._takes_bytes.discard(receiver)
        self._routes.clear()

    def subscribe(self, receiver: C | U, request: Event) -> None:
        """Note what a receiver wants to hear; each of its requests says so (§5.2)."""
        if self._subscriptions[receiver].note(request):
            self._routes.clear()

    def snoop(
        self, upstream: U, request: getProperties | enableBLOB, *, takes_bytes: bool = True
    ) -> None:
        if upstream not in self._subscriptions:
            self.join(upstream, snoops=True, takes_bytes=takes_bytes)
        self.subscribe(upstream, request)

    def route(self, event: Any, speaker: U) -> Route[C | U]:
        """Return who hears what an upstream says; an upstream never hears itself."""
        key = (type(event), event.devicename, getattr(event, "vectorname", None), speaker)
        route = self._routes.get(key)
        if route is None:
            route = self._find(event, speaker)
            if len(self._routes) >= MAX_ROUTES:
                self._routes.clear()
            # Long names, as only hostile programs have them, would fill the memory.
            if len(key[1] or "") + len(key[2] or "") <= MAX_ROUTE_NAMES:
                self._routes[key] = route
        return route

    def _find(self, event: Event, speaker: U) -> Route[C | U]:
        receivers = tuple(
            receiver
            for receiver, subscription in self._subscriptions.items()
            if receiver is not speaker and subscription.hears(event)
        )
        return Route(receivers, not self._takes_bytes.isdisjoint(receivers))

    # Upstreams and what they own ---------------------------------------------------------------

    def add_upstream(self, upstream: U, *, learns_devices: bool) -> None:
        self._learns[upstream] = learns_devices

    def remove_upstream(self, upstream: U) -> None:
        """Forget an upstream, what it owns and what it snoops on."""
        self.leave(upstream)
        del self._learns[upstream]
        for name in [name for name, owner in self._owners.items() if owner.upstream is upstream]:
            del self._owners[name]

    def claim(self, devicename: str, upstream: U, now: float = 0.0) -> bool:
        """Make an upstream the owner of a device; False where another one is, or for no device.

        Only a definition teaches ownership. A withdrawn name stays with its last owner for
        `RESERVATION` seconds, so that a driver that is started again finds its devices.
        """
        taken = self.is_taken(devicename, now) and self.owner(devicename) is not upstream
        if taken or is_all(devicename):
            return False
        self._owners[devicename] = _Owner(upstream)
        return True

    def withdraw(self, devicename: str, upstream: U, now: float) -> None:
        """Note that an upstream no longer defines a device of its own."""
        if self._owners.get(devicename) == _Owner(upstream):
            self._owners[devicename] = _Owner(upstream, now)
        for name in [name for name, owner in self._owners.items() if owner.is_free(now)]:
            del self._owners[name]

    def withdraw_all(self, upstream: U, now: float) -> None:
        for devicename in [name for name, one in self._owners.items() if one == _Owner(upstream)]:
            self.withdraw(devicename, upstream, now)

    def owner(self, devicename: str | None) -> U | None:
        owner = self._owners.get(devicename or "")
        return None if owner is None else owner.upstream

    def is_taken(self, devicename: str, now: float) -> bool:
        owner = self._owners.get(devicename)
        return owner is not None and not owner.is_free(now)

    def asked(
        self, request: getProperties | enableBLOB | NewVector, now: Callable[[], float] = float
    ) -> tuple[U, ...]:
        """Return the upstreams that a request goes to: the owner of the device.

        What is about all devices goes to every upstream; a getProperties for a device that nobody
        owns, to those that may have devices nobody knows yet.
        """
        devicename = request.devicename
        if is_all(devicename):
            return tuple(self._learns)
        owner = self._owners.get(devicename or "")
        if owner is not None and (owner.withdrawn is None or not owner.is_free(now())):
            return (owner.upstream,)
        if isinstance(request, getProperties):
            return tuple(upstream for upstream, learns in self._learns.items() if learns)
        return ()
