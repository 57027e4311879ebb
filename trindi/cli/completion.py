"""Completes names of devices, properties and members, with what a server has.

The shell starts trindi anew for each TAB, and the user waits: the server is asked for a moment
only. If that fails, nothing is completed, and nothing is printed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from trindi.cli.addresses import join
from trindi.cli.conditions import start_of_operand, write_address
from trindi.cli.getprop_format import ATTRIBUTES
from trindi.cli.lookup import browse
from trindi.protocol import Kind, Permission, SwitchState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import click

    from trindi.client import RemoteVector


_TIMEOUT: Final = 1.0
"""Seconds in which a server must have defined its properties."""

_QUIET: Final = 0.15
"""Seconds without a definition after which the server has defined all."""


def complete_devices(ctx: click.Context, typed: str) -> list[str]:
    """Complete the name of a device."""
    return _beginning(typed, (one.devicename for one in _vectors(ctx)))


def complete_members(ctx: click.Context, typed: str) -> list[str]:
    """Complete the address of a member or an attribute that can be read."""
    return _beginning(typed, (join(*names) for names in _readable(ctx, typed)))


def complete_assignments(ctx: click.Context, typed: str) -> list[str]:
    """Complete the address of a member that can be set, with the "=", and the value of a switch."""
    offered: list[str] = []
    for vector in _vectors(ctx):
        for name in vector if vector.perm is not Permission.RO else ():
            start = f"{join(vector.devicename, vector.name, name)}="
            if not typed.startswith(start):
                offered.append(start)
            elif vector.kind is Kind.SWITCH:
                offered += [f"{start}{state}" for state in (SwitchState.ON, SwitchState.OFF)]
    return _beginning(typed, offered)


def complete_conditions(ctx: click.Context, typed: str) -> list[str]:
    """Complete the address at the end of a condition, quoted as a condition needs it."""
    start = start_of_operand(typed)
    before, typed = typed[:start], typed[start:]
    quote = typed[:1] if typed[:1] in {'"', "'"} else '"'
    forms = [(write_address(one, quote), join(*one)) for one in _readable(ctx, typed)]
    return [f"{before}{form[0]}" for form in forms if any(one.startswith(typed) for one in form)]


def complete_blobs(ctx: click.Context, typed: str) -> list[str]:
    """Complete the address of a BLOB vector."""
    blobs = (one for one in _vectors(ctx) if one.kind is Kind.BLOB)
    return _beginning(typed, (join(one.devicename, one.name) for one in blobs))


def _readable(ctx: click.Context, typed: str) -> Iterator[tuple[str, str, str]]:
    """Yield members with a value, and attributes if one has been begun."""
    attributes = ATTRIBUTES if "._" in typed else ()
    for vector in _vectors(ctx):
        for name in (*(vector if vector.kind is not Kind.BLOB else ()), *attributes):
            yield vector.devicename, vector.name, name


def _beginning(typed: str, names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name for name in names if name.startswith(typed)))


def _vectors(ctx: click.Context) -> list[RemoteVector]:
    """Ask the server that the command line names so far."""
    host, port = ctx.params.get("host") or "localhost", ctx.params.get("port") or 7624
    client = trio.run(browse, host, port, _TIMEOUT, _QUIET)
    return [vector for device in client.values() for vector in device.values()]
