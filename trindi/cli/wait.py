"""``trindi wait``: until a condition on values holds, which is looked at with every change."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click
import trio

from trindi.cli.expressions import Condition, Look, parse_condition
from trindi.cli.running import run_client, server_options
from trindi.client import IPyClient
from trindi.protocol import format_timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trindi.cli.addresses import Address
    from trindi.client import RemoteVector

__all__ = ["wait"]

_ATTRIBUTES: Final[Mapping[str, Callable[[RemoteVector], Any]]] = {
    "_LABEL": lambda vector: vector.label,
    "_GROUP": lambda vector: vector.group,
    "_STATE": lambda vector: vector.state,
    "_PERM": lambda vector: vector.perm,
    "_TO": lambda vector: vector.timeout,
    "_TS": lambda vector: format_timestamp(vector.timestamp),
}


@click.command()
@click.argument("condition", type=parse_condition)
@click.option(
    "-t",
    "--timeout",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long to wait.  [default: for ever]",
)
@server_options
def wait(condition: Condition, timeout: float | None, host: str, port: int) -> None:
    r"""Wait until a condition holds.

    \b
    trindi wait 'Thermostat.temperaturevector.temperature > 15'
    trindi wait '"CCD Simulator".CCD1._STATE == Ok or not Dome.SHUTTER.OPEN == On'

    Values are compared with == != < <= > >=, and comparisons joined with and, or, not and
    parentheses. Texts are quoted, and so are names with blanks or dots. Numbers may be sexagesimal.
    As with trindi get, _STATE and other attributes stand in the place of a member. What is not
    there yet is waited for.

    Exit status: 0 once it holds; 1 if it does not within --timeout, or the server has gone.
    """
    addresses = condition.addresses()
    if not addresses:
        raise click.UsageError("the condition is about no property")
    devices = list(dict.fromkeys(address.devicename for address in addresses))
    work = partial(_wait, condition, math.inf if timeout is None else timeout)
    run_client(work, IPyClient(host, port, ask_for=devices))


async def _wait(condition: Condition, patience: float, client: IPyClient) -> None:
    look = partial(_look, client)
    with trio.move_on_after(patience):
        await _wait_until(condition, look, client)
        return
    known = ", ".join(f"{one} is {_shown(look(one))}" for one in condition.addresses())
    raise click.ClickException(f"not within {patience:g} s: {known}")


async def _wait_until(condition: Condition, look: Look, client: IPyClient) -> None:
    """Look whenever one of the properties has changed, so that no moment is missed."""

    async def mind(devicename: str, vectorname: str) -> None:
        await client.wait_for(devicename, vectorname, lambda _vector: condition.holds(look) is True)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for place in dict.fromkeys(address[:2] for address in condition.addresses()):
            nursery.start_soon(mind, *place)


def _look(client: IPyClient, address: Address) -> Any:
    """Say what a value is now; None where it is not known.

    Raises:
        ClickException: there is no such member.
    """
    device = client.get(address.devicename)
    vector = None if device is None else device.get(address.vectorname)
    if vector is None or vector.stale:
        return None
    attribute = _ATTRIBUTES.get(address.membername)
    if attribute is not None:
        return attribute(vector)
    try:
        return vector.member(address.membername).value
    except KeyError as error:
        raise click.ClickException(error.args[0]) from None


def _shown(value: Any) -> str:
    if value is None:
        return "not there"
    return f"{value:g}" if isinstance(value, float) else repr(str(value))
