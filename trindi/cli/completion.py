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
)

from trindi.cli.addresses import join
from trindi.client import IPyClient
from trindi.errors import TrindiError
from trindi.protocol import Kind, Permission

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "complete_assignments",
    "complete_blobs",
    "complete_devices",
    "complete_members",
    "completion",
]

_PATIENCE: Final = 1.0
"""Seconds in which a server must have told what it has: a user waits for it."""

_QUIET: Final = 0.15
"""Seconds without a definition after which that is taken for all."""

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
    """For bash: names with blanks are quoted, and what ends in = is to be gone on with."""

    source_template: ClassVar[str] = BashComplete.source_template.replace(
        "    return 0\n", "    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace\n    return 0\n"
    )

    def format_completion(self, item: CompletionItem[str]) -> str:
        """Write a completion for the shell, which reads backslashes once by itself."""
        words = os.environ["COMP_WORDS"].split("\n")
        typed = words[min(int(os.environ["COMP_CWORD"]), len(words) - 1)]
        quoted = typed[:1] in {'"', "'"} or item.type != "plain"
        value = item.value if quoted else re.sub(r"([^\w.=/:%@+,-])", r"\\\\\1", item.value)
        return f"{item.type},{value}"


class _Zsh(ZshComplete):
    """For zsh: what ends in = is to be gone on with."""

    source_template: ClassVar[str] = ZshComplete.source_template.replace(
        "compadd -U -V unsorted -a completions",
        "compadd -U -V unsorted ${${(M)completions[1]%%=}:+-S ''} -a completions",
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
    """Complete the address of a member."""
    return _beginning(typed, _members(_ask(ctx)))


def complete_assignments(ctx: click.Context, _param: click.Parameter, typed: str) -> list[str]:
    """Complete the address of a member that can be set, with the sign that follows."""
    writable = (one for one in _ask(ctx) if one.perm is not Permission.RO)
    return _beginning(typed, (f"{name}=" for name in _members(writable)))


def complete_blobs(ctx: click.Context, _param: click.Parameter, typed: str) -> list[str]:
    """Complete the address of a property with BLOBs."""
    blobs = (one for one in _ask(ctx) if one.kind is Kind.BLOB)
    return _beginning(typed, (join(one.devicename, one.vectorname) for one in blobs))


def _members(properties: Iterable[Known]) -> Iterable[str]:
    return (join(*one[:2], name) for one in properties for name in one.members)


def _beginning(typed: str, names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(name for name in names if name.startswith(typed)))


def _ask(ctx: click.Context) -> list[Known]:
    """Ask the server that the command line names so far."""
    client = IPyClient(ctx.params.get("host") or "localhost", ctx.params.get("port") or 7624)
    try:
        return trio.run(_look, client)
    # Connecting raises others, too: of a host that cannot be one.
    except (OSError, ValueError, TrindiError, ExceptionGroup):
        return []


async def _look(client: IPyClient) -> list[Known]:
    with trio.move_on_after(_PATIENCE):
        async with trio.open_nursery() as nursery:
            await nursery.start(client.run)
            await client.settled(quiet=_QUIET)
            nursery.cancel_scope.cancel()
    return [
        Known(vector.devicename, vector.name, tuple(vector), vector.kind, vector.perm)
        for device in client.values()
        for vector in device.values()
    ]
