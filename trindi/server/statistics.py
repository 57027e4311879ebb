"""What a server says of itself at one moment."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientStatistics:
    """One client.

    Attributes:
        peer: its address.
        queue_bytes: bytes that wait for it.
        lagging: it does not keep up just now.
        drops: events that a newer one took the place of.
        events_in: events it has sent.
        events_out: events it has been given.
        errors: malformed elements it has sent, but for requests that a driver has refused.
        in_flight: requests of it that wait for their handlers, or are with them.
    """

    peer: str
    queue_bytes: int
    lagging: bool
    drops: int
    events_in: int
    events_out: int
    errors: int
    in_flight: int


@dataclass(frozen=True, slots=True)
class DriverStatistics:
    """One driver.

    Attributes:
        devices: names of its devices.
        running: it is not down.
        restarts: how often it has been started again.
        events_in: requests it has been given.
        events_out: events it has sent.
    """

    devices: tuple[str, ...]
    running: bool
    restarts: int
    events_in: int
    events_out: int


@dataclass(frozen=True, slots=True)
class ServerStatistics:
    """The whole server at one moment.

    Attributes:
        clients: those that are connected.
        drivers: all of them.
        turned_away: how many clients were over the bound.
        queue_bytes: bytes that wait for all clients together.
        drops: events that newer ones took the place of, for clients that have left included.
        events_in: events that clients have sent, those that have left included.
        events_out: events that clients have been given, those that have left included.
        restarts: how often drivers have been started again.
    """

    clients: tuple[ClientStatistics, ...]
    drivers: tuple[DriverStatistics, ...]
    turned_away: int
    queue_bytes: int
    drops: int
    events_in: int
    events_out: int
    restarts: int
