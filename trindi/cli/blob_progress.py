"""Shows on standard error how much of a BLOB has arrived, and how fast: a bar, or lines."""

from __future__ import annotations

import math
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
import trio
from rich.filesize import decimal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trindi.client import Progress


class ProgressDisplay:
    """Prints one line for each BLOB."""

    def arriving(self, received: int, total: int | None) -> None:
        """Show how many bytes of a BLOB have arrived; `total` is None where not known yet."""

    def saved(self, line: str, size: int, rate: float | None, drops: int) -> None:
        """Print the line of a saved BLOB, and show its size, its rate, and all drops so far."""
        click.echo(line)
        speed = "" if rate is None else f", {decimal(int(rate))}/s"
        dropped = f", {drops} dropped so far" if drops else ""
        click.echo(decimal(size) + speed + dropped, err=True)


class RateMeter:
    """Measures how fast each BLOB arrives, and passes its progress on to a display."""

    def __init__(self, display: ProgressDisplay) -> None:
        self._display = display
        self._received = math.inf
        self._started = 0.0
        self._seconds = 0.0

    def __call__(self, progress: Progress) -> None:
        now = trio.current_time()
        if progress.received < self._received:
            self._started = now
        # After a BLOB that is complete, another one begins with any number.
        self._received = math.inf if progress.received == progress.total else progress.received
        self._seconds = now - self._started
        self._display.arriving(progress.received, progress.total)

    def rate(self, size: int) -> float | None:
        """Return bytes per second; None for a BLOB that has arrived in one piece."""
        return size / self._seconds if self._seconds > 0 else None


class ProgressBar(ProgressDisplay):
    """Draws a bar for the BLOB that is arriving."""

    def __init__(self) -> None:
        # Loaded only here: most runs draw no bar.
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress as RichProgress,
            TextColumn,
            TransferSpeedColumn,
        )

        self.progress = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=Console(stderr=True),
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self.progress.add_task("waiting", total=None)
        self._saved = 0
        self._received = math.inf

    def arriving(self, received: int, total: int | None) -> None:
        if received < self._received:
            self.progress.reset(self._task, total=total)
        self._received = received
        number = f"number {self._saved + 1}"
        self.progress.update(self._task, description=number, completed=received, total=total)

    def saved(self, line: str, size: int, rate: float | None, drops: int) -> None:
        self._saved += 1
        self._received = math.inf
        if sys.stdout.isatty():
            # Standard output is the terminal of the bar: print above it.
            self.progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            click.echo(line)
        dropped = f", {drops} dropped" if drops else ""
        self.progress.update(self._task, description=f"{self._saved} saved{dropped}")


@contextmanager
def open_display() -> Iterator[ProgressDisplay]:
    """Show a bar where standard error is a terminal, and lines elsewhere, within this block."""
    if sys.stderr.isatty():
        bar = ProgressBar()
        with bar.progress:
            yield bar
    else:
        yield ProgressDisplay()
