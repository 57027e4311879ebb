"""The plugin for pytest, in pytest runs of its own, as a driver's author would have it."""

from __future__ import annotations

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

    Run = Callable[..., subprocess.CompletedProcess[str]]

FIVE_LINES = """
from thermostat_target import make_driver

{mark}async def test_the_room_follows_the_target(start_driver, autojump_clock):
    client = await start_driver(make_driver())
    await client["Thermostat"]["targetvector"].set_and_wait(target=18.0)
    near = lambda vector: abs(vector["temperature"] - 18) < 0.5
    await client.wait_for("Thermostat", "temperaturevector", near)
"""

TRIO_MODE = "[pytest]\ntrio_mode = true\nfilterwarnings = error\n"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run pytest, with the plugin, in a directory with an example, a test and a configuration."""
    shutil.copy(EXAMPLES / "thermostat_target.py", tmp_path)

    def run(
        test: str, *arguments: str, ini: str = TRIO_MODE, plugin: str = "pytest_trindi"
    ) -> subprocess.CompletedProcess[str]:
        (tmp_path / "test_driver.py").write_text(test)
        (tmp_path / "pytest.ini").write_text(ini)
        command = [sys.executable, "-m", "pytest", "-p", plugin, "-p", "no:cacheprovider"]
        return subprocess.run(
            [*command, *arguments],
            cwd=tmp_path,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_a_test_takes_five_lines(run: Run) -> None:
    done = run(FIVE_LINES.format(mark=""))
    assert "1 passed" in done.stdout, done.stdout
    assert done.returncode == 0


def test_it_works_without_trio_mode(run: Run) -> None:
    test = "import pytest\n" + FIVE_LINES.format(mark="@pytest.mark.trio\n")
    done = run(test, ini="[pytest]\nfilterwarnings = error\n")
    assert "1 passed" in done.stdout, done.stdout


def test_exceptions_show_in_the_test(run: Run) -> None:
    test = """
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
    done = run(test)
    assert "1 failed, 1 passed" in done.stdout, done.stdout
    assert "OSError: the cable is out" in done.stdout
    assert "clientevent failed on newNumberVector of Thermostat targetvector" in done.stdout


SEEDED = """
import trio
from thermostat_target import make_driver

async def test_order({fixture}, autojump_clock):
    await {start}
    order = []

    async def note(number):
        await trio.sleep(1)
        order.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(note, number)
    print("order:", order)
"""


@pytest.mark.parametrize(
    ("fixture", "start"),
    [
        ("start_driver", "start_driver(make_driver())"),
        ("start_server", "start_server([make_driver()])"),
        ("start_replay", "start_replay('night.jsonl')"),
        ("replay_to", "replay_to(make_driver(), 'night.jsonl')"),
    ],
)
def test_the_seed_can_be_chosen(run: Run, tmp_path: Path, fixture: str, start: str) -> None:
    shutil.copy(SNIPPETS / "night.jsonl", tmp_path)
    test = SEEDED.format(fixture=fixture, start=start)

    def order(*arguments: str) -> str:
        done = run(test, "-s", *arguments)
        (line,) = [line for line in done.stdout.splitlines() if "order:" in line]
        return line.partition("order:")[2]

    orders = {order(f"--trindi-seed={seed}") for seed in (1, 2, 3)}
    assert len(orders) > 1
    assert order() == order("--trindi-seed=0")


def test_pytest_can_do_without_it(run: Run) -> None:
    done = run("def test(): pass\n", plugin="no:pytest_trindi")
    assert "1 passed" in done.stdout, done.stdout
    help_of_it = run("", "--help")
    assert "--trindi-seed" in help_of_it.stdout


def test_loading_it_imports_no_trindi(run: Run) -> None:
    """Else a plugin that measures coverage would come too late."""
    test = """
import sys

def test():
    assert "pytest_trindi" in sys.modules
    assert [name for name in sys.modules if name.partition(".")[0] in ("trindi", "trio")] == []
"""
    done = run(test, "-p", "no:trio", "-p", "no:hypothesispytest", ini="")
    assert "1 passed" in done.stdout, done.stdout


def test_it_is_an_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (entry,) = project["project"]["entry-points"]["pytest11"].items()
    # One name for both: `-p pytest_trindi` finds that it is loaded already.
    assert entry == ("pytest_trindi", "pytest_trindi")
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    module = importlib.import_module(entry[1])
    assert Path(str(module.__file__)).name in wheel["only-include"]
