"""Completes names of devices, properties and members, with what a server has.

The shell starts trindi anew for each TAB, and the user waits: the server is asked for a moment
only. If that fails, nothing is completed, and nothing is printed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from trindi.cli.conditions import start_of_operand, write_address
from trindi.cli.getprop_format import ATTRIBUTES
from trindi.cli.lookup import browse
from trindi.protocol import Kind, Permission, SwitchState
from trindi.visible import join_names, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import click

    from trindi.client import RemoteVector

_TIMEOUT: Final = 1.0  # seconds in which a server must have defined its properties
_QUIET: Final = 0.15  # seconds without a definition after which the server has defined all


def complete(what: str, ctx: click.Context, typed: str) -> list[str]:
    """Complete what is named, with the server that the command line names so far."""
    # A name with a control character would be another line, or worse.
    return [one for one in _offer(what, ctx, typed) if visible(one) == one]


def _offer(what: str, ctx: click.Context, typed: str) -> list[str]:
    host, port = ctx.params.get("host") or "localhost", ctx.params.get("port") or 7624
    client = trio.run(browse, host, port, _TIMEOUT, _QUIET)
    vectors = [vector for device in client.values() for vector in device.values()]
    match what:
        case "devices":
            offered = [one.devicename for one in vectors]
        case "blobs":
            offered = [
                join_names(one.devicename, one.name) for one in vectors if one.kind is Kind.BLOB
            ]
        case "members":
            offered = [join_names(*names) for names in _readable(vectors, typed)]
        case "assignments":
            offered = list(_assignments(vectors, typed))
        case _:
            return _conditions(vectors, typed)
    return list(dict.fromkeys(one for one in offered if one.startswith(typed)))


def _assignments(vectors: Sequence[RemoteVector], typed: str) -> Iterator[str]:
    """Yield addresses of members that can be set, with the "=", and the values of a switch."""
    for vector in vectors:
        for name in vector if vector.perm is not Permission.RO else ():
            start = f"{join_names(vector.devicename, vector.name, name)}="
            if not typed.startswith(start):
                yield start
            elif vector.kind is Kind.SWITCH:
                yield from (f"{start}{state}" for state in (SwitchState.ON, SwitchState.OFF))


def _conditions(vectors: Sequence[RemoteVector], typed: str) -> list[str]:
    """Complete the address at the end of a condition, quoted as a condition needs it."""
    start = start_of_operand(typed)
    before, typed = typed[:start], typed[start:]
    quote = typed[:1] if typed[:1] in {'"', "'"} else '"'
    forms = [(write_address(one, quote), join_names(*one)) for one in _readable(vectors, typed)]
    return [f"{before}{form[0]}" for form in forms if any(one.startswith(typed) for one in form)]


def _readable(vectors: Sequence[RemoteVector], typed: str) -> Iterator[tuple[str, str, str]]:
    """Yield members with a value, and attributes if one has been begun."""
    attributes = ATTRIBUTES if "._" in typed else ()
    for vector in vectors:
        for name in (*(vector if vector.kind is not Kind.BLOB else ()), *attributes):
            yield vector.devicename, vector.name, name
