"""Runs ``trindi record``: writes all that a server says into a file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click
import trio

from trindi.cli.client_app import closed_connection, run_client
from trindi.cli.output import say
from trindi.client import IPyClient
from trindi.protocol import defBLOBVector
from trindi.recording import record as record_stream
from trindi.transport import host_and_port

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trindi.recording import RecordedStream

_MAX_ENABLED: Final = 10_000  # properties with BLOBs: a bound against a hostile server


@dataclass
class Recorder:
    """Records what a client hears, and stops when it cannot be written."""

    host: str
    port: int
    file: str
    devices: Sequence[str] = ()
    blobs: bool = False
    duration: float = math.inf
    notice_after: float = 5.0
    """Seconds after which the user is told that nothing was heard yet."""
    start: Callable[[trio.abc.Stream, str], RecordedStream] = record_stream

    def __post_init__(self) -> None:
        self._where = host_and_port(self.host, self.port)
        self._client = IPyClient(self.host, self.port, ask_for=self.devices)
        self._events = self._client.events()
        self._heard = False
        self._unheard = dict.fromkeys(self.devices)
        self._enabled: set[tuple[str, str]] = set()
        self._stream: RecordedStream | None = None

    def run(self) -> None:
        """Record, and raise ClickException if nothing was heard, or the server has gone."""
        try:
            run_client(self._run, self._client, wrap=self._wrap)
        except SystemExit:
            # Ctrl-C is how most recordings end.
            if self._stream is None:
                raise
            self._finish()

    def _wrap(self, stream: trio.abc.Stream) -> RecordedStream:
        self._stream = self.start(stream, self.file)
        return self._stream

    async def _run(self, client: IPyClient) -> None:
        until = "Ctrl-C" if self.duration == math.inf else f"{self.duration:g} s have passed"
        say(f"Recording {self._where} in {self.file} until {until}", err=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._print_notice)
            with trio.move_on_after(self.duration):
                await self._listen(client)
            nursery.cancel_scope.cancel()
        self._finish()

    async def _listen(self, client: IPyClient) -> None:
        async for event in self._events:
            if self._stream is not None and self._stream.stopped:
                raise click.ClickException(f"{self.file}: {self._stream.stopped}")
            self._heard |= not self.devices or event.devicename in self.devices
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
            raise click.ClickException(f"{self._silence}: {self.file} has nothing to show")
        if self._silence:
            say(f"Recorded, but {self._silence}", err=True)
