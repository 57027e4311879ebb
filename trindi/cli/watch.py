"""Runs ``trindi watch``: shows devices as a live table in a terminal, or as lines."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, TextIO

import click
import trio

from trindi.cli.addresses import ANY, Part, Pattern, devices_of, join
from trindi.cli.client_app import Reconnecting, closed_connection, run_client
from trindi.cli.getprop_format import ATTRIBUTES, Line, lines_of, to_json
from trindi.client import IPyClient
from trindi.protocol import DefVector, Message, SetVector, delProperty, format_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trindi.protocol import SnoopEvent


_MIN_REDRAW_INTERVAL: Final = 0.1
_MAX_REDRAW_INTERVAL: Final = 1.1
"""Seconds; the table is redrawn without an event as well, to show that the server has gone."""

_MAX_KNOWN: Final = 100_000
"""Values that are remembered, to print only new ones; beyond that all are forgotten."""


def run_watch(
    host: str,
    port: int,
    pattern: Pattern,
    *,
    plain: bool,
    as_json: bool,
    max_known: int = _MAX_KNOWN,
) -> None:
    """Show a table if standard output is a terminal, and lines otherwise."""
    devices = devices_of([pattern])
    can_draw = _is_terminal(sys.stdout) and os.environ.get("TERM", "dumb") != "dumb"
    if plain or as_json or not can_draw:
        client = IPyClient(host, port, ask_for=devices)
        run_client(_LineView(client, pattern, as_json, max_known).run, client)
    else:
        reconnecting = Reconnecting(host, port)
        client = IPyClient(host, port, ask_for=devices, reconnect=True, connect=reconnecting)
        run_client(_TableView(client, pattern).run, client, reconnecting=reconnecting)


def _is_terminal(stream: TextIO | None) -> bool:
    # None: the stream was closed before Python started.
    return stream is not None and stream.isatty()


# Lines -----------------------------------------------------------------------------------------


class _LineView:
    """Prints each change."""

    def __init__(self, client: IPyClient, pattern: Pattern, as_json: bool, max_known: int) -> None:
        self._events = client.events()
        self._pattern = pattern
        self._as_json = as_json
        self._max_known = max_known
        self._known: dict[tuple[str, str, str], str] = {}
        # States are shown unless the pattern names a member.
        all_members = pattern.member == ANY
        self._states = pattern._replace(member=Part("_STATE")) if all_members else None

    async def run(self, _client: IPyClient) -> None:
        async for event in self._events:
            for text, data in self._changes(event):
                click.echo(to_json(data) if self._as_json else text)
        raise closed_connection()

    def _changes(self, event: SnoopEvent) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield what to print of an event, as text and as JSON."""
        if isinstance(event, delProperty):
            yield from self._deletions(event)
        elif not isinstance(event, Message):
            for line in self._changed_lines(event):
                # A message has a line of its own.
                yield str(line), {key: line.data[key] for key in line.data if key != "message"}
        if event.message and self._pattern.covers_device(event.devicename):
            yield _message(event)

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
        key = line[:3]
        before = self._known.get(key)
        if len(self._known) >= self._max_known:
            self._known.clear()
        self._known[key] = line.text
        return before != line.text

    def _deletions(self, event: delProperty) -> Iterator[tuple[str, Mapping[str, Any]]]:
        keys = [
            key
            for key in self._known
            if event.devicename in (None, key[0]) and event.vectorname in (None, key[1])
        ]
        for key in keys:
            del self._known[key]
        for names in dict.fromkeys(key[:2] for key in keys):
            data = {"device": names[0], "vector": names[1], "deleted": True}
            yield f"{join(*names)} is deleted", data


def _message(event: SnoopEvent) -> tuple[str, Mapping[str, Any]]:
    timestamp = None if event.timestamp is None else format_timestamp(event.timestamp)
    name = "" if event.devicename is None else f"{event.devicename}: "
    data = {"device": event.devicename, "message": event.message, "timestamp": timestamp}
    return f"{name}{event.message}", data


# A terminal ------------------------------------------------------------------------------------


class _TableView:
    """Shows a table in a terminal, and takes keys."""

    def __init__(self, client: IPyClient, pattern: Pattern) -> None:
        # Loaded only here: lines need neither rich nor a keyboard.
        from rich.console import Console
        from rich.live import Live

        from trindi.cli.table import Table

        self._console = Console()
        self._events = client.events()
        self._has_keys = _is_terminal(sys.stdin)
        self._table = Table(client, pattern, self._has_keys)
        self._live = Live(console=self._console, screen=True, auto_refresh=False)
        self._changed = trio.Event()
        self._restore = ExitStack()

    async def run(self, _client: IPyClient) -> None:
        from trindi.cli.keys import read_keys

        self._take_terminal()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read_events)
                nursery.start_soon(self._handle_signals)
                if self._has_keys:
                    nursery.start_soon(read_keys, sys.stdin.fileno(), self._press)
                await self._draw_until_finished()
                nursery.cancel_scope.cancel()
        finally:
            self._restore.close()

    def _take_terminal(self) -> None:
        """Set the terminal up; `_restore` undoes it."""
        from trindi.cli.keys import unbuffered

        if self._has_keys:
            self._restore.enter_context(unbuffered(sys.stdin.fileno()))
        self._restore.enter_context(self._live)

    async def _draw_until_finished(self) -> None:
        while not self._table.finished:
            self._changed = trio.Event()
            self._draw()
            await trio.sleep(_MIN_REDRAW_INTERVAL)
            with trio.move_on_after(_MAX_REDRAW_INTERVAL - _MIN_REDRAW_INTERVAL):
                await self._changed.wait()

    def _draw(self) -> None:
        from rich.console import ConsoleDimensions, Group

        # rich would ask the environment first, which does not follow the size of a window.
        size = os.get_terminal_size(sys.stdout.fileno())
        if not all(size):
            size = os.terminal_size((80, 24))
        self._console.size = ConsoleDimensions(*size)
        self._live.update(Group(*self._table.lines(*size)), refresh=True)

    async def _read_events(self) -> None:
        async for event in self._events:
            self._table.take(event)
            self._changed.set()

    def _press(self, key: str) -> None:
        self._table.press(key)
        self._changed.set()

    async def _handle_signals(self) -> None:
        with trio.open_signal_receiver(signal.SIGWINCH, signal.SIGTSTP) as signals:
            async for signum in signals:
                if signum == signal.SIGTSTP:
                    self._suspend()
                self._changed.set()

    def _suspend(self) -> None:
        """Give the terminal back, stop as after Ctrl-Z, and set it up again when continued."""
        self._restore.close()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._take_terminal()
