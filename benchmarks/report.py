"""What was measured, as tables to read, as a part of a page, and as JSON."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.contenders import CONTENDERS
from benchmarks.goals import (
    GROWTH,
    LINEAR,
    OURS,
    OURS_STDIO,
    Figures,
    Growth,
    Medians,
    Row,
    growths,
    is_rate,
    medians_of,
    rows,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Table = list[list[str]]
NONE = "—"


@dataclass
class Results:
    """One run: every figure, and what could not be had.

    Args:
        rounds: how often everything was measured.
        quick: shorter, in one round.
        about: the machine and the versions.
        figures: what was measured.
        missing: contenders that are not here, and why.
        failed: workloads that a contender did not get through, and why.
    """

    rounds: int
    quick: bool
    about: dict[str, str]
    figures: Figures = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    @property
    def medians(self) -> Medians:
        """The medians of all rounds."""
        return medians_of(self.figures)


# Tables ------------------------------------------------------------------------------------------


def number(value: float | None) -> str:
    """Write a figure with as many digits as mean something."""
    if value is None:
        return NONE
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def _times(value: float | None) -> str:
    return NONE if value is None else f"{number(value)}×"


def _verdict(met: bool | None) -> str:
    return "" if met is None else "met" if met else "not met"


def medians_table(found: Iterable[Row]) -> Table:
    """One line for each metric, one column for each contender."""
    table = [["workload", "metric", *CONTENDERS]]
    for row in found:
        cells = [number(row.figures.get(name)) for name in CONTENDERS]
        table.append([row.workload, row.metric, *cells])
    return table


def goals_table(found: Iterable[Row]) -> Table:
    """Ratios to the best peer, with the goal; then stdio's to that peer, and trindi's to each."""
    peers = ("libindi", "raw", "indipydriver")
    head = ["workload", "metric", "best peer", "its figure", "ratio", "goal", "", "stdio"]
    table = [[*head, *(f"/{peer[:7]}" for peer in peers)]]
    for row in found:
        ratios = [row.ratio(row.best, OURS_STDIO), *map(row.ratio, peers)]
        best = row.figures.get(row.best or "")
        told = [
            row.workload,
            row.metric,
            row.best or NONE,
            number(best),
            _times(row.ratio(row.best)),
        ]
        table.append([*told, _goal(row), _verdict(row.met), *map(_times, ratios)])
    return table


def _goal(row: Row) -> str:
    if row.goal is None:
        return ""
    sign = "≥" if is_rate(row.metric) else "≤"
    return f"{sign} {row.goal.limit:g}" + ("×" if row.goal.ratio else "")


def growth_table(found: Sequence[Growth], axis: str) -> Table:
    """What each contender's cost is, by how many there are of something."""
    lines = [each for each in found if each.axis == axis]
    sizes = sorted({size for line in lines for size in line.costs})
    table = [[axis, *(f"{size:,}" for size in sizes), "growth", "goal", ""]]
    for line in lines:
        costs = [number(line.costs.get(size)) for size in sizes]
        goal = f"≤ {LINEAR:g}×" if line.name == OURS else ""
        table.append([line.name, *costs, _times(line.factor), goal, _verdict(line.met)])
    return table


def as_text(table: Table) -> str:
    """Set a table in columns."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in table]
    return "\n".join(line.rstrip() for line in lines)


def as_markdown(table: Table) -> str:
    """Set a table for a page."""
    rule = ["---" if column < 2 else "--:" for column in range(len(table[0]))]
    return "\n".join("| " + " | ".join(row) + " |" for row in [table[0], rule, *table[1:]])


def tables(results: Results) -> list[tuple[str, Table]]:
    """Return all tables, with what is to be said of each."""
    found = list(rows(results.medians))
    grown = list(growths(results.medians))
    told = [
        ("Medians", medians_table(found)),
        ("trindi beside its best peer, and beside each", goals_table(found)),
    ]
    for axis in GROWTH:
        if any(each.axis == axis for each in grown):
            title = f"Growth: µs of the server's processor time, by the number of {axis}"
            told.append((title, growth_table(grown, axis)))
    return told


def text(results: Results) -> str:
    """Everything, for a terminal."""
    parts = [f"{title}\n\n{as_text(table)}" for title, table in tables(results)]
    parts += [f"MISSING: {name}: {why}" for name, why in results.missing.items()]
    parts += [f"FAILED: {failure}" for failure in results.failed]
    return "\n\n".join(parts)


def markdown(results: Results) -> str:
    """Everything, for a page."""
    about = ", ".join(f"{name} {value}" for name, value in results.about.items())
    run = "A quick run" if results.quick else "A full run"
    parts = [f"{run}, {results.rounds} {'round' if results.rounds == 1 else 'rounds'}: {about}."]
    parts += [f"**{title}**\n\n{as_markdown(table)}" for title, table in tables(results)]
    parts += [f"Left out: {name}, for {why}." for name, why in results.missing.items()]
    parts += [f"Without a figure: {failure}." for failure in results.failed]
    return "\n\n".join(parts)


def rewrite(page: Path, name: str, part: str) -> None:
    """Put a part in its place in a page: between its two markers."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    text = page.read_text(encoding="utf-8")
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"{page} has no place for {name}: {begin} and {end}")
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    page.write_text(f"{before}{begin}\n{part}\n{end}{after}", encoding="utf-8")


# JSON --------------------------------------------------------------------------------------------


def machine() -> dict[str, str]:
    """Say what this was measured on, and with which versions."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"^model name\s*: (.*)$", info, re.M)
    return {
        "at": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": model[1] if model else platform.machine(),
        "cores": str(os.cpu_count()),
        "Linux": platform.release(),
        "Python": platform.python_version(),
        "trio": metadata.version("trio"),
        "INDI": _indi_version(),
    }


def _indi_version() -> str:
    if shutil.which("indiserver") is None:
        return "none"
    said = subprocess.run(["indiserver", "-h"], capture_output=True, text=True, check=False).stderr
    found = re.search(r"INDI Library: (\S+)", said)
    return found[1] if found else "of unknown version"


def write_json(path: Path, results: Results) -> None:
    """Keep every figure, the medians, the ratios and the verdicts."""
    kept: dict[str, Any] = vars(results) | {
        "medians": results.medians,
        "goals": [
            {
                "workload": row.workload,
                "metric": row.metric,
                "best peer": row.best,
                "ratio": row.ratio(row.best),
                "goal": row.goal and vars(row.goal),
                "met": row.met,
            }
            for row in rows(results.medians)
        ],
        "growth": [
            {"by": each.axis, "contender": each.name, "factor": each.factor, "met": each.met}
            for each in growths(results.medians)
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept, indent=1), encoding="utf-8")


def read_json(path: Path) -> Results:
    """Read what `write_json` has written."""
    kept = json.loads(path.read_text(encoding="utf-8"))
    names = ("rounds", "quick", "about", "figures", "missing", "failed")
    return Results(**{name: kept[name] for name in names})
