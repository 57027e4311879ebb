"""How much of a BLOB has arrived, and how fast: as a bar in a terminal, or as lines.

All of it goes to standard error. This module knows no files and no servers.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

import click
import trio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trindi.client import Progress

__all__ = ["Bar", "Display", "Lines", "Meter", "make_display", "size_text"]

_REFRESH_SECONDS: Final = 0.1
"""Seconds between two looks of the bar."""


def size_text(size: float) -> str:
    """Say a number of bytes as people do."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


class Display(Protocol):
    """Shows what arrives."""

    def arriving(self, received: int, total: int | None, rate: float | None) -> None:
        """Show how much of a BLOB is here, and how fast it comes."""

    def saved(self, line: str, size: int, rate: float | None, drops: int) -> None:
        """Print a line about one that is saved, and show that."""


class Meter:
    """Measures how fast each BLOB arrives.

    Args:
        display: is told how much has arrived.
    """

    def __init__(self, display: Display) -> None:
        self._display = display
        self._received = 0
        self._whole = True
        self._began = 0.0
        self._seconds = 0.0

    def __call__(self, progress: Progress) -> None:
        """Take note of how much has arrived."""
        now = trio.current_time()
        if self._whole or progress.received < self._received:
            self._began = now
        self._received = progress.received
        self._whole = progress.received == progress.total
        self._seconds = now - self._began
        rate = self.rate(progress.received)
        self._display.arriving(progress.received, progress.total, rate)

    def rate(self, size: int) -> float | None:
        """Bytes in a second; None where it came in one go, and was not seen to arrive."""
        return size / self._seconds if self._seconds > 0 else None


def _rate_text(rate: float | None) -> str:
    return "" if rate is None else f"{size_text(rate)}/s"


class Lines:
    """Shows one line for each BLOB."""

    def arriving(self, received: int, total: int | None, rate: float | None) -> None:
        """Nothing to show yet."""

    def saved(self, line: str, size: int, rate: float | None, drops: int) -> None:
        """Print a line about one that is saved, and show that."""
        click.echo(line)
        lost = f"{drops} dropped so far" if drops else ""
        click.echo(", ".join(filter(None, [size_text(size), _rate_text(rate), lost])), err=True)


class Bar:
    """Shows a bar for the BLOB that is arriving, with its rate."""

    def __init__(self) -> None:
        # Only who looks at a bar is to wait for these modules.
        from rich.console import Console  # noqa: PLC0415
        from rich.progress import (  # noqa: PLC0415
            BarColumn,
            DownloadColumn,
            Progress as RichProgress,
            TextColumn,
        )

        columns = [TextColumn("{task.description}"), BarColumn(), DownloadColumn()]
        self.progress = RichProgress(
            *columns,
            TextColumn("{task.fields[rate]}"),
            console=Console(stderr=True),
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self.progress.add_task("waiting", total=None, rate="")
        self._saved = 0
        self._due = 0.0

    def arriving(self, received: int, total: int | None, rate: float | None) -> None:
        """Show how much of a BLOB is here, and how fast it comes."""
        now = trio.current_time()
        if now < self._due and received != total:
            return
        self._due = now + _REFRESH_SECONDS
        self.progress.update(
            self._task,
            description=f"number {self._saved + 1}",
            completed=received,
            total=total,
            rate=_rate_text(rate),
            refresh=True,
        )

    def saved(self, line: str, size: int, rate: float | None, drops: int) -> None:
        """Print a line about one that is saved, and show that."""
        self._saved += 1
        if sys.stdout.isatty():
            # Above the bar, which is in the same terminal.
            self.progress.console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            click.echo(line)
        lost = f", {drops} dropped" if drops else ""
        self.progress.update(self._task, description=f"{self._saved} saved{lost}", refresh=True)


@contextmanager
def make_display() -> Iterator[Display]:
    """Show a bar in a terminal, and lines elsewhere, within this block."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    bar = Bar()
    with bar.progress:
        yield bar
