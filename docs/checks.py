"""The tables of the page on conformance: of the rules, and of what Debian's simulators do.

`python docs/write.py` writes the rules into the page. The findings are those of a real run, which
needs Debian's indi-bin: ``python docs/checks.py`` makes it, and writes them into the page.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import trio

from trindi.conformance import GROUPS, ConformanceRule, Options, Program, Report, check

BEGIN, END = "<!-- findings: begin -->", "<!-- findings: end -->"
PAGE = Path(__file__).parent / "conformance.md"

SIMULATORS = {
    "indi_simulator_ccd": (
        "CCD Simulator.CONNECTION.CONNECT=On",
        "CCD Simulator.CCD_EXPOSURE.CCD_EXPOSURE_VALUE=0.5",
    ),
    "indi_simulator_focus": ("Focuser Simulator.CONNECTION.CONNECT=On",),
    "indi_simulator_telescope": ("Telescope Simulator.CONNECTION.CONNECT=On",),
    "indi_simulator_weather": ("Weather Simulator.CONNECTION.CONNECT=On",),
}
"""What is checked, and what is set first: a device that is not connected defines little."""


# Rules -------------------------------------------------------------------------------------------


def _rule_row(rule: ConformanceRule) -> str:
    needs = re.sub(r"(--\w+)", r"`\1`", ", ".join(rule.needs)) or "always"
    return f"| `{rule.name}` | {rule.title} | {rule.source} | {rule.breach} | {needs} |"


def rules_table() -> str:
    """Return the rules as Markdown, under the headings of the report."""
    parts = []
    for group, rules in GROUPS.items():
        parts += [f"### {group}", ""]
        parts += ["| Rule | What must be so | Source | If not | Checked |", "|---|---|---|---|---|"]
        parts += [*map(_rule_row, rules), ""]
    return "\n".join(parts).rstrip()


# Findings ----------------------------------------------------------------------------------------


class Finding(NamedTuple):
    """What is found of one rule: the program, the verdict, the rule, the first that was seen."""

    program: str
    verdict: str
    rule: str
    seen: str


def findings(reports: dict[str, Report]) -> list[Finding]:
    """Return what was found."""
    return [
        Finding(program, str(outcome.verdict), outcome.rule.name, outcome.seen[0])
        for program, report in sorted(reports.items())
        for outcome in report.outcomes.values()
        if outcome.is_finding
    ]


async def check_simulators(timeout: float = 5.0) -> dict[str, Report]:  # noqa: ASYNC109
    """Check the simulators, side by side: most of the time is waiting."""
    reports: dict[str, Report] = {}

    async def check_one(program: str, settings: tuple[str, ...]) -> None:
        target = Program(program, [program])
        reports[program] = await check(target, Options(timeout, hostile=True, settings=settings))

    async with trio.open_nursery() as nursery:
        for each in SIMULATORS.items():
            nursery.start_soon(check_one, *each)
    return reports


def version() -> str:
    """Return the version of indi-bin, as `indiserver` says it."""
    done = subprocess.run(["indiserver", "-h"], capture_output=True, text=True, check=False)
    found = re.search(r"INDI Library: (\S+)", done.stdout + done.stderr)
    return found[1] if found else "unknown"


def findings_table(reports: dict[str, Report]) -> str:
    """Return the findings as Markdown, with what passed in a line above."""
    lines = [f"With `indi-bin` {version()}:", ""]
    lines += ["| Program | pass | warn | fail | n/a |", "|---|---|---|---|---|"]
    for program, report in sorted(reports.items()):
        counts = " | ".join(str(count) for count in report.counts().values())
        lines.append(f"| `{program}` | {counts} |")
    lines += ["", "| Program | Verdict | Rule | Seen, among others |", "|---|---|---|---|"]
    for each in findings(reports):
        seen = each.seen.replace("|", "\\|")
        lines.append(f"| `{each.program}` | {each.verdict} | `{each.rule}` | {seen} |")
    return "\n".join(lines)


def written_findings() -> tuple[str, list[Finding]]:
    """Return the version and the findings that stand in the page."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    text, _, _ = rest.partition(END)
    found = re.search(r"`indi-bin` (\S+):", text)
    rows = re.findall(r"^\| `(\w+)` \| (warn|fail) \| `([\w-]+)` \| (.*) \|$", text, re.MULTILINE)
    return found[1] if found else "", [Finding(*row) for row in rows]


def main() -> None:
    """Check the simulators, and write what is found into the page."""
    with tempfile.TemporaryDirectory() as home:
        # They keep their settings there.
        os.environ["HOME"] = home
        table = findings_table(trio.run(check_simulators))
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
