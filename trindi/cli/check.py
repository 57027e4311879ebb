"""Runs ``trindi check``: finds what to check, runs the checker, and prints its report."""

from __future__ import annotations

import os
import re
import shutil
import sys
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from trindi.cli.client_app import run_until_signalled
from trindi.cli.output import say, to_json
from trindi.cli.targets import TargetError, load_drivers
from trindi.conformance import (
    Options,
    Outcome,
    Program,
    Report,
    Server,
    Setting,
    SettingError,
    UnreachableError,
    Verdict,
    check,
)
from trindi.visible import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from trindi.cli.addresses import Assignment

_SERVER: Final = re.compile(r"(\[[^\]]+\]|[^\s/:\[\]]*):([0-9]+)")

_COLOURS: Final = {Verdict.PASS: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red"}

# The last argument is where this Python has found trindi: the one that is started may not.
_RUN_DRIVER: Final = (
    "import sys; sys.path.append(sys.argv.pop()); "
    "from trindi.cli.targets import run_driver; run_driver(sys.argv[1])"
)
_TRINDI_PATH: Final = str(Path(__file__).parents[2])


class _CheckError(click.ClickException):
    """Nothing can be checked: one line, and exit status 2."""

    exit_code = 2


def run_check(
    target: str | None,
    arguments: Sequence[str],
    host: str | None,
    port: int | None,
    settings: Sequence[Assignment],
    timeout: float,
    *,
    write: bool,
    hostile: bool | None,
    verbose: bool,
) -> Report:
    reports: list[Report] = []
    try:
        found = _server(host, port, target, arguments) or _program(target or "", arguments)
    except TargetError as error:
        raise _CheckError(str(error)) from None
    wanted = tuple(Setting(address[:2], address.membername, value) for address, value in settings)
    is_hostile = isinstance(found, Program) if hostile is None else hostile
    options = Options(timeout, write, is_hostile, wanted)

    async def work() -> None:
        try:
            reports.append(await check(found, options, show_step))
        except (UnreachableError, SettingError) as error:
            raise _CheckError(str(error)) from None

    with show_steps(as_lines=verbose) as show_step:
        run_until_signalled(work)
    return reports[0]


@contextmanager
def show_steps(*, as_lines: bool) -> Iterator[Callable[[str, str], None]]:
    """Give a function to call with the heading and the name of each step as it begins.

    Each step is printed once if `as_lines`; otherwise a terminal shows one line, which is erased
    after this block, and anything else shows nothing.
    """
    if as_lines:
        yield cache(lambda heading, step: say(f"{heading}: {step}", err=True))
        return
    is_terminal = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    console = Console(stderr=True, force_terminal=is_terminal)

    def draw(heading: str, step: str) -> None:
        if is_terminal:
            console.width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
        text = visible(f"{heading}: {step}")
        live.update(Text(text, no_wrap=True, overflow="ellipsis"), refresh=True)

    with Live(
        console=console,
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as live:
        yield draw


def _server(
    host: str | None, port: int | None, target: str | None, arguments: Sequence[str]
) -> Server | None:
    """Return the server to check, or None where the target is a program."""
    if target is None:
        if host is None and port is None:
            raise click.UsageError("name a PROGRAM or HOST:PORT")
        return Server(host or "localhost", port or 7624)
    if host is not None or port is not None:
        raise click.UsageError("give either a TARGET, or --host and --port")
    found = _SERVER.fullmatch(target)
    if found is None:
        return None
    if arguments:
        raise click.UsageError("a server has no arguments")
    if not 0 < int(found[2]) < 65536:
        raise click.UsageError(f"there is no port {found[2]}")
    return Server(found[1].strip("[]") or "localhost", int(found[2]))


def _program(target: str, arguments: Sequence[str]) -> Program:
    path = shutil.which(target)
    if path is not None:
        return Program(target, [path, *arguments])
    source, _, factory = target.partition(".py:")
    if factory or target.endswith(".py"):
        count = len(load_drivers(target))
        if count > 1:
            reason = f"{target} makes {count} drivers, and a program is one"
            raise TargetError(f"{reason}: use trindi serve, and check HOST:PORT")
        return Program(target, [sys.executable, "-c", _RUN_DRIVER, target, _TRINDI_PATH])
    if Path(source).exists():
        raise TargetError(f"{target} is not executable")
    raise TargetError(f"there is no program {target}; a server is named HOST:PORT")


def print_report(report: Report, *, as_json: bool, findings: bool, strict: bool) -> None:
    """Print a report: all rules, or only `findings`; as text, or all of it as JSON."""
    if as_json:
        click.echo(to_json(report.as_data(strict=strict), indent=2))
        return
    say(f"{report.target}, a {report.kind}")
    for device, names in report.devices.items():
        say(f"  {device}: {len(names)} {'property' if len(names) == 1 else 'properties'}")
    for group, outcomes in report.grouped():
        shown = [outcome for outcome in outcomes if not findings or outcome.is_finding]
        if shown:
            say("")
            say(group)
        for outcome in shown:
            _print_outcome(outcome)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in report.counts().items())
    verdict = "conforms" if report.conforms(strict=strict) else "does not conform"
    say("")
    if report.ended:
        say(f"The check ended early: {report.ended}.")
    say(f"{counts}: it {verdict}")


def _print_outcome(outcome: Outcome) -> None:
    rule = outcome.rule
    click.secho(f"  {outcome.verdict:4}", fg=_COLOURS.get(outcome.verdict), nl=False)
    line = f"  {rule.name:18}  {rule.title} (protocol {rule.source})"
    if not outcome.is_finding:
        say(f"{line}: {outcome.seen[0]}")
        return
    say(line)
    for seen in [*outcome.seen, *([f"and {outcome.more} more"] if outcome.more else [])]:
        say(f"        {seen}")
