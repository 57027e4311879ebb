"""``trindi check``: whether a driver or a server keeps to the protocol, rule by rule."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import trio

from trindi.cli.chapters import show_chapters
from trindi.cli.ranges import PORT, SOME_SECONDS
from trindi.cli.running import run_until_told
from trindi.cli.set import parse_assignment
from trindi.cli.targets import TargetError, load_drivers
from trindi.conformance import (
    Options,
    Outcome,
    Program,
    ProgressCallback,
    Report,
    Server,
    Setting,
    SettingError,
    Target,
    UnreachableError,
    Verdict,
    check as check_target,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["check", "run_driver"]

_SERVER: Final = re.compile(r"(\[[^\]]+\]|[^\s/:\[\]]*):([0-9]+)")

_COLOURS: Final = {Verdict.PASS: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red"}

# The Python that is started finds trindi where this one has found it.
_RUN_DRIVER: Final = (
    "import sys; sys.path.append(sys.argv.pop()); "
    "from trindi.cli.check import run_driver; run_driver(sys.argv[1])"
)
_PLACE: Final = str(Path(__file__).parents[2])


def _setting(text: str) -> Setting:
    """Read a setting, in the words of ``trindi set``.

    Raises:
        AddressError: it is none.
    """
    address, value = parse_assignment(text)
    return Setting((address.devicename, address.vectorname), address.membername, value)


class CheckError(click.ClickException):
    """There is nothing that could be checked: one line, and exit status 2."""

    exit_code = 2


@click.command()
@click.argument("target", required=False)
@click.argument("arguments", metavar="[ARG]...", nargs=-1, type=click.UNPROCESSED)
@click.option("--host", metavar="HOST", help="Check the server there, instead of a TARGET.")
@click.option("-p", "--port", type=PORT, help="Its port.  [default: 7624]")
@click.option(
    "--write",
    is_flag=True,
    help="Also make requests that a driver may act on, and write values as they are.",
)
@click.option(
    "--hostile/--no-hostile",
    default=None,
    help="Also send what others are known to crash on.  [default: to a program only]",
)
@click.option(
    "--set",
    "settings",
    metavar="DEV.VEC.MEMBER=VALUE",
    multiple=True,
    type=_setting,
    help="Set this first, and wait until it is done; can be given several times.",
)
@click.option(
    "-t",
    "--timeout",
    default=5.0,
    show_default=True,
    type=SOME_SECONDS,
    help="How long each answer may take; a program may take 15 to start with.",
)
@click.option("--strict", is_flag=True, help="Let warnings count as findings.")
@click.option("--findings", is_flag=True, help="Show only the rules that are broken.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("-v", "--verbose", is_flag=True, help="Print what is checked, line by line.")
def check(
    target: str | None,
    arguments: tuple[str, ...],
    host: str | None,
    port: int | None,
    write: bool,
    hostile: bool | None,
    settings: tuple[Setting, ...],
    timeout: float,
    strict: bool,
    findings: bool,
    as_json: bool,
    verbose: bool,
) -> None:
    """Check an INDI driver or server against the protocol.

    TARGET is PROGRAM, a driver as indiserver would start it (ARGs for it go behind --), or
    HOST:PORT, a server. A file ending in .py that is not executable is run as trindi serve would
    load it.

    In a terminal, what is checked just now is shown on standard error. A server that says nothing
    at all within --timeout is not checked any further.

    The report has a verdict for each rule (pass, warn, fail, n/a), what was seen, and the section
    of the protocol that the rule comes from. Exit status: 0 if it conforms, 1 if it does not, 2 if
    it could not be checked.

    What is sent must be refused by a driver that keeps to the protocol, or says what is so
    already, so that nothing moves. One that does not refuse it may act on it. To a server less is
    sent by default: nothing that drivers in wide use are known to act on, or to crash on. If an
    instrument must not be disturbed, check its driver as a program, away from it.
    """
    options = Options(timeout, write, False, settings)
    try:
        found = _server(host, port, target, arguments) or _program(target or "", arguments)
        is_program = isinstance(found, Program)
        options = options._replace(hostile=is_program if hostile is None else hostile)
        with show_chapters(as_lines=verbose) as progress:
            report = _run(found, options, progress)
    except (TargetError, UnreachableError, SettingError) as error:
        raise CheckError(str(error)) from None
    if as_json:
        click.echo(json.dumps(report.as_data(strict=strict), indent=2, ensure_ascii=False))
    else:
        _show(report, findings=findings, strict=strict)
    sys.exit(0 if report.conforms(strict=strict) else 1)


def _run(target: Target, options: Options, progress: ProgressCallback) -> Report:
    """Check it; told to stop by a signal, end quietly."""
    reports: list[Report] = []

    async def work() -> Exception | None:
        try:
            reports.append(await check_target(target, options, progress))
        except (UnreachableError, SettingError) as error:
            return error
        return None

    run_until_told(work)
    return reports[0]


# What to check -----------------------------------------------------------------------------------


def _server(
    host: str | None, port: int | None, target: str | None, arguments: Sequence[str]
) -> Server | None:
    """Return the server that is meant, or None where a program is."""
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
    """Return the program that is meant.

    Raises:
        TargetError: there is none.
    """
    path = shutil.which(target)
    if path is not None:
        return Program(target, [path, *arguments])
    place, _, factory = target.partition(".py:")
    if factory or target.endswith(".py"):
        return _driver(target)
    if Path(place).exists():
        raise TargetError(f"{target} is not executable")
    raise TargetError(f"there is no program {target}; a server is named HOST:PORT")


def _driver(target: str) -> Program:
    """Return a program that runs the driver which a file makes."""
    drivers = load_drivers(target)
    if len(drivers) > 1:
        text = f"{target} makes {len(drivers)} drivers, and a program is one"
        raise TargetError(f"{text}: use trindi serve, and check HOST:PORT")
    return Program(target, [sys.executable, "-c", _RUN_DRIVER, target, _PLACE])


def run_driver(target: str) -> None:
    """Run the driver of a target on standard input and output, as indiserver runs a program."""
    (driver,) = load_drivers(target)
    trio.run(driver.run)


# What was found ----------------------------------------------------------------------------------


def _show(report: Report, *, findings: bool, strict: bool) -> None:
    """Print a report for people."""
    click.echo(f"{report.target}, a {report.kind}")
    for device, names in report.devices.items():
        click.echo(f"  {device}: {len(names)} {'property' if len(names) == 1 else 'properties'}")
    for group, outcomes in report.grouped():
        shown = [outcome for outcome in outcomes if not findings or outcome.is_finding]
        if shown:
            click.echo(f"\n{group}")
        for outcome in shown:
            _show_outcome(outcome)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in report.counts().items())
    verdict = "conforms" if report.conforms(strict=strict) else "does not conform"
    early = f"The check ended early: {report.ended}.\n" if report.ended else ""
    click.echo(f"\n{early}{counts}: it {verdict}")


def _show_outcome(outcome: Outcome) -> None:
    rule = outcome.rule
    verdict = click.style(f"{outcome.verdict:4}", fg=_COLOURS.get(outcome.verdict))
    line = f"  {verdict}  {rule.name:18}  {rule.title} (protocol {rule.source})"
    if not outcome.is_finding:
        click.echo(f"{line}: {outcome.seen[0]}")
        return
    click.echo(line)
    for seen in outcome.seen:
        click.echo(f"        {seen}")
    if outcome.more:
        click.echo(f"        and {outcome.more} more")
