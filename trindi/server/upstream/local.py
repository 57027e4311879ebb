"""A driver in this process as an upstream.

Its devices are known when it is built, and its own vectors are its definitions, so that nothing is
learned and no snapshot is kept. The driver sees this class as its `Publisher`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import trio

from trindi.driver import IPyDriver, core_of
from trindi.server.upstream.base import Broker, Upstream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from trindi.driver import Sender
    from trindi.errors import ProtocolError
    from trindi.protocol import Event
    from trindi.transport import EncodedBatch, EventQueue


class LocalUpstream(Upstream):
    learns_devices = False
    takes_bytes = False

    # Bound to the hub for each run: every report of the driver takes this way.
    publish: Callable[[Event], None]
    publish_blob: Callable[..., Coroutine[Any, Any, None]]

    def __init__(self, driver: IPyDriver) -> None:
        if not isinstance(driver, IPyDriver):
            raise TypeError(f"drivers are IPyDriver instances, not {type(driver).__name__}")
        self._core = core_of(driver)
        super().__init__(repr(driver))
        self.driver = driver
        self.devices = tuple(driver)
        self._is_defined = False

    @property
    def running(self) -> bool:
        return self._core.running

    @property
    def queue(self) -> EventQueue:
        return self._core.snoop_queue

    def receive(self, item: Event | ProtocolError, sender: Sender) -> Awaitable[None] | None:
        return self._core.receive(item, sender)

    def admit(
        self, event: type[Any], devicename: str, vectorname: str, membername: str, size: int
    ) -> None:
        self._core.admit(event, devicename, vectorname, membername, size)

    def definitions(self, devicename: str | None, vectorname: str | None) -> EncodedBatch:
        return self._core.encoded_definitions(devicename, vectorname)

    def defined_names(self) -> dict[str, list[str]]:
        return {
            device.devicename: [vector.name for vector in device.values() if vector.enable]
            for device in self.driver.values()
            if self._is_defined and device.enable
        }

    def forget_definitions(self) -> None:
        """Note that receivers know none of its devices: it has ended."""
        self._is_defined = False

    async def run(
        self,
        broker: Broker,
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        self.publish = partial(broker.publish, self)
        self.publish_blob = partial(broker.publish_blob, self)
        defining = _Defining(self, task_status)
        await self._core.serve(self, runtime=self.runtime, task_status=defining)


class _Defining(NamedTuple):
    """Sends the definitions once the driver runs, before its own tasks can report anything."""

    upstream: LocalUpstream
    task_status: trio.TaskStatus[None]

    def started(self, _value: None = None) -> None:
        self.upstream._is_defined = True
        for encoded in self.upstream.definitions(None, None).items:
            self.upstream._core.sink.publish(encoded.event)
        self.task_status.started()
