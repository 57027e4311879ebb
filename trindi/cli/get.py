"""``trindi get``: the values that a server has now, in the lines of ``indi_getprop``."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Final

import click
import trio

from trindi.cli.addresses import Pattern, devices_of, join, parse_pattern
from trindi.cli.completion import complete_members
from trindi.cli.finding import refuse
from trindi.cli.lines import ATTRIBUTES, Line, kind_of, lines_of, to_json
from trindi.cli.running import patience_option, run_client, server_options, timeout_of
from trindi.client import IPyClient, NotConnected, Settled
from trindi.protocol import DefVector, Kind, Permission

if TYPE_CHECKING:
    from collections.abc import Callable

    from trindi.client import Events

__all__ = ["get"]

EVERYTHING: Final = Pattern("*.*.*")


@click.command()
@click.argument(
    "patterns",
    metavar="[DEV.VEC.MEMBER]...",
    nargs=-1,
    type=parse_pattern,
    shell_complete=complete_members,
)
@patience_option("How long to wait for what is not there, or for more where a * may match more.")
@click.option(
    "-1", "--value", "only_value", is_flag=True, help="Print just the value, of one member."
)
@click.option("-w", "--write-only", is_flag=True, help="Include write-only properties.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@server_options
def get(
    patterns: tuple[Pattern, ...],
    timeout: float | None,
    only_value: bool,
    write_only: bool,
    as_json: bool,
    host: str,
    port: int,
) -> None:
    """Print the values of properties.

    Each line is DEVICE.VECTOR.MEMBER=VALUE, as indi_getprop of libindi prints it. A * stands for
    any characters, also within a name, which indi_getprop does not know: "*.CCD_*". What is left
    out matches all: "trindi get Thermostat" prints all of the device. BLOBs have no line: receive
    them with trindi save-blobs.

    In the place of MEMBER, an attribute of the vector: _STATE, _LABEL, _GROUP, _PERM, _TO (its
    timeout), _TS (its timestamp), or, which indi_getprop does not know, _RULE (of its switches).

    Exit status: 0 if there was something for each, 1 if not.
    """
    wanted = patterns or (EVERYTHING,)
    if only_value and as_json:
        raise click.UsageError("-1 prints a value alone, and --json all about it: give one of them")
    if only_value and not (len(wanted) == 1 and wanted[0].is_exact):
        raise click.UsageError("-1 prints one value: name one DEVICE.VECTOR.MEMBER, without a *")

    def show(line: Line) -> None:
        click.echo(to_json(line.data) if as_json else line.text if only_value else str(line))

    client = IPyClient(host, port, ask_for=devices_of(wanted))
    search = _Search(client, wanted, timeout_of(timeout), write_only, show)
    run_client(search.run, client)


class _Search:
    """Looks for what is wanted in the definitions of a server, as they arrive."""

    def __init__(
        self,
        client: IPyClient,
        wanted: tuple[Pattern, ...],
        timeout: float,
        write_only: bool,
        show: Callable[[Line], None],
    ) -> None:
        # What a server says at once is heard, too.
        self._events = client.events()
        self._later: Events | None = None
        self._missing = dict.fromkeys(wanted)
        self._wanted = wanted
        self._timeout = timeout
        self._write_only = write_only
        self._show = show
        self._seen: set[tuple[str, str]] = set()
        self._reasons: dict[str, None] = {}
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
                await self._look(self._events)
                if self._missing and self._later is not None:
                    await self._look(self._later)
            nursery.cancel_scope.cancel()
        await self._refuse(client)

    async def _mind_ping(self, client: IPyClient) -> None:
        """Hear no more when a server that tells so has told all: only what is missing may follow.

        Others never do: they are heard for as long as the timeout lasts.
        """
        with contextlib.suppress(NotConnected):
            if await client.wait_settled(quiet=math.inf) is Settled.PING:
                self._later = client.events()
                self._events.close()

    async def _look(self, events: Events) -> None:
        """Look at definitions until there is all that can be, or there are no more."""
        async for event in events:
            if isinstance(event, DefVector):
                self._take(event)
            if not self._missing and (
                events is self._later or all(one.is_exact for one in self._wanted)
            ):
                return

    def _set_clock(self) -> None:
        self._scope.deadline = trio.current_time() + self._timeout

    def _take(self, event: DefVector) -> None:
        """Take a definition; properties are defined again whenever any client asks."""
        place = (event.devicename, event.vectorname)
        if place not in self._seen:
            self._seen.add(place)
            self._show_matches(event)
            self._set_clock()

    def _show_matches(self, event: DefVector) -> None:
        shown: dict[str, Line] = {}
        hidden = event.perm is Permission.WO and not self._write_only
        for pattern in self._wanted:
            found = [] if hidden else list(lines_of(event, pattern))
            shown |= {line.name: line for line in found}
            if found or self._note_reason(event, pattern):
                self._missing.pop(pattern, None)
        for line in shown.values():
            self._show(line)

    def _note_reason(self, event: DefVector, pattern: Pattern) -> bool:
        """Note why what was asked for by its name has no line; False where it was not."""
        named = pattern.device.is_exact and pattern.vector.is_exact
        if not (named and pattern.covers(event.devicename, event.vectorname)):
            return False
        if not (pattern.member.name in ATTRIBUTES or any(map(pattern.member.matches, event))):
            return False
        place = join(event.devicename, event.vectorname)
        is_blob = kind_of(event) is Kind.BLOB and pattern.member.name not in ATTRIBUTES
        if not is_blob:
            reason = f"{place} is write-only: print it with -w"
        elif event.perm is Permission.WO:
            reason = f"{place} is write-only: its BLOBs are never sent"
        else:
            reason = f"{place} has BLOBs: receive them with trindi save-blobs"
        self._reasons[reason] = None
        return True

    async def _refuse(self, client: IPyClient) -> None:
        reasons = list(self._reasons)
        if self._missing:
            all_asked = not devices_of(self._wanted)
            refusal = await refuse(client, list(self._missing), all_asked=all_asked)
            said = refusal.message
            if EVERYTHING in self._missing:
                said = said.replace(f"no {EVERYTHING} from", "nothing was defined by", 1)
            reasons.append(said)
        if reasons:
            raise click.ClickException("; ".join(reasons))
