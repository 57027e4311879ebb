"""Each small program of the documentation does what its page says."""

from __future__ import annotations

import ast
import configparser
import inspect
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio
from markdown_it import MarkdownIt
from trio.testing import wait_all_tasks_blocked

from tests.kit.docs import DOCS, PAGES, ROOT, SNIPPETS, blocks
from tests.kit.driver import OnlyClient, start_with
from trindi import (
    IPyClient,
    IPyServer,
    Message,
    defBLOBVector,
    defLightVector,
    defNumberVector,
    defSwitchVector,
    defTextVector,
    enableBLOB,
    getProperties,
    newBLOBVector,
    newNumberVector,
    newSwitchVector,
    setBLOBVector,
)
from trindi.cli import main
from trindi.driver import core_of
from trindi.testing import start_server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path
    from types import ModuleType

    from trio.testing import MockClock

    from tests.kit.peers import Client

    Load = Callable[[str], ModuleType]
    Connect = Callable[[int], Awaitable[Client]]


async def start(nursery: trio.Nursery, driver: Any) -> OnlyClient:
    peer = OnlyClient()
    await start_with(nursery, driver, peer)
    return peer


# The snippets as files -------------------------------------------------------------------------


def test_each_snippet_is_shown(docs_tool: Load) -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in [ROOT / "README.md", *PAGES])
    files = {path.name for path in SNIPPETS.iterdir() if path.is_file()}
    assert docs_tool("blocks").shown_files(pages) == files


def test_each_page_is_as_it_would_be_written(docs_tool: Load) -> None:
    tool: Any = docs_tool("write")
    for page in tool.PAGES:
        text = page.read_text(encoding="utf-8")
        assert tool.written(text) == text, f"{page.name}: run `python docs/write.py`"


def test_no_page_has_code_that_is_no_file() -> None:
    for page in PAGES:
        for block in blocks(page):
            from_a_file = re.fullmatch(r"<!-- (code|diff): .+ -->", block.before)
            assert from_a_file or block.info == "text", (page.name, block.text)


def test_a_page_says_where_the_whole_file_of_a_part_is() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        whole = set(re.findall(r"<!-- code: (\w+\.py) -->", text))
        for name in set(re.findall(r"<!-- code: (\w+\.py): ", text)) - whole:
            told = {f"(snippets/{name})", f"`{name}`"}
            assert any(each in text for each in told), (page.name, name)


# What a plain viewer would show as it stands: fences, roles, tables, links, options, targets.
LEFT_OVER = [r"```", r"\{[a-z:-]+\}", r"^\| ", r"\]\(", r"^:[\w-]+:", r"\([\w-]+\)=$"]
FRONT = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]


@pytest.mark.parametrize("page", [*FRONT, *PAGES], ids=lambda page: page.name)
def test_a_plain_viewer_shows_each_page(page: Path) -> None:
    viewer = MarkdownIt("commonmark").enable("table")
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"^```+\{|\[\]\(", text, re.M)
    shown = viewer.render(text)
    words = re.sub(r"<pre>.*?</pre>|<code>.*?</code>|<!--.*?-->", "", shown, flags=re.S)
    assert [found for each in LEFT_OVER for found in re.findall(each, words, re.M)] == []


# Tutorial --------------------------------------------------------------------------------------


async def test_the_first_thermostat_reports_every_ten_seconds(
    snippet: Load, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    peer = await start(nursery, snippet("thermo_first").make_driver())
    await trio.sleep(65)
    reports = peer.about("temperaturevector")
    assert len(reports) == 6
    assert reports[0]["temperature"] == pytest.approx(19.5, abs=0.15)


async def test_the_thermostat_keeps_to_the_target_of_its_client(
    snippet: Load, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    driver = snippet("thermo").make_driver()
    peer = await start(nursery, driver)
    for target in (25.0, 10.0):
        core_of(driver).receive(
            newNumberVector("Thermostat", "targetvector", {"target": target}), peer
        )
        await trio.sleep(3600)
        assert peer.about("targetvector")[-1]["target"] == target
        assert abs(peer.about("temperaturevector")[-1]["temperature"] - target) < 0.7


@pytest.mark.slow
def test_the_readers_own_tests_pass(tmp_path: Path) -> None:
    for name in ("thermo.py", "test_thermo.py"):
        shutil.copy(SNIPPETS / name, tmp_path)
    shown = (SNIPPETS / "pytest.console").read_text(encoding="utf-8").splitlines()
    command = next(line[2:] for line in shown if line.startswith("$ pytest"))
    assert shown[-1].startswith("3 passed")
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        # As where trindi is installed: the plugin is there.
        [sys.executable, "-m", *shlex.split(command), "-p", "pytest_trindi"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "3 passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0


# Writing drivers -------------------------------------------------------------------------------


def test_there_is_a_vector_of_each_kind(snippet: Load) -> None:
    definitions = core_of(snippet("kinds").make_driver()).definitions()
    assert [type(event) for event in definitions] == [
        defSwitchVector,
        defTextVector,
        defNumberVector,
        defLightVector,
        defBLOBVector,
    ]
    assert {event.group for event in definitions} == {"Main", "Images"}


def steps(value: float) -> newNumberVector:
    return newNumberVector("Focuser", "POSITION", {"STEPS": value})


ABORT = newSwitchVector("Focuser", "ABORT", {"ABORT": True})  # type: ignore[dict-item]


async def test_the_focuser_is_busy_until_it_arrives(
    snippet: Load, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    driver = snippet("long_moves").make_driver()
    peer = await start(nursery, driver)
    core_of(driver).receive(steps(1000), peer)
    await trio.sleep(30)
    first, *moving, last = peer.about("POSITION")
    assert first.state == "Busy"
    assert first.timeout == 10
    assert {report.state for report in moving} == {"Busy"}
    assert (last.state, last["STEPS"]) == ("Ok", 1000)


async def test_an_abort_overtakes_the_move(
    snippet: Load, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    driver = snippet("long_moves").make_driver()
    peer = await start(nursery, driver)
    core_of(driver).receive(steps(1000), peer)
    await trio.sleep(5)
    core_of(driver).receive(ABORT, peer)
    await trio.sleep(0.01)
    stopped = peer.about("POSITION")[-1]
    assert stopped.state == "Idle"
    assert 400 < stopped["STEPS"] < 600
    assert peer.about("ABORT")[-1].state == "Ok"
    assert peer.about("ABORT")[-1]["ABORT"] == "Off"
    await trio.sleep(60)
    assert peer.about("POSITION")[-1] is stopped


async def test_a_new_target_replaces_the_old_one(
    snippet: Load, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    driver = snippet("long_moves").make_driver()
    peer = await start(nursery, driver)
    core_of(driver).receive(steps(1000), peer)
    await trio.sleep(5)
    core_of(driver).receive(steps(200), peer)
    await trio.sleep(60)
    last = peer.about("POSITION")[-1]
    assert (last.state, last["STEPS"]) == ("Ok", 200)


async def test_the_shutter_is_closed_when_the_driver_ends(
    snippet: Load, autojump_clock: MockClock
) -> None:
    module: Any = snippet("cleanup")
    shutter = module.Shutter()
    async with trio.open_nursery() as nursery:
        await start(nursery, module.make_driver(shutter))
        await trio.sleep(10)
        assert shutter.is_open
        nursery.cancel_scope.cancel()
    assert not shutter.is_open


async def test_a_shutter_that_is_stuck_holds_up_the_end_for_five_seconds(
    snippet: Load, autojump_clock: MockClock
) -> None:
    module: Any = snippet("cleanup")

    class Stuck(module.Shutter):  # type: ignore[misc]
        async def close(self) -> None:
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        await start(nursery, module.make_driver(Stuck()))
        await trio.sleep(10)
        told = trio.current_time()
        nursery.cancel_scope.cancel()
    assert trio.current_time() - told == 5


async def test_the_meter_is_read_in_another_thread(snippet: Load, nursery: trio.Nursery) -> None:
    threads: list[int] = []

    class Meter:
        def read(self) -> float:
            threads.append(threading.get_ident())
            return 19.8

    peer = await start(nursery, snippet("threads").make_driver(Meter()))
    with trio.fail_after(10):
        await peer.wait_about("SKY")
    (report,) = peer.about("SKY")
    assert (report["BRIGHTNESS"], report.state) == (19.8, "Ok")
    assert threading.get_ident() not in threads


async def test_a_meter_that_hangs_is_left_behind(
    snippet: Load, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    answer = threading.Event()

    class Meter:
        def read(self) -> float:
            answer.wait()
            return 0.0

    peer = await start(nursery, snippet("threads").make_driver(Meter()))
    await trio.sleep(11)
    answer.set()
    (report,) = peer.about("SKY")
    assert report.state == "Alert"
    assert "does not answer" in report.message


async def test_a_meter_that_was_left_behind_is_not_called_beside_itself(
    snippet: Load, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    """The second call would get the answer to the first, or steal the one to a third."""
    begun, answer = threading.Event(), threading.Event()
    calls: list[int] = []

    class Meter:
        def read(self) -> float:
            calls.append(threading.get_ident())
            begun.set()
            answer.wait()
            return 0.0

    peer = await start(nursery, snippet("threads").make_driver(Meter()))
    try:
        await trio.to_thread.run_sync(begun.wait)
        await trio.sleep(200)
        assert len(calls) == 1
        assert {report.state for report in peer.about("SKY")} == {"Alert"}
    finally:
        answer.set()


async def test_the_window_follows_the_thermostat(
    snippet: Load,
    nursery: trio.Nursery,
    autojump_clock: MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    thermostat = snippet("thermo").make_driver()
    window = snippet("snooping").make_driver()
    await nursery.start(IPyServer([thermostat, window], port=0).run)
    status = window["Window"]["STATUS"]
    await trio.sleep(1)
    assert status["OPEN"] == "Ok"  # the first answer was the definition, at 20 degrees
    await trio.sleep(600)
    assert status["OPEN"] == "Idle"

    async def fail() -> None:
        raise OSError("the sensor is gone")

    thermostat.start_soon(fail)
    await trio.sleep(0.5)
    assert status.state == "Alert"
    await trio.sleep(10)
    assert status.state == "Ok"
    assert "the sensor is gone" in caplog.text


async def test_the_camera_sends_a_compressed_frame_and_takes_a_file(
    snippet: Load, connect: Connect, nursery: trio.Nursery
) -> None:
    module: Any = snippet("images")
    server = await nursery.start(IPyServer([module.make_driver()], port=0).run)
    client = await connect(server.port)
    with trio.fail_after(30):
        await client.send(
            getProperties("Camera"),
            enableBLOB("Camera", policy="Also"),  # type: ignore[arg-type]
            newNumberVector("Camera", "EXPOSURE", {"SECONDS": 0.0}),
        )
        image = await client.next(setBLOBVector)
        assert image["FRAME"] == module.read_sensor()
        assert image.sizeformat["FRAME"] == (len(module.read_sensor()), ".fits.z")
        assert client.received < len(module.read_sensor())
        flat = newBLOBVector("Camera", "FLAT", {"FILE": b"flat"}, {"FILE": (4, ".bin")})  # type: ignore[dict-item]
        await client.send(flat)
        answer = await client.next(setBLOBVector)
    assert answer.message == "[INFO] The flat field has 4 bytes (.bin)"
    assert server.drivers[0].driverdata["flat"] == b"flat"


# Running ---------------------------------------------------------------------------------------


class Log(logging.Handler):
    """Lets a test wait for a line of the log."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []
        self._news = trio.lowlevel.ParkingLot()

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())
        self._news.unpark_all()

    async def wait_for(self, text: str) -> None:
        while not any(text in line for line in self._lines):
            await self._news.park()


async def test_the_program_serves_and_says_how_it_fares(
    snippet: Load,
    nursery: trio.Nursery,
    mock_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    module: Any = snippet("program")
    log = Log()
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(module.logger, "handlers", [log])
    nursery.start_soon(module.main, 0)
    # The clock stands until it listens: the name of the host is looked up in a thread.
    await log.wait_for("listening on")
    await wait_all_tasks_blocked()
    mock_clock.jump(61)
    await wait_all_tasks_blocked()
    assert "listening on (('127.0.0.1', " in caplog.text
    assert "0 clients, 0 bytes wait for them, 0 restarts" in caplog.text


async def test_a_driver_comes_and_goes_with_its_port(
    snippet: Load, nursery: trio.Nursery, autojump_clock: MockClock, tmp_path: Path
) -> None:
    module: Any = snippet("come_and_go")
    port = tmp_path / "port"
    server = IPyServer([])
    client = await start_server(nursery, server)
    nursery.start_soon(module.follow, server, str(port))
    for _ in range(2):
        await trio.sleep(5)
        assert (server.drivers, list(client)) == ((), [])
        port.touch()
        await trio.sleep(5)
        assert len(server.drivers) == 1
        assert list(client) == ["Dew Heater"]
        port.unlink()
        await trio.sleep(5)


async def test_every_bound_that_can_be_set_is_set(
    snippet: Load, connect: Connect, nursery: trio.Nursery
) -> None:
    source = (SNIPPETS / "bounds.py").read_text(encoding="utf-8")
    parameters = {
        *inspect.signature(IPyServer).parameters.keys() - {"drivers", "host"},
        *inspect.signature(IPyClient).parameters.keys() - {"host", "connect", "runtime"},
    }
    assert {name for name in parameters if f"{name}=" not in source} == set()
    module: Any = snippet("bounds")
    server = await nursery.start(module.make_server(0).run)
    async with trio.open_nursery() as within:
        client = await within.start(module.make_client(server.port).run)
        await client.wait_settled()
        assert list(client) == ["Thermostat"]
        within.cancel_scope.cancel()
    with trio.fail_after(30):
        clients = [await connect(server.port) for _ in range(3)]
        for client in clients:
            await client.send(getProperties())
            await client.next(defNumberVector)
        fourth = await connect(server.port)
        refusal = await fourth.next(Message)
    assert "3 clients already" in refusal.message


def test_the_unit_starts_what_trindi_has() -> None:
    unit = configparser.ConfigParser()
    unit.read(SNIPPETS / "trindi.service", encoding="utf-8")
    program, name, *arguments = shlex.split(unit["Service"]["ExecStart"])
    assert program.endswith("/bin/trindi")
    assert name == "serve"
    context = main.commands["serve"].make_context("serve", arguments)
    assert context.params["targets"] == ("/home/observatory/thermo.py",)


# Porting ---------------------------------------------------------------------------------------

EDITS = {
    "import asyncio": "import trio",
    "from indipydriver import": "from trindi import",
    "asyncio.sleep": "trio.sleep",
    "tasks=[heater.run()]": "tasks=[heater.run]",
    "asyncio.run(server.asyncrun())": "trio.run(server.run)",
}


def test_only_the_edits_that_the_page_lists_are_made() -> None:
    text = (SNIPPETS / "porting_before.txt").read_text(encoding="utf-8")
    ast.parse(text)
    page = (DOCS / "porting.md").read_text(encoding="utf-8")
    for old, new in EDITS.items():
        assert f"| `{old}` | `{new}` |" in page
        assert old in text
        text = text.replace(old, new)
    assert text == (SNIPPETS / "porting_after.py").read_text(encoding="utf-8")


async def test_the_ported_driver_runs(
    snippet: Load, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    driver = snippet("porting_after").make_driver()
    peer = await start(nursery, driver)
    core_of(driver).receive(getProperties(), peer)
    told: list[Any] = peer.events
    assert [event.vectorname for event in told] == ["temperature", "target"]
    core_of(driver).receive(newNumberVector("Heater", "target", {"target": 25.0}), peer)
    await trio.sleep(600)
    assert peer.about("target")[-1]["target"] == 25.0
    assert abs(peer.about("temperature")[-1]["temperature"] - 25.0) < 0.3


# README ----------------------------------------------------------------------------------------


async def test_the_driver_of_the_readme(
    snippet: Load, nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    driver = snippet("readme_driver").make_driver()
    peer = await start(nursery, driver)
    await trio.sleep(25)
    assert [report["TEMPERATURE"] for report in peer.about("LENS")] == [4.2, 4.2, 4.2]
    core_of(driver).receive(newNumberVector("Dew Heater", "POWER", {"PERCENT": 60.0}), peer)
    core_of(driver).receive(newNumberVector("Dew Heater", "POWER", {"PERCENT": 160.0}), peer)
    await trio.sleep(1)
    answers = [(answer.state, answer["PERCENT"]) for answer in peer.about("POWER")]
    assert ("Ok", 60.0) in answers
    assert ("Alert", 160.0) not in answers
    assert {state for state, _percent in answers} == {"Ok", "Alert"}
