"""Options and types of parameters that commands share.

Only click is imported here: help pages and the completion of options need no more.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_TIMEOUT: Final = 2.0
"""Seconds to wait for a property that is not there, where --timeout is not given."""


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


class OutputFile(click.Path):
    """A file that exists or can be created; not a directory, and not "-"."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if os.path.basename(value) in ("", ".", ".."):
            # pathlib would drop a slash at the end, and write a file of that name.
            self.fail(f"{value!r} names a directory, and no file in it", param, ctx)
        if value == "-":
            self.fail("standard output cannot be written to: name a file", param, ctx)
        return super().convert(value, param, ctx)


class OutputDirectory(click.Path):
    """A directory that exists or can be created; not "", as from an unset shell variable."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not value:
            self.fail("'' names no directory; . is this one", param, ctx)
        return super().convert(value, param, ctx)


def server_options(command: F) -> F:
    """Add ``--host`` and ``--port`` of the server that a client connects to."""
    port = click.option(
        "-p",
        "--port",
        default=7624,
        show_default=True,
        envvar="TRINDI_PORT",
        type=PORT,
        help="Port of the server.",
    )
    host = click.option(
        "--host",
        default="localhost",
        show_default=True,
        envvar="TRINDI_HOST",
        metavar="HOST",
        help="Name or address of the server.",
    )
    return host(port(command))


def timeout_option(meaning: str, *, beyond: str = "") -> Callable[[F], F]:
    """Add ``--timeout``, for `timeout_or_default`.

    Args:
        meaning: what the timeout bounds.
        beyond: what is bounded otherwise without it, and how.
    """
    return click.option(
        "-t", "--timeout", type=SECONDS, help=f"{meaning}  [default: {_TIMEOUT:g}{beyond}]"
    )


def timeout_or_default(timeout: float | None) -> float:
    """Return the seconds to wait for a property that is not there."""
    return _TIMEOUT if timeout is None else timeout


def json_option(meaning: str = "Print one JSON object a line.") -> Callable[[F], F]:
    """Add ``--json``, as the argument `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help=meaning)
