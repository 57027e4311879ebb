"""``trindi set``: ask devices for new values, each read as the property's definition wants it."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click
import trio

from trindi.cli.addresses import Address, AddressError, join, make_address, split
from trindi.cli.completion import complete_assignments
from trindi.cli.finding import find_vector, refuse
from trindi.cli.running import patience_option, run_client, server_options, timeout_of
from trindi.client import IPyClient, PropertyError, PropertyTimeout
from trindi.client.requests import check_writable, make_request
from trindi.protocol import Kind, SwitchState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trindi.client import RemoteVector

__all__ = ["set_values"]


class Assignment(NamedTuple):
    """A member and what it is to be, as typed."""

    address: Address
    text: str


def parse_assignment(text: str) -> Assignment:
    """Read DEV.VEC.MEMBER=VALUE.

    Raises:
        AddressError: it is none.
    """
    parts, rest = split(text)
    if not rest.startswith("="):
        raise AddressError(f"{text!r} is not DEVICE.VECTOR.MEMBER=VALUE")
    return Assignment(make_address(parts, "", text), rest[1:])


class Request(NamedTuple):
    """What is asked of one property: member name to text."""

    devicename: str
    vectorname: str
    texts: dict[str, str]

    @property
    def place(self) -> Address:
        """The property."""
        return Address(self.devicename, self.vectorname)


@click.command("set")
@click.argument(
    "assignments",
    metavar="DEV.VEC.MEMBER=VALUE...",
    nargs=-1,
    required=True,
    type=parse_assignment,
    shell_complete=complete_assignments,
)
@click.option("--wait", is_flag=True, help="Wait until each is done, before the next is asked for.")
@patience_option(
    "How long to wait for a property that is not there, and with --wait for each until it is done.",
    beyond="; until it is done, as long as the property says, or for ever if it says nothing",
)
@server_options
def set_values(
    assignments: tuple[Assignment, ...], wait: bool, timeout: float | None, host: str, port: int
) -> None:
    """Set values of properties.

    What VALUE is depends on the property: a number (also sexagesimal, 12:30:00), On or Off, a text,
    or for a BLOB @FILE. Members of one vector go in one request. What cannot be right (read-only,
    beyond the limits, against the rule of switches) is refused before anything is sent.

    With --wait, properties are set one after another, each once the one before is Ok or Idle. So
    what a device defines only when it is connected can be set in the same command. Each may take
    as long as the property says itself, or as --timeout allows, whatever it says.

    Exit status: 0 if the server has it, or it is done with --wait; 1 if it was refused, or may be
    lost on its way, or the device reports Alert, or takes too long.
    """
    requests = group(assignments)
    work = partial(_set, requests, wait, timeout)
    devices = list(dict.fromkeys(request.devicename for request in requests))
    # With --wait, the devices have confirmed each request already.
    run_client(work, IPyClient(host, port, ask_for=devices), farewell=not wait)


def group(assignments: tuple[Assignment, ...]) -> list[Request]:
    """Make one request of all that is asked of one property.

    Raises:
        UsageError: one member is given two values.
    """
    requests: dict[tuple[str, str], Request] = {}
    for address, text in assignments:
        names = (address.devicename, address.vectorname)
        texts = requests.setdefault(names, Request(*names, {})).texts
        if address.membername in texts:
            raise click.UsageError(f"{address} is given two values")
        texts[address.membername] = text
    return list(requests.values())


async def _set(requests: list[Request], wait: bool, bound: float | None, client: IPyClient) -> None:
    timeout = timeout_of(bound)
    for request in requests[:1] if wait else requests:
        await find_vector(client, request.place, timeout)
    # All that is known is checked before anything is sent.
    for request in requests:
        if request.vectorname in client.get(request.devicename, ()):
            await _check(client, client[request.devicename][request.vectorname], request)
    for request in requests:
        vector = await find_vector(client, request.place, timeout)
        values = await _check(client, vector, request)
        if wait:
            await _set_and_wait(client, vector, values, bound)
        else:
            await vector.set(values)


async def _set_and_wait(
    client: IPyClient, vector: RemoteVector, values: dict[str, Any], bound: float | None
) -> None:
    """Set values, and wait until the device has them.

    Args:
        client: has the vector.
        vector: is asked for them.
        values: what it is asked for.
        bound: seconds that it may take, or None for what it says itself.

    Raises:
        ClickException: it takes longer.
    """
    names = (vector.devicename, vector.name)
    try:
        with trio.fail_after(math.inf if bound is None else bound):
            if vector.kind is Kind.BLOB:
                # The answer is a BLOB vector, too.
                await client.enable_blobs(*names)
            # Where the user has said it, what the property says does not count: 0 means any time.
            await client.set_and_wait(*names, values, timeout=None if bound is None else 0)
    except trio.TooSlowError:
        took = f"{bound:g} s have passed"
    except PropertyTimeout as error:
        took = f"{error.message}; it may take longer with --timeout"
    except PropertyError as error:
        raise click.ClickException(str(error).replace(" ".join(names), join(*names), 1)) from None
    else:
        return
    raise click.ClickException(f"{join(*names)} is still {vector.state}: {took}")


# Values ----------------------------------------------------------------------------------------


async def _check(client: IPyClient, vector: RemoteVector, request: Request) -> dict[str, Any]:
    """Return the values that are asked for, having checked them.

    Raises:
        ClickException: they cannot be right.
    """
    unknown = [name for name in request.texts if name not in vector]
    if unknown:
        raise await refuse(client, [Address(*request[:2], name) for name in unknown])
    try:
        check_writable(vector, request.texts)
        read = _READ.get(vector.kind, _as_typed)
        values = {name: read(name, text) for name, text in request.texts.items()}
        make_request(vector, values)
    except (ValueError, TypeError) as error:
        reason = str(error.args[0]).replace(f"{' '.join(request[:2])} is", "it is", 1)
        raise click.ClickException(f"cannot set {request.place}: {reason}") from None
    return values


def _as_typed(_name: str, text: str) -> str:
    """Numbers and texts are read further down."""
    return text


def _switch(name: str, text: str) -> SwitchState:
    try:
        return SwitchState(text.capitalize())
    except ValueError:
        raise ValueError(f"{name} is On or Off, not {text!r}") from None


def _file(name: str, text: str) -> Path:
    if not text.startswith("@"):
        raise ValueError(f"{name} is a BLOB, and is given as @FILE")
    return Path(text[1:])


_READ: Final[Mapping[Kind, Callable[[str, str], Any]]] = {Kind.SWITCH: _switch, Kind.BLOB: _file}
