"""What the page on Trio shows is what its functions do."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio

from tests.kit.docs import DOCS, SNIPPETS, blocks

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from trio.testing import MockClock

    Load = Callable[[str], ModuleType | Any]

PRINTS = ["side_by_side", "stop_after_a_while"]
OUTPUTS = ["side_by_side", "stop"]
SAYS = [("read_in_time", "no answer within 5 s"), ("read_or_go_on", "the old value")]


@pytest.mark.parametrize("name", PRINTS)
async def test_the_page_shows_what_is_printed(
    snippet: Load, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    await getattr(snippet("trio_basics"), name)()
    said = capsys.readouterr().out
    assert said in [block.text for block in blocks(DOCS / "trio.md")]


def test_the_file_prints_what_the_page_shows() -> None:
    shown = "".join((SNIPPETS / f"trio_{name}.out").read_text("utf-8") for name in OUTPUTS)
    command = [sys.executable, str(SNIPPETS / "trio_basics.py")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said == shown


@pytest.mark.parametrize(("name", "late"), SAYS)
async def test_a_deadline(snippet: Load, autojump_clock: MockClock, name: str, late: str) -> None:
    read = getattr(snippet("trio_basics"), name)
    assert await read(1) == "21.5 degrees"
    assert trio.current_time() == 1
    assert await read(60) == late
    assert trio.current_time() == 6


async def test_the_test_on_the_page(snippet: Load, autojump_clock: MockClock) -> None:
    await snippet("test_trio_basics").test_the_average_takes_three_virtual_seconds(None)
