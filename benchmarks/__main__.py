"""``python -m benchmarks``: all contenders, all workloads, one table.

Contenders are started in turn and measured in alternating rounds, so that a machine whose speed
drifts harms all alike; medians and ratios are what is shown.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

from benchmarks import report
from benchmarks.contenders import CONTENDERS, MissingError, running
from benchmarks.workloads import WORKLOADS

FIGURES = dict[str, dict[str, dict[str, list[float]]]]


def measure(contenders: list[str], workloads: list[str], rounds: int, quick: bool) -> FIGURES:
    """Return contender → workload → metric → one figure a round."""
    figures: FIGURES = {name: {} for name in contenders}
    for turn in range(rounds):
        for name in contenders if turn % 2 == 0 else reversed(contenders):
            for workload in workloads:
                _measure_one(name, workload, quick, figures[name].setdefault(workload, {}))
    return figures


def _measure_one(name: str, workload: str, quick: bool, figures: dict[str, list[float]]) -> None:
    """Run one workload on a server of its own: none inherits another's backlog."""
    try:
        with running(name) as (port, _process):
            metrics = WORKLOADS[workload](port, quick)
    except MissingError as error:
        print(f"{name}: {error}", file=sys.stderr)
    except (OSError, TimeoutError) as error:
        print(f"{name}, {workload}: {type(error).__name__}: {error}", file=sys.stderr)
    else:
        for metric, value in metrics.items():
            figures.setdefault(metric, []).append(value)
            print(f"  {name:24} {workload:10} {value:14,.0f} {metric}", file=sys.stderr)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller workloads, one round")
    parser.add_argument("--rounds", type=int, help="alternating rounds (5, quick: 1)")
    parser.add_argument("--only", nargs="*", choices=list(CONTENDERS), help="these contenders")
    parser.add_argument("--workloads", nargs="*", choices=list(WORKLOADS), help="these workloads")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/_build/results.json"))
    arguments = parser.parse_args()
    rounds = arguments.rounds or (1 if arguments.quick else 5)
    figures = measure(
        arguments.only or list(CONTENDERS),
        arguments.workloads or list(WORKLOADS),
        rounds,
        arguments.quick,
    )
    medians = {
        name: {
            workload: {metric: statistics.median(values) for metric, values in metrics.items()}
            for workload, metrics in workloads.items()
        }
        for name, workloads in figures.items()
    }
    print(report.table(medians))
    report.write_json(arguments.json, figures, medians)


if __name__ == "__main__":
    main()
