"""``trindi get``: the values that a server has now, in the lines of ``indi_getprop``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click
import trio

from trindi.cli.addresses import Pattern, devices_of, join, parse_pattern
from trindi.cli.lines import ATTRIBUTES, Line, kind_of, lines_of, to_json
from trindi.cli.running import patience_option, run_client, server_options
from trindi.client import IPyClient, NotConnected, Settled
from trindi.protocol import DefVector, Kind, Permission

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["get"]

EVERYTHING = Pattern("*.*.*")

_AT_HAND = 0.3
"""Seconds without a definition after which all are here, where the server says that they are: one
that answers a ping in between looks as if it had told all."""


@click.command()
@click.argument("patterns", metavar="[DEV.VEC.MEMBER]...", nargs=-1, type=parse_pattern)
@patience_option("How long to wait for what is not there, or for more where a * may match more.")
@click.option("-1", "--value", "only_value", is_flag=True, help="Print just the value, of one.")
@click.option("-w", "--write-only", is_flag=True, help="Include write-only properties.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@server_options
def get(
    patterns: tuple[Pattern, ...],
    timeout: float,
    only_value: bool,
    write_only: bool,
    as_json: bool,
    host: str,
    port: int,
) -> None:
    """Print the values of properties.

    Each line is DEVICE.VECTOR.MEMBER=VALUE, as indi_getprop of libindi prints it. A * stands for
    any characters; what is left out matches all: "trindi get Thermostat" prints all of the device.

    In the place of MEMBER, an attribute of the vector: _STATE, _LABEL, _GROUP, _PERM, _TO (its
    timeout) or _TS (its timestamp).

    Exit status: 0 if there was something for each, 1 if not.
    """
    wanted = patterns or (EVERYTHING,)
    alone = only_value and len(wanted) == 1 and wanted[0].is_exact

    def show(line: Line) -> None:
        click.echo(to_json(line.data) if as_json else line.text if alone else str(line))

    client = IPyClient(host, port, ask_for=devices_of(wanted))
    search = _Search(client, wanted, timeout, write_only, show)
    run_client(search.run, client)


class _Search:
    """Looks for what is wanted in the definitions of a server, as they arrive."""

    def __init__(
        self,
        client: IPyClient,
        wanted: tuple[Pattern, ...],
        patience: float,
        write_only: bool,
        show: Callable[[Line], None],
    ) -> None:
        # What a server says at once is heard, too.
        self._definitions = client.events()
        self._missing = dict.fromkeys(wanted)
        self._wanted = wanted
        self._patience = patience
        self._write_only = write_only
        self._show = show
        self._seen: set[tuple[str, str]] = set()
        self._blobs: list[str] = []
        self._all_here = False
        self._scope = trio.CancelScope()

    async def run(self, client: IPyClient) -> None:
        """Show what is found.

        Raises:
            ClickException: something was not found.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._mind_ping, client)
            self._set_clock()
            with self._scope:
                async for event in self._definitions:
                    if isinstance(event, DefVector):
                        self._take(event)
                    if not self._missing and all(one.is_exact for one in self._wanted):
                        break
            nursery.cancel_scope.cancel()
        if self._missing:
            self._refuse(client)

    async def _mind_ping(self, client: IPyClient) -> None:
        """Note when a server that tells so has told all."""
        try:
            self._all_here = await client.settled(quiet=math.inf) is Settled.PING
        except NotConnected:
            return
        self._set_clock()

    def _set_clock(self) -> None:
        enough = self._all_here and not self._missing
        self._scope.deadline = trio.current_time() + (_AT_HAND if enough else self._patience)

    def _take(self, event: DefVector) -> None:
        """Take a definition; properties are defined again whenever any client asks."""
        place = (event.devicename, event.vectorname)
        if place not in self._seen:
            self._seen.add(place)
            self._show_matches(event)
            self._set_clock()

    def _show_matches(self, event: DefVector) -> None:
        if event.perm is Permission.WO and not self._write_only:
            return
        shown: dict[str, Line] = {}
        for pattern in self._wanted:
            found = list(lines_of(event, pattern))
            shown |= {line.name: line for line in found}
            if found:
                self._missing.pop(pattern, None)
            self._note_blob(event, pattern)
        for line in shown.values():
            self._show(line)

    def _note_blob(self, event: DefVector, pattern: Pattern) -> None:
        """Take note of a BLOB that was asked for by its name: it has no value to print."""
        names = (event.devicename, event.vectorname)
        is_member = pattern.member.name in event and pattern.member.name not in ATTRIBUTES
        if kind_of(event) is Kind.BLOB and is_member and pattern.covers(*names):
            self._blobs.append(join(*names))

    def _refuse(self, client: IPyClient) -> None:
        if self._blobs:
            place = self._blobs[0]
            raise click.ClickException(f"{place} has BLOBs: receive them with trindi save-blobs")
        names = ", ".join(map(str, self._missing))
        reason = "" if client.connected else ", which has closed the connection"
        raise click.ClickException(f"no {names} from {client.host}:{client.port}{reason}")
