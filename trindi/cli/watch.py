"""``trindi watch``: what goes on at a server, as a live table in a terminal, or as plain lines."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, TextIO

import click
import trio

from trindi.cli.addresses import ANY, Part, Pattern, devices_of, join, parse_pattern
from trindi.cli.completion import complete_members
from trindi.cli.keys import read_keys, unbuffered
from trindi.cli.lines import ATTRIBUTES, Line, lines_of, to_json
from trindi.cli.running import Again, run_client, server_options
from trindi.client import IPyClient
from trindi.protocol import DefVector, Message, SetVector, delProperty, format_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.live import Live

    from trindi.cli.table import Table
    from trindi.protocol import SnoopEvent

__all__ = ["watch"]

_DRAW_SECONDS: Final = 0.1
"""Seconds between two looks of the table."""

_IDLE_SECONDS: Final = 1.0
"""Seconds after which it is drawn again, though the server has said nothing: it may be gone."""

_MAX_KNOWN: Final = 100_000
"""Values that are remembered, so that only what is new is printed; then all are forgotten."""


@click.command()
@click.argument(
    "pattern",
    required=False,
    default="*",
    type=parse_pattern,
    shell_complete=complete_members,
)
@click.option("--plain", is_flag=True, help="Print lines in a terminal, too.")
@click.option("--json", "as_json", is_flag=True, help="Print lines, each one JSON object.")
@server_options
def watch(pattern: Pattern, plain: bool, as_json: bool, host: str, port: int) -> None:
    """Watch devices, their values as they change, and what they say.

    PATTERN is as for trindi get: DEVICE, DEVICE.VECTOR or DEVICE.VECTOR.MEMBER, with * for any
    characters.

    In a terminal it is a table of all there is: values in the format of the device, the last 16
    numbers as a sparkline, states in colour, messages below. / filters, the arrows and PgUp, PgDn,
    Home and End scroll, q quits. When the connection is lost it waits for another one.

    Elsewhere each change is a line, DEVICE.VECTOR.MEMBER=VALUE, until the server leaves (exit
    status 1) or it is told to stop.
    """
    devices = devices_of([pattern])
    if plain or as_json or not _has_screen():
        client = IPyClient(host, port, ask_for=devices)
        run_client(_Lines(client, pattern, as_json).run, client)
    else:
        again = Again(host, port)
        client = IPyClient(host, port, ask_for=devices, reconnect=True, connect=again)
        run_client(_Screen(client, pattern).run, client, again=again)


def _has_screen() -> bool:
    return _is_terminal(sys.stdout) and os.environ.get("TERM", "dumb") != "dumb"


def _is_terminal(stream: TextIO | None) -> bool:
    """Whether it is a terminal; None is one that was closed before we were started."""
    return stream is not None and stream.isatty()


# Lines -----------------------------------------------------------------------------------------


class _Lines:
    """Prints each change."""

    def __init__(self, client: IPyClient, pattern: Pattern, as_json: bool) -> None:
        self._events = client.events()
        self._pattern = pattern
        self._as_json = as_json
        self._known: dict[tuple[str, str, str], str] = {}
        # Who names a member has not asked for the state.
        every = pattern.member == ANY
        self._state = pattern._replace(member=Part("_STATE")) if every else None

    async def run(self, _client: IPyClient) -> None:
        """Print until the server leaves.

        Raises:
            ClickException: it has.
        """
        async for event in self._events:
            for text, data in self._tell(event):
                click.echo(to_json(data) if self._as_json else text)
        raise click.ClickException("the server has closed the connection")

    def _tell(self, event: SnoopEvent) -> Iterator[tuple[str, Mapping[str, Any]]]:
        if isinstance(event, delProperty):
            yield from self._tell_deletion(event)
        elif not isinstance(event, Message):
            yield from ((str(line), _silent(line.data)) for line in self._changes(event))
        if event.message and self._concerns(event.devicename):
            yield _message(event)

    def _concerns(self, devicename: str | None) -> bool:
        return devicename is None or self._pattern.device.matches(devicename)

    def _changes(self, event: DefVector | SetVector) -> Iterator[Line]:
        """Yield what is new: what is reported, and what is defined otherwise than before."""
        for line in lines_of(event, self._pattern):
            reported = isinstance(event, SetVector) and line.name not in ATTRIBUTES
            if self._note(line) or reported:
                yield line
        if self._state is not None and event.state is not None:
            for line in lines_of(event, self._state):
                known = line[:3] in self._known
                if self._note(line) and known:
                    yield line

    def _note(self, line: Line) -> bool:
        """Take note of a line, and say whether it is new."""
        place = (line.devicename, line.vectorname, line.name)
        before = self._known.get(place)
        if len(self._known) >= _MAX_KNOWN:
            # What is defined again is then printed again.
            self._known.clear()
        self._known[place] = line.text
        return before != line.text

    def _tell_deletion(self, event: delProperty) -> Iterator[tuple[str, Mapping[str, Any]]]:
        places = [
            place
            for place in self._known
            if event.devicename in (None, place[0]) and event.vectorname in (None, place[1])
        ]
        for place in places:
            del self._known[place]
        for names in dict.fromkeys(place[:2] for place in places):
            data = {"device": names[0], "vector": names[1], "deleted": True}
            yield f"{join(*names)} is deleted", data


def _silent(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Leave out of a line what was said with it, which is told once, in a line of its own."""
    return {key: value for key, value in data.items() if key != "message"}


def _message(event: SnoopEvent) -> tuple[str, Mapping[str, Any]]:
    when = None if event.timestamp is None else format_timestamp(event.timestamp)
    name = "" if event.devicename is None else f"{event.devicename}: "
    data = {"device": event.devicename, "message": event.message, "timestamp": when}
    return f"{name}{event.message}", data


# A terminal ------------------------------------------------------------------------------------


class _Screen:
    """Shows a table in a terminal, and does what the keys say."""

    def __init__(self, client: IPyClient, pattern: Pattern) -> None:
        # Only who looks at a table is to wait for these modules.
        from rich.console import Console  # noqa: PLC0415
        from rich.live import Live  # noqa: PLC0415

        from trindi.cli.table import Table  # noqa: PLC0415

        self._console = Console()
        self._events = client.events()
        self._has_keys = _is_terminal(sys.stdin)
        self._table: Table = Table(client, pattern, self._has_keys)
        self._live: Live = Live(console=self._console, screen=True, auto_refresh=False)
        self._news = trio.Event()
        self._restore = ExitStack()

    async def run(self, _client: IPyClient) -> None:
        """Show the table until the user has seen enough."""
        self._open()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hear)
                nursery.start_soon(self._mind_signals)
                if self._has_keys:
                    nursery.start_soon(read_keys, sys.stdin.fileno(), self._press)
                await self._draw()
                nursery.cancel_scope.cancel()
        finally:
            self._restore.close()

    def _open(self) -> None:
        """Take over the terminal; `_restore` gives it back."""
        if self._has_keys:
            self._restore.enter_context(unbuffered(sys.stdin.fileno()))
        self._restore.enter_context(self._live)

    async def _draw(self) -> None:
        while not self._table.finished:
            self._news = trio.Event()
            self._draw_once()
            await trio.sleep(_DRAW_SECONDS)
            with trio.move_on_after(_IDLE_SECONDS):
                await self._news.wait()

    def _draw_once(self) -> None:
        from rich.console import ConsoleDimensions, Group  # noqa: PLC0415

        # rich asks the environment first, which does not know when a window is resized.
        size = os.get_terminal_size(sys.stdout.fileno())
        if not all(size):
            size = os.terminal_size((80, 24))
        self._console.size = ConsoleDimensions(*size)
        self._live.update(Group(*self._table.lines(*size)), refresh=True)

    async def _hear(self) -> None:
        async for event in self._events:
            self._table.hear(event)
            self._news.set()

    def _press(self, key: str) -> None:
        self._table.press(key)
        self._news.set()

    async def _mind_signals(self) -> None:
        with trio.open_signal_receiver(signal.SIGWINCH, signal.SIGTSTP) as signals:
            async for signum in signals:
                if signum == signal.SIGTSTP:
                    self._suspend()
                self._news.set()

    def _suspend(self) -> None:
        """Stop, as Ctrl-Z wants it, and go on from there when told so."""
        self._restore.close()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._open()
