"""Runs ``trindi wait``: checks a condition at each change until it holds."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click
import trio

from trindi.cli.client_app import closed_connection, run_client
from trindi.cli.conditions import Condition, ConditionError, written
from trindi.cli.getprop_format import ATTRIBUTES, kind_of
from trindi.cli.lookup import hints, refusal
from trindi.cli.output import say
from trindi.client import IPyClient
from trindi.protocol import DefVector, Kind, Message, SetVector, delProperty, ends, format_timestamp

if TYPE_CHECKING:
    from trindi.cli.addresses import Address, Pattern
    from trindi.protocol import SnoopEvent

# A name may have such signs; it is more likely that somebody calculates.
_CALCULATES: Final = re.compile(r"[\d:]+[-+*/%].*|.*[^.][-+*/%][\d:]+", re.DOTALL)
_NOTICE_AFTER: Final = 5.0  # seconds after which the user is told what is not defined yet


@dataclass
class Waiter:
    """Checks a condition with each event, so that no short moment is missed."""

    host: str
    port: int
    condition: Condition
    timeout: float = math.inf
    notice_after: float = _NOTICE_AFTER

    def __post_init__(self) -> None:
        self._values: dict[Address, Any] = dict.fromkeys(self.condition.addresses)
        devices = list(dict.fromkeys(address.devicename for address in self._values))
        self._client = IPyClient(self.host, self.port, ask_for=devices)
        self._events = self._client.events()

    def run(self) -> None:
        """Wait, and raise ClickException if the condition does not hold in time, or cannot."""
        run_client(self._run, self._client)

    async def _run(self, _client: IPyClient) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._print_notice)
            await self._wait()
            nursery.cancel_scope.cancel()

    async def _wait(self) -> None:
        with trio.move_on_after(self.timeout):
            async for event in self._events:
                await self._take(event)
                if self.condition.holds(self._values.get):
                    return
            raise closed_connection(self._client)
        names = await self._missing()
        known = ", ".join(
            f"{names[one]} is not there" if value is None else f"{one} is {written(value)}"
            for one, value in self._values.items()
        )
        raise click.ClickException(f"not within {self.timeout:g} s: {known}")

    async def _missing(self) -> dict[Address | Pattern, str]:
        missing = [one for one, value in self._values.items() if value is None]
        return {
            one: text + _sign_hint(one)
            for one, text in (await hints(self._client, missing)).items()
        }

    async def _print_notice(self) -> None:
        """Print what is not defined yet: its name may be misspelt."""
        await trio.sleep(self.notice_after)
        if names := await self._missing():
            say(f"So far there is no {', '.join(names.values())}; still waiting", err=True)

    async def _take(self, event: SnoopEvent) -> None:
        for address in self._values:
            names, name = address[:2], address.membername
            if ends(event, *names):
                self._values[address] = None
            if isinstance(event, Message | delProperty):
                continue
            if names != (event.devicename, event.vectorname):
                continue
            if isinstance(event, DefVector):
                await self._check_definition(event, address)
            value = _attribute(event, name) if name in ATTRIBUTES else event.get(name)
            if value is not None:
                self._values[address] = value

    async def _check_definition(self, event: DefVector, address: Address) -> None:
        name = address.membername
        if name not in event and not (name in ATTRIBUTES and hasattr(event, ATTRIBUTES[name])):
            error = await refusal(self._client, [address])
            raise click.ClickException(error.message + _sign_hint(address))
        if kind_of(event) is Kind.BLOB:
            if name not in ATTRIBUTES:
                instead = f"compare {address.vector}._STATE"
                raise ConditionError(f"{address} is a BLOB, and has no value to compare: {instead}")
            # Servers send the state of a BLOB vector only to clients that have enabled its BLOBs.
            await self._client.enable_blobs(*address[:2])


def _sign_hint(missing: Address | Pattern) -> str:
    calculates = _CALCULATES.fullmatch(str(missing))
    return " (to calculate, put blanks around + - * / %)" if calculates else ""


def _attribute(event: DefVector | SetVector, name: str) -> Any:
    value = getattr(event, ATTRIBUTES[name], None)
    return format_timestamp(value) if name == "_TS" and value is not None else value
