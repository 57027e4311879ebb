"""Options and types of parameters that commands share.

Only click is imported here: help pages and the completion of options need no more.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


class _NumberType(click.ParamType):  # type: ignore[type-arg]  # generic in some versions
    """A number within a range: help shows its name, and an error shows the range."""

    def __init__(self, name: str, number_range: click.IntRange | click.FloatRange) -> None:
        self.name = name
        self._range = number_range

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        number = self._range.convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


PORT: Final = _NumberType("port", click.IntRange(1, 65535))
LISTEN_PORT: Final = _NumberType("port", click.IntRange(0, 65535))
COUNT: Final = _NumberType("count", click.IntRange(min=1))
SECONDS: Final = _NumberType("seconds", click.FloatRange(min=0))
POSITIVE_SECONDS: Final = _NumberType("seconds", click.FloatRange(min=0, min_open=True))
FACTOR: Final = _NumberType("factor", click.FloatRange(min=0, min_open=True))


class _OutputFile(click.Path):
    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if os.path.basename(value) in ("", ".", ".."):
            # pathlib would drop a slash at the end, and write a file of that name.
            self.fail(f"{value!r} names a directory, and no file in it", param, ctx)
        if value == "-":
            self.fail("standard output cannot be written to: name a file", param, ctx)
        return super().convert(value, param, ctx)


class _OutputDirectory(click.Path):
    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not value:
            # As from an unset variable of a shell.
            self.fail("'' names no directory; . is this one", param, ctx)
        return super().convert(value, param, ctx)


# They exist, or can be created.
OUTPUT_FILE: Final = _OutputFile(dir_okay=False, writable=True)
OUTPUT_DIRECTORY: Final = _OutputDirectory(file_okay=False, path_type=Path)

json_option: Final = partial(click.option, "--json", "as_json", is_flag=True)
timeout_option: Final = partial(click.option, "-t", "--timeout", type=SECONDS, default=2)


def server_options(command: F) -> F:
    """Add ``--host`` and ``--port`` of the server that a client connects to."""
    host = click.option(
        "--host",
        default="localhost",
        envvar="TRINDI_HOST",
        metavar="HOST",
        help="Name or address of the server.",
    )
    port = click.option(
        "-p", "--port", default=7624, envvar="TRINDI_PORT", type=PORT, help="Port of the server."
    )
    return host(port(command))
