"""The charts of one run, as SVG files."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from benchmarks.goals import GROWTH, OURS, Growth, Medians, Row, growths, is_rate, rows

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {
    "trindi": "#1b6ca8",
    "trindi stdio": "#7fb3d8",
    "libindi": "#d1603d",
    "raw": "#e8a87c",
    "indipydriver": "#6a994e",
    "defusedxml": "#a7c957",
    "floor": "#b8b8b8",
}
ACROSS = 4
STYLE: Any = {
    "axes.titlesize": 9,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 8,
    # The same figures give the same file, and text stays text.
    "svg.hashsalt": "trindi",
    "svg.fonttype": "none",
}


def draw(medians: Medians, place: Path) -> list[Path]:
    """Draw what there is to draw; returns the files."""
    try:
        import matplotlib as mpl  # noqa: PLC0415
    except ImportError:
        print("*** MISSING: no charts, for matplotlib is not installed", file=sys.stderr)
        return []
    mpl.use("svg")
    ratios = [row for row in rows(medians) if row.ratio(row.best)]
    # Where the goal is a figure of its own, being better than a peer is not what is wanted.
    compared = [row for row in ratios if row.goal is None or row.goal.ratio]
    grown = list(growths(medians))
    place.mkdir(parents=True, exist_ok=True)
    drawn = []
    with mpl.rc_context(STYLE):
        for name, figure in (
            ("ratios", _ratios(compared) if compared else None),
            ("medians", _medians(ratios) if ratios else None),
            ("growth", _growth(grown) if grown else None),
        ):
            if figure:
                drawn.append(place / f"{name}.svg")
                figure.savefig(drawn[-1], metadata={"Date": None})
    return drawn


def advantage(row: Row) -> float:
    """How many times better trindi is than its best peer, of a rate or of a cost."""
    ratio = row.ratio(row.best) or 1.0
    return ratio if is_rate(row.metric) else 1 / ratio


def _new(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure  # noqa: PLC0415

    return Figure(figsize=(width, height), layout="constrained")


def _ratios(found: list[Row]) -> Figure:
    """Bars: how many times better than the best peer, and where the goals are."""
    figure = _new(8, 0.8 + 0.3 * len(found))
    axes = figure.add_subplot()
    for place, row in enumerate(reversed(found)):
        better = advantage(row)
        axes.barh(place, better - 1, left=1, color=COLOURS[OURS])
        end = max(better, 1)
        if row.goal and row.goal.ratio:
            wanted = row.goal.limit if is_rate(row.metric) else 1 / row.goal.limit
            axes.plot([wanted, wanted], [place - 0.45, place + 0.45], color="black")
            end = max(end, wanted)
        axes.annotate(f" {better:.2g}× {row.best}", (end, place), va="center", size=7)
    axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.axvline(1, color="gray", linewidth=0.8)
    axes.set_yticks(range(len(found)), [f"{r.workload}, {r.metric}" for r in reversed(found)])
    axes.set_xlabel("trindi: times better than its best peer (black: the goal)")
    return figure


def _medians(found: list[Row]) -> Figure:
    """A small chart for each metric, with a bar for each contender but the floor."""
    down = -(-len(found) // ACROSS)
    figure = _new(9.5, 1.5 * down)
    for place, row in enumerate(found):
        axes = figure.add_subplot(down, ACROSS, place + 1)
        names = [name for name in COLOURS if name in row.figures and name != "floor"]
        figures = [row.figures[name] for name in names]
        axes.barh(names, figures, color=[COLOURS[name] for name in names])
        axes.invert_yaxis()
        axes.set_title(f"{row.workload}: {row.metric}")
        _plain(axes)
    return figure


def _plain(axes: Axes) -> None:
    from matplotlib.ticker import EngFormatter  # noqa: PLC0415

    axes.spines[["top", "right"]].set_visible(False)
    axes.locator_params(axis="x", nbins=3)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def _growth(found: list[Growth]) -> Figure:
    """Three charts with logarithmic scales: what is linear rises as the dotted line does."""
    figure = _new(9.5, 3.2)
    for place, axis in enumerate(GROWTH):
        axes = figure.add_subplot(1, len(GROWTH), place + 1)
        for growth in (each for each in found if each.axis == axis):
            sizes, costs = zip(*sorted(growth.costs.items()), strict=True)
            colour = COLOURS[growth.name]
            axes.plot(sizes, costs, marker="o", markersize=3, color=colour, label=growth.name)
            if growth.name == OURS:
                linear = [costs[-1] * size / sizes[-1] for size in sizes]
                axes.plot(sizes, linear, ":", color="black", linewidth=0.8, label="linear")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(axis)
        axes.spines[["top", "right"]].set_visible(False)
        if not place:
            axes.set_ylabel("µs of the server's processor time")
            axes.legend(fontsize=7, frameon=False)
    return figure
