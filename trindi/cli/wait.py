"""``trindi wait``: until a condition on values holds, which is looked at with every change."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import click
import trio

from trindi.cli.expressions import Condition, parse_condition
from trindi.cli.ranges import SECONDS
from trindi.cli.running import run_client, server_options
from trindi.client import IPyClient
from trindi.protocol import DefVector, Message, SetVector, delProperty, format_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from trindi.cli.addresses import Address
    from trindi.protocol import SnoopEvent

__all__ = ["wait"]

_ATTRIBUTES: Final[Mapping[str, str]] = {
    "_LABEL": "label",
    "_GROUP": "group",
    "_STATE": "state",
    "_PERM": "perm",
    "_TO": "timeout",
    "_TS": "timestamp",
}


@click.command()
@click.argument("condition", type=parse_condition)
@click.option(
    "-t",
    "--timeout",
    type=SECONDS,
    help="How long to wait.  [default: for ever]",
)
@server_options
def wait(condition: Condition, timeout: float | None, host: str, port: int) -> None:
    """Wait until a condition holds.

    \b
    trindi wait 'Thermostat.temperaturevector.temperature > 15'
    trindi wait '"CCD Simulator".CCD1._STATE == Ok or not Dome.SHUTTER.OPEN == On'

    Values are compared with == != < <= > >=, and comparisons joined with and, or, not and
    parentheses. Texts are quoted, and so are names with blanks or dots. Numbers may be sexagesimal.
    As with trindi get, _STATE and other attributes stand in the place of a member. What is not
    there yet is waited for.

    Exit status: 0 once it holds; 1 if it does not within --timeout, or the server has gone.
    """  # noqa: D301 - for click
    addresses = condition.addresses()
    if not addresses:
        raise click.UsageError("the condition is about no property")
    devices = list(dict.fromkeys(address.devicename for address in addresses))
    client = IPyClient(host, port, ask_for=devices)
    run_client(_Waiter(client, condition, addresses, timeout).run, client)


class _Waiter:
    """Looks at a condition with each event, so that no moment is missed."""

    def __init__(
        self,
        client: IPyClient,
        condition: Condition,
        addresses: Iterable[Address],
        patience: float | None,
    ) -> None:
        self._events = client.events()
        self._condition = condition
        self._values: dict[Address, Any] = dict.fromkeys(addresses)
        self._patience = math.inf if patience is None else patience

    async def run(self, _client: IPyClient) -> None:
        """Wait until the condition holds.

        Raises:
            ClickException: it does not, or cannot.
        """
        with trio.move_on_after(self._patience):
            async for event in self._events:
                self._take(event)
                if self._condition.holds(self._values.get):
                    return
            raise click.ClickException("the server has closed the connection")
        known = ", ".join(f"{one} is {_shown(value)}" for one, value in self._values.items())
        raise click.ClickException(f"not within {self._patience:g} s: {known}")

    def _take(self, event: SnoopEvent) -> None:
        """Take the values that an event brings."""
        if isinstance(event, Message):
            return
        for address in self._values:
            if event.devicename not in (None, address.devicename):
                continue
            if event.vectorname not in (None, address.vectorname):
                continue
            if isinstance(event, delProperty):
                self._values[address] = None
            else:
                self._take_one(event, address)

    def _take_one(self, event: DefVector | SetVector, address: Address) -> None:
        name = address.membername
        value = _attribute(event, name) if name in _ATTRIBUTES else event.get(name)
        if value is not None:
            self._values[address] = value
        elif isinstance(event, DefVector) and name not in event and name not in _ATTRIBUTES:
            # It will not have it later: to wait would be in vain.
            known = ", ".join(event)
            raise click.ClickException(f"{address} is not there: {event.vectorname} has {known}")


def _attribute(event: DefVector | SetVector, name: str) -> Any:
    value = getattr(event, _ATTRIBUTES[name], None)
    return format_timestamp(value) if name == "_TS" and value is not None else value


def _shown(value: Any) -> str:
    if value is None:
        return "not there"
    return f"{value:g}" if isinstance(value, float) else repr(str(value))
