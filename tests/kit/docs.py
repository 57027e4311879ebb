"""What the tests of the documentation share: its pages and snippets, peers, the field's tools."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SNIPPETS = DOCS / "snippets"
PAGES = sorted(page for page in DOCS.rglob("*.md") if "_build" not in page.parts)

E = TypeVar("E")


# Pages -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: what follows the fence, its text, and the line before it."""

    info: str
    text: str
    before: str


_FENCE = re.compile(
    r"(?:^(?P<before>[^\n]*)\n)?^```(?P<info>[^\n]+)\n(?P<text>.*?)^```$", re.M | re.S
)


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a Markdown page."""
    found = _FENCE.finditer(page.read_text(encoding="utf-8"))
    return [Block(match["info"], match["text"], match["before"] or "") for match in found]


def transcript(name: str) -> list[tuple[str, str]]:
    """Return each command of a transcript with what it prints."""
    text = (SNIPPETS / name).read_text(encoding="utf-8")
    steps = [step.partition("\n") for step in text.removeprefix("$ ").split("\n$ ")]
    return [(command, output.removesuffix("\n")) for command, _, output in steps]


def table(page: Path, name: str) -> list[list[str]]:
    """Return the rows of the table after the marker ``<!-- table: NAME -->``, without its head."""
    _, marker, rest = page.read_text(encoding="utf-8").partition(f"<!-- table: {name} -->\n")
    assert marker, f"{page.name} has no table {name}"
    lines = [line for line in rest.lstrip("\n").split("\n\n")[0].splitlines() if line]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def code(cell: str) -> str:
    """Return what a cell holds between its back-quotes, to the blank."""
    match = re.fullmatch(r"`(.*)`", cell)
    assert match, f"{cell!r} is not code"
    return match[1]


# Tools -----------------------------------------------------------------------------------------


def need_tools(*names: str) -> None:
    """Skip, or fail where interop tests are required, if a program is not installed."""
    missing = [name for name in names if shutil.which(name) is None]
    if not missing:
        return
    reason = f"not installed: {', '.join(missing)} (Debian's indi-bin)"
    if os.environ.get("TRINDI_REQUIRE_INTEROP") == "1" or os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
