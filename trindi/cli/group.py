"""The group of all commands: its help page in sections, and how every command ends.

An error is one line on standard error. Wrong usage has exit status 2, any other error 1.
"""

from __future__ import annotations

import contextlib
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


_MAX_ERROR_LENGTH: Final = 800
"""Characters; of a longer error the middle is left out."""


class CommandGroup(click.Group):
    """Commands under headings: `sections` are headings with the commands below each."""

    def __init__(self, *, sections: Mapping[str, Sequence[click.Command]], **more: Any) -> None:
        super().__init__(commands=[one for some in sections.values() for one in some], **more)
        self._sections = sections

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        with _one_line_errors():
            return super().make_context(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:
        # A device may send characters that the encoding of the terminal does not have.
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")
        with _one_line_errors():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.commands))
        for heading, commands in self._sections.items():
            with formatter.section(heading):
                formatter.write_dl(
                    [(f"{one.name or '':{width}}", one.get_short_help_str(80)) for one in commands]
                )


@contextlib.contextmanager
def _one_line_errors() -> Iterator[None]:
    """Turn click's errors into errors of one line, and Ctrl-C into exit status 130."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.ClickException as error:
        message = _one_line(error.format_message())
        if isinstance(error, click.UsageError):
            command = error.ctx.command_path if error.ctx is not None else "trindi"
            message = f"{' '.join(message.split()).removesuffix('.')} (see {command} --help)"
        short = click.ClickException(message)
        short.exit_code = error.exit_code  # type: ignore[misc]  # click reads it from the instance
        raise short from None
    except KeyboardInterrupt:
        sys.exit(130)


def _one_line(message: str) -> str:
    # The message may hold what the user has typed, of any length and with line breaks.
    line = " ".join(message.splitlines())
    if len(line) > _MAX_ERROR_LENGTH:
        line = f"{line[: _MAX_ERROR_LENGTH // 2]} … {line[-_MAX_ERROR_LENGTH // 4 :]}"
    return line
