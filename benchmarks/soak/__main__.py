"""``python -m benchmarks.soak``: every scenario in turn, a table, and whether each bound is kept.

The exit status is 1 where one is not. In a quick run, bounds that depend on how busy the machine
is are shown, but do not count.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.soak.figures import Figure, Results, page, table, write_json
from benchmarks.soak.flood import flood
from benchmarks.soak.load import BUILD, ROOT
from benchmarks.soak.markup import markup
from benchmarks.soak.pings import pings
from benchmarks.soak.resets import resets
from benchmarks.soak.steady import steady
from benchmarks.soak.thermostat import thermostat
from benchmarks.soak.unpack import unpack
from benchmarks.soak.unread import unread
from benchmarks.soak.vanished import vanished

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Scenario:
    """One kind of load.

    Attributes:
        about: what it is, for the documentation.
        run: makes the load for so long, and returns the figures.
        full: how long, in seconds; of the thermostat, hours, which pass in a second; of what
            unpacks, MiB.
        quick: how long where it is to be quick.
    """

    about: str
    run: Callable[[float], list[Figure]]
    full: float
    quick: float


SCENARIOS: Final = {
    "unread": Scenario(
        "One client never reads while frames of 2 MiB stream at 50 a second for a minute; nine "
        "others compare each frame with what was sent. The server may take 64 MiB beyond what may "
        "wait for one client. It waits for the one client once.",
        unread,
        60,
        10,
    ),
    "steady": Scenario(
        "Frames of 2 MiB stream at 10 a second for half a minute, to one client that keeps up and "
        "one that reads 1.5 MB a second, steadily. All who wait together may cost the other one a "
        "tenth of its frames.",
        steady,
        30,
        10,
    ),
    "resets": Scenario(
        "A thousand clients subscribe, and reset their connections at random, for a minute; each "
        "is followed by another one. What is there afterwards is compared with what was there "
        "after a first wave.",
        resets,
        60,
        10,
    ),
    "flood": Scenario(
        "One client sends requests for one property as fast as it can, to a handler that answers "
        "at once, and to one that takes 50 ms. Three others ask for other properties.",
        flood,
        45,
        9,
    ),
    "markup": Scenario(
        "One client floods the server with what no honest peer sends: `<`, `<!>` or `<a/>` without "
        "end, or elements of 1 MiB of distinct members, of references, of comments. Another one "
        "asks for a property.",
        markup,
        60,
        6,
    ),
    "unpack": Scenario(
        "For five seconds, one client uploads 1 MiB that unpacks to 1 GiB, again and again: to a "
        "property that there is not, and to one that takes it. Another one asks for a property.",
        unpack,
        1024,
        32,
    ),
    "vanished": Scenario(
        "Ten clients fill the line of a handler that is stuck, and reset or close their "
        "connections. Their places are free again.",
        vanished,
        5,
        1,
    ),
    "pings": Scenario(
        "One client sends pings as fast as it can, and reads no reply. The server may take 32 MiB "
        "beyond what may wait for a client, and uses none of it when it has gone, without a "
        "garbage collection.",
        pings,
        30,
        3,
    ),
    "thermostat": Scenario(
        "Four hours of the example in virtual time, with ten clients that set its target, ask "
        "again, leave and come back.",
        thermostat,
        4,
        4,
    ),
}

PAGE: Final = ROOT / "docs" / "performance" / "soak.md"
"""What the documentation includes."""


def run(name: str, *, quick: bool) -> list[Figure]:
    """Run a scenario; one that cannot go on keeps no bound."""
    scenario = SCENARIOS[name]
    print(f"{name} …", file=sys.stderr)
    try:
        return scenario.run(scenario.quick if quick else scenario.full)
    except Exception as error:
        traceback.print_exc()
        return [Figure(f"it ended early: {type(error).__name__}", 1, most=0)]


def main(arguments: list[str] | None = None) -> int:
    """Run, print, write; return the exit status."""
    parser = argparse.ArgumentParser(prog="benchmarks.soak", description="Load to be survived.")
    parser.add_argument(
        "--quick", action="store_true", help="shorter: two minutes instead of eight"
    )
    parser.add_argument("--only", nargs="+", choices=list(SCENARIOS), help="these scenarios")
    parser.add_argument("--json", type=Path, default=BUILD / "soak.json", help="where figures go")
    parser.add_argument("--docs", action="store_true", help="write the documentation's page")
    given = parser.parse_args(arguments)
    if given.docs and (given.quick or given.only):
        parser.error("--docs wants the figures of a full run")
    results: Results = {
        name: run(name, quick=given.quick) for name in given.only or list(SCENARIOS)
    }
    print(table(results))
    write_json(given.json, results)
    if given.docs:
        abouts = {name: scenario.about for name, scenario in SCENARIOS.items()}
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(page(results, abouts), encoding="utf-8")
    counted = (
        figure
        for figures in results.values()
        for figure in figures
        if not (given.quick and figure.timed)
    )
    return 0 if all(figure.kept for figure in counted) else 1


if __name__ == "__main__":
    sys.exit(main())
