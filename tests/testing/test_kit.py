"""The test kit: a driver and its client in memory, as a test sees both."""

from __future__ import annotations

import importlib.util
import logging
import math
import shutil
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

import thermostat_target
from tests.kit.processes import run_python
from tests.kit.server import Bench
from trindi import (
    IPyServer,
    NotConnected,
    PropertyAlert,
    getProperties,
    newNumberVector,
    setNumberVector,
)
from trindi.driver.property_queue import PROPERTY_QUEUE
from trindi.protocol import encode
from trindi.recording import EndOfStream, Recording, RecordingError, Side, Unparsed, record
from trindi.testing import (
    EPOCH,
    Cut,
    Garbage,
    Reset,
    Slow,
    Stall,
    connect,
    join,
    make_reproducible,
    replay_to,
    start_driver,
    start_replay,
    start_server,
)
from trindi.testing.kit import SETTLE_TIMEOUT, WORK_TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from pathlib import Path

    from trio.testing import MockClock

    from trindi import ClientEvent, IPyClient, SnoopEvent
    from trindi.recording import Entry


async def test_a_client_sees_and_sets_a_driver(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    client = await start_driver(nursery, thermostat_target.make_driver())
    assert trio.current_time() == 0
    target = client["Thermostat"]["targetvector"]
    await target.set_and_wait(target=25.0)
    assert target["target"] == 25.0
    await client.wait_for("Thermostat", "temperaturevector", lambda v: v["temperature"] > 24.5)
    assert 0 < trio.current_time() < 1000


async def test_a_night_takes_a_moment(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    client = await start_driver(nursery, thermostat_target.make_driver())
    temperatures: list[float] = []
    with trio.move_on_after(10 * 3600 + 1):
        async for event in client.events("Thermostat", "temperaturevector"):
            assert isinstance(event, setNumberVector)
            temperatures.append(event["temperature"])
    assert len(temperatures) == 3600
    assert all(14.3 < temperature < 15.7 for temperature in temperatures[60:])


async def test_the_time_of_day_is_virtual_too(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    client = await start_driver(nursery, thermostat_target.make_driver())
    vector = client["Thermostat"]["temperaturevector"]
    assert vector.timestamp == EPOCH
    await trio.sleep(10.5)
    assert (vector.timestamp - EPOCH).total_seconds() == 10


async def test_several_drivers_and_several_clients(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server = IPyServer([Bench("A"), Bench("B")], maxconnections=2)
    first = await start_server(nursery, server)
    second = await join(nursery, server)
    assert set(first) == set(second) == {"A", "B"}
    await first["A"]["target"].set_and_wait(x=12.0)
    await second.wait_for("A", "target", lambda vector: vector["x"] == 12.0)
    with pytest.raises(NotConnected):
        await join(nursery, server)
    assert server.addresses == ()


async def test_drivers_may_be_a_list(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    client = await start_server(nursery, [Bench("A"), Bench("B")])
    assert set(client) == {"A", "B"}


async def test_a_test_may_send_bytes_of_its_own(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    server = IPyServer([Bench("A")])
    await start_server(nursery, server)
    stream = connect(nursery, server)
    await stream.send_all(b"nonsense & <1" + encode(getProperties("A", "serial")))
    assert b'<defNumberVector device="A" name="serial"' in await stream.receive_some()


async def test_real_time_is_left_as_it_is(nursery: trio.Nursery, tmp_path: Path) -> None:
    with trio.fail_after(30):
        client = await start_driver(nursery, Bench(), recording=tmp_path / "a")
        await client["Bench"]["target"].set_and_wait(x=1.0)
    assert client["Bench"]["target"].timestamp > EPOCH.replace(month=2)
    assert Recording(tmp_path / "a").clock == "wall"


# Exceptions ------------------------------------------------------------------------------------


class Clumsy(Bench):
    """Fails in its event handlers."""

    async def clientevent(self, event: ClientEvent) -> None:
        if isinstance(event, newNumberVector):
            raise OSError("the cable is out") from ZeroDivisionError("first")

    async def snoopevent(self, event: SnoopEvent) -> None:
        raise OSError("the cable is out") from ZeroDivisionError("first")


class Dead(Bench):
    """Fails in its hardware loop."""

    async def hardware(self) -> None:
        await trio.sleep(1)
        raise OSError("the cable is out") from ZeroDivisionError("first")


async def of_a_handler(nursery: trio.Nursery, contain_errors: bool) -> IPyClient:
    client = await start_driver(nursery, Clumsy(), contain_errors=contain_errors)
    await client["Bench"]["target"].set(x=1.0)
    return client


async def of_snooping(nursery: trio.Nursery, contain_errors: bool) -> IPyClient:
    driver = Clumsy()
    driver.snoopall = True
    return await start_server(nursery, [driver, Bench("Other")], contain_errors=contain_errors)


async def of_the_hardware(nursery: trio.Nursery, contain_errors: bool) -> IPyClient:
    return await start_driver(nursery, Dead(), contain_errors=contain_errors)


@pytest.mark.parametrize("fail", [of_a_handler, of_snooping, of_the_hardware])
async def test_an_exception_shows_in_the_test(
    autojump_clock: MockClock, fail: Callable[[trio.Nursery, bool], Awaitable[IPyClient]]
) -> None:
    async def test() -> None:
        async with trio.open_nursery() as nursery:
            await fail(nursery, False)
            await trio.sleep(60)

    with pytest.raises(ExceptionGroup) as raised:
        await test()
    # One group, that of the test's own nursery, and not one for each nursery on the way.
    (error,) = raised.value.exceptions
    assert isinstance(error, OSError)
    assert str(error) == "the cable is out"
    assert isinstance(error.__cause__, ZeroDivisionError)
    assert error.__context__ is None


@pytest.mark.parametrize("fail", [of_a_handler, of_snooping, of_the_hardware])
async def test_it_can_be_contained_as_in_an_observatory(
    autojump_clock: MockClock,
    nursery: trio.Nursery,
    caplog: pytest.LogCaptureFixture,
    fail: Callable[[trio.Nursery, bool], Awaitable[IPyClient]],
) -> None:
    client = await fail(nursery, True)
    await trio.sleep(60)
    assert await client.wait_settled()
    assert "the cable is out" in caplog.text


async def test_several_exceptions_stay_a_group(autojump_clock: MockClock) -> None:
    async def test() -> None:
        async with trio.open_nursery() as nursery:
            await start_server(nursery, [Dead("A"), Dead("B")])
            await trio.sleep(60)

    with pytest.raises(ExceptionGroup) as raised:
        await test()
    (group,) = raised.value.exceptions
    assert isinstance(group, ExceptionGroup)
    assert raised.group_contains(OSError, match="the cable is out")


async def test_a_refusal_is_no_exception(
    autojump_clock: MockClock, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    server = IPyServer([Clumsy()])
    client = await start_server(nursery, server)
    stream = connect(nursery, server)
    await stream.send_all(encode(newNumberVector("Bench", "target", {"x": 1000.0})))
    assert b'state="Alert"' in await stream.receive_some()
    assert client["Bench"]["target"]["x"] == 7.0
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


# Faults ----------------------------------------------------------------------------------------


async def test_a_cut_in_mid_element(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    driver = Bench()
    client = await start_driver(nursery, driver, faults=[Cut(time=10)])
    await trio.sleep(11)
    assert not client.connected
    assert driver.running


async def test_a_fault_may_strike_before_all_is_there(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    with pytest.raises(NotConnected):
        await start_driver(nursery, Bench(), faults=[Cut(byte=300)])
    client = await start_driver(nursery, Bench(), faults=[Reset(byte=300)], settle=False)
    await trio.testing.wait_all_tasks_blocked()
    assert not client.connected
    with pytest.raises(NotConnected, match="the connection to the server broke"):
        await client.wait_connected()


async def test_a_handler_that_never_returns_is_told(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    class Stuck(Bench):
        auto_send_def = False

        async def clientevent(self, event: ClientEvent) -> None:
            await trio.sleep_forever()

    with pytest.raises(trio.TooSlowError) as caught:
        await start_driver(nursery, Stuck())
    assert "a handler of getProperties has not returned" in caught.value.__notes__[0]
    assert trio.current_time() == SETTLE_TIMEOUT


async def test_garbage_costs_nothing_but_itself(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    faults = [Garbage(time=5), Garbage(byte=0, direction="sent")]
    driver = Bench()
    client = await start_driver(nursery, driver, faults=faults)
    await trio.sleep(6)
    await driver.count(3)
    await client.wait_for("Bench", "count", lambda vector: vector["n"] == 3)
    assert client.connected
    assert driver.running


async def test_a_slow_reader_gets_the_newest_state(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    driver = Bench()
    server = IPyServer([driver], high_water=10_000)
    quick = await start_server(nursery, server)
    slow = await join(nursery, server, faults=[Slow(1000, time=1)])
    await trio.sleep(2)
    numbers: dict[IPyClient, list[float]] = {quick: [], slow: []}

    async def note(client: IPyClient) -> None:
        async for event in client.events("Bench", "count"):
            assert isinstance(event, setNumberVector)
            numbers[client].append(event["n"])

    for client in numbers:
        nursery.start_soon(note, client)
    await trio.testing.wait_all_tasks_blocked()
    for _ in range(500):
        await driver.count()
        await trio.sleep(0.01)
    await slow.wait_for("Bench", "count", lambda vector: vector["n"] == 500)
    assert len(numbers[quick]) == 500
    assert len(numbers[slow]) < 200
    assert server.statistics().drops > 0


async def test_a_stall_is_survived(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    driver = Bench()
    client = await start_driver(nursery, driver, faults=[Stall(7, time=1)])
    await trio.sleep(2)
    await driver.count()
    await client.wait_for("Bench", "count", lambda vector: vector["n"] == 1)
    assert trio.current_time() == 8


# Recordings ------------------------------------------------------------------------------------


async def record_session(path: Path) -> None:
    async with trio.open_nursery() as nursery:
        client = await start_driver(nursery, thermostat_target.make_driver(), recording=path)
        await trio.sleep(12)
        await client["Thermostat"]["targetvector"].set_and_wait(target=18.0)
        await trio.sleep(60)
        nursery.cancel_scope.cancel()


async def test_a_recording_is_the_same_each_time(autojump_clock: MockClock, tmp_path: Path) -> None:
    await record_session(tmp_path / "a")
    text = (tmp_path / "a").read_text()
    assert '"clock": "virtual", "start": "2026-01-01T00:00:00"' in text
    (entry,) = [
        entry
        for entry in Recording(tmp_path / "a")
        if isinstance(entry.item, newNumberVector) and entry.source is Side.CLIENT
    ]
    assert entry.time == 12


async def test_a_recording_is_asked_of_a_driver(
    autojump_clock: MockClock, nursery: trio.Nursery, tmp_path: Path
) -> None:
    await record_session(tmp_path / "a")
    heard = await replay_to(nursery, thermostat_target.make_driver(), tmp_path / "a")
    assert reports(heard, "targetvector") == {12: 18.0}
    temperatures = reports(heard, "temperaturevector")
    assert len(temperatures) == 7
    # The room may cool down before or after a report of the same moment.
    before = reports(Recording(tmp_path / "a"), "temperaturevector")
    assert temperatures == {time: pytest.approx(value, abs=0.11) for time, value in before.items()}


def reports(entries: Iterable[Entry], vectorname: str) -> dict[float, float]:
    """Map the times of reports to the number in them; the property has one member."""
    return {
        entry.time: value
        for entry in entries
        if isinstance(entry.item, setNumberVector) and entry.item.vectorname == vectorname
        for value in entry.item.values()
    }


class Thorough(Bench):
    """Works for some seconds on each request."""

    delay = 3.0

    async def clientevent(self, event: ClientEvent) -> None:
        if isinstance(event, newNumberVector):
            await trio.sleep(self.delay)
            event.vector.update(event)
            await event.vector.send_setVector(state="Ok")


async def record_requests(path: Path, count: int, *, leaves: bool) -> Path:
    """Record a client that waits for each answer; return the file with or without its end."""
    copy = path.with_suffix(".copy")
    async with trio.open_nursery() as nursery:
        client = await start_driver(nursery, Thorough(), recording=path)
        for number in range(1, count + 1):
            await client["Bench"]["target"].set_and_wait(x=number)
        shutil.copy(path, copy)
        nursery.cancel_scope.cancel()
    return path if leaves else copy


def answers(entries: Iterable[Entry]) -> list[Any]:
    return [entry for entry in entries if isinstance(entry.item, setNumberVector)]


@pytest.mark.parametrize("leaves", [True, False])
@pytest.mark.parametrize("speed", [1.0, 100.0, math.inf])
async def test_handlers_are_waited_for_at_any_speed(
    autojump_clock: MockClock, nursery: trio.Nursery, tmp_path: Path, leaves: bool, speed: float
) -> None:
    path = await record_requests(tmp_path / "a", 2, leaves=leaves)
    heard = await replay_to(nursery, Thorough(), path, speed=speed)
    told = {round(entry.time, 3): entry.item["x"] for entry in answers(heard)}
    assert told == {3: 1.0, 6: 2.0}


async def test_also_those_of_requests_that_are_too_many_to_be_read_at_once(
    autojump_clock: MockClock, nursery: trio.Nursery, tmp_path: Path
) -> None:
    path = await record_requests(tmp_path / "a", PROPERTY_QUEUE + 20, leaves=True)
    heard = await replay_to(nursery, Thorough(), path, speed=math.inf)
    assert len(answers(heard)) == PROPERTY_QUEUE + 20


async def test_a_handler_that_never_returns_is_waited_for_in_vain(
    autojump_clock: MockClock, nursery: trio.Nursery, tmp_path: Path
) -> None:
    path = await record_requests(tmp_path / "a", 1, leaves=False)
    driver, start = Thorough(), trio.current_time()
    driver.delay = math.inf
    assert answers(await replay_to(nursery, driver, path)) == []
    assert WORK_TIMEOUT <= trio.current_time() - start < WORK_TIMEOUT + 10


async def test_a_recording_is_shown_to_a_client(
    autojump_clock: MockClock, nursery: trio.Nursery, tmp_path: Path
) -> None:
    await record_session(tmp_path / "a")
    start = trio.current_time()
    client = await start_replay(nursery, tmp_path / "a")
    target = client["Thermostat"]["targetvector"]
    assert target["target"] == 15.0
    await client.wait_for("Thermostat", "targetvector", lambda vector: vector["target"] == 18.0)
    assert trio.current_time() - start == 12
    with pytest.raises(PropertyAlert, match="this is a recording"):
        await target.set_and_wait(target=20.0)


async def test_an_exception_in_a_replay_shows_in_the_test(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    await record_session(tmp_path / "a")

    class Broken(thermostat_target.Thermostat):
        async def clientevent(self, event: ClientEvent) -> None:
            raise OSError("the cable is out")

    async def test() -> None:
        async with trio.open_nursery() as nursery:
            await replay_to(nursery, [Broken()], Recording(tmp_path / "a"), speed=math.inf)

    with pytest.raises(ExceptionGroup) as raised:
        await test()
    assert raised.group_contains(OSError, match="the cable is out")


async def test_garbage_is_recorded(
    autojump_clock: MockClock, nursery: trio.Nursery, tmp_path: Path
) -> None:
    junk = b'<setNumberVector device="Bench" name="count"><oneNumber/></setNumberVector>'
    async with trio.open_nursery() as inner:
        faults = [Garbage(junk, time=1)]
        await start_driver(inner, Bench(), faults=faults, recording=tmp_path / "a")
        await trio.sleep(2)
        inner.cancel_scope.cancel()
    garbled = [e.item for e in Recording(tmp_path / "a") if isinstance(e.item, Unparsed)]
    assert [one.data for one in garbled] == [junk]


async def test_what_is_no_recording_is_said_at_once(
    autojump_clock: MockClock, nursery: trio.Nursery, tmp_path: Path
) -> None:
    (tmp_path / "a").write_text("hello\n")
    with pytest.raises(RecordingError):
        await replay_to(nursery, Bench(), tmp_path / "a")
    with pytest.raises(RecordingError):
        await start_replay(nursery, tmp_path / "a")


# What it touches --------------------------------------------------------------------------------


def test_the_scheduler_is_as_before_afterwards() -> None:
    run: Any = trio._core._run
    random, flag = run._r, run._ALLOW_DETERMINISTIC_SCHEDULING

    async def main() -> None:
        inside.append(random.getstate())
        make_reproducible(1)
        inside.append(random.getstate())
        make_reproducible(2)
        inside.append(random.getstate())
        assert run._ALLOW_DETERMINISTIC_SCHEDULING

    inside: list[Any] = []
    trio.run(main, clock=trio.testing.MockClock())
    assert (run._r, run._ALLOW_DETERMINISTIC_SCHEDULING) == (random, flag)
    assert random.getstate() == inside[0]
    assert inside[0] != inside[1] != inside[2]
    random.seed(5)
    state = random.getstate()

    async def in_real_time() -> None:
        make_reproducible(1)

    trio.run(in_real_time)
    random.seed(5)
    assert random.getstate() == state


def test_a_trio_without_a_seed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        make_reproducible()

    monkeypatch.setattr("trindi.testing.reproducible._run", SimpleNamespace())
    with pytest.warns(UserWarning, match="finds no seed for the scheduler"):
        trio.run(main, clock=trio.testing.MockClock())


def test_so_is_one_that_has_its_scheduler_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    core: Any = trio._core
    monkeypatch.delattr(core, "_run")
    monkeypatch.setitem(sys.modules, "trio._core._run", None)
    found = importlib.util.find_spec("trindi.testing.reproducible")
    assert found is not None
    assert found.loader is not None
    again = importlib.util.module_from_spec(found)
    found.loader.exec_module(again)

    async def main() -> None:
        again.make_reproducible()

    with pytest.warns(UserWarning, match="finds no seed for the scheduler"):
        trio.run(main, clock=trio.testing.MockClock())


async def test_a_seed_stays_where_no_other_is_given(
    autojump_clock: MockClock,
    nursery: trio.Nursery,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise a driver that is started later would undo it."""
    seeds: list[int] = []
    random: Any = trio._core._run._r
    monkeypatch.setattr(random, "seed", seeds.append)
    await start_driver(nursery, Bench(), seed=1, recording=tmp_path / "a")
    shutil.copy(tmp_path / "a", tmp_path / "b")
    await start_server(nursery, [Bench()])
    await start_replay(nursery, tmp_path / "b")
    await replay_to(nursery, Bench(), tmp_path / "b")
    make_reproducible()
    assert seeds == [1]
    await start_replay(nursery, tmp_path / "b", seed=2)
    await replay_to(nursery, Bench(), tmp_path / "b", seed=0)
    assert seeds == [1, 2, 0]


async def test_the_first_seed_is_0(
    autojump_clock: MockClock, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    random: Any = trio._core._run._r
    monkeypatch.setattr(random, "seed", seeds.append)
    await start_driver(nursery, Bench())
    assert seeds == [0]


def test_it_needs_no_pytest_and_nothing_needs_it() -> None:
    program = (
        "import sys; sys.modules['pytest'] = None\n"
        "import trindi, trindi.cli, trindi.recording\n"
        "assert not [n for n in sys.modules if n.startswith(('trindi.testing', '_pytest'))]\n"
        "import trindi.testing\n"
        "assert not [n for n in sys.modules if n.startswith('_pytest')]\n"
    )
    done = run_python("-c", program)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("seconds", [0.5, 1.0, 3.0])
async def test_no_answer_is_lost_at_the_end(
    tmp_path: Path, autojump_clock: MockClock, nursery: trio.Nursery, seconds: float
) -> None:
    class Late(Bench):
        async def clientevent(self, event: ClientEvent) -> None:
            await trio.sleep(seconds)
            await super().clientevent(event)

    path = tmp_path / "night.jsonl"
    server = IPyServer([Bench()])
    await start_server(nursery, server)
    async with record(connect(nursery, server), path) as stream:
        await stream.send_all(encode(getProperties()))
        await stream.send_all(encode(newNumberVector("Bench", "target", {"x": 5.0})))
    assert isinstance(list(Recording(path))[-1].item, EndOfStream)
    # The client leaves at once, and tasks run in another order each time.
    for seed in range(10):
        heard = await replay_to(nursery, Late(), path, seed=seed)
        answers = [one.item for one in heard if getattr(one.item, "vectorname", "") == "target"]
        assert [type(one).__name__ for one in answers] == ["defNumberVector", "setNumberVector"]
