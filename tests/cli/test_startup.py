"""What a command loads: no more than it uses, so that it starts quickly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kit.cli import at
from tests.kit.processes import run_python

if TYPE_CHECKING:
    from tests.kit.cli import Served

RUN = """\
import atexit, sys
from trindi.cli import main
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
main(prog_name="trindi")
"""


def loaded(*arguments: str) -> set[str]:
    """Return the modules that are loaded when a command has ended."""
    done = run_python("-c", RUN, *arguments)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


COMMANDS = ["get", "set", "wait", "watch", "save-blobs", "record", "serve", "replay", "check"]


@pytest.mark.parametrize(
    "arguments", [["--version"], ["--help"], *([name, "--help"] for name in COMMANDS)], ids=" ".join
)
def test_help_and_version_load_click_alone(arguments: list[str]) -> None:
    modules = loaded(*arguments)
    assert not modules & {"trio", "rich", "asyncio"}
    ours = {name for name in modules if name.startswith("trindi.")}
    assert {name for name in ours if not name.startswith("trindi.cli")} == set()


@pytest.mark.parametrize(
    "command",
    [["get"], ["wait", "Bench.target.x == 7"], ["set", "Bench.target.x=7"]],
    ids=lambda command: command[0],
)
def test_a_client_loads_no_server_and_no_rich(served: Served, command: list[str]) -> None:
    modules = loaded(*command, *at(served))
    assert "trindi.client" in modules
    packages = ("driver", "server", "host", "recording", "conformance", "testing")
    assert not modules & {"rich", *(f"trindi.{name}" for name in packages)}


def test_lines_of_watch_need_no_rich() -> None:
    program = "import sys, trindi.cli.watch; sys.exit('rich' in sys.modules)"
    assert run_python("-c", program).returncode == 0


def test_import_trindi_loads_no_part_of_it() -> None:
    program = "import sys, trindi; print(*[n for n in sys.modules if n.startswith('trindi')])"
    assert run_python("-c", program).stdout.split() == ["trindi"]
