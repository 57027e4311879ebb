"""What was measured, as a table, as JSON and as a chart."""

from __future__ import annotations

import json
import platform
from typing import TYPE_CHECKING, Any

from benchmarks.contenders import OURS, PEERS

if TYPE_CHECKING:
    from pathlib import Path

Medians = dict[str, dict[str, dict[str, float]]]

GOALS: dict[tuple[str, str], float] = {
    ("stream1", "deliveries/s"): 15.0,
    ("fanout10", "deliveries/s"): 6.0,
    ("fanout100", "deliveries/s"): 6.0,
    ("pingpong", "p50 µs"): 1.0,
    ("pingpong", "p99 µs"): 1.0,
    ("pipeline", "replies/s"): 1.5,
    ("blob_down", "payload MB/s"): 5.0,
    ("blob_up", "payload MB/s"): 5.0,
    ("getprops", "definitions/s"): 30.0,
}
"""The ratio to the best peer that is wanted; of a time, the most, of a rate, the least."""


def is_time(metric: str) -> bool:
    """Whether less is better."""
    return metric.endswith("µs")


def best_peer(medians: Medians, workload: str, metric: str) -> float | None:
    """The best figure that any peer has."""
    found = [
        medians[peer][workload][metric]
        for peer in PEERS
        if metric in medians.get(peer, {}).get(workload, {})
    ]
    if not found:
        return None
    return min(found) if is_time(metric) else max(found)


def table(medians: Medians) -> str:
    """One line for each metric, one column for each contender, and how the goal stands."""
    names = list(medians)
    head = ["workload", "metric", *names, *(f"{o} / best peer" for o in OURS if o in names), "goal"]
    rows = [head]
    metrics = {
        (workload, metric): None
        for workloads in medians.values()
        for workload, values in workloads.items()
        for metric in values
    }
    for workload, metric in metrics:
        figures = [medians[name].get(workload, {}).get(metric) for name in names]
        peer = best_peer(medians, workload, metric)
        ratios = [
            _ratio(medians[name].get(workload, {}).get(metric), peer)
            for name in OURS
            if name in names
        ]
        cells = ["—" if figure is None else f"{figure:,.0f}" for figure in figures]
        rows.append([workload, metric, *cells, *ratios, _goal(workload, metric)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _ratio(ours: float | None, peer: float | None) -> str:
    return "—" if ours is None or not peer else f"{ours / peer:.2f}"


def _goal(workload: str, metric: str) -> str:
    goal = GOALS.get((workload, metric))
    if goal is None:
        return ""
    return f"{'≤' if is_time(metric) else '≥'} {goal:g}"


def write_json(path: Path, figures: Any, medians: Medians) -> None:
    """Keep every figure, with the machine it is from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    about = {"machine": platform.machine(), "python": platform.python_version()}
    path.write_text(json.dumps({"about": about, "rounds": figures, "medians": medians}, indent=1))
