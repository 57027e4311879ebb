"""Runs ``trindi save-blobs``: writes BLOBs to files, and shows how fast they arrive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
import trio

from trindi.cli.blob_progress import RateMeter, open_display
from trindi.cli.client_app import closed_connection, run_client
from trindi.cli.getprop_format import to_json
from trindi.cli.lookup import find_vector
from trindi.client import IPyClient
from trindi.protocol import Kind, Permission

if TYPE_CHECKING:
    from pathlib import Path

    from trindi.cli.addresses import Address


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

    def run(self) -> None:
        """Save, and raise ClickException if the property has no BLOBs, or the server has gone."""
        run_client(self._run, IPyClient(self.host, self.port, ask_for=[self.address.devicename]))

    async def _run(self, client: IPyClient) -> None:
        vector = await find_vector(client, self.address, self.timeout)
        if vector.kind is not Kind.BLOB:
            reason = f"is a {vector.kind.value} vector, and has no BLOBs"
            raise click.ClickException(f"{self.address} {reason}")
        if vector.perm is Permission.WO:
            raise click.ClickException(f"{self.address} is write-only: its BLOBs are never sent")
        await trio.Path(self.directory).mkdir(parents=True, exist_ok=True)
        with open_display() as display:
            meter = RateMeter(display)
            frames = vector.save_frames(self.directory, meter)
            await client.enable_blobs(*self.address[:2])
            saved = 0
            async for path in frames:
                saved += 1
                # Not read from the file: another program may have moved it already.
                size = frames.size
                rate = meter.rate(size)
                data = {"path": str(path), "size": size, "bytes_per_second": rate}
                line = to_json(data) if self.as_json else str(path)
                display.saved(line, size, rate, frames.drops)
                if saved == self.count:
                    return
        raise closed_connection(f"; {saved} saved")
