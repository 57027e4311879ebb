"""Finds what a user has named at a server, or says that it is not there, and what is like it.

All commands that look for a device, a property or a member refuse in these words.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import click
import trio

from trindi.cli.addresses import Address, Part, Pattern, join
from trindi.cli.lines import ATTRIBUTES
from trindi.client import IPyClient
from trindi.errors import TrindiError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trindi.client import RemoteVector

__all__ = ["find_vector", "hints", "look", "refuse"]

_LOOK_SECONDS: Final = 0.5
"""Seconds in which a server is to say what other devices it has, so that a like one is named."""

_QUIET: Final = 0.1
"""Seconds without a definition after which that is taken for all."""

_MAX_ALIKE: Final = 3
"""Addresses that are named because they are like the one that is not there."""

_MAX_NAMES: Final = 10
"""Members that are named where none is like the one that is not there."""

Wanted: TypeAlias = Address | Pattern
Place: TypeAlias = tuple[str, ...]


async def find_vector(client: IPyClient, wanted: Address, timeout: float) -> RemoteVector:
    """Wait for a property, but not longer than that.

    Raises:
        ClickException: it is not there.
    """
    with trio.move_on_after(timeout):
        return await client.wait_defined(wanted.devicename, wanted.vectorname)
    raise await refuse(client, [Address(wanted.devicename, wanted.vectorname)])


async def refuse(
    client: IPyClient, wanted: Iterable[Wanted], *, all_asked: bool = False
) -> click.ClickException:
    """Return what is to be raised where something is not there, having looked what is like it.

    Args:
        client: has been told of what there is.
        wanted: what is not there.
        all_asked: the client has asked for all devices already, and not for some by their names.
    """
    names = ", ".join((await hints(client, wanted, all_asked=all_asked)).values())
    reason = "" if client.connected else ", which has closed the connection"
    return click.ClickException(f"no {names} from {client.host}:{client.port}{reason}")


async def hints(
    client: IPyClient, wanted: Iterable[Wanted], *, all_asked: bool = False
) -> dict[Wanted, str]:
    """Write addresses that are not there, with what is like each, if there is something.

    Args: see `refuse`.
    """
    every: Mapping[str, Any] = client
    found: dict[Wanted, str] = {}
    for one in wanted:
        device = _parts(one)[0]
        unknown = device.is_exact and device.name not in client
        if unknown and every is client and not all_asked:
            # Who has asked indiserver for one device is not told of others on that connection.
            every = await look(client.host, client.port, _LOOK_SECONDS, _QUIET)
        found[one] = _hinted(every if unknown else client, one)
    return found


async def look(host: str, port: int, seconds: float, quiet: float) -> IPyClient:
    """Look for a moment what a server has; return a client that has seen it, as far as it could."""
    client = IPyClient(host, port)
    with trio.move_on_after(seconds):
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(client.run)
                await client.wait_settled(quiet=quiet)
                nursery.cancel_scope.cancel()
        # Connecting raises others, too: of a host that cannot be one.
        except (OSError, ValueError, TrindiError, ExceptionGroup):
            pass
    return client


def _hinted(devices: Mapping[str, Any], wanted: Wanted) -> str:
    name, beside = _beside(devices, _parts(wanted))
    alike = _most_like(name, beside)
    if alike:
        return f"{wanted} (did you mean {' or '.join(join(*place) for place in alike)}?)"
    members = [place[2] for place in beside if len(place) == 3 and place[2] not in ATTRIBUTES]
    if members and len({place[:2] for place in beside}) == 1:
        known = ", ".join(members[:_MAX_NAMES]) + (", …" if len(members) > _MAX_NAMES else "")
        return f"{wanted} ({join(*beside[0][:2])} has {known})"
    return str(wanted)


def _parts(wanted: Wanted) -> Sequence[Part]:
    if isinstance(wanted, Pattern):
        return wanted[1:]
    return [Part(name, quoted=True) for name in wanted if name]


def _beside(devices: Mapping[str, Any], parts: Sequence[Part]) -> tuple[str, list[Place]]:
    """Return the first name that is not there, and the places where it could have been.

    There are none where all is there, or where no one name is meant.
    """
    found: list[tuple[Place, Any]] = [((), devices)]
    for part in parts:
        beside = [one for place, inside in found for one in _below(place, inside)]
        found = [one for one in beside if part.matches(one[0][-1])]
        if not found:
            return part.name, [place for place, _ in beside if part.is_exact]
    return "", []


def _below(place: Place, inside: Mapping[str, Any]) -> Iterable[tuple[Place, Any]]:
    names = [*inside, *ATTRIBUTES] if len(place) == 2 else inside
    return [((*place, name), inside.get(name)) for name in names]


def _most_like(wanted: str, places: Iterable[Place]) -> list[Place]:
    """Return the places whose last names are most like the one that is wanted, in any case."""
    folded: dict[str, list[Place]] = {}
    for place in places:
        folded.setdefault(place[-1].casefold(), []).append(place)
    names = difflib.get_close_matches(wanted.casefold(), folded, _MAX_ALIKE)
    return [place for name in names for place in folded[name]][:_MAX_ALIKE]
