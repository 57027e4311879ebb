"""Runs ``trindi watch``: shows devices as a live table in a terminal, or as lines."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Final, TextIO

import trio

from trindi.cli.addresses import ANY, Part, Pattern, devices_of
from trindi.cli.client_app import Reconnecting, closed_connection, run_client
from trindi.cli.getprop_format import ATTRIBUTES, Line, lines_of
from trindi.cli.output import say, to_json
from trindi.client import IPyClient
from trindi.protocol import DefVector, Message, SetVector, delProperty, ends, format_timestamp
from trindi.visible import join_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trindi.protocol import SnoopEvent


_NOTICE_AFTER: Final = 5.0  # seconds after which the user is told that there is nothing to watch


def run_watch(
    host: str, port: int, pattern: Pattern, *, plain: bool, as_json: bool, max_known: int = 100_000
) -> None:
    """Show a table in a terminal, and else lines; at most `max_known` old values are remembered."""
    devices = devices_of([pattern])
    can_draw = _is_terminal(sys.stdout) and os.environ.get("TERM", "dumb") != "dumb"
    if plain or as_json or not can_draw:
        client = IPyClient(host, port, ask_for=devices)
        run_client(_LineView(client, pattern, as_json, max_known).run, client)
    else:
        # Loaded only here: lines need neither rich nor a keyboard.
        from trindi.cli.table_view import TableView

        reconnecting = Reconnecting(host, port)
        client = IPyClient(host, port, ask_for=devices, reconnect=True, connect=reconnecting)
        view = TableView(client, pattern, has_keys=_is_terminal(sys.stdin))
        run_client(view.run, client, reconnecting=reconnecting)


def _is_terminal(stream: TextIO | None) -> bool:
    # None: the stream was closed before Python started.
    return stream is not None and stream.isatty()


class _LineView:
    """Prints each change."""

    def __init__(self, client: IPyClient, pattern: Pattern, as_json: bool, max_known: int) -> None:
        self._events = client.events()
        self._pattern = pattern
        self._as_json = as_json
        self._max_known = max_known
        self._found = False
        self._known: dict[tuple[str, str, str], str] = {}
        # States are shown unless the pattern names a member.
        self._states = pattern._replace(member=Part("_STATE")) if pattern.member == ANY else None

    async def run(self, client: IPyClient) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._print_notice, client)
            async for event in self._events:
                if isinstance(event, DefVector):
                    self._found |= self._pattern.covers(event.devicename, event.vectorname) and any(
                        map(self._pattern.member.matches, [*event, *ATTRIBUTES])
                    )
                for text, data in self._changes(event):
                    say(to_json(data) if self._as_json else text)
            raise closed_connection(client)

    async def _print_notice(self, client: IPyClient) -> None:
        """Print that there is nothing to watch yet: its name may be misspelt."""
        await trio.sleep(_NOTICE_AFTER)
        if not self._found:
            # Loaded only here: comparing names takes modules that others do not need.
            from trindi.cli.lookup import hints

            (name,) = (await hints(client, [self._pattern])).values()
            say(f"So far there is no {name}; still waiting", err=True)

    def _changes(self, event: SnoopEvent) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield what to print of an event, as text and as JSON."""
        if isinstance(event, delProperty):
            yield from self._deletions(event)
        elif not isinstance(event, Message):
            for line in self._changed_lines(event):
                # A message has a line of its own.
                yield str(line), {key: line.data[key] for key in line.data if key != "message"}
        if event.message and self._pattern.covers_device(event.devicename):
            timestamp = None if event.timestamp is None else format_timestamp(event.timestamp)
            name = "" if event.devicename is None else f"{event.devicename}: "
            about = {"device": event.devicename, "message": event.message, "timestamp": timestamp}
            yield f"{name}{event.message}", about

    def _changed_lines(self, event: DefVector | SetVector) -> Iterator[Line]:
        """Yield members that are reported, or defined with a new value, and new states."""
        for line in lines_of(event, self._pattern):
            reported = isinstance(event, SetVector) and line.name not in ATTRIBUTES
            if self._remember(line) or reported:
                yield line
        if self._states is not None and event.state is not None:
            for line in lines_of(event, self._states):
                known = line[:3] in self._known
                if self._remember(line) and known:
                    yield line

    def _remember(self, line: Line) -> bool:
        """Remember the value of a line, and return whether it is new."""
        is_new = self._known.get(line[:3]) != line.text
        if len(self._known) >= self._max_known:
            self._known.clear()
        self._known[line[:3]] = line.text
        return is_new

    def _deletions(self, event: delProperty) -> Iterator[tuple[str, Mapping[str, Any]]]:
        keys = [key for key in self._known if ends(event, *key[:2])]
        for key in keys:
            del self._known[key]
        for names in dict.fromkeys(key[:2] for key in keys):
            data = {"device": names[0], "vector": names[1], "deleted": True}
            yield f"{join_names(*names)} is deleted", data
