"""Runs ``trindi record``: writes all that a server says into a file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

import click
import trio

from trindi.cli.client_app import Reconnecting, closed_connection, run_client
from trindi.cli.output import say
from trindi.client import IPyClient
from trindi.protocol import Event, defBLOBVector, pingReply
from trindi.recording.recorder import MAX_LINES_BYTES, RecordingFile
from trindi.transport import host_and_port

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trindi.recording import RecordedStream

_MAX_ENABLED: Final = 10_000  # properties with BLOBs: a bound against a hostile server


@dataclass
class Recorder:
    """Records what a client hears, and stops when it cannot be written."""

    host: str
    port: int
    file: str | None = None
    """The name of the file; by default one with the date."""
    devices: Sequence[str] = ()
    blobs: bool = False
    duration: float = math.inf
    append: bool = False
    reconnect: bool = False
    notice_after: float = 5.0
    """Seconds after which the user is told that nothing was heard yet."""
    max_bytes: int = MAX_LINES_BYTES

    def __post_init__(self) -> None:
        # The date of the evening, as the user has it.
        self._path = self.file or f"night-{date.today():%Y-%m-%d}.jsonl"
        self._where = host_and_port(self.host, self.port)
        self._reconnecting = (
            Reconnecting(self.host, self.port, self._wrap) if self.reconnect else None
        )
        self._client = IPyClient(
            self.host,
            self.port,
            ask_for=self.devices,
            reconnect=self.reconnect,
            connect=self._reconnecting,
        )
        self._events = self._client.events()
        self._heard = False
        self._unheard = dict.fromkeys(self.devices)
        self._enabled: set[tuple[str, str]] = set()
        self._recording: RecordingFile | None = None

    def run(self) -> None:
        """Record, and raise ClickException if nothing was heard, or the server has gone."""
        try:
            run_client(self._run, self._client, wrap=self._wrap, reconnecting=self._reconnecting)
        except SystemExit:
            # Ctrl-C is how most recordings end.
            if self._recording is None:
                raise
            self._finish()
        finally:
            if self._recording is not None:
                self._recording.close()

    def _wrap(self, stream: trio.abc.Stream) -> RecordedStream:
        if self._recording is None:
            self._recording = RecordingFile(
                self._path, self._is_wanted, append=self.append, max_bytes=self.max_bytes
            )
        else:
            say(f"Connected to {self._where} again", err=True)
        return self._recording.record(stream)

    def _is_wanted(self, event: Event) -> bool:
        if isinstance(event, pingReply):
            return False
        return not self.devices or getattr(event, "devicename", None) in self.devices

    async def _run(self, client: IPyClient) -> None:
        until = "Ctrl-C" if self.duration == math.inf else f"{self.duration:g} s have passed"
        say(f"Recording {self._where} in {self._path} until {until}", err=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._print_notice)
            with trio.move_on_after(self.duration):
                await self._listen(client)
            nursery.cancel_scope.cancel()
        self._finish()

    async def _listen(self, client: IPyClient) -> None:
        async for event in self._events:
            if self._recording is not None and self._recording.stopped:
                raise click.ClickException(f"{self._path}: {self._recording.stopped}")
            self._heard |= self._is_wanted(event)
            self._unheard.pop(event.devicename or "", None)
            if self.blobs and isinstance(event, defBLOBVector):
                names = (event.devicename, event.vectorname)
                if names not in self._enabled and len(self._enabled) < _MAX_ENABLED:
                    self._enabled.add(names)
                    await client.enable_blobs(*names)
        raise closed_connection(client)

    @property
    def _silence(self) -> str:
        """Which devices were not heard, as a sentence without an end; "" if all were."""
        if self._heard and not self._unheard:
            return ""
        of_devices = f" of {', '.join(self._unheard)}" if self._unheard else ""
        return f"nothing was heard{of_devices} from {self._where}"

    async def _print_notice(self) -> None:
        await trio.sleep(self.notice_after)
        if self._silence:
            say(f"So far {self._silence}; still waiting", err=True)

    def _finish(self) -> None:
        """Report what a finished recording lacks."""
        if not self._heard:
            raise click.ClickException(f"{self._silence}: nothing is recorded")
        if self._silence:
            say(f"Recorded, but {self._silence}", err=True)
