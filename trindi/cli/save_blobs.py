"""Runs ``trindi save-blobs``: writes BLOBs to files, and shows how fast they arrive."""

from __future__ import annotations

import math
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
import trio
from rich.filesize import decimal

from trindi.cli.client_app import closed_connection, run_client
from trindi.cli.lookup import find_vector
from trindi.cli.output import say, to_json
from trindi.client import IPyClient
from trindi.protocol import Kind, Permission
from trindi.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.progress import Progress as Bar

    from trindi.cli.addresses import Address
    from trindi.client import Progress


@dataclass
class Saver:
    """Saves BLOBs of a property, and prints the path of each file."""

    host: str
    port: int
    address: Address
    directory: Path
    count: int | None
    timeout: float
    as_json: bool
    _is_saving = False

    def run(self) -> None:
        """Save, and raise ClickException if the property has no BLOBs, or the server has gone."""
        client = IPyClient(self.host, self.port, ask_for=[self.address.devicename])
        try:
            run_client(self._run, client)
        except SystemExit:
            # Ctrl-C is how it ends, unless a number of files is waited for.
            if self.count is not None or not self._is_saving:
                raise

    async def _run(self, client: IPyClient) -> None:
        vector = await find_vector(client, self.address, self.timeout)
        if vector.kind is not Kind.BLOB:
            reason = f"is a {vector.kind.value} vector, and has no BLOBs"
            raise click.ClickException(f"{self.address} {reason}")
        if vector.perm is Permission.WO:
            raise click.ClickException(f"{self.address} is write-only: its BLOBs are never sent")
        await trio.Path(self.directory).mkdir(parents=True, exist_ok=True)
        with _open_bar() as bar:
            display = ProgressDisplay(bar)
            frames = vector.save_frames(self.directory, display)
            await client.enable_blobs(*self.address[:2])
            self._is_saving = True
            async for path in frames:
                # Not read from the file: another program may have moved it already.
                size = frames.size
                data = {"path": str(path), "size": size, "bytes_per_second": display.rate(size)}
                display.show_saved(to_json(data) if self.as_json else str(path), size, frames.drops)
                if display.saved == self.count:
                    return
        raise closed_connection(client, f"; {display.saved} saved")


class ProgressDisplay:
    """Measures how fast each BLOB arrives, and shows it in a bar, or as a line for each BLOB."""

    saved = 0

    def __init__(self, bar: Bar | None = None) -> None:
        self._bar = bar
        self._received = math.inf
        self._started = 0.0
        self._seconds = 0.0

    def __call__(self, progress: Progress) -> None:
        now = trio.current_time()
        received, total = progress.received, progress.total
        if received < self._received:
            self._started = now
            if self._bar is not None:
                self._bar.reset(self._bar.task_ids[0], total=total)
        # After a BLOB that is complete, another one begins with any number.
        self._received = math.inf if received == total else received
        self._seconds = now - self._started
        self._update_bar(f"number {self.saved + 1}", completed=received, total=total)

    def _update_bar(self, text: str, **progress: Any) -> None:
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], description=text, **progress)

    def rate(self, size: int) -> float | None:
        """Return bytes per second; None for a BLOB that has arrived in one piece."""
        return size / self._seconds if self._seconds > 0 else None

    def show_saved(self, line: str, size: int, drops: int) -> None:
        """Print the line of a saved BLOB, and show its size, its rate, and all drops so far."""
        self.saved += 1
        if self._bar is not None and sys.stdout.isatty():
            # Standard output is the terminal of the bar: print above it.
            self._bar.console.print(visible(line), markup=False, highlight=False, soft_wrap=True)
        else:
            say(line)
        dropped = f", {drops} dropped" if drops else ""
        self._update_bar(f"{self.saved} saved{dropped}")
        if self._bar is None:
            rate = self.rate(size)
            speed = "" if rate is None else f", {decimal(int(rate))}/s"
            say(f"{decimal(size)}{speed}{dropped}{' so far' if drops else ''}", err=True)


@contextmanager
def _open_bar() -> Iterator[Bar | None]:
    """Show a bar within this block where standard error is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    # Loaded only here: most runs draw no bar.
    from rich import progress
    from rich.console import Console

    with progress.Progress(
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        console=Console(stderr=True),
        redirect_stdout=False,
        redirect_stderr=False,
    ) as bar:
        bar.add_task("waiting", total=None)
        yield bar
