"""The group of all commands: its help page, in sections, and how every command ends.

Wrong usage is one line and exit status 2. This module does not know what the commands do.
"""

from __future__ import annotations

import contextlib
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Commands"]

_LINE_LENGTH: Final = 800
"""Characters of an error from which on its middle is left out."""


class _Failure(click.ClickException):
    """What ends a command, in one line."""

    def __init__(self, message: str) -> None:
        super().__init__(_line(message))


class _UsageError(_Failure):
    """What cannot be done as it was typed."""

    exit_code = 2


def _line(said: str) -> str:
    """Write what is said as one line, that of a screen or a few: what was typed may be in it."""
    line = " ".join(said.splitlines())
    if len(line) > _LINE_LENGTH:
        line = f"{line[: _LINE_LENGTH // 2]} … {line[-_LINE_LENGTH // 4 :]}"
    return line


@contextlib.contextmanager
def _ending() -> Iterator[None]:
    """End in one line where the usage is wrong, and quietly at Ctrl-C."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx is not None else "trindi"
        said = " ".join(_line(error.format_message()).split())
        raise _UsageError(f"{said.removesuffix('.')} (see {command} --help)") from None
    except click.ClickException as error:
        ended = _UsageError if error.exit_code == _UsageError.exit_code else _Failure
        raise ended(error.format_message()) from None
    except KeyboardInterrupt:
        sys.exit(130)


class Commands(click.Group):
    """Commands under headings.

    Args:
        sections: headings with the commands below each.
        examples: what is done, or nothing where it goes on, and a line of a shell that does it.
        more: the names of the attributes of a group.
    """

    def __init__(
        self,
        *,
        sections: Mapping[str, Sequence[click.Command]],
        examples: Sequence[tuple[str, str]],
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self._sections = sections
        self._examples = examples
        for command in (one for commands in sections.values() for one in commands):
            self.add_command(command)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order of the page."""
        return list(self.commands)

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        """Read what was typed before the command."""
        with _ending():
            return super().make_context(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        # What a device says may be more than the terminal has characters for.
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")
        with _ending():
            return super().invoke(ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, section by section, then the few options, and examples."""
        width = max(map(len, self.commands))
        for heading, commands in self._sections.items():
            with formatter.section(heading):
                formatter.write_dl(
                    [(f"{one.name or '':{width}}", one.get_short_help_str(80)) for one in commands]
                )
        click.Command.format_options(self, ctx, formatter)
        with formatter.section("Examples"):
            for what, line in self._examples:
                formatter.write(f"  {what}:\n" if what else "")
                formatter.write(f"      {line}\n")
