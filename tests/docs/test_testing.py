"""The tests that the page on testing shows pass, as a reader would run them."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import MockClock

import trindi.testing
from tests.kit.docs import DOCS, SNIPPETS, blocks, table
from tests.kit.processes import ENVIRONMENT, EXAMPLES
from trindi.testing import Fault

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

FILES = ["pytest.ini", "night.jsonl", "threads.py", "test_thermostat.py", "test_report.py"]
FILES += ["test_meter.py"]


def run(directory: Path, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command for pytest in a directory with all that the page has."""
    for name in FILES:
        if (directory / name).exists():
            continue
        shutil.copy(SNIPPETS / name, directory)
    for name in ("thermostat.py", "thermostat_target.py"):
        shutil.copy(EXAMPLES / name, directory)
    return subprocess.run(
        # As where trindi is installed: the plugin is there.
        [sys.executable, "-m", *shlex.split(command), "-p", "pytest_trindi", *arguments],
        cwd=directory,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_the_tests_of_the_thermostat_pass(tmp_path: Path) -> None:
    _copy_from_the_page(tmp_path, 1)
    shown = (SNIPPETS / "pytest_thermostat.console").read_text(encoding="utf-8").splitlines()
    command = next(line[2:] for line in shown if line.startswith("$ pytest"))
    done = run(tmp_path, command, "-W", "error")
    count = shown[-1].partition(" in ")[0]
    assert f"{count} in " in done.stdout, done.stdout
    assert done.returncode == 0


@pytest.mark.slow
def test_all_tests_of_the_page_pass_in_one_file(tmp_path: Path) -> None:
    _copy_from_the_page(tmp_path)
    done = run(tmp_path, "pytest -q test_thermostat.py", "-W", "error")
    assert re.search(r"^6 passed", done.stdout, re.M), done.stdout


def _copy_from_the_page(directory: Path, count: int | None = None) -> None:
    """Write the first blocks of the file of tests, or all, as a reader would copy them."""
    shown = [
        block.text
        for block in blocks(DOCS / "testing.md")
        if block.before.startswith("<!-- code: test_thermostat.py")
    ]
    (directory / "test_thermostat.py").write_text("\n\n".join(shown[:count]), encoding="utf-8")


@pytest.mark.parametrize("seed", ["0", "1"])
@pytest.mark.slow
def test_so_do_the_others_with_any_seed(tmp_path: Path, seed: str) -> None:
    done = run(tmp_path, "pytest -q", f"--trindi-seed={seed}")
    assert re.search(r"^10 passed", done.stdout, re.M), done.stdout


def test_each_fault_is_in_the_table() -> None:
    faults = {
        name
        for name, thing in vars(trindi.testing).items()
        if isinstance(thing, type) and issubclass(thing, Fault) and thing is not Fault
    }
    page = (DOCS / "testing.md").read_text(encoding="utf-8")
    rows = {row[0].strip("`").partition("(")[0] for row in table(DOCS / "testing.md", "faults")}
    assert rows == faults
    assert "FaultyStream(stream, faults)" in page


@pytest.mark.slow
def test_it_works_without_fixtures(snippet: Callable[[str], ModuleType]) -> None:
    module: Any = snippet("without_fixtures")
    temperature = trio.run(module.main, clock=MockClock(autojump_threshold=0))
    assert 14 < temperature < 16
