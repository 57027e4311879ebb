"""Which part of something long goes on: one line of a terminal, or lines, on standard error.

This module does not know what it is that takes so long.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeAlias

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Tell: TypeAlias = "Callable[[str, str], None]"

__all__ = ["show_chapters"]

_ERASE: Final = "\r\x1b[K"


@contextmanager
def show_chapters(*, as_lines: bool) -> Iterator[Tell]:
    """Give a function that is to be told of each part, with its heading, as it begins.

    In a terminal there is one line, which is gone after this block; elsewhere there is none.

    Args:
        as_lines: print a line for each, wherever that goes.
    """
    if as_lines:
        yield _Lines()
    elif sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        try:
            yield _draw
        finally:
            click.echo(_ERASE, err=True, nl=False)
    else:
        yield lambda _heading, _what: None


class _Lines:
    """Prints each part, once."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str]] = set()

    def __call__(self, heading: str, what: str) -> None:
        if (heading, what) not in self._told:
            self._told.add((heading, what))
            click.echo(f"{heading}: {what}", err=True)


def _draw(heading: str, what: str) -> None:
    """Draw the line anew; it must not become two."""
    width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
    click.echo(_ERASE + f"{heading}: {what}"[: width - 1], err=True, nl=False)
