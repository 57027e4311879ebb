"""Figures with the bounds that they must keep: as a table, as JSON and as a page.

This module does not know what is measured.
"""

from __future__ import annotations

import json
import math
import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Figure", "page", "table", "write_json"]

Results = dict[str, "list[Figure]"]
Row = list[str]

HEAD: Row = ["scenario", "figure", "value", "bound", "kept", "indiserver"]


@dataclass(frozen=True)
class Figure:
    """One figure of a scenario; one without a bound is for information.

    Attributes:
        what: what was measured, with its unit.
        value: how much it was.
        most: it must not be above this.
        least: it must not be below this.
        stock: how much it was of Debian's indiserver under the same load.
        timed: it depends on how busy the machine is.
    """

    what: str
    value: float
    most: float | None = None
    least: float | None = None
    stock: float | None = None
    timed: bool = False

    @property
    def bound(self) -> str:
        """The bound as text, or ""."""
        if self.most is not None:
            return f"≤ {_number(self.most)}"
        return "" if self.least is None else f"≥ {_number(self.least)}"

    @property
    def kept(self) -> bool:
        """Whether the bound is kept; true where there is none."""
        # Written so that a figure which is not a number keeps no bound.
        return (self.most is None or self.value <= self.most) and (
            self.least is None or self.value >= self.least
        )


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "—"
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:,.1f}"


def _verdict(figure: Figure) -> str:
    if not figure.bound:
        return ""
    return "met" if figure.kept else "not met"


def _rows(results: Results) -> list[Row]:
    return [
        [
            name,
            figure.what,
            _number(figure.value),
            figure.bound,
            _verdict(figure),
            "" if figure.stock is None else _number(figure.stock),
        ]
        for name, figures in results.items()
        for figure in figures
    ]


def table(results: Results) -> str:
    """Return the figures as a table for a terminal."""
    rows = [HEAD, *_rows(results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def about() -> dict[str, str]:
    """Say on what machine the figures were made, with what, and when."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "trio": trio.__version__,
    }


def page(results: Results, abouts: dict[str, str]) -> str:
    """Return the figures as the text that the documentation includes."""
    made = about()
    lines = [
        "<!-- Written by `nox -s soak -- --docs`. -->",
        *(f"- **{name}**: {text}" for name, text in abouts.items()),
        "",
        f"Measured on {made['date']} on {made['machine']}, "
        f"Python {made['python']}, Trio {made['trio']}.",
        "",
        f"| {' | '.join(HEAD)} |",
        "|---" * len(HEAD) + "|",
        *(f"| {' | '.join(row)} |" for row in _rows(results)),
    ]
    return "\n".join(lines) + "\n"


def _as_json(figure: Figure) -> dict[str, object]:
    known = {
        # JSON has no word for what is not finite.
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in asdict(figure).items()
    }
    return {**known, "kept": figure.kept}


def write_json(path: Path, results: Results) -> None:
    """Keep every figure, with the machine it is from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scenarios = {
        name: [_as_json(figure) for figure in figures] for name, figures in results.items()
    }
    path.write_text(json.dumps({"about": about(), "scenarios": scenarios}, indent=1))
