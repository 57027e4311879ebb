"""The runtime of a test: its own time of day, no threads, and no exception contained."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.kit.driver import Peer, RecordingPublisher, ask, driver_of, settle
from trindi import (
    BLOBMember,
    BLOBVector,
    Device,
    IPyDriver,
    NumberMember,
    NumberVector,
    SizeFormat,
    newNumberVector,
    setBLOBVector,
    setNumberVector,
)
from trindi.driver import core_of
from trindi.transport import EncodedEvent, Runtime

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clumsy(IPyDriver):
    """Fails at whatever it is told."""

    def __init__(self) -> None:
        super().__init__([Device("Dev", [NumberVector("n", perm="rw", numbermembers=[number()])])])

    async def clientevent(self, event: Any) -> None:
        raise OSError("the cable is out")

    async def snoopevent(self, event: Any) -> None:
        raise OSError("the cable is out")


def number() -> NumberMember:
    return NumberMember("a")


async def serve(nursery: trio.Nursery, driver: IPyDriver, runtime: Runtime) -> RecordingPublisher:
    publisher = RecordingPublisher()
    await nursery.start(partial(core_of(driver).serve, publisher, runtime=runtime))
    return publisher


async def test_events_carry_the_time_of_day_that_is_given(nursery: trio.Nursery) -> None:
    vector = NumberVector("n", perm="rw", numbermembers=[number()])
    publisher = await serve(nursery, driver_of(vector), Runtime(now=lambda: NOON))
    await vector.send_setVector()
    assert [event.timestamp for event in publisher.of(setNumberVector)] == [NOON]


async def test_what_a_handler_raises_is_contained_unless_that_is_not_wanted() -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            driver = Clumsy()
            await serve(nursery, driver, Runtime(contain_errors=False))
            await ask(driver, newNumberVector("Dev", "n", {"a": 1.0}))
            await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as raised:
        await main()
    assert "clientevent failed on newNumberVector of Dev n" in notes(raised.value, OSError)


async def test_what_is_raised_on_snooping_too() -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            driver = Clumsy()
            driver.snoopall = True
            await serve(nursery, driver, Runtime(contain_errors=False))
            core_of(driver).hear(EncodedEvent(setNumberVector("Other", "n", {"a": 1.0})))
            await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as raised:
        await main()
    assert "snoopevent failed on setNumberVector" in notes(raised.value, OSError)


async def test_the_same_driver_contains_it_the_next_time(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    driver = Clumsy()
    with trio.move_on_after(0):
        await core_of(driver).serve(RecordingPublisher(), runtime=Runtime(contain_errors=False))
    await serve(nursery, driver, Runtime())
    await ask(driver, newNumberVector("Dev", "n", {"a": 1.0}))
    assert driver.running
    assert "the cable is out" in caplog.text


def notes(group: BaseException, cls: type[BaseException]) -> list[str]:
    """The notes of the only exception of a group of groups."""
    while isinstance(group, BaseExceptionGroup):
        (group,) = group.exceptions
    assert isinstance(group, cls)
    return list(group.__notes__)


async def at_once(function: Callable[..., Any], /, *args: Any) -> Any:
    await trio.lowlevel.checkpoint()
    return function(*args)


async def test_files_are_read_where_it_is_wanted(nursery: trio.Nursery, tmp_path: Path) -> None:
    path = tmp_path / "frame"
    path.write_bytes(b"frame")
    vector = BLOBVector("b", blobmembers=[BLOBMember("b", blobformat=".bin")])
    calls: list[int] = []

    async def noted(function: Callable[..., Any], /, *args: Any) -> Any:
        calls.append(threading.get_ident())
        return await at_once(function, *args)

    publisher = await serve(nursery, driver_of(vector), Runtime(in_thread=noted))
    vector["b"] = path
    await vector.send_setVectorMembers(members=["b"])
    assert [dict(event) for event in publisher.of(setBLOBVector)] == [{"b": b"frame"}]
    assert calls == [threading.get_ident()]


async def test_blobs_are_compressed_where_it_is_wanted(nursery: trio.Nursery) -> None:
    calls: list[Any] = []

    async def noted(function: Callable[..., Any], /, *args: Any) -> Any:
        calls.append(args)
        return await at_once(function, *args)

    compressed = setBLOBVector("D", "b", {"b": bytes(9)}, {"b": SizeFormat(9, ".bin.z")})
    plain = setBLOBVector("D", "b", {"b": bytes(1 << 20)}, {"b": SizeFormat(1 << 20, ".bin")})
    for event in (compressed, plain):
        encoded = EncodedEvent(event)
        await encoded.prepare(noted)
        assert encoded.data.startswith(b"<setBLOBVector")
    assert calls == [(compressed,)]


async def test_it_answers_after_a_failure_that_is_contained(nursery: trio.Nursery) -> None:
    driver, peer = Clumsy(), Peer()
    await serve(nursery, driver, Runtime(now=lambda: NOON))
    await ask(driver, newNumberVector("Dev", "nothing", {"a": 1.0}), peer)
    await settle()
    answer: Any = peer.take()
    assert answer.timestamp == NOON
