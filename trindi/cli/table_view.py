"""Shows the table of ``trindi watch`` in a terminal, and takes keys as they are pressed."""

from __future__ import annotations

import codecs
import math
import os
import re
import signal
import sys
import termios
import tty
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

import trio
from rich.console import Console, ConsoleDimensions, Group
from rich.live import Live

from trindi.cli.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trindi.cli.addresses import Pattern
    from trindi.client import IPyClient

_MIN_REDRAW_INTERVAL: Final = 0.1  # seconds
_MAX_REDRAW_INTERVAL: Final = 1.1  # without an event as well, to show that the server has gone
_ESCAPE_TIMEOUT: Final = 0.05  # seconds for the rest of an escape sequence; else the key is Escape
_KEY: Final = re.compile(r"\x1b(?:\[[0-9;]*[A-Za-z~]|O[A-Za-z])|.", re.DOTALL)
_INCOMPLETE: Final = re.compile(r"\x1b(?:\[[0-9;]*|O)?\Z")

_NAMES: Final = {
    "\x1b": "escape",
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\b": "backspace",
    **{f"\x1b{bracket}A": "up" for bracket in "[O"},
    **{f"\x1b{bracket}B": "down" for bracket in "[O"},
    **{f"\x1b{bracket}H": "home" for bracket in "[O"},
    **{f"\x1b{bracket}F": "end" for bracket in "[O"},
    "\x1b[1~": "home",
    "\x1b[4~": "end",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
}


@contextmanager
def _unbuffered(fd: int) -> Iterator[None]:
    """Let a terminal hand over each key at once, and echo none."""
    before = termios.tcgetattr(fd)
    tty.setcbreak(fd, termios.TCSANOW)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSANOW, before)


async def _read_keys(fd: int, press: Callable[[str], None]) -> None:
    """Call a function with the name of each key, or the character, until the terminal has gone."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = ""
    while True:
        with trio.move_on_after(_ESCAPE_TIMEOUT if text else math.inf):
            await trio.lowlevel.wait_readable(fd)
            data = os.read(fd, 1024)
            if not data:
                return
            text += decoder.decode(data)
            if _INCOMPLETE.search(text):
                continue
        for key in _KEY.findall(text):
            name = _NAMES.get(key, key)
            # Other keys have no name.
            if name.isprintable():
                press(name)
        text = ""


class TableView:
    """Shows the table on standard output, and takes keys from standard input if it has any."""

    def __init__(self, client: IPyClient, pattern: Pattern, *, has_keys: bool) -> None:
        self._console = Console()
        self._events = client.events()
        self._has_keys = has_keys
        self._table = Table(client, pattern, has_keys)
        self._live = Live(console=self._console, screen=True, auto_refresh=False)
        self._changed = trio.Event()
        self._restore = ExitStack()

    async def run(self, _client: IPyClient) -> None:
        with self._restore:
            self._take_terminal()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read_events)
                nursery.start_soon(self._handle_signals)
                if self._has_keys:
                    nursery.start_soon(_read_keys, sys.stdin.fileno(), self._press)
                await self._draw()
                nursery.cancel_scope.cancel()

    def _take_terminal(self) -> None:
        """Set the terminal up; `_restore` undoes it."""
        if self._has_keys:
            self._restore.enter_context(_unbuffered(sys.stdin.fileno()))
        self._restore.enter_context(self._live)

    async def _draw(self) -> None:
        while not self._table.finished:
            self._changed = trio.Event()
            # rich would ask the environment first, which does not follow the size of a window.
            size = os.get_terminal_size(sys.stdout.fileno())
            width, height = size if all(size) else (80, 24)
            self._console.size = ConsoleDimensions(width, height)
            self._live.update(Group(*self._table.lines(width, height)), refresh=True)
            await trio.sleep(_MIN_REDRAW_INTERVAL)
            with trio.move_on_after(_MAX_REDRAW_INTERVAL - _MIN_REDRAW_INTERVAL):
                await self._changed.wait()

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
