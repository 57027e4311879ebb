"""What a server says of itself at one moment."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ClientStatistics:
    """One client."""

    peer: str  # its address
    queue_bytes: int  # bytes that wait for it
    lagging: bool  # it does not keep up just now
    drops: int  # events that were replaced by newer ones, or dropped
    events_in: int  # events that it has sent
    events_out: int  # events that it has been given
    errors: int  # malformed elements that it has sent; requests that a driver refused are none
    in_flight: int  # requests of it that wait for their handlers, or are with them


@dataclass(frozen=True, slots=True)
class DriverStatistics:
    """One driver, or another upstream."""

    devices: tuple[str, ...]  # names of its devices
    running: bool  # it is not down
    restarts: int  # how often it has been started again
    events_in: int  # requests that it has been given
    events_out: int  # events that it has sent


@dataclass(frozen=True, slots=True)
class ServerStatistics:
    """The whole server at one moment; its sums include clients that have left."""

    clients: tuple[ClientStatistics, ...]  # those that are connected
    drivers: tuple[DriverStatistics, ...]
    turned_away: int  # clients that were over the bound
    queue_bytes: int  # bytes that wait for all clients together
    drops: int
    events_in: int
    events_out: int
    restarts: int
