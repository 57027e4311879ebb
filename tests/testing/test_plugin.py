"""The plugin for pytest, in nested pytest runs, as the author of a driver uses it."""

from __future__ import annotations

import functools
import importlib
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.kit.docs import SNIPPETS
from tests.kit.processes import ENVIRONMENT, EXAMPLES, ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    Run = Callable[..., str]

FIVE_LINES = """
from thermostat_target import make_driver

{mark}async def test_the_room_follows_the_target(start_driver, autojump_clock):
    client = await start_driver(make_driver())
    await client["Thermostat"]["targetvector"].set_and_wait(target=18.0)
    near = lambda vector: abs(vector["temperature"] - 18) < 0.5
    await client.wait_for("Thermostat", "temperaturevector", near)
"""

CLUMSY = """
import pytest
import trio
from thermostat_target import Thermostat
from trindi import IPyServer

class Clumsy(Thermostat):
    async def clientevent(self, event):
        raise OSError("the cable is out")

async def test_that_fails(start_server, autojump_clock):
    client = await start_server(IPyServer([Clumsy()]))
    await client["Thermostat"]["targetvector"].set(target=18.0)
    await trio.sleep(10)

async def test_that_does_not(start_server, autojump_clock):
    client = await start_server([Clumsy()], contain_errors=True)
    await client["Thermostat"]["targetvector"].set(target=18.0)
    await client.wait_state("Thermostat", "targetvector", "Alert")
"""

ORDER = """
import trio
from thermostat_target import make_driver

async def print_order(name):
    order = []

    async def note(number):
        await trio.sleep(1)
        order.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(note, number)
    print(f"order after {name}:", order)

async def test_start_driver(start_driver, autojump_clock):
    await start_driver(make_driver())
    await print_order("start_driver")

async def test_start_server(start_server, autojump_clock):
    await start_server([make_driver()])
    await print_order("start_server")

async def test_start_replay(start_replay, autojump_clock):
    await start_replay("night.jsonl")
    await print_order("start_replay")

async def test_replay_to(replay_to, autojump_clock):
    await replay_to(make_driver(), "night.jsonl")
    await print_order("replay_to")
"""

FIXTURES = ("start_driver", "start_server", "start_replay", "replay_to")
TRIO_MODE = "[pytest]\ntrio_mode = true\nfilterwarnings = error\n"


CLOCKS = """
import pytest
import trio
from hypothesis import HealthCheck, given, settings, strategies
from thermostat_target import make_driver
from trio.testing import MockClock

async def is_night_short():
    assert isinstance(trio.lowlevel.current_clock(), MockClock)
    await trio.sleep(10 * 3600)

@pytest.fixture
async def client(start_driver, autojump_clock):
    return await start_driver(make_driver())

@pytest.fixture
def clock_of_a_plain_fixture(autojump_clock):
    return None

async def test_in_an_async_fixture(client):
    await is_night_short()

async def test_in_a_plain_fixture(clock_of_a_plain_fixture):
    await is_night_short()

@pytest.mark.usefixtures("autojump_clock")
async def test_by_a_mark(start_driver):
    await start_driver(make_driver())
    await is_night_short()

class TestOfAClass:
    @pytest.fixture(autouse=True)
    def clock(self, autojump_clock):
        return autojump_clock

    async def test_used_by_all(self):
        await is_night_short()

async def test_its_own_argument_comes_first(mock_clock, clock_of_a_plain_fixture):
    assert trio.lowlevel.current_clock() is mock_clock

@pytest.mark.usefixtures("autojump_clock")
def test_that_is_not_async():
    pass

async def test_in_real_time():
    assert not isinstance(trio.lowlevel.current_clock(), MockClock)

@pytest.mark.usefixtures("mock_clock", "autojump_clock")
async def test_with_two():
    pass

@settings(suppress_health_check=list(HealthCheck))
@given(strategies.booleans())
@pytest.mark.usefixtures("autojump_clock")
async def test_of_hypothesis(value):
    pass
"""


def run_pytest(
    directory: Path, *arguments: str, ini: str = TRIO_MODE, plugin: str = "pytest_trindi"
) -> str:
    """Run pytest in a directory, and return what it prints."""
    (directory / "pytest.ini").write_text(ini)
    command = [sys.executable, "-m", "pytest", "-rA", "-p", plugin, "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *arguments],
        cwd=directory,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run one test in a directory with an example."""
    shutil.copy(EXAMPLES / "thermostat_target.py", tmp_path)

    def run(test: str, *arguments: str, **options: str) -> str:
        (tmp_path / "test_driver.py").write_text(test)
        return run_pytest(tmp_path, *arguments, **options)

    return run


@pytest.fixture(scope="module")
def run_all(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run all tests of one directory; each combination of arguments once."""
    directory = tmp_path_factory.mktemp("author")
    shutil.copy(EXAMPLES / "thermostat_target.py", directory)
    shutil.copy(SNIPPETS / "night.jsonl", directory)
    (directory / "test_lines.py").write_text(FIVE_LINES.format(mark=""))
    (directory / "test_clumsy.py").write_text(CLUMSY)
    (directory / "test_order.py").write_text(ORDER)
    return functools.cache(functools.partial(run_pytest, directory))


@pytest.mark.slow
def test_a_test_takes_five_lines(run_all: Run) -> None:
    report = run_all()
    assert "PASSED test_lines.py::test_the_room_follows_the_target" in report, report


@pytest.mark.slow
def test_exceptions_show_in_the_test(run_all: Run) -> None:
    report = run_all()
    assert "1 failed, 6 passed" in report, report
    assert "FAILED test_clumsy.py::test_that_fails" in report
    assert "OSError: the cable is out" in report
    assert "clientevent failed on newNumberVector of Thermostat targetvector" in report


@pytest.mark.slow
def test_a_clock_is_used_wherever_it_is_asked_for(run: Run) -> None:
    """pytest-trio would take it from an argument of the test alone, and run in real time."""
    report = run(CLOCKS)
    assert "2 failed, 7 passed" in report, report
    assert "the test has 2 clocks, mock_clock and autojump_clock: use one of them" in report
    assert "a test of Hypothesis takes its clock as an argument: autojump_clock" in report


def orders(report: str) -> dict[str, str]:
    """Map each fixture to the order of tasks after it."""
    lines = [line for line in report.splitlines() if line.startswith("order after ")]
    return {line.split()[2].rstrip(":"): line.partition(": ")[2] for line in lines}


@pytest.mark.slow
def test_the_seed_can_be_chosen(run_all: Run) -> None:
    seeded = [orders(run_all("test_order.py", f"--trindi-seed={seed}")) for seed in (0, 1, 2)]
    assert orders(run_all()) == seeded[0]
    for fixture in FIXTURES:
        assert len({one[fixture] for one in seeded}) > 1


@pytest.mark.slow
def test_it_works_without_trio_mode(run: Run) -> None:
    test = "import pytest\n" + FIVE_LINES.format(mark="@pytest.mark.trio\n")
    report = run(test, ini="[pytest]\nfilterwarnings = error\n")
    assert "1 passed" in report, report


@pytest.mark.slow
def test_pytest_can_do_without_it(run: Run) -> None:
    report = run("def test(): pass\n", plugin="no:pytest_trindi")
    assert "1 passed" in report, report
    assert "--trindi-seed" in run("", "--help")


@pytest.mark.slow
def test_loading_it_imports_no_trindi(run: Run) -> None:
    """Otherwise a plugin that measures coverage would start too late."""
    test = """
import sys

def test():
    assert "pytest_trindi" in sys.modules
    assert [name for name in sys.modules if name.partition(".")[0] in ("trindi", "trio")] == []
"""
    report = run(test, "-p", "no:trio", "-p", "no:hypothesispytest", ini="")
    assert "1 passed" in report, report


def test_it_is_an_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (entry,) = project["project"]["entry-points"]["pytest11"].items()
    # One name for both: `-p pytest_trindi` finds that it is loaded already.
    assert entry == ("pytest_trindi", "pytest_trindi")
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    module = importlib.import_module(entry[1])
    assert Path(str(module.__file__)).name in wheel["only-include"]
