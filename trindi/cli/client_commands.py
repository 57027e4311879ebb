"""The commands that are clients of a server: what a user can type, and its help.

Each command imports what it runs when it is called, so that help and completion do not load Trio.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from trindi.cli.addresses import parse_assignment, parse_pattern, parse_property
from trindi.cli.options import (
    COUNT,
    OUTPUT_DIRECTORY,
    OUTPUT_FILE,
    SECONDS,
    json_option,
    server_options,
    timeout_option,
)

if TYPE_CHECKING:
    from trindi.cli.conditions import Condition


def _complete(what: str, ctx: click.Context, _param: click.Parameter, typed: str) -> list[str]:
    from trindi.cli.completion import complete

    return complete(what, ctx, typed)


def _parse_condition(text: str) -> Condition:
    from trindi.cli.conditions import parse_condition

    return parse_condition(text)


@click.command()
@click.argument(
    "patterns",
    metavar="[DEV.VEC.MEMBER]...",
    nargs=-1,
    type=parse_pattern,
    shell_complete=partial(_complete, "members"),
)
@timeout_option(
    help="How long to wait for what is not there, or for more where a * may match more."
)
@click.option(
    "-1", "--value", "only_value", is_flag=True, help="Print just the value, of one member."
)
@click.option("-w", "--write-only", is_flag=True, help="Include write-only properties.")
@json_option(help="Print one JSON object a line.")
@server_options
def get(**options: Any) -> None:
    """Print the values of properties.

    Each line is DEVICE.VECTOR.MEMBER=VALUE, as indi_getprop of libindi prints it. A * stands for
    any characters, also within a name, which indi_getprop does not know: "*.CCD_*". What is left
    out matches all: "trindi get Thermostat" prints all of the device. BLOBs have no line: receive
    them with trindi save-blobs.

    In the place of MEMBER, an attribute of the vector: _STATE, _LABEL, _GROUP, _PERM, _TO (its
    timeout), _TS (its timestamp), or, which indi_getprop does not know, _RULE (of its switches).

    Exit status: 0 if there was something for each, 1 if not.
    """
    from trindi.cli.get import Search

    Search(**options).run()


@click.command("set")
@click.argument(
    "assignments",
    metavar="DEV.VEC.MEMBER=VALUE...",
    nargs=-1,
    required=True,
    type=parse_assignment,
    shell_complete=partial(_complete, "assignments"),
)
@click.option("--wait", is_flag=True, help="Wait until each is done, before the next is asked for.")
@timeout_option(
    default=None,
    help="How long to wait for a property that is not there, and with --wait for each until it is"
    " done.  [default: 2; until it is done, as long as the property says, or for ever if"
    " it says nothing]",
)
@server_options
def set_values(**options: Any) -> None:
    """Set values of properties.

    What VALUE is depends on the property: a number (also sexagesimal, 12:30:00), On or Off, a text,
    or for a BLOB @FILE. Members of one vector go in one request. What cannot be right (read-only,
    beyond the limits, against the rule of switches) is refused before anything is sent.

    With --wait, properties are set one after another, each once the one before is Ok or Idle. So
    what a device defines only when it is connected can be set in the same command. Each may take
    as long as the property says itself, or as --timeout says instead. What the device says
    meanwhile is printed on standard error. A device that comes back with other values, without
    having been Busy with these until it is Ok, has refused.

    Exit status: 0 if the server has it, or it is done with --wait; 1 if it was refused, or may be
    lost on its way, or the device reports Alert, or takes too long.
    """
    from trindi.cli.set import run_set

    run_set(**options)


@click.command()
@click.argument("condition", type=_parse_condition, shell_complete=partial(_complete, "conditions"))
@timeout_option(default=math.inf, show_default=False, help="How long to wait.  [default: for ever]")
@server_options
def wait(condition: Condition, **options: Any) -> None:
    """Wait until a condition holds.

    \b
    trindi wait 'Thermostat.temperaturevector.temperature > 15'
    trindi wait '"CCD Simulator".CCD1._STATE == Ok or not Dome.SHUTTER.OPEN == On'
    trindi wait 'abs(Mount.EQUATORIAL_EOD_COORD.DEC - 20:30) < 0.1'

    Values are compared with == != < <= > >=, and comparisons joined with and, or, not and
    parentheses. Numbers may be calculated with + - * / % (with blanks around them) and abs(), and
    may be sexagesimal. Texts are quoted, and so are names with blanks or dots, all of it within
    the quotes of the shell. As with trindi get, _STATE and other attributes stand in the place of
    a member; of BLOBs only they can be compared. A property may appear later.

    Exit status: 0 once it holds; 1 if it does not within --timeout, or the server has gone; 2 if
    it compares what cannot be compared.
    """  # noqa: D301 - for click
    if not condition.addresses:
        raise click.UsageError("the condition is about no property")

    from trindi.cli.wait import Waiter

    Waiter(condition=condition, **options).run()


@click.command()
@click.argument(
    "pattern",
    required=False,
    default="*",
    type=parse_pattern,
    shell_complete=partial(_complete, "members"),
)
@click.option("--plain", is_flag=True, help="Print lines in a terminal, too.")
@json_option(help="Print lines, each one JSON object.")
@server_options
def watch(**options: Any) -> None:
    """Watch devices, their values as they change, and what they say.

    PATTERN is as for trindi get: DEVICE, DEVICE.VECTOR or DEVICE.VECTOR.MEMBER, with * for any
    characters.

    In a terminal it is a table of all there is: values in the format of the device, the last 16
    numbers as a sparkline, states in colour, messages below. / filters, the arrows and PgUp, PgDn,
    Home and End scroll, q quits. When the connection is lost it waits for another one.

    Elsewhere each change is a line, DEVICE.VECTOR.MEMBER=VALUE, until the server leaves (exit
    status 1) or it is told to stop.
    """
    from trindi.cli.watch import run_watch

    run_watch(**options)


@click.command("save-blobs")
@click.argument(
    "address", metavar="DEV.VEC", type=parse_property, shell_complete=partial(_complete, "blobs")
)
@click.argument("directory", metavar="DIR", type=OUTPUT_DIRECTORY)
@click.option("-n", "--count", type=COUNT, help="How many to save.  [default: all, until Ctrl-C]")
@timeout_option(help="How long to wait for the property to be there.")
@json_option(help="Print one JSON object a line.")
@server_options
def save_blobs(**options: Any) -> None:
    """Save each BLOB of a property that arrives to a file in DIR.

    The path of each file is printed once it is whole. Its name is made of the names of device,
    property and member, a number that is free, and the format. What was there is not overwritten.
    How much has arrived, and how fast, is shown on standard error.

    Exit status: 0 once --count are saved, 1 if the property is not there or the server has gone.
    """
    from trindi.cli.save_blobs import Saver

    Saver(**options).run()


@click.command()
@click.argument("file", type=OUTPUT_FILE, required=False)
@click.argument(
    "devices", metavar="[DEV]...", nargs=-1, shell_complete=partial(_complete, "devices")
)
@click.option("--blobs", is_flag=True, help="Receive BLOBs, too, into the directory FILE.blobs.")
@click.option("--append", is_flag=True, help="Go on with the recording that FILE is already.")
@click.option("--reconnect", is_flag=True, help="Connect again when the server has gone.")
@click.option(
    "--duration",
    type=SECONDS,
    default=math.inf,
    show_default=False,
    help="How long to record.  [default: until Ctrl-C, or until the server leaves]",
)
@server_options
def record(**options: Any) -> None:
    """Record what a server says of all devices, or of those named.

    FILE, by custom *.jsonl, is made once something is heard; without a FILE it is night-DATE.jsonl,
    with the date of today. One that is there is never overwritten: --append goes on with a
    recording. It is written as things are said: at Ctrl-C, or if all is lost, it has what was said
    until then. Look at it with trindi replay.

    Exit status: 0 if the time is over, 1 if the server has gone, nothing was heard of what is to be
    recorded, or FILE cannot be written.
    """
    from trindi.cli.record import Recorder

    Recorder(**options).run()
