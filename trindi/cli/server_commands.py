"""The commands that serve or check drivers, and completion: what a user can type, and its help.

Each command imports what it runs when it is called, so that help and completion do not load Trio.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import click
from click.shell_completion import CompletionItem

from trindi.cli.addresses import parse_assignment
from trindi.cli.options import (
    COUNT,
    FACTOR,
    LISTEN_PORT,
    PORT,
    POSITIVE_SECONDS,
    json_option,
    timeout_option,
)
from trindi.cli.shells import completion_script


def _complete_files(
    _ctx: click.Context, _param: click.Parameter, typed: str
) -> list[CompletionItem[str]]:
    # The shell lists them.
    return [CompletionItem(typed, type="file")]


_listen_host = click.option(
    "--host", metavar="HOST", default="localhost", help="Name or address to listen on."
)
_listen_port = partial(
    click.option, default=7624, type=LISTEN_PORT, help="Port to listen on; 0 takes a free one."
)


@click.command()
@click.argument(
    "targets", metavar="TARGET...", nargs=-1, required=True, shell_complete=_complete_files
)
@_listen_host
@_listen_port("-p", "--port")
@click.option("--max-connections", default=100, type=COUNT, help="Clients at one time.")
@click.option(
    "--log-level",
    metavar="LEVEL",
    default="info",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    help="How much to say on standard error: debug, info, warning or error.",
)
def serve(**options: Any) -> None:
    """Serve the drivers of each TARGET to INDI clients.

    A TARGET is path/to/file.py or package.module; its function make_driver returns the driver, or
    a list of drivers. Name another function after a colon: package.module:factory. Stop with
    Ctrl-C.
    """
    from trindi.cli.serve import run_serve

    run_serve(**options)


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@_listen_port("--serve", "port")
@_listen_host
@click.option(
    "--speed", default=1.0, type=FACTOR, help="Recorded seconds in a second; inf leaves no pauses."
)
def replay(**options: Any) -> None:
    """Serve a recording to INDI clients until Ctrl-C.

    It begins when a client first asks, with the definitions that the recording begins with, and
    goes on at the recorded times. The last values stay. What clients want set is refused.
    """
    from trindi.cli.serve import run_replay

    run_replay(**options)


@click.command()
@click.argument("target", required=False, shell_complete=_complete_files)
@click.argument(
    "arguments",
    metavar="[ARG]...",
    nargs=-1,
    type=click.UNPROCESSED,
    shell_complete=_complete_files,
)
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
    type=parse_assignment,
    help="Set this first, and wait until it is done; can be given several times.",
)
@timeout_option(
    default=5.0,
    type=POSITIVE_SECONDS,
    help="How long each answer may take; a program may take 15 to start with.",
)
@click.option("--strict", is_flag=True, help="Let warnings count as findings.")
@click.option("--findings", is_flag=True, help="Show only the rules that are broken.")
@json_option(help="Print the report as JSON.")
@click.option("-v", "--verbose", is_flag=True, help="Print what is checked, line by line.")
def check(strict: bool, findings: bool, as_json: bool, **options: Any) -> None:
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
    from trindi.cli.check import print_report, run_check

    report = run_check(**options)
    print_report(report, as_json=as_json, findings=findings, strict=strict)
    sys.exit(0 if report.conforms(strict=strict) else 1)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that lets a shell complete trindi's commands.

    \b
    bash: add to ~/.bashrc      eval "$(trindi completion bash)"
    zsh:  add to ~/.zshrc       eval "$(trindi completion zsh)"
    fish: put into ~/.config/fish/completions/trindi.fish
                                trindi completion fish | source

    Names of devices, properties and members are completed, too, from the server at --host and
    --port, if one answers within a second.
    """  # noqa: D301 - for click
    click.echo(completion_script(shell))
