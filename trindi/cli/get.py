"""Runs ``trindi get``: prints the values that a server has now."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
import trio

from trindi.cli.addresses import EVERYTHING, Pattern, devices_of
from trindi.cli.client_app import closed_connection, run_client
from trindi.cli.getprop_format import ATTRIBUTES, Line, kind_of, lines_of
from trindi.cli.output import say, to_json
from trindi.client import IPyClient, NotConnected, Settled
from trindi.protocol import DefVector, Kind, Permission
from trindi.visible import join_names

if TYPE_CHECKING:
    from trindi.client import Events


@dataclass
class Search:
    """Looks for members in the definitions of a server, as they arrive, and prints them."""

    host: str
    port: int
    patterns: tuple[Pattern, ...]
    timeout: float
    write_only: bool
    only_value: bool
    as_json: bool

    def __post_init__(self) -> None:
        wanted = self.patterns or (EVERYTHING,)
        if self.only_value and self.as_json:
            reason = "-1 prints a value alone, and --json all about it: give one of them"
            raise click.UsageError(reason)
        if self.only_value and not (len(wanted) == 1 and wanted[0].is_exact):
            reason = "-1 prints one value: name one DEVICE.VECTOR.MEMBER, without a *"
            raise click.UsageError(reason)
        self._wanted = wanted
        self._client = IPyClient(self.host, self.port, ask_for=devices_of(wanted))
        # Subscribed before the client runs: the server may define all at once.
        self._events = self._client.events()
        self._later: Events | None = None
        self._missing = dict.fromkeys(wanted)
        self._seen: set[tuple[str, str]] = set()
        self._reasons: dict[str, None] = {}

    def run(self) -> None:
        """Print what is found, and raise ClickException if something is not."""
        run_client(self._run, self._client)

    async def _run(self, client: IPyClient) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_for_ping_reply)
            with trio.move_on_after(self.timeout) as scope:
                await self._read(self._events, scope)
                if self._missing and self._later is not None:
                    await self._read(self._later, scope)
            nursery.cancel_scope.cancel()
        await self._raise_if_missing(client)
        if self._later is None and not (self._is_bounded or client.connected):
            raise closed_connection(client, ": there may be more")

    @property
    def _is_bounded(self) -> bool:
        """Whether it is known when all that matches is there."""
        return all(one.is_one_property for one in self._wanted)

    async def _watch_for_ping_reply(self) -> None:
        """End the first reading when the server's pingReply shows that it has defined all."""
        with contextlib.suppress(NotConnected):
            if await self._client.wait_settled(quiet=math.inf) is Settled.PING:
                self._later = self._client.events()
                self._events.close()

    async def _read(self, events: Events, scope: trio.CancelScope) -> None:
        """Take definitions, each in time, until nothing more can match, or the events end."""
        more_may_match = events is self._events and not self._is_bounded
        async for event in events:
            if isinstance(event, DefVector):
                names = (event.devicename, event.vectorname)
                # A property is defined again whenever any client asks for it.
                if names not in self._seen:
                    self._seen.add(names)
                    self._print_matches(event)
                    scope.deadline = trio.current_time() + self.timeout
            if not (self._missing or more_may_match):
                return

    def _print_matches(self, event: DefVector) -> None:
        matches: dict[str, Line] = {}
        hidden = event.perm is Permission.WO and not self.write_only
        for pattern in self._wanted:
            found = [] if hidden else list(lines_of(event, pattern))
            matches |= {line.name: line for line in found}
            if found or self._note_reason(event, pattern):
                self._missing.pop(pattern, None)
        for line in matches.values():
            text = line.text if self.only_value else str(line)
            say(to_json(line.data) if self.as_json else text)

    def _note_reason(self, event: DefVector, pattern: Pattern) -> bool:
        """Note why a member that was asked for by name has no line; return whether it was."""
        by_name = pattern.device.is_exact and pattern.vector.is_exact
        if not (by_name and pattern.covers(event.devicename, event.vectorname)):
            return False
        is_attribute = pattern.member.name in ATTRIBUTES
        if not (is_attribute or any(map(pattern.member.matches, event))):
            return False
        if is_attribute or kind_of(event) is not Kind.BLOB:
            reason = "is write-only: print it with -w"
        elif event.perm is Permission.WO:
            reason = "is write-only: its BLOBs are never sent"
        else:
            reason = "has BLOBs: receive them with trindi save-blobs"
        self._reasons[f"{join_names(event.devicename, event.vectorname)} {reason}"] = None
        return True

    async def _raise_if_missing(self, client: IPyClient) -> None:
        reasons = list(self._reasons)
        if self._missing:
            # Loaded only here: comparing names takes modules that a success does not need.
            from trindi.cli.lookup import refusal

            error = await refusal(client, list(self._missing))
            message = error.message
            if EVERYTHING in self._missing:
                message = message.replace(f"no {EVERYTHING} from", "nothing was defined by", 1)
            reasons.append(message)
        if reasons:
            raise click.ClickException("; ".join(reasons))
