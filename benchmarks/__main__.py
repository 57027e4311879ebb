"""``python -m benchmarks``: all contenders, all workloads; tables, JSON, charts, part of a page."""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import charts, report
from benchmarks.client import allow_descriptors
from benchmarks.contenders import BUILD, CONTENDERS
from benchmarks.measuring import ALL, FULL, QUICK, measure


def parser() -> argparse.ArgumentParser:
    """Make the command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    made.add_argument("--quick", action="store_true", help="one round, in less than two minutes")
    made.add_argument("--rounds", type=int, help="alternating rounds (5; quick: 1)")
    made.add_argument("--only", nargs="*", choices=list(CONTENDERS), help="these contenders")
    made.add_argument("--workloads", nargs="*", choices=ALL, help="these workloads")
    made.add_argument("--json", type=Path, default=BUILD / "results.json", help="to write")
    made.add_argument("--charts", type=Path, default=BUILD / "charts", help="directory to write to")
    made.add_argument("--page", type=Path, help="page whose tables are written anew")
    made.add_argument("--redo", type=Path, help="measure nothing: report the results of this JSON")
    return made


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, write."""
    asked = parser().parse_args(arguments)
    if asked.redo:
        results = report.read_json(asked.redo)
    else:
        allow_descriptors()
        rounds = asked.rounds or (1 if asked.quick else 5)
        results = report.Results(rounds, asked.quick, report.machine())
        extent = QUICK if asked.quick else FULL
        measure(results, asked.only or list(CONTENDERS), asked.workloads or ALL, extent)
        report.write_json(asked.json, results)
    print(report.text(results))
    charts.draw(results.medians, asked.charts)
    if asked.page:
        report.rewrite(asked.page, "figures", report.markdown(results))


if __name__ == "__main__":
    main()
