"""Runs all workloads on all contenders, in rounds that alternate.

In each round every workload is measured on one contender right after the other, in the opposite
order in every other round, so that a machine whose speed drifts harms all alike. Each measurement
has a server of its own: none inherits another's backlog.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks import scale, workloads
from benchmarks.contenders import CONTENDERS, HERE, MissingError, build, running
from benchmarks.fairness import fairness

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.report import Results
    from benchmarks.workloads import Metrics


@dataclass(frozen=True)
class Extent:
    """How much is measured; the full run measures what is written here."""

    sizes: workloads.Sizes = field(default_factory=workloads.Sizes)
    scale: scale.Scale = field(default_factory=scale.Scale)
    fairness: float = 4.0
    decode: int = 50_000


FULL = Extent()
QUICK = Extent(workloads.QUICK, scale.QUICK, fairness=1.0, decode=10_000)
DECODE = "decode"
DECODE_TIMES = 5


def measurement(workload: str, extent: Extent) -> Callable[[str], Metrics]:
    """Return what measures a workload of a contender by name."""
    if workload == "fairness":
        return lambda name: fairness(name, extent.fairness)
    if workload == "idle":
        return lambda name: scale.idle(name, extent.scale)
    if workload in scale.GROWTH:
        return lambda name: scale.GROWTH[workload](name, extent.scale)

    def on_the_wire(name: str) -> Metrics:
        if workloads.CLIENTS.get(workload, 1) > CONTENDERS[name].most_clients:
            return {}
        with running(name) as (port, _group):
            return workloads.WORKLOADS[workload](port, extent.sizes)

    return on_the_wire


ALL = [*workloads.WORKLOADS, DECODE, "idle", "fairness", *scale.GROWTH]


def find_missing(results: Results, names: Sequence[str]) -> list[str]:
    """Build what has to be built; returns who can be had, and says loudly who cannot."""
    for name in names:
        try:
            build(name)
        except MissingError as error:
            results.missing[name] = str(error)
            _say(f"*** MISSING: {name}: {error}")
    return [name for name in names if name not in results.missing]


def measure(results: Results, names: Sequence[str], chosen: Sequence[str], extent: Extent) -> None:
    """Fill the figures."""
    present = find_missing(results, names)
    for turn in range(results.rounds):
        for workload in chosen:
            if workload == DECODE:
                _decode(results, extent.decode)
                continue
            measure_one = measurement(workload, extent)
            for name in present if turn % 2 == 0 else reversed(present):
                _measure_one(results, name, workload, measure_one)


def _measure_one(
    results: Results, name: str, workload: str, measure_one: Callable[[str], Metrics]
) -> None:
    try:
        metrics = measure_one(name)
    except (MissingError, OSError) as error:
        failure = f"{name}, {workload}: {type(error).__name__}: {error}"
        _say(f"*** FAILED: {failure}")
        if failure not in results.failed:
            results.failed.append(failure)
    else:
        _keep(results, name, workload, metrics)


def _keep(results: Results, name: str, workload: str, metrics: Metrics) -> None:
    kept = results.figures.setdefault(name, {}).setdefault(workload, {}) if metrics else {}
    for metric, value in metrics.items():
        kept.setdefault(metric, []).append(value)
        _say(f"  {name:14} {workload:10} {value:14,.2f} {metric}")


def _decode(results: Results, elements: int) -> None:
    """Decode in a process of its own, so that the load client stays free of trindi's code."""
    command = [sys.executable, "-m", "benchmarks.decode", str(elements), str(DECODE_TIMES)]
    done = subprocess.run(command, stdout=subprocess.PIPE, cwd=HERE.parent, check=True)
    for name, metrics in json.loads(done.stdout).items():
        medians = {metric: statistics.median(values) for metric, values in metrics.items()}
        _keep(results, name, DECODE, medians)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
