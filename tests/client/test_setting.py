"""Requests for new values, and waiting for the answer."""

from __future__ import annotations

import gc
import math
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import ref

import pytest
import trio
import trio.testing

from tests.kit.client import OFF, ON, blobs, joined, numbers, report, switches, texts
from tests.kit.peers import Server
from tests.kit.server import Bench, start
from trindi import (
    ConfigurationError,
    IPyClient,
    IPyDriver,
    Message,
    NotConnected,
    PropertyAlert,
    PropertyDeleted,
    PropertyError,
    PropertyTimeout,
    SizeFormat,
    State,
    TrindiError,
    delProperty,
    getProperties,
    newBLOBVector,
    newNumberVector,
    newSwitchVector,
    setBLOBVector,
    setNumberVector,
)
from trindi.client.server_connection import IDLE, PING_DEADLINE
from trindi.protocol import pingReply, pingRequest
from trindi.testing import Stall, start_driver
from trindi.transport import BOUND, Runtime

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from trio.testing import MockClock

    from trindi import RemoteVector


class Setting:
    """A task that sets something, and waits for it."""

    def __init__(self, nursery: trio.Nursery, do: Callable[[], Awaitable[object]]) -> None:
        self.outcome: Any = None
        self.when = math.nan
        self._do = do
        nursery.start_soon(self._run)

    async def _run(self) -> None:
        try:
            await self._do()
        except TrindiError as error:
            self.outcome = error
        else:
            self.outcome = "done"
        self.when = trio.current_time()

    async def look(self) -> Any:
        await trio.testing.wait_all_tasks_blocked()
        return self.outcome


async def asked(server: Server) -> None:
    """Receive a request, and answer the ping before it."""
    await server.pong()
    await server.next(newNumberVector)
    # The client reads the reply before anything else is sent.
    await trio.testing.wait_all_tasks_blocked()


# Sending ---------------------------------------------------------------------------------------


async def test_a_request_goes_to_the_device(autojump_clock: MockClock) -> None:
    async with joined(numbers(), switches()) as (client, server):
        await client["Dev"]["target"].set(x=5)
        assert await server.receive() == newNumberVector("Dev", "target", {"x": 5.0, "y": 2.0})
        await client["Dev"]["target"].set({"x": 6}, y="7")
        assert await server.receive() == newNumberVector("Dev", "target", {"x": 6.0, "y": 7.0})
        await client.set("Dev", "mode", {"fast": True})
        assert await server.receive() == newSwitchVector("Dev", "mode", {"slow": OFF, "fast": ON})


async def test_a_member_may_have_any_name(autojump_clock: MockClock) -> None:
    names = ("self", "values", "timeout", "with blank")
    async with joined(numbers(dict.fromkeys(names, 1.0))) as (client, server):
        await client["Dev"]["target"].set(dict.fromkeys(names, 2), **{"self": 3, "values": 4})  # noqa: PIE804
        assert dict(await server.next(newNumberVector)) == {
            "self": 3,
            "values": 4,
            "timeout": 2,
            "with blank": 2,
        }


@pytest.mark.parametrize("wait", [False, True], ids=["set", "set_and_wait"])
async def test_an_illegal_request_never_leaves(autojump_clock: MockClock, wait: bool) -> None:
    async with joined(numbers(), switches(), texts(), blobs()) as (client, server):
        do = client.set_and_wait if wait else client.set
        wrong: list[tuple[str, dict[str, Any]]] = [
            ("target", {"x": 101}),
            ("target", {}),
            ("mode", {"slow": "Off"}),
            ("mode", {"slow": "On", "fast": "On"}),
        ]
        for name, values in wrong:
            with pytest.raises(ConfigurationError):
                await do("Dev", name, values)
        wrong = [("note", {"a": 5}), ("image", {"file": None}), ("target", {"x": []})]
        for name, values in wrong:
            with pytest.raises(TypeError):
                await do("Dev", name, values)
        for place in [("Dev", "target"), ("Dev", "other"), ("Other", "target")]:
            with pytest.raises(KeyError):
                await do(*place, {"z": 1})
        assert client["Dev"]["target"].state is State.IDLE
        await client.set("Dev", "target", {"x": 1})
        assert await server.receive() == newNumberVector("Dev", "target", {"x": 1.0, "y": 2.0})


async def test_set_waits_while_the_server_does_not_read(nursery: trio.Nursery) -> None:
    to_client, from_server = trio.testing.memory_stream_one_way_pair()
    to_server, from_client = trio.testing.lockstep_stream_one_way_pair()
    server = Server(trio.StapledStream(to_client, from_client))
    client = await nursery.start(IPyClient().run_on, trio.StapledStream(to_server, from_server))
    await server.greet(blobs())
    vector = await client.wait_defined("Dev", "image")
    sets = [Setting(nursery, partial(vector.set, file=b"x" * 7_000_000)) for _ in range(4)]
    assert {await one.look() for one in sets} == {None}
    for _ in sets:
        await server.next(newBLOBVector)
    assert {await one.look() for one in sets} == {"done"}
    assert client.connected


async def test_a_cancelled_request_that_was_not_queued_leaves_no_trace(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    to_client, from_server = trio.testing.memory_stream_one_way_pair()
    to_server, from_client = trio.testing.lockstep_stream_one_way_pair()
    server = Server(trio.StapledStream(to_client, from_client))
    client = await nursery.start(IPyClient().run_on, trio.StapledStream(to_server, from_server))
    await server.greet(blobs(), blobs("other"))
    vector = await client.wait_defined("Dev", "image")
    other = await client.wait_defined("Dev", "other")
    many = [Setting(nursery, partial(vector.set, file=bytes(900_000))) for _ in range(10)]
    assert await many[0].look() is None
    with trio.CancelScope() as scope:
        nursery.start_soon(scope_cancel, scope)
        await other.set(file=bytes(900_000))
    assert scope.cancelled_caught
    assert (vector.state, other.state) == (State.BUSY, State.IDLE)
    for _ in many:
        assert (await server.next(newBLOBVector)).vectorname == "image"
    assert await many[-1].look() == "done"


async def scope_cancel(scope: trio.CancelScope) -> None:
    await trio.testing.wait_all_tasks_blocked()
    scope.cancel()


async def test_an_upload_may_be_larger_than_all_that_may_wait() -> None:
    async with joined(blobs()) as (client, server):
        data = bytes(BOUND)
        await client["Dev"]["image"].set(file=data)
        assert (await server.next(newBLOBVector))["file"] == data
        assert client.connected


async def test_requests_in_the_queue_are_lost_with_the_connection(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    to_client, from_server = trio.testing.memory_stream_one_way_pair()
    to_server, from_client = trio.testing.lockstep_stream_one_way_pair()
    server = Server(trio.StapledStream(to_client, from_client))
    client = IPyClient()
    nursery.start_soon(client.run_on, trio.StapledStream(to_server, from_server))
    await server.greet(numbers())
    vector = await client.wait_defined("Dev", "target")
    one = Setting(nursery, partial(vector.set, x=1))
    other = Setting(nursery, partial(vector.set_and_wait, x=2))
    assert await one.look() is None
    await trio.aclose_forcefully(server.stream)
    await trio.sleep(10)
    assert isinstance(await one.look(), NotConnected)
    assert isinstance(await other.look(), NotConnected)


async def test_requests_in_the_queue_are_lost_with_the_client(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    to_client, from_server = trio.testing.memory_stream_one_way_pair()
    to_server, from_client = trio.testing.lockstep_stream_one_way_pair()
    server = Server(trio.StapledStream(to_client, from_client))
    async with trio.open_nursery() as within:
        stream = trio.StapledStream(to_server, from_server)
        client = await within.start(IPyClient().run_on, stream)
        await server.greet(numbers())
        vector = await client.wait_defined("Dev", "target")
        settings = [Setting(nursery, partial(do, x=1)) for do in (vector.set, vector.set_and_wait)]
        assert await settings[0].look() is None
        within.cancel_scope.cancel()
    for setting in settings:
        assert "the client was stopped" in str(await setting.look())


@pytest.mark.parametrize("how", ["lost", "stopped"])
async def test_what_waits_for_a_server_is_freed_when_the_connection_has_ended(
    nursery: trio.Nursery, autojump_clock: MockClock, how: str
) -> None:
    """At once, not when garbage is collected; so are the events that nobody has received."""
    to_client, from_server = trio.testing.memory_stream_one_way_pair()
    to_server, from_client = trio.testing.lockstep_stream_one_way_pair()
    server = Server(trio.StapledStream(to_client, from_client))
    client = IPyClient()
    scope = trio.CancelScope()

    async def run() -> None:
        with scope:
            await client.run_on(trio.StapledStream(to_server, from_server))

    nursery.start_soon(run)
    await server.greet(numbers())
    await client.wait_defined("Dev", "target")
    gc.collect()
    gc.disable()
    try:
        connection: Any = client._core.connector.connection
        connection.ask_nowait(*[getProperties("Dev")] * 50)
        inbox: Any = client.events()
        await server.send(report(), report())
        await trio.testing.wait_all_tasks_blocked()
        assert connection._queue.size > 10_000
        assert len(inbox._queue) == 2
        parts = (connection, connection._connection, connection._queue, inbox, inbox._queue)
        kept = [ref(part) for part in parts]
        del connection, inbox, parts
        if how == "lost":
            await trio.aclose_forcefully(server.stream)
        else:
            scope.cancel()
        await trio.sleep(10)
        assert [part() for part in kept] == [None] * 5
    finally:
        gc.enable()


async def test_a_file_is_sent(tmp_path: Path) -> None:
    (tmp_path / "dark.fits").write_bytes(b"dark")
    async with joined(blobs()) as (client, server):
        await client["Dev"]["image"].set(file=tmp_path / "dark.fits")
        event = await server.next(newBLOBVector)
        assert dict(event) == {"file": b"dark"}
        assert dict(event.sizeformat) == {"file": SizeFormat(4, ".fits")}
        with pytest.raises(FileNotFoundError):
            await client["Dev"]["image"].set(file=tmp_path / "other.fits")


async def test_a_runtime_can_do_without_threads(autojump_clock: MockClock, tmp_path: Path) -> None:
    (tmp_path / "dark.fits").write_bytes(b"dark")
    began = trio.current_time()

    async def in_this_thread(function: Any, *args: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return function(*args)

    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    client = IPyClient(runtime=Runtime(lambda: noon, in_this_thread))
    async with joined(blobs(), client=client) as (_, server):
        image = client["Dev"]["image"]
        assert image.timestamp == noon
        await client.enable_blobs("Dev")
        saved = image.save_frames(tmp_path)
        about = {"file": SizeFormat(4, ".fits")}
        await image.set(file=tmp_path / "dark.fits")
        assert (await server.next(newBLOBVector))["file"] == b"dark"
        await server.send(setBLOBVector("Dev", "image", {"file": b"dark"}, about))
        assert (await saved.__anext__()).name == "Dev.image.file.0001.fits"
        # A mock clock runs ahead while a thread works.
        assert trio.current_time() == began


# Waiting for it --------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [State.OK, State.IDLE])
async def test_a_request_is_done_at_ok_or_idle(
    nursery: trio.Nursery, autojump_clock: MockClock, state: State
) -> None:
    async with joined(numbers()) as (client, server):
        vector = client["Dev"]["target"]
        setting = Setting(nursery, partial(vector.set_and_wait, x=5))
        await asked(server)
        assert vector.state is State.BUSY
        await server.send(report(State.BUSY, members={"x": 3.0}))
        assert await setting.look() is None
        await server.send(report(state, members={"x": 5.0}))
        assert await setting.look() == "done"
        assert vector["x"] == 5


async def test_a_request_fails_at_alert(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with joined(numbers()) as (client, server):
        setting = Setting(nursery, partial(client["Dev"]["target"].set_and_wait, x=5))
        await asked(server)
        await server.send(report(State.BUSY))
        await server.send(report(State.ALERT, message="stuck"))
        error = await setting.look()
        assert isinstance(error, PropertyAlert)
        assert isinstance(error, PropertyError)
        assert (error.devicename, error.vectorname, error.message) == ("Dev", "target", "stuck")
        assert str(error) == "Dev target is in Alert: stuck"


async def test_the_message_may_come_before_the_alert(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with joined(numbers(), Message("Dev", "long ago")) as (client, server):
        vector = client["Dev"]["target"]
        setting = Setting(nursery, partial(vector.set_and_wait, x=5))
        await asked(server)
        await server.send(Message("Dev", "[ERROR] stuck"), report(State.ALERT))
        assert (await setting.look()).message == "[ERROR] stuck"
        # Messages from before the request do not count.
        setting = Setting(nursery, partial(vector.set_and_wait, x=5))
        await asked(server)
        await server.send(report(State.ALERT))
        error = await setting.look()
        assert error.message == ""
        assert str(error) == "Dev target is in Alert"


async def test_a_request_fails_when_the_property_is_deleted(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with joined(numbers(), texts()) as (client, server):
        settings = [
            Setting(nursery, partial(client.set_and_wait, "Dev", "target", {"x": 5})),
            Setting(nursery, partial(client.set_and_wait, "Dev", "note", {"a": "x"})),
        ]
        await trio.testing.wait_all_tasks_blocked()
        await server.send(delProperty("Dev", message="the driver has failed"))
        for setting in settings:
            error = await setting.look()
            assert isinstance(error, PropertyDeleted)
            assert str(error).endswith(" is gone: the driver has failed")


async def test_a_definition_is_no_answer(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async with joined(numbers()) as (client, server):
        setting = Setting(nursery, partial(client["Dev"]["target"].set_and_wait, x=5))
        await asked(server)
        # Another client has asked for the definition.
        await server.send(numbers(state=State.OK))
        assert await setting.look() is None
        await server.send(report())
        assert await setting.look() == "done"


async def test_a_report_without_a_state_answers_too(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with joined(numbers(state=State.OK)) as (client, server):
        setting = Setting(nursery, partial(client["Dev"]["target"].set_and_wait, x=5))
        await asked(server)
        await server.send(setNumberVector("Dev", "target", {"x": 5.0}))
        assert await setting.look() == "done"


# Reports older than the request ----------------------------------------------------------------


async def test_a_report_from_before_the_ping_reply_is_no_answer(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with joined(numbers()) as (client, server):
        vector = client["Dev"]["target"]
        setting = Setting(nursery, partial(vector.set_and_wait, x=5))
        ping = await server.next(pingRequest)
        assert isinstance(await server.receive(), newNumberVector)
        # Sent before the server has read the request: a report of each state, and then the reply.
        await server.send(report(), report(State.ALERT), report(State.IDLE))
        assert await setting.look() is None
        await server.send(pingReply(ping.uid), report(State.BUSY))
        assert await setting.look() is None
        await server.send(report())
        assert await setting.look() == "done"


async def test_an_answer_may_come_right_behind_the_reply(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with joined(numbers()) as (client, server):
        setting = Setting(nursery, partial(client["Dev"]["target"].set_and_wait, x=5))
        ping = await server.next(pingRequest)
        await server.send(report(), pingReply(ping.uid), report(State.ALERT, message="no"))
        assert isinstance(await setting.look(), PropertyAlert)


async def test_without_pings_a_report_that_was_read_already_is_no_answer(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    near, far = trio.testing.memory_stream_pair()
    server = Server(far)
    client = await nursery.start(IPyClient().run_on, near)
    settings: list[Setting] = []

    def set_at_once(vector: RemoteVector) -> bool:
        # This runs within one read; the rest of it is older than the request.
        if not settings and vector["x"] == 7:
            settings.append(Setting(nursery, partial(vector.set_and_wait, x=5)))
        return bool(vector["x"] == 8)

    nursery.start_soon(client.wait_for, "Dev", "target", set_at_once)
    news = [report(members={"x": 7.0}), *([report()] * 500), report(members={"x": 8.0})]
    await server.send(numbers(), *news)
    await trio.testing.wait_all_tasks_blocked()
    assert client["Dev"]["target"]["x"] == 8
    assert settings[0].outcome is None
    await server.send(report())
    assert await settings[0].look() == "done"


# Time ------------------------------------------------------------------------------------------


async def test_a_property_that_is_busy_for_too_long_times_out(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with joined(numbers(timeout=7.0)) as (client, server):
        began = trio.current_time()
        setting = Setting(nursery, partial(client["Dev"]["target"].set_and_wait, x=5))
        await asked(server)
        for _ in range(10):
            # Repeating the same timeout does not extend it.
            await server.send(report(State.BUSY, timeout=7.0))
            await trio.sleep(1)
        error = await setting.look()
        assert isinstance(error, PropertyTimeout)
        assert setting.when - began == 7
        assert str(error) == "Dev target is Busy for too long: more than 7 s"
        # Another wait is possible.
        await server.send(report())
        with trio.fail_after(1):
            await client.wait_state("Dev", "target", "Ok")


async def test_the_timeout_has_the_message_of_the_report(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with joined(numbers(timeout=7.0)) as (client, server):
        setting = Setting(nursery, partial(client["Dev"]["target"].set_and_wait, x=5))
        await asked(server)
        await server.send(report(State.BUSY, message="moving"))
        await trio.sleep(8)
        assert setting.outcome.message == "moving"


async def test_a_later_message_of_the_device_does_not_replace_that_of_the_report(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with joined(numbers(timeout=7.0)) as (client, server):
        setting = Setting(nursery, partial(client["Dev"]["target"].set_and_wait, x=5))
        await asked(server)
        await server.send(report(State.BUSY, message="moving"), Message("Dev", "the dome is open"))
        await trio.sleep(8)
        assert isinstance(setting.outcome, PropertyTimeout)
        assert setting.outcome.message == "moving"


async def test_a_report_may_change_the_timeout(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with joined(numbers(timeout=7.0)) as (client, server):
        began = trio.current_time()
        setting = Setting(nursery, partial(client["Dev"]["target"].set_and_wait, x=5))
        await asked(server)
        await trio.sleep(5)
        await server.send(report(State.BUSY, timeout=20.0))
        await trio.sleep(30)
        assert isinstance(setting.outcome, PropertyTimeout)
        assert setting.when - began == 25


async def test_a_timeout_of_0_sets_no_limit(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with joined(numbers(timeout=0.0)) as (client, server):
        setting = Setting(nursery, partial(client["Dev"]["target"].set_and_wait, x=5))
        await asked(server)
        for _ in range(100):
            await server.send(report(State.BUSY))
            await trio.sleep(20)
        assert setting.outcome is None
        await server.send(report())
        assert await setting.look() == "done"


@pytest.mark.parametrize(
    ("allowed", "outcome", "after"), [(3.0, "too long", 3), (0, "done", 20)], ids=["3 s", "none"]
)
async def test_a_timeout_of_the_caller_counts_instead(
    nursery: trio.Nursery, autojump_clock: MockClock, allowed: float, outcome: str, after: float
) -> None:
    async with joined(numbers(timeout=7.0)) as (client, server):
        began = trio.current_time()
        do = partial(client.set_and_wait, "Dev", "target", {"x": 5}, timeout=allowed)
        setting = Setting(nursery, do)
        await asked(server)
        await server.send(report(State.BUSY, timeout=9.0))
        await trio.sleep(20)
        await server.send(report())
        assert outcome in str(await setting.look())
        assert setting.when - began == after


async def test_fail_after_bounds_the_wait_too(autojump_clock: MockClock) -> None:
    async with joined(numbers(timeout=7.0)) as (client, _server):
        with pytest.raises(trio.TooSlowError), trio.fail_after(2):
            await client["Dev"]["target"].set_and_wait(x=5)


# BLOBs -----------------------------------------------------------------------------------------


async def test_an_upload_is_answered_where_blobs_are_enabled(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with joined(blobs()) as (client, server):
        vector = client["Dev"]["image"]
        with pytest.raises(ConfigurationError, match="call enable_blobs first"):
            await vector.set_and_wait(file=b"data")
        await client.enable_blobs("Dev", "image")
        setting = Setting(nursery, partial(vector.set_and_wait, file=b"data"))
        await server.pong()
        await server.next(newBLOBVector)
        await server.send(setBLOBVector("Dev", "image", state=State.OK))
        assert await setting.look() == "done"


# With a driver of trindi's ---------------------------------------------------------------------


class Mover(Bench):
    """Moves for a moment, and refuses some places."""

    async def clientevent(self, event: Any) -> None:
        vector = event.vector
        if isinstance(event, newNumberVector):
            await vector.send_setVector(state="Busy", timeout=5)
            await trio.sleep(0.01)
            if event["x"] < 0:
                await vector.send_setVector("no way", state="Alert")
                return
        await super().clientevent(event)


async def test_a_driver_is_asked(nursery: trio.Nursery) -> None:
    driver: IPyDriver = Mover()
    server = await start(nursery, driver)
    client = await nursery.start(IPyClient("127.0.0.1", server.port).run)
    await client.wait_settled()
    bench = client["Bench"]
    await bench["target"].set_and_wait(x="1:30", free=3)
    assert dict(bench["target"]) == {"x": 1.5, "free": 3.0}
    await bench["mode"].set_and_wait(fast="On")
    assert dict(bench["mode"]) == {"slow": "Off", "fast": "On"}
    await bench["note"].set_and_wait(b="<&>")
    assert bench["note"]["b"] == "<&>"
    await client.enable_blobs("Bench")
    await bench["upload"].set_and_wait(file=(b"\x00\xff" * 1000, ".raw"))
    assert bench["upload"]["file"] == b"\x00\xff" * 1000
    with pytest.raises(PropertyAlert, match=r"Bench target is in Alert: \[ERROR\] no way"):
        await bench["target"].set_and_wait(x=-1)


async def test_a_property_is_asked_for_one_thing_at_a_time(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    class Slow(Bench):
        async def clientevent(self, event: Any) -> None:
            if event.vectorname == "target":
                await event.vector.send_setVector(state="Busy")
                await trio.sleep(10)
            if event.vectorname == "target" and event["x"] == 2:
                await event.vector.send_setVector("not 2", state="Alert")
            else:
                await super().clientevent(event)

    client = await start_driver(nursery, Slow())
    target, mode = client["Bench"]["target"], client["Bench"]["mode"]
    settings = []
    for x in (1, 2, 3):
        settings.append(Setting(nursery, partial(target.set_and_wait, x=x)))
        await trio.testing.wait_all_tasks_blocked()
    first, second, third = settings
    # Requests of another property do not wait.
    with trio.fail_after(1):
        await mode.set_and_wait(fast="On")
    # An illegal request is refused at once.
    with pytest.raises(ConfigurationError, match="between"), trio.fail_after(1):
        await target.set_and_wait(x=1e9)
    await trio.sleep(31)
    assert (first.outcome, first.when) == ("done", 10)
    assert (str(second.outcome), second.when) == ("Bench target is in Alert: [ERROR] not 2", 20)
    assert (third.outcome, third.when) == ("done", 30)


async def test_after_a_timeout_the_next_request_is_sent(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with joined(numbers()) as (client, server):
        target = client["Dev"]["target"]
        with pytest.raises(PropertyTimeout), trio.fail_after(5):
            await client.set_and_wait("Dev", "target", {"x": 1}, timeout=2)
        waiting = Setting(nursery, partial(target.set_and_wait, x=2))
        await trio.testing.wait_all_tasks_blocked()
        # The timeout includes the wait for other requests of the property.
        with pytest.raises(PropertyTimeout, match="more than 3 s"), trio.fail_after(5):
            await client.set_and_wait("Dev", "target", {"x": 3}, timeout=3)
        asked = [await server.next(newNumberVector) for _ in range(2)]
        assert [event["x"] for event in asked] == [1, 2]
        await server.send(*(pingReply(f"trindi-{number}") for number in range(9)), report())
        assert await waiting.look() == "done"


@pytest.mark.parametrize("end", ["deleted", "lost"])
async def test_queued_requests_fail_with_the_property(
    nursery: trio.Nursery, autojump_clock: MockClock, end: str
) -> None:
    async with joined(numbers()) as (client, server):
        target = client["Dev"]["target"]
        settings = [Setting(nursery, partial(target.set_and_wait, x=x)) for x in range(3)]
        await server.next(newNumberVector)
        if end == "deleted":
            await server.send(delProperty("Dev", "target"))
        else:
            await server.aclose()
        for setting in settings:
            expected = PropertyDeleted if end == "deleted" else NotConnected
            assert isinstance(await setting.look(), expected)


async def test_a_message_is_only_for_the_request_that_was_sent(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with joined(numbers()) as (client, server):
        target = client["Dev"]["target"]
        first = Setting(nursery, partial(target.set_and_wait, x=1))
        await trio.testing.wait_all_tasks_blocked()
        behind = Setting(
            nursery, partial(client.set_and_wait, "Dev", "target", {"x": 2}, timeout=5)
        )
        third = Setting(nursery, partial(client.set_and_wait, "Dev", "target", {"x": 3}, timeout=9))
        await asked(server)
        await server.send(report(State.BUSY), Message("Dev", "the door is locked"))
        await trio.sleep(6)
        assert str(behind.outcome) == "Dev target is Busy for too long: more than 5 s"
        await server.send(report(State.ALERT))
        assert str(await first.look()) == "Dev target is in Alert: the door is locked"
        await trio.sleep(4)
        assert str(third.outcome) == "Dev target is Busy for too long: more than 9 s"


async def test_an_old_message_is_not_that_of_a_timeout(autojump_clock: MockClock) -> None:
    async with joined(numbers(message="all is well")) as (client, _server):
        with pytest.raises(PropertyTimeout, match="is Busy for too long: more than 2 s"):
            await client.set_and_wait("Dev", "target", {"x": 1}, timeout=2)


async def test_members_that_are_not_given_are_sent_with_the_value_of_then(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    client = await start_driver(nursery, Mover())
    target = client["Bench"]["target"]
    settings = [
        Setting(nursery, partial(target.set_and_wait, values)) for values in ({"x": 3}, {"free": 4})
    ]
    await trio.sleep(1)
    assert [one.outcome for one in settings] == ["done", "done"]
    assert dict(target) == {"x": 3.0, "free": 4.0}


async def test_a_timeout_of_the_caller_includes_the_sending(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    client = await start_driver(nursery, Bench(), faults=[Stall(time=10, direction="sent")])
    await trio.sleep(10)
    with pytest.raises(PropertyTimeout, match="more than 5 s"):
        await client.set_and_wait("Bench", "target", {"x": 5}, timeout=5)
    assert trio.current_time() == 15


@pytest.mark.parametrize("direction", ["both", "sent"])
async def test_a_half_open_line_is_noticed_while_requests_are_queued(
    nursery: trio.Nursery, autojump_clock: MockClock, direction: str
) -> None:
    lanes = ["sent", "received"] if direction == "both" else ["sent"]
    faults = [Stall(time=100, direction=lane) for lane in lanes]
    client = await start_driver(nursery, Bench(), faults=faults)
    await trio.sleep(110)
    with pytest.raises(NotConnected, match="took nothing in 30 s"):
        await client["Bench"]["target"].set_and_wait(x=5)
    assert trio.current_time() <= 110 + IDLE + PING_DEADLINE
    assert not client.connected


async def test_a_later_ping_reply_replaces_a_lost_one(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async with joined(numbers()) as (client, server):
        setting = Setting(nursery, partial(client["Dev"]["target"].set_and_wait, x=5))
        await server.next(pingRequest)
        await server.next(newNumberVector)
        # The next ping is that of the silence check.
        await server.pong()
        await server.send(report())
        assert await setting.look() == "done"


async def test_an_answer_that_the_blob_policy_prevents_is_not_waited_for(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    client = await start_driver(nursery, Bench())
    target = client["Bench"]["target"]
    await client.enable_blobs("Bench", policy="Only")
    with pytest.raises(ConfigurationError, match="call enable_blobs with policy 'Also' first"):
        await target.set_and_wait(x=5)
    await client.enable_blobs("Bench", policy="Also")
    await target.set_and_wait(x=5)


async def test_the_error_for_a_deleted_vector_says_what_to_do(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    driver = Bench()
    client = await start_driver(nursery, driver)
    target = client["Bench"]["target"]
    await driver["Bench"]["target"].send_delProperty()
    await trio.testing.wait_all_tasks_blocked()
    for ask in (target.set, target.set_and_wait):
        with pytest.raises(ConfigurationError, match="wait until it is defined with wait_defined"):
            await ask(x=5)


async def test_the_words_of_an_alert_are_cut_not_lost(nursery: trio.Nursery) -> None:
    class Wordy(Bench):
        async def clientevent(self, event: Any) -> None:
            raise OSError("x" * 100_000)

    client = await start_driver(nursery, Wordy(), contain_errors=True)
    with pytest.raises(PropertyAlert, match=r"\[ERROR\] target: OSError: x{1900,1999}…$"):
        await client["Bench"]["target"].set_and_wait(x=1)
    assert client["Bench"]["target"].state == "Alert"
