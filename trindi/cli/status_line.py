"""Shows on standard error which step of a long work is being done: one line, or a line each."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    ShowStep: TypeAlias = "Callable[[str, str], None]"


@contextmanager
def show_steps(*, as_lines: bool) -> Iterator[ShowStep]:
    """Give a function to call with the heading and the name of each step as it begins.

    Args:
        as_lines: print a line for each step; otherwise a terminal shows one line, which is erased
            after this block, and anything else shows nothing.
    """
    if as_lines:
        printed: set[str] = set()

        def print_once(heading: str, step: str) -> None:
            line = f"{heading}: {step}"
            if line not in printed:
                printed.add(line)
                click.echo(line, err=True)

        yield print_once
    elif sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        console = Console(stderr=True)

        def draw(heading: str, step: str) -> None:
            console.width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
            line = Text(f"{heading}: {step}", no_wrap=True, overflow="ellipsis")
            live.update(line, refresh=True)

        with Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        ) as live:
            yield draw
    else:
        yield lambda _heading, _step: None
