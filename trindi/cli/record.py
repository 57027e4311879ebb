"""Runs ``trindi record``: writes all that a server says into a file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, TypeAlias

import click
import trio

from trindi.cli.client_app import closed_connection, run_client
from trindi.client import IPyClient
from trindi.protocol import defBLOBVector
from trindi.recording import record as record_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trindi.protocol import SnoopEvent
    from trindi.recording import RecordedStream

    Start: TypeAlias = "Callable[[trio.abc.Stream, str], RecordedStream]"


_MAX_ENABLED: Final = 10_000
"""Properties whose BLOBs are asked for: a bound against a hostile server."""

_NOTICE_AFTER: Final = 5.0
"""Seconds after which the user is told that nothing was heard yet."""


def run_record(
    host: str,
    port: int,
    file: str,
    devices: Sequence[str],
    *,
    blobs: bool = False,
    duration: float | None = None,
    notice_after: float = _NOTICE_AFTER,
    start: Start = record_stream,
) -> None:
    """Record until the time is over, or until a signal.

    Raises:
        ClickException: nothing was heard, the server has gone, or the file cannot be written.
        SystemExit: a signal has stopped it.
    """
    client = IPyClient(host, port, ask_for=devices)
    recorder = _Recorder(client, file, devices, blobs, duration, notice_after, start)
    try:
        run_client(recorder.run, client, wrap=recorder.wrap)
    except SystemExit:
        # Ctrl-C is how most recordings end.
        if recorder.has_begun:
            recorder.finish()
        raise


class _Recorder:
    """Records what a client hears, and stops when it cannot be written."""

    def __init__(
        self,
        client: IPyClient,
        file: str,
        devices: Sequence[str],
        blobs: bool,
        duration: float | None,
        notice_after: float,
        start: Start,
    ) -> None:
        self._where = f"{client.host}:{client.port}"
        self._events = client.events()
        self._file = file
        self._devices = devices
        self._heard = False
        self._unheard = dict.fromkeys(devices)
        self._blobs = blobs
        self._duration = math.inf if duration is None else duration
        self._notice_after = notice_after
        self._start = start
        self._enabled: set[tuple[str, str]] = set()
        self._stream: RecordedStream | None = None

    @property
    def has_begun(self) -> bool:
        return self._stream is not None

    def wrap(self, stream: trio.abc.Stream) -> RecordedStream:
        self._stream = self._start(stream, self._file)
        return self._stream

    async def run(self, client: IPyClient) -> None:
        until = "Ctrl-C" if self._duration == math.inf else f"{self._duration:g} s have passed"
        click.echo(f"Recording {self._where} in {self._file} until {until}", err=True)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._print_notice)
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
        raise closed_connection()

    async def _enable(self, client: IPyClient, event: defBLOBVector) -> None:
        names = (event.devicename, event.vectorname)
        if names not in self._enabled and len(self._enabled) < _MAX_ENABLED:
            self._enabled.add(names)
            await client.enable_blobs(*names)

    # Silence -----------------------------------------------------------------------------------

    def _note(self, event: SnoopEvent) -> None:
        if not self._devices or event.devicename in self._devices:
            self._heard = True
        self._unheard.pop(event.devicename or "", None)

    @property
    def _silence(self) -> str:
        """Which devices were not heard, as a sentence without an end; "" if all were."""
        if self._heard and not self._unheard:
            return ""
        of_devices = f" of {', '.join(self._unheard)}" if self._unheard else ""
        return f"nothing was heard{of_devices} from {self._where}"

    async def _print_notice(self) -> None:
        await trio.sleep(self._notice_after)
        if self._silence:
            click.echo(f"So far {self._silence}; still waiting", err=True)

    def finish(self) -> None:
        """Report what a finished recording lacks.

        Raises:
            ClickException: it is empty.
        """
        if not self._heard:
            raise click.ClickException(f"{self._silence}: {self._file} has nothing to show")
        if self._silence:
            click.echo(f"Recorded, but {self._silence}", err=True)
