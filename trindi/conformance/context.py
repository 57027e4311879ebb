"""What all parts of a check share: the target, what is known of it, and how to ask it.

INDI's answers do not name the request that they answer. But a peer keeps the order of one stream,
so each request is followed by a getProperties for one definition, the *sentinel*: once that has
arrived, the peer has read everything before it, and what came in between is the answer. The
sentinel also shows the current values. A peer that has ended is started, or connected to, again.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from trindi.conformance.connection import CheckedConnection
from trindi.conformance.observed import ObservedSnapshot, PropertyKey, defines, is_definition
from trindi.conformance.passive import PassiveChecks
from trindi.conformance.rules import GROUP_OF
from trindi.conformance.targets import Target, UnreachableError
from trindi.errors import TrindiError
from trindi.protocol import BLOBPolicy, Event, enableBLOB, getProperties

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import trio

    from trindi.conformance.options import Options, ProgressCallback
    from trindi.conformance.report import Findings
    from trindi.conformance.scanner import Observation

DRIVER_ENDED: Final = "a driver behind it has ended: its device was deleted"


class PeerLostError(TrindiError):
    """The peer has ended and cannot be restarted, or defines nothing: the check ends."""


class CheckContext:
    """The state of one check."""

    connection: CheckedConnection  # To a server, the one that asks for everything.

    def __init__(
        self,
        target: Target,
        findings: Findings,
        options: Options,
        nursery: trio.Nursery,
        report_progress: ProgressCallback,
    ) -> None:
        self.target = target
        self.findings = findings
        self.record, self.remark = findings.record, findings.remark
        self.options = options
        self.timing = options.timing
        # For the first definition after a start, or after a server lost its driver.
        self.start_timeout = max(options.timeout, options.timing.start)
        self.report_progress = report_progress
        self.is_program = target.kind == "program"
        self.snapshot = ObservedSnapshot()
        self.passive = PassiveChecks(findings, self.snapshot, of_server=not self.is_program)
        self.devices: dict[str, tuple[str, ...]] = {}  # The property names, for the report.
        self.by_name = True  # Sentinels are asked for by name.
        self.unanswered: set[PropertyKey] = set()  # Not defined when asked for by name.
        self._nursery = nursery

    def start_rule(self, rule: str) -> None:
        self.report_progress(GROUP_OF[rule], rule)

    async def open(self, *, one_socket: bool = False) -> CheckedConnection:
        """Start the program again, or connect again; raise `UnreachableError` if that fails."""
        peer = await self.target.connect(one_socket=one_socket)
        connection: CheckedConnection = await self._nursery.start(
            CheckedConnection(peer, self.passive.observe, self.timing).run
        )
        if peer.stderr is not None:
            self._nursery.start_soon(self.passive.read_stderr, peer.stderr)
        return connection

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[CheckedConnection]:
        """Lend a new connection to a server; of a program, the main connection."""
        if self.is_program:
            yield self.connection
            return
        try:
            connection = await self.open()
        except UnreachableError as error:
            self.findings.record("two-clients", str(error))
            raise PeerLostError(str(error)) from None
        try:
            yield connection
        finally:
            connection.close()

    async def ensure_alive(self) -> None:
        if self.connection.ended:
            await self.restart()

    async def restart(self) -> None:
        """Replace a peer that has ended or hangs."""
        self.connection.close()
        self.snapshot.clear()
        try:
            self.connection = await self.open()
        except UnreachableError as error:
            raise PeerLostError(str(error)) from None
        if not await self.request_all():
            raise PeerLostError("it defines nothing any more")

    async def request_all(
        self, connection: CheckedConnection | None = None, seconds: float | None = None
    ) -> bool:
        """Ask for all definitions and wait for them; return False if none comes in time."""
        connection = connection or self.connection
        seconds = self.start_timeout if seconds is None else seconds
        await connection.send(getProperties(), seconds=seconds)
        if not await connection.wait_for(defines, seconds):
            return False
        await connection.wait_settled()
        if not self.is_program and connection is self.connection:
            devices = self.snapshot.names_by_device()
            enable = [enableBLOB(device, None, BLOBPolicy.ALSO) for device in devices]
            await connection.send(*enable, seconds=self.options.timeout)
        return True

    async def exchange(
        self,
        *items: Event | bytes,
        sentinel: PropertyKey,
        connection: CheckedConnection | None = None,
        timeout_factor: float = 1.0,
    ) -> list[Observation] | None:
        """Ask for the sentinel's definition; return all up to it, or None if it does not come."""
        connection = connection or self.connection
        seconds = self.options.timeout * timeout_factor
        named = self.by_name and sentinel not in self.unanswered
        if not named:
            # The answer before may still go on behind its sentinel.
            await connection.wait_quiet(self.timing.unexpected, self.timing.quiet)
        connection.clear()
        request = getProperties(*sentinel) if named else getProperties()
        await connection.send(*items, request, seconds=seconds)
        if not await connection.wait_for(lambda each: is_definition(each, sentinel), seconds):
            return None
        return list(connection.received)

    def find_key(self, device: str | None = None) -> PropertyKey | None:
        """Return the key of a property, preferably one that can be asked for by name."""
        keys = [key for key in self.snapshot.keys if device in (None, key[0])]
        return next((key for key in keys if key not in self.unanswered), keys[0] if keys else None)

    def any_key(self) -> PropertyKey:
        """Return such a key; the check ends if there is none."""
        key = self.find_key()
        if key is None:
            raise PeerLostError("there is no property that can be read")
        return key
