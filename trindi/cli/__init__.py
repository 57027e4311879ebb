"""The ``trindi`` command: its help page in sections, and how every command ends.

An error is one line on standard error. Wrong usage has exit status 2, any other error 1.
"""

from __future__ import annotations

import contextlib
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, Final

import click

from trindi import __version__
from trindi.cli import client_commands as client, server_commands as server

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["main"]

_MAX_ERROR_LENGTH: Final = 800  # characters; of a longer error the middle is left out

_SECTIONS: Final = {
    "Serve": [server.serve],
    "Look and set": [client.watch, client.get, client.set_values, client.wait, client.save_blobs],
    "Record and check": [client.record, server.replay, server.check],
    "Your shell": [server.completion],
}

_EXAMPLES: Final = """\b
Examples:
  trindi serve examples/thermostat_target.py    # a thermostat on port 7624
  trindi watch                                  # all that it says, live
  trindi set --wait Thermostat.targetvector.target=18          # warmer
  trindi wait 'Thermostat.temperaturevector.temperature > 17'  # until it is
  trindi get '*.*._STATE' | grep =Busy          # all that is busy
  trindi save-blobs 'CCD Simulator.CCD1' images --count 10     # ten images
  trindi record night.jsonl                     # a night ...
  trindi replay night.jsonl --serve 7625 --speed 600           # ... in a minute
  trindi check ./my_driver.py                   # against the protocol
"""


@contextlib.contextmanager
def _one_line_errors() -> Iterator[None]:
    """Turn click's errors into errors of one line, and Ctrl-C into exit status 130."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.ClickException as error:
        if isinstance(error, click.BadParameter):
            _blame_variable(error)
        message = _one_line(error.format_message())
        if isinstance(error, click.UsageError):
            command = error.ctx.command_path if error.ctx is not None else "trindi"
            message = f"{' '.join(message.split()).removesuffix('.')} (see {command} --help)"
        short = click.ClickException(message)
        short.exit_code = error.exit_code  # type: ignore[misc]  # click reads it from the instance
        raise short from None
    except KeyboardInterrupt:
        sys.exit(130)


def _blame_variable(error: click.BadParameter) -> None:
    """Name the variable of the environment where it is what is wrong."""
    ctx, param = error.ctx, error.param
    if ctx is None or param is None or param.name is None:
        return
    if ctx.get_parameter_source(param.name) is click.core.ParameterSource.ENVIRONMENT:
        error.param_hint = f"the variable {param.envvar}"


def _one_line(message: str) -> str:
    # Loaded only here: help needs nothing but click.
    from trindi.visible import visible

    # The message may hold what the user has typed, of any length and with line breaks.
    line = " ".join(message.splitlines())
    if len(line) > _MAX_ERROR_LENGTH:
        line = f"{line[: _MAX_ERROR_LENGTH // 2]} … {line[-_MAX_ERROR_LENGTH // 4 :]}"
    return visible(line)


class _Commands(click.Group):
    """The commands under headings; each ends with one line if it fails."""

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
        for heading, commands in _SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl(
                    [(f"{one.name or '':{width}}", one.get_short_help_str(80)) for one in commands]
                )


@click.group(
    cls=_Commands,
    commands=[command for commands in _SECTIONS.values() for command in commands],
    epilog=_EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)
@click.version_option(__version__, prog_name="trindi")
def main() -> None:
    """INDI instrument drivers on Trio: serve them, look at them, set them.

    All commands but serve and replay are clients of any INDI server, trindi's or not: on this
    machine at port 7624, or where --host and --port say, or TRINDI_HOST and TRINDI_PORT in the
    environment. Properties are named DEVICE.VECTOR.MEMBER, as "trindi get" prints them.

    They end with exit status 0 if all is well, 1 if the answer is no (with one line that says
    why), and 2 if they were called wrongly. "trindi COMMAND --help" says more of each.
    """
    import logging

    # Commands print their errors themselves; without a handler logging would print them as well.
    logging.getLogger("trindi").addHandler(logging.NullHandler())
