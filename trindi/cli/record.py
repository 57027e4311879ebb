"""``trindi record``: all that a server says, into a file, until it is told to stop."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import click
import trio

from trindi.cli.completion import complete_devices
from trindi.cli.paths import FileToWrite
from trindi.cli.ranges import SECONDS
from trindi.cli.running import run_client, server_options
from trindi.client import IPyClient
from trindi.protocol import defBLOBVector
from trindi.recording import record as record_stream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trindi.protocol import SnoopEvent
    from trindi.recording import RecordedStream

__all__ = ["record"]

_MAX_ENABLED: Final = 10_000
"""Properties whose BLOBs are asked for; a server that defines more of them means no good."""

_SILENCE_SECONDS: Final = 5.0
"""Seconds after which one is told that nothing was heard yet; a night may be at stake."""


@click.command()
@click.argument("file", type=FileToWrite())
@click.argument("devices", metavar="[DEV]...", nargs=-1, shell_complete=complete_devices)
@click.option("--blobs", is_flag=True, help="Receive BLOBs, too, into the directory FILE.blobs.")
@click.option(
    "--duration",
    type=SECONDS,
    help="How long to record.  [default: until Ctrl-C, or until the server leaves]",
)
@server_options
def record(
    file: str, devices: tuple[str, ...], blobs: bool, duration: float | None, host: str, port: int
) -> None:
    """Record what a server says of all devices, or of those named.

    FILE, by custom *.jsonl, is overwritten. It is written as things are said: at Ctrl-C, or if all
    is lost, it has what was said until then. Look at it with trindi replay.

    Exit status: 0 if the time is over, 1 if the server has gone, nothing was heard of what is to be
    recorded, or FILE cannot be written.
    """
    client = IPyClient(host, port, ask_for=devices)
    recorder = _Recorder(client, file, devices, blobs, duration)
    try:
        run_client(recorder.run, client, wrap=recorder.wrap)
    except SystemExit:
        # Ctrl-C is how most recordings end, if they have begun.
        if recorder.has_begun:
            recorder.finish()
        raise


class _Recorder:
    """Records what a client hears, and minds that it can be written."""

    def __init__(
        self,
        client: IPyClient,
        file: str,
        devices: Sequence[str],
        blobs: bool,
        duration: float | None,
    ) -> None:
        self._where = f"{client.host}:{client.port}"
        self._events = client.events()
        self._file = file
        self._devices = devices
        self._heard = False
        self._unheard = dict.fromkeys(devices)
        self._blobs = blobs
        self._duration = math.inf if duration is None else duration
        self._enabled: set[tuple[str, str]] = set()
        self._stream: RecordedStream | None = None

    @property
    def has_begun(self) -> bool:
        """There is a file."""
        return self._stream is not None

    def wrap(self, stream: trio.abc.Stream) -> RecordedStream:
        """Record what passes through a stream."""
        self._stream = record_stream(stream, self._file)
        return self._stream

    async def run(self, client: IPyClient) -> None:
        """Record until the time is over.

        Raises:
            ClickException: there is nothing more to record, or no room for it.
        """
        until = "Ctrl-C" if self._duration == math.inf else f"{self._duration:g} s have passed"
        click.echo(f"Recording {self._where} in {self._file} until {until}", err=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tell_of_silence)
            with trio.move_on_after(self._duration):
                await self._listen(client)
            nursery.cancel_scope.cancel()
        self.finish()

    async def _listen(self, client: IPyClient) -> None:
        async for event in self._events:
            if self._stream is not None and self._stream.stopped:
                raise click.ClickException(f"{self._file}: {self._stream.stopped}")
            self._note(event)
            if self._blobs and isinstance(event, defBLOBVector):
                await self._enable(client, event)
        raise click.ClickException("the server has closed the connection")

    async def _enable(self, client: IPyClient, event: defBLOBVector) -> None:
        place = (event.devicename, event.vectorname)
        if place not in self._enabled and len(self._enabled) < _MAX_ENABLED:
            self._enabled.add(place)
            await client.enable_blobs(*place)

    # Silence -----------------------------------------------------------------------------------

    def _note(self, event: SnoopEvent) -> None:
        """Take note of who is heard."""
        if not self._devices or event.devicename in self._devices:
            self._heard = True
        self._unheard.pop(event.devicename or "", None)

    @property
    def _silence(self) -> str:
        """What there is to say of those who were not heard; "" for nothing."""
        if self._heard and not self._unheard:
            return ""
        who = f" of {', '.join(self._unheard)}" if self._unheard else ""
        return f"nothing was heard{who} from {self._where}"

    async def _tell_of_silence(self) -> None:
        await trio.sleep(_SILENCE_SECONDS)
        if self._silence:
            click.echo(f"So far {self._silence}; it is waited for", err=True)

    def finish(self) -> None:
        """Tell what a recording that has ended lacks.

        Raises:
            ClickException: it has nothing in it.
        """
        if not self._heard:
            raise click.ClickException(f"{self._silence}: {self._file} has nothing to show")
        if self._silence:
            click.echo(f"Recorded, but {self._silence}", err=True)
