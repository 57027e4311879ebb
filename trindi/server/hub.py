"""Passes what upstreams and clients say to those who hear it.

What a client asks goes to the upstreams that own the device or may own it. What an upstream says
goes to the clients and the snooping upstreams that have asked for it. Each of these has a bounded
queue, and the hub waits for none; a driver that publishes BLOBs waits a bounded time for room in
them. `router` decides who hears what.
"""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

import trio

from trindi.driver import wait_for_all
from trindi.errors import ConfigurationError, ProtocolError, RefusedError
from trindi.protocol import (
    DefVector,
    Event,
    Message,
    NewVector,
    SnoopEvent,
    delProperty,
    enableBLOB,
    encode,
    getProperties,
    is_all,
    newBLOBVector,
    replace,
    setBLOBVector,
)
from trindi.server.router import Router
from trindi.transport import DEFAULT_RUNTIME, EncodedEvent
from trindi.visible import get_logger

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from datetime import datetime

    from trindi.server.clients import Client
    from trindi.server.upstream import Upstream

logger = get_logger("trindi.server")


class Hub:
    def __init__(self) -> None:
        self.runtime = DEFAULT_RUNTIME
        self.upstreams: list[Upstream] = []
        self._router: Router[Client, Upstream] = Router()

    # Upstreams ---------------------------------------------------------------------------------

    def add_upstream(self, upstream: Upstream) -> None:
        # Where it cannot be added, nothing is changed.
        if upstream in self.upstreams:
            raise ConfigurationError(f"the server has {upstream!r} already")
        for devicename in upstream.devices:
            if self._router.is_taken(devicename, _now()):
                raise ConfigurationError(
                    f"device {devicename!r} is in two drivers: give one of them another name"
                )
        self._router.add_upstream(upstream, learns_devices=upstream.learns_devices)
        for devicename in upstream.devices:
            self._router.claim(devicename, upstream, _now())
        self.upstreams.append(upstream)

    def remove_upstream(self, upstream: Upstream) -> None:
        self.upstreams.remove(upstream)
        self._router.remove_upstream(upstream)

    def withdraw(self, upstream: Upstream, text: str, *, for_good: bool = False) -> None:
        """Tell receivers that an upstream has ended, and why.

        Each property is withdrawn by its name, and the device only if it never comes back: KStars
        3.6.2 shows no device again that was deleted, and nothing of it (libindi's client 1.9.9
        does not tell it about that device a second time).
        """
        now = self._wall_time()
        names = upstream.defined_names()
        if for_good:
            names = {devicename: [] for devicename in upstream.devices} | names
        for devicename, vectornames in names.items():
            reason = text.format(devicename)
            if not for_good:
                self._send(upstream, Message(devicename, reason, now))
            for vectorname in vectornames:
                self._send(upstream, delProperty(devicename, vectorname, now))
            if for_good:
                self._send(upstream, delProperty(devicename, None, now, reason))
        self.release(upstream)

    def release(self, upstream: Upstream) -> None:
        """Forget what an upstream has defined and what it snooped on: it has ended."""
        self._router.leave(upstream)
        upstream.forget_definitions()
        if upstream.learns_devices:
            self._router.withdraw_all(upstream, _now())

    # What upstreams say --------------------------------------------------------------------------

    def publish(self, upstream: Upstream, event: Event) -> None:
        """Send what a driver of this process says to its receivers, without waiting.

        A getProperties or enableBLOB says what it snoops on.

        Raises:
            ConfigurationError: the event is about a device of another upstream (§9).
            ValueError: the event cannot be encoded.
        """
        if isinstance(event, (getProperties, enableBLOB)):
            self._snoop(upstream, event)
            return
        self._check_own(upstream, event)
        self._send(upstream, event)

    def _send(self, upstream: Upstream, event: Event) -> None:
        upstream.events_out += 1
        receivers, as_bytes = self._router.route(event, upstream)
        # Encoded before it waits anywhere: so its weight is exact, and what cannot be encoded is an
        # error of the driver that sends it.
        encoded = EncodedEvent(event, encode(event) if as_bytes else None)
        if type(event) is delProperty:
            upstream.frames.delete(event)
        for receiver in receivers:
            receiver.queue.put(encoded)

    async def publish_blob(
        self, upstream: Upstream, event: setBLOBVector, *, wait: bool = True
    ) -> None:
        """Send BLOBs of such a driver; wait a bounded time for receivers that keep up."""
        self._check_own(upstream, event)
        upstream.events_out += 1
        receivers, as_bytes = self._router.route(event, upstream)
        await upstream.frames.send(
            EncodedEvent(event),
            [receiver.queue for receiver in receivers],
            wait=wait,
            in_thread=self.runtime.in_thread if as_bytes else None,
        )

    def relay(self, upstream: Upstream, encoded: EncodedEvent) -> None:
        """Pass on what a program or another server says, and learn its devices from it.

        What it may not say is dropped and counted: the device is another upstream's or undefined,
        or the event is not an upstream's to send. Never waits.
        """
        event = encoded.event
        if isinstance(event, (getProperties, enableBLOB)):
            self._snoop(upstream, event)
        elif isinstance(event, delProperty) and is_all(event.devicename):
            # To receivers it would be the end of everybody's devices (§2).
            for devicename, vectornames in upstream.defined_names().items():
                if event.vectorname is None or event.vectorname in vectornames:
                    end = replace(event, devicename=devicename)
                    self.relay(upstream, EncodedEvent(end, encode(end)))
        elif isinstance(event, SnoopEvent) and self._may_say(upstream, event):
            self._pass_on(upstream, event, encoded)
        else:
            self._drop(upstream, event)

    def _pass_on(self, upstream: Upstream, event: SnoopEvent, encoded: EncodedEvent) -> None:
        askers = upstream.note(event)
        if event.devicename and not upstream.defines(event.devicename):
            self._router.withdraw(event.devicename, upstream, _now())
        upstream.events_out += 1
        for receiver in self._router.route(event, upstream).receivers:
            if askers is None or receiver in askers:
                receiver.queue.put(encoded)

    def _may_say(self, upstream: Upstream, event: SnoopEvent) -> bool:
        if event.devicename is None:
            return True
        if isinstance(event, DefVector):
            return self._router.claim(event.devicename, upstream, _now())
        owner = self._router.owner(event.devicename)
        return owner is upstream or (owner is None and isinstance(event, Message))

    def _drop(self, upstream: Upstream, event: Any) -> None:
        upstream.dropped += 1
        level = logging.WARNING if upstream.dropped == 1 else logging.DEBUG
        what = f"{type(event).__name__} of {getattr(event, 'devicename', None)!r}"
        logger.log(level, "%s may not send a %s: dropped", upstream.name, what)

    def _check_own(self, upstream: Upstream, event: Any) -> None:
        devicename = event.devicename
        if devicename is not None and self._router.owner(devicename) is not upstream:
            raise ConfigurationError(f"device {devicename!r} is not of {upstream.name}")

    def _snoop(self, upstream: Upstream, request: getProperties | enableBLOB) -> None:
        """Note what an upstream snoops on, and show it the definitions that are there now."""
        self._router.snoop(upstream, request, takes_bytes=upstream.takes_bytes)
        if isinstance(request, enableBLOB):
            return
        for owner in self._router.asked(request, _now):
            if owner is not upstream and owner.running:
                upstream.queue.put_all(owner.definitions(request.devicename, request.vectorname))

    # What clients ask ----------------------------------------------------------------------------

    def add_client(self, client: Client) -> None:
        self._router.join(client)

    def remove_client(self, client: Client) -> None:
        self._router.leave(client)
        for upstream in self.upstreams:
            upstream.forget(client)

    def admit(
        self, event: type[Any], devicename: str, vectorname: str, membername: str, size: int
    ) -> None:
        """Ask the owner of a device whether it takes an upload; RefusedError if not."""
        owner = self._router.owner(devicename)
        if owner is None or event is not newBLOBVector:
            raise RefusedError("nobody takes these BLOBs")
        if not owner.running:
            raise RefusedError(_not_running(devicename))
        owner.admit(event, devicename, vectorname, membername, size)

    def request(self, item: Event | ProtocolError, client: Client) -> Awaitable[None] | None:
        """Note what a client wants to hear, and pass its request on, as `Upstream.receive`."""
        if isinstance(item, ProtocolError):
            owner = self._router.owner(item.devicename)
            if owner is not None and owner.running:
                return owner.receive(item, client)
            if owner is not None and item.is_request:
                self._reply_not_running(item.devicename or "", client)
            return None
        if not isinstance(item, (getProperties, enableBLOB, NewVector)):
            return None
        self._router.subscribe(client, item)
        waits = []
        for upstream in self._router.asked(item, _now):
            upstream.events_in += 1
            if upstream.learns_devices and isinstance(item, getProperties):
                client.connection.knows_all_definitions = False
            if not upstream.running:
                if isinstance(item, NewVector):
                    self._reply_not_running(item.devicename, client)
            elif (wait := upstream.receive(item, client)) is not None:
                waits.append(wait)
        return wait_for_all(waits) if waits else None

    def _reply_not_running(self, devicename: str, client: Client) -> None:
        text = f"[ERROR] {_not_running(devicename)}"
        client.reply(Message(devicename, text, self._wall_time()))

    def _wall_time(self) -> datetime:
        """Return the time in whole seconds, as KStars wants it with a message."""
        return self.runtime.now().replace(microsecond=0)


def _not_running(devicename: str) -> str:
    return f"the driver of {devicename} is not running"


def _now() -> float:
    """Return the time of the clock; before Trio runs, no name is reserved any more."""
    return trio.current_time() if trio.lowlevel.in_trio_run() else math.inf
