"""Looks up what a user has named, or refuses it and names what is like it.

All commands that look for a device, a property or a member refuse in these words.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, TypeAlias

import click
import trio

from trindi.cli.addresses import Address, Part, Pattern
from trindi.cli.client_app import reason_of_end
from trindi.cli.getprop_format import ATTRIBUTES
from trindi.client import IPyClient
from trindi.errors import TrindiError
from trindi.transport import host_and_port
from trindi.visible import join_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trindi.client import RemoteVector

_BROWSE_TIMEOUT, _BROWSE_QUIET = 0.5, 0.1  # seconds for other devices; without a definition
_MAX_ALIKE, _MAX_MEMBERS = 3, 10  # similar addresses in an error; members where there are none
Wanted: TypeAlias = Address | Pattern
Names: TypeAlias = tuple[str, ...]
"""A device, a device and a property, or both and a member."""


async def find_vector(client: IPyClient, wanted: Address, timeout: float) -> RemoteVector:
    """Wait for a property; raise ClickException if it is not defined within that time."""
    with trio.move_on_after(timeout):
        return await client.wait_defined(wanted.devicename, wanted.vectorname)
    raise await refusal(client, [wanted.vector])


async def refusal(client: IPyClient, wanted: Iterable[Wanted]) -> click.ClickException:
    """Return the error to raise for what the server does not have, as the client has heard."""
    names = ", ".join((await hints(client, wanted)).values())
    reason = "" if client.connected else ", which has closed the connection"
    if said := reason_of_end(client):
        reason = f": {said}"
    where = host_and_port(client.host, client.port)
    return click.ClickException(f"no {names} from {where}{reason}")


async def hints(client: IPyClient, wanted: Iterable[Wanted]) -> dict[Wanted, str]:
    """Return the text of each missing address, with similar ones if there are any."""
    everything: Mapping[str, Any] = client
    found: dict[Wanted, str] = {}
    for one in wanted:
        device = _parts(one)[0]
        unknown = device.is_exact and device.name not in client
        if unknown and everything is client:
            # indiserver tells a connection that asked for one device nothing of other devices.
            everything = await browse(client.host, client.port, _BROWSE_TIMEOUT, _BROWSE_QUIET)
        found[one] = _with_hint(everything if unknown else client, one)
    return found


async def browse(host: str, port: int, timeout: float, quiet: float) -> IPyClient:
    """Return a client that was connected for a moment, and has seen what the server defined."""
    client = IPyClient(host, port)
    with trio.move_on_after(timeout):
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(client.run)
                await client.wait_settled(quiet=quiet)
                nursery.cancel_scope.cancel()
        # ValueError: the name of the host is no name.
        except (OSError, ValueError, TrindiError, ExceptionGroup):
            pass
    return client


def _with_hint(devices: Mapping[str, Any], wanted: Wanted) -> str:
    name, siblings = _missing_part(devices, _parts(wanted))
    alike = _most_like(name, siblings)
    if alike:
        return f"{wanted} (did you mean {' or '.join(join_names(*one) for one in alike)}?)"
    members = [one[2] for one in siblings if len(one) == 3 and one[2] not in ATTRIBUTES]
    if members and len({one[:2] for one in siblings}) == 1:
        known = ", ".join(members[:_MAX_MEMBERS]) + (", …" if len(members) > _MAX_MEMBERS else "")
        return f"{wanted} ({join_names(*siblings[0][:2])} has {known})"
    return str(wanted)


def _parts(wanted: Wanted) -> Sequence[Part]:
    if isinstance(wanted, Pattern):
        return wanted[1:]
    return [Part(name, quoted=True) for name in wanted if name]


def _missing_part(devices: Mapping[str, Any], parts: Sequence[Part]) -> tuple[str, list[Names]]:
    """Return the first part, not a wildcard, that nothing matches, and what there is instead."""
    found: list[tuple[Names, Any]] = [((), devices)]
    for part in parts:
        siblings = [
            ((*names, key), inside.get(key))
            for names, inside in found
            for key in [*inside, *(ATTRIBUTES if len(names) == 2 else ())]
        ]
        found = [one for one in siblings if part.matches(one[0][-1])]
        if not found:
            return part.name, [names for names, _ in siblings if part.is_exact]
    return "", []


def _most_like(wanted: str, candidates: Iterable[Names]) -> list[Names]:
    """Return the candidates whose last names are most like the one that is wanted, in any case."""
    folded = {names: names[-1].casefold() for names in candidates}
    alike = difflib.get_close_matches(wanted.casefold(), dict.fromkeys(folded.values()), _MAX_ALIKE)
    return [names for one in alike for names in folded if folded[names] == one][:_MAX_ALIKE]
