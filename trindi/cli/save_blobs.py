"""``trindi save-blobs``: images and other BLOBs into files, and how fast they arrive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import trio

from trindi.cli.addresses import Address, join, parse_property
from trindi.cli.completion import complete_blobs
from trindi.cli.finding import find_vector
from trindi.cli.lines import to_json
from trindi.cli.meter import Display, Meter, make_display
from trindi.cli.paths import DirectoryToFill
from trindi.cli.ranges import COUNT
from trindi.cli.running import patience_option, run_client, server_options, timeout_of
from trindi.client import IPyClient
from trindi.protocol import Kind, Permission

if TYPE_CHECKING:
    from trindi.client import SavedFrames

__all__ = ["save_blobs"]


@click.command("save-blobs")
@click.argument("place", metavar="DEV.VEC", type=parse_property, shell_complete=complete_blobs)
@click.argument("directory", metavar="DIR", type=DirectoryToFill())
@click.option(
    "-n",
    "--count",
    type=COUNT,
    help="How many to save.  [default: all, until Ctrl-C]",
)
@patience_option("How long to wait for the property to be there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@server_options
def save_blobs(
    place: Address,
    directory: str,
    count: int | None,
    timeout: float | None,
    as_json: bool,
    host: str,
    port: int,
) -> None:
    """Save each BLOB of a property that arrives to a file in DIR.

    The path of each file is printed once it is whole. Its name is made of the names of device,
    property and member, a number that is free, and the format. What was there is not overwritten.
    How much has arrived, and how fast, is shown on standard error.

    Exit status: 0 once --count are saved, 1 if the property is not there or the server has gone.
    """
    client = IPyClient(host, port, ask_for=[place.devicename])
    saver = _Saver(place, Path(directory), count, timeout_of(timeout), as_json)
    run_client(saver.run, client)


class _Saver:
    """Saves BLOBs, and prints where they are."""

    def __init__(
        self,
        place: Address,
        directory: Path,
        count: int | None,
        timeout: float,
        as_json: bool,
    ) -> None:
        self._place = place
        self._directory = directory
        self._count = count
        self._timeout = timeout
        self._as_json = as_json

    async def run(self, client: IPyClient) -> None:
        """Save as many as are wanted.

        Raises:
            ClickException: there are none, or no more.
        """
        names = self._place[:2]
        vector = await find_vector(client, self._place, self._timeout)
        if vector.kind is not Kind.BLOB:
            raise click.ClickException(
                f"{join(*names)} is a {vector.kind.value} vector, and has no BLOBs"
            )
        if vector.perm is Permission.WO:
            raise click.ClickException(f"{join(*names)} is write-only: its BLOBs are never sent")
        await trio.Path(self._directory).mkdir(parents=True, exist_ok=True)
        with make_display() as display:
            meter = Meter(display)
            frames = vector.save_frames(self._directory, meter)
            await client.enable_blobs(*names)
            await self._save(frames, meter, display)

    async def _save(self, frames: SavedFrames, meter: Meter, display: Display) -> None:
        saved = 0
        async for path in frames:
            saved += 1
            # As it was saved: whoever looks after the directory may have taken it away already.
            size = frames.size
            rate = meter.rate(size)
            display.saved(self._line(path, size, rate), size, rate, frames.drops)
            if saved == self._count:
                return
        raise click.ClickException(f"the server has closed the connection; {saved} saved")

    def _line(self, path: Path, size: int, rate: float | None) -> str:
        about = {"path": str(path), "size": size, "bytes_per_second": rate}
        return to_json(about) if self._as_json else str(path)
