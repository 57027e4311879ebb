"""The defects of the package that the seed was written for; none of them may come back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import trio

from tests.kit.driver import Peer, RecordingPublisher, ask, settle, start
from tests.kit.peers import Client
from tests.kit.processes import DEADLINE
from trindi import (
    Device,
    IPyDriver,
    IPyServer,
    Message,
    NumberMember,
    NumberVector,
    SizeFormat,
    State,
    SwitchMember,
    SwitchState,
    SwitchVector,
    TextMember,
    TextVector,
    defNumberVector,
    getProperties,
    newNumberVector,
    newSwitchVector,
    newTextVector,
    setBLOBVector,
    setNumberVector,
    setTextVector,
)
from trindi.errors import ProtocolError
from trindi.protocol import Decoder, encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable


Connect: TypeAlias = "Callable[[IPyServer], Awaitable[Client]]"


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Connects clients to a server; they leave after the test."""
    clients: list[Client] = []

    async def connect(server: IPyServer) -> Client:
        clients.append(Client(await trio.open_tcp_stream("localhost", server.port)))
        return clients[-1]

    yield connect
    for client in clients:
        await trio.aclose_forcefully(client.stream)


async def serve(nursery: trio.Nursery, *drivers: IPyDriver, **options: Any) -> IPyServer:
    server: IPyServer = await nursery.start(IPyServer(drivers, port=0, **options).run)
    return server


def numbers(name: str = "n", perm: str = "rw") -> NumberVector:
    return NumberVector(name, perm=perm, numbermembers=[NumberMember("a")])


async def test_a_snooped_message_does_not_crash_the_driver(nursery: trio.Nursery) -> None:
    heard: list[Any] = []

    class Snooper(IPyDriver):
        async def snoopevent(self, event: Any) -> None:
            match event:
                case Message(devicename="Dev", message=text):
                    heard.append(text)

    speaker, snooper = IPyDriver([Device("Dev", [numbers()])]), Snooper([])
    await serve(nursery, speaker, snooper)
    await snooper.send_getProperties("Dev")
    await speaker["Dev"].send_device_message("it rains")
    await settle()
    assert heard == ["[INFO] it rains"]
    assert snooper.running


async def test_a_new_vector_of_the_wrong_kind_does_not_crash_the_driver(
    nursery: trio.Nursery,
    connect: Connect,
) -> None:
    driver = IPyDriver([Device("Dev", [numbers()])])
    client = await connect(await serve(nursery, driver))
    await client.send(newTextVector("Dev", "n", {"a": "1"}))
    reply = (await client.until(lambda event: event.vectorname == "n"))[-1]
    assert (reply.state, type(reply)) == (State.ALERT, setNumberVector)
    assert "not a Text vector" in reply.message
    assert driver.running


async def test_an_empty_number_element_does_not_crash_the_driver(
    nursery: trio.Nursery, connect: Connect
) -> None:
    vector = numbers()
    driver = IPyDriver([Device("Dev", [vector])])
    client = await connect(await serve(nursery, driver))
    for member in (b"<oneNumber name='a'/>", b"<oneNumber name='a'> </oneNumber>", b""):
        await client.stream.send_all(
            b"<newNumberVector device='Dev' name='n'>" + member + b"</newNumberVector>"
        )
        reply = (await client.until(lambda event: event.vectorname == "n"))[-1]
        assert (reply.state, dict(reply)) == (State.ALERT, {"a": 0.0})
    assert (driver.running, vector.state) == (True, State.OK)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1.9999999, " 2:00:00"), (-1.9999999, "-2:00:00"), (0.99999, " 1:00:00")],
)
def test_sexagesimal_rounding_shows_no_sixty(value: float, shown: str) -> None:
    member = NumberMember("a", format="%9.6m", membervalue=value)
    assert member.formatted == shown.rjust(9)
    assert ":60" not in member.formatted


def test_a_double_minus_is_no_number() -> None:
    with pytest.raises(ValueError, match="'--5' is not a number"):
        IPyDriver.indi_number_to_float("--5")
    with pytest.raises(ProtocolError, match="'--5' is not a number"):
        Decoder().feed(
            b"<newNumberVector device='Dev' name='n'>"
            b"<oneNumber name='a'>--5</oneNumber></newNumberVector>"
        )


def test_seconds_are_divided_by_3600() -> None:
    assert IPyDriver.indi_number_to_float("0:0:36") == 0.01
    assert IPyDriver.indi_number_to_float("-1:30:36") == -1.51


def test_start_tags_of_blobs_are_escaped() -> None:
    name, suffix = "a<b>&\"c'", '.<&>"'
    event = setBLOBVector(
        'D"&<', 'v>"', {name: b"abc"}, {name: SizeFormat(3, suffix)}, State.OK, message="<&>"
    )
    (read,) = Decoder().feed(encode(event))
    assert read == event
    assert encode(event).count(b"<") == encode(event).count(b">") == 4


async def test_a_client_that_does_not_read_neither_stalls_the_driver_nor_eats_the_memory(
    nursery: trio.Nursery,
    connect: Connect,
) -> None:
    vector = TextVector("t", textmembers=[TextMember("a")])
    driver = IPyDriver([Device("Dev", [vector])])
    high_water = 100_000
    server = await serve(nursery, driver, high_water=high_water)
    dead, good = await connect(server), await connect(server)
    for client in (dead, good):
        await client.send(getProperties())
    await good.until(lambda event: event.vectorname == "t")
    # Far more than the sockets of both ends take in.
    rounds, size = 2000, 20_000
    largest = 0
    with trio.fail_after(DEADLINE):
        async with trio.open_nursery() as both:
            both.start_soon(good.until, lambda event: event["a"].startswith(f"{rounds - 1} "))
            for number in range(rounds):
                vector["a"] = f"{number} ".ljust(size, "x")
                await vector.send_setVector()
                largest = max(largest, server.statistics().queue_bytes)
    assert largest < 2 * (high_water + 2 * size)
    assert server.statistics().drops > 0
    assert len(server.statistics().clients) == 2


STDIO_DRIVER = """
import trio
from trindi import Device, IPyDriver, NumberMember, NumberVector

class Endless(IPyDriver):
    async def hardware(self):
        await trio.sleep_forever()

vector = NumberVector("n", numbermembers=[NumberMember("a")])
trio.run(Endless([Device("Dev", [vector])], [trio.sleep_forever]).run)
"""


async def test_the_end_of_standard_input_ends_the_process() -> None:
    with trio.fail_after(DEADLINE):
        done = await trio.run_process(
            [sys.executable, "-c", STDIO_DRIVER],
            stdin=encode(getProperties()),
            capture_stdout=True,
            check=False,
        )
    assert done.returncode == 0
    (definition,) = Decoder().feed(done.stdout)
    assert isinstance(definition, defNumberVector)


class _Steps(trio.abc.Instrument):
    """Counts how often any task has something to do."""

    def __init__(self) -> None:
        self.count = 0

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += 1


async def test_an_idle_driver_does_not_poll(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    class Snooper(IPyDriver):
        async def hardware(self) -> None:
            await trio.sleep_forever()

    driver = Snooper([Device("Dev", [numbers()])], [trio.sleep_forever])
    await driver_idles(nursery, driver)
    steps = _Steps()
    trio.lowlevel.add_instrument(steps)
    await trio.sleep(24 * 3600)
    trio.lowlevel.remove_instrument(steps)
    assert steps.count <= 2, "only this test's own sleep may have been due"


async def driver_idles(nursery: trio.Nursery, driver: IPyDriver) -> None:
    await start(nursery, driver)
    await ask(driver, newNumberVector("Dev", "n", {"a": 1.0}))
    await settle()


async def test_a_long_handler_does_not_delay_the_abort_behind_it(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    moved: list[str] = []

    class Mount(IPyDriver):
        scope = trio.CancelScope()

        async def clientevent(self, event: Any) -> None:
            match event:
                case newNumberVector(vectorname="goto"):
                    with self.scope:
                        await trio.sleep(600)
                        moved.append("arrived")
                case newSwitchVector(vectorname="abort"):
                    self.scope.cancel()
                    moved.append("aborted")

    abort = SwitchVector("abort", perm="rw", rule="AtMostOne", switchmembers=[SwitchMember("a")])
    driver = Mount([Device("Dev", [numbers("goto"), abort])])
    await start(nursery, driver)
    peer = Peer()
    await ask(driver, newNumberVector("Dev", "goto", {"a": 180.0}), peer)
    begin = trio.current_time()
    await ask(driver, newSwitchVector("Dev", "abort", {"a": SwitchState.ON}), peer)
    assert (moved, trio.current_time(), peer.in_flight) == (["aborted"], begin, 0)


async def test_the_exception_of_one_handler_ends_no_driver(
    nursery: trio.Nursery, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    class Faulty(IPyDriver):
        async def clientevent(self, event: Any) -> None:
            if event["a"] < 0:
                raise RuntimeError("the motor is stuck")
            event.vector.update(event)
            await event.vector.send_setVector(state="Ok")

    faulty = Faulty([Device("Faulty", [numbers()])])
    sound = Faulty([Device("Sound", [numbers()])])
    server = await serve(nursery, faulty, sound)
    client = await connect(server)
    await client.send(newNumberVector("Faulty", "n", {"a": -1.0}))
    alert = (await client.until(lambda event: event.devicename == "Faulty"))[-1]
    assert (alert.state, "the motor is stuck" in alert.message) == (State.ALERT, True)
    assert "Traceback" in caplog.text
    for device in ("Faulty", "Sound"):
        await client.send(newNumberVector(device, "n", {"a": 5.0}))
        report = (await client.until(lambda event: event.state is State.OK))[-1]
        assert (report.devicename, report["a"]) == (device, 5.0)
    assert server.statistics().restarts == 0


async def test_a_driver_restarted_late_misses_no_snooped_value(
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[tuple[int, float]] = []

    class Window(IPyDriver):
        life = 0

        async def hardware(self) -> None:
            self.life += 1
            await self.send_getProperties("Thermostat", "n")
            if self.life == 1:
                await trio.sleep(60)
                raise RuntimeError("the window is stuck")

        async def snoopevent(self, event: Any) -> None:
            heard.append((self.life, event["a"]))

    vector = numbers(perm="ro")
    await serve(nursery, Window([]), IPyDriver([Device("Thermostat", [vector])]), restart_delay=50)
    await trio.sleep(30)
    vector["a"] = 15
    await vector.send_setVector()
    await trio.sleep(60)
    # The window is down; nothing but its restart can tell it of this.
    vector["a"] = 16
    await vector.send_setVector()
    await trio.sleep(60)
    assert heard[0] == (1, 0.0)
    assert (1, 15.0) in heard
    assert next(value for life, value in heard if life == 2) == 16.0
    assert "the window is stuck" in caplog.text


async def test_a_link_hears_text_as_it_is(nursery: trio.Nursery) -> None:
    vector = TextVector("t", textmembers=[TextMember("a", membervalue="<&>")])
    publisher: RecordingPublisher = await start(nursery, IPyDriver([Device("Dev", [vector])]))
    await vector.send_setVector()
    (report,) = publisher.of(setTextVector)
    assert report["a"] == "<&>"
    assert Decoder().feed(encode(report)) == [report]
