"""``trindi completion``: what a shell needs to complete commands, options and names.

For each TAB the shell calls trindi anew; where names of properties are wanted, the server is asked,
for a moment only. Whatever goes wrong then, nothing is completed, and nothing is said.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

import click
import trio
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    ZshComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from trindi.cli.addresses import join
from trindi.cli.expressions import unfinished, write_address
from trindi.cli.finding import look
from trindi.cli.lines import ATTRIBUTES
from trindi.protocol import Kind, Permission, SwitchState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "complete_assignments",
    "complete_blobs",
    "complete_conditions",
    "complete_devices",
    "complete_members",
    "completion",
]

_PATIENCE: Final = 1.0
"""Seconds in which a server must have told what it has, whatever it is: a user waits for it."""

_QUIET: Final = 0.15
"""Seconds without a definition after which that is taken for all."""

_VALUES: Final = {Kind.SWITCH: [SwitchState.ON, SwitchState.OFF]}
"""What members of a kind can be set to, where there are few."""

_SHELLS: Final = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
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
    found = get_completion_class(shell)
    assert found is not None, "click knows these shells"
    main = click.get_current_context().find_root().command
    click.echo(found(main, {}, "trindi", "_TRINDI_COMPLETE").source())


# The shells --------------------------------------------------------------------------------------


class _Bash(BashComplete):
    """For bash: names with blanks are quoted, and what ends in = is to be gone on with.

    bash takes words apart at each = and :, and wants only the last piece completed; so what was
    typed is read from the line.
    """

    source_template: ClassVar[str] = BashComplete.source_template.replace(
        "    return 0\n", "    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n    return 0\n"
    ).replace("$(env ", '$(env COMP_LINE="${COMP_LINE:0:COMP_POINT}" ')

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words that are complete, and the one that is not."""
        *words, typed = _split(os.environ["COMP_LINE"])
        return words[1:], typed

    def format_completion(self, item: CompletionItem[str]) -> str:
        """Write a completion for the shell, which reads backslashes once by itself."""
        line = os.environ["COMP_LINE"]
        words = os.environ["COMP_WORDS"].split("\n")
        piece = words[min(int(os.environ["COMP_CWORD"]), len(words) - 1)].lstrip("=:")
        while not line.endswith(piece):
            # The rest of it is behind the cursor.
            piece = piece[:-1]
        value = item.value.removeprefix(_split(line.removesuffix(piece))[-1])
        quote = piece[:1]
        if item.type == "plain" and quote not in {"'", '"'}:
            value = re.sub(r"([^\w.=/:%@+,-])", r"\\\\\1", value)
        elif quote == '"':
            value = re.sub(r'(["$`\\])', r"\\\\\1", value)
        return f"{item.type},{value}"


def _split(line: str) -> list[str]:
    """Split a line into words; the last is that which is being typed, and may be empty."""
    *words, last = split_arg_string(f"{line}x")
    return [*words, last[:-1]]


class _Zsh(ZshComplete):
    """For zsh: what ends in = is to be gone on with."""

    source_template: ClassVar[str] = ZshComplete.source_template.replace(
        "        compadd -U -V unsorted -a completions",
        "        local -a suffix; [[ $completions[1] == *= ]] && suffix=(-S '')\n"
        '        compadd -U -V unsorted "${suffix[@]}" -a completions',
    )


add_completion_class(_Bash)
add_completion_class(_Zsh)


# What a server has -------------------------------------------------------------------------------


class Known(NamedTuple):
    """A property of a server."""

    devicename: str
    vectorname: str
    members: tuple[str, ...]
    kind: Kind
    perm: Permission


def complete_devices(ctx: click.Context, _param: click.Parameter, typed: str) -> list[str]:
    """Complete the name of a device."""
    return _beginning(typed, (one.devicename for one in _ask(ctx)))


def complete_members(ctx: click.Context, _param: click.Parameter, typed: str) -> list[str]:
    """Complete the address of a member with a value, or of an attribute that is begun."""
    return _beginning(typed, (join(*names) for names in _readable(_ask(ctx), typed)))


def complete_assignments(ctx: click.Context, _param: click.Parameter, typed: str) -> list[str]:
    """Complete the address of a member that can be set, with the sign that follows, or a switch."""
    offered: list[str] = []
    for one in _ask(ctx):
        for name in one.members if one.perm is not Permission.RO else ():
            place = f"{join(one.devicename, one.vectorname, name)}="
            values = _VALUES.get(one.kind, []) if typed.startswith(place) else [""]
            offered += [f"{place}{value}" for value in values]
    return _beginning(typed, offered)


def complete_conditions(ctx: click.Context, _param: click.Parameter, typed: str) -> list[str]:
    """Complete the address that a condition ends with, written as a condition wants it."""
    begin = unfinished(typed)
    before, typed = typed[:begin], typed[begin:]
    quote = typed[:1] if typed[:1] in {'"', "'"} else '"'
    forms = [(write_address(one, quote), join(*one)) for one in _readable(_ask(ctx), typed)]
    return [f"{before}{form[0]}" for form in forms if any(one.startswith(typed) for one in form)]


def complete_blobs(ctx: click.Context, _param: click.Parameter, typed: str) -> list[str]:
    """Complete the address of a property with BLOBs."""
    blobs = (one for one in _ask(ctx) if one.kind is Kind.BLOB)
    return _beginning(typed, (join(one.devicename, one.vectorname) for one in blobs))


def _readable(properties: Iterable[Known], typed: str) -> Iterator[tuple[str, str, str]]:
    """Yield what can be read: BLOBs have no value, and attributes are for who begins one."""
    attributes = ATTRIBUTES if "._" in typed else ()
    for one in properties:
        for name in (*(one.members if one.kind is not Kind.BLOB else ()), *attributes):
            yield one.devicename, one.vectorname, name


def _beginning(typed: str, names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name for name in names if name.startswith(typed)))


def _ask(ctx: click.Context) -> list[Known]:
    """Ask the server that the command line names so far."""
    host, port = ctx.params.get("host") or "localhost", ctx.params.get("port") or 7624
    client = trio.run(look, host, port, _PATIENCE, _QUIET)
    return [
        Known(vector.devicename, vector.name, tuple(vector), vector.kind, vector.perm)
        for device in client.values()
        for vector in device.values()
    ]
