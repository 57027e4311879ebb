"""``trindi wait``: until a condition on values holds, which is looked at with every change."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import click
import trio

from trindi.cli.addresses import Address
from trindi.cli.completion import complete_conditions
from trindi.cli.expressions import Condition, ConditionError, parse_condition, shown
from trindi.cli.finding import hints, refuse
from trindi.cli.lines import ATTRIBUTES, kind_of
from trindi.cli.ranges import SECONDS
from trindi.cli.running import run_client, server_options
from trindi.client import IPyClient
from trindi.protocol import DefVector, Kind, Message, SetVector, delProperty, format_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trindi.cli.addresses import Pattern
    from trindi.protocol import SnoopEvent

__all__ = ["wait"]

_SILENCE_SECONDS: Final = 5.0
"""Seconds after which a user is told what is not there."""


@click.command()
@click.argument("condition", type=parse_condition, shell_complete=complete_conditions)
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
    parentheses. Texts are quoted, and so are names with blanks or dots, all of it within the quotes
    of the shell. Numbers may be sexagesimal. As with trindi get, _STATE and other attributes stand
    in the place of a member; of BLOBs only they can be compared. What is not there yet is waited
    for.

    Exit status: 0 once it holds; 1 if it does not within --timeout, or the server has gone; 2 if
    it compares what cannot be compared.
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
        timeout: float | None,
    ) -> None:
        self._client = client
        self._events = client.events()
        self._condition = condition
        self._values: dict[Address, Any] = dict.fromkeys(addresses)
        self._timeout = math.inf if timeout is None else timeout

    async def run(self, _client: IPyClient) -> None:
        """Wait until the condition holds.

        Raises:
            ClickException: it does not, or cannot.
        """
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_what_is_missing)
            try:
                await self._look()
            except Exception as error:
                failure = error
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _look(self) -> None:
        with trio.move_on_after(self._timeout):
            async for event in self._events:
                await self._take(event)
                if self._condition.holds(self._values.get):
                    return
            raise click.ClickException("the server has closed the connection")
        names = await self._missing()
        known = ", ".join(
            f"{names[one]} is not there" if value is None else f"{one} is {shown(value)}"
            for one, value in self._values.items()
        )
        raise click.ClickException(f"not within {self._timeout:g} s: {known}")

    async def _missing(self) -> dict[Address | Pattern, str]:
        missing = [one for one, value in self._values.items() if value is None]
        return await hints(self._client, missing)

    async def _tell_what_is_missing(self) -> None:
        """Say it while there is still time to mend it: a name may be written wrongly."""
        await trio.sleep(_SILENCE_SECONDS)
        if names := await self._missing():
            text = f"So far there is no {', '.join(names.values())}; it is waited for"
            click.echo(text, err=True)

    async def _take(self, event: SnoopEvent) -> None:
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
                await self._take_one(event, address)

    async def _take_one(self, event: DefVector | SetVector, address: Address) -> None:
        if isinstance(event, DefVector):
            await self._mind(event, address)
        name = address.membername
        value = _attribute(event, name) if name in ATTRIBUTES else event.get(name)
        if value is not None:
            self._values[address] = value

    async def _mind(self, event: DefVector, address: Address) -> None:
        """Mind that what a definition says can be waited for.

        Raises:
            ClickException: it would be in vain.
        """
        name = address.membername
        if name not in event and not (name in ATTRIBUTES and hasattr(event, ATTRIBUTES[name])):
            raise await refuse(self._client, [address])
        if kind_of(event) is Kind.BLOB:
            place = Address(address.devicename, address.vectorname)
            if name not in ATTRIBUTES:
                raise ConditionError(
                    f"{address} is a BLOB, and has no value to compare: compare {place}._STATE"
                )
            # Its state, too, is reported only to who wants the BLOBs.
            await self._client.enable_blobs(*place[:2])


def _attribute(event: DefVector | SetVector, name: str) -> Any:
    value = getattr(event, ATTRIBUTES[name], None)
    return format_timestamp(value) if name == "_TS" and value is not None else value
