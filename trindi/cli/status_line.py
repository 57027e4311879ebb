"""Shows on standard error which step of a long work is being done: one line, or a line each."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def show_steps(*, as_lines: bool) -> Iterator[Callable[[str, str], None]]:
    """Give a function to call with the heading and the name of each step as it begins.

    Each step is printed once if `as_lines`; otherwise a terminal shows one line, which is erased
    after this block, and anything else shows nothing.
    """
    if as_lines:
        yield cache(lambda heading, step: click.echo(f"{heading}: {step}", err=True))
        return
    is_terminal = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    console = Console(stderr=True, force_terminal=is_terminal)

    def draw(heading: str, step: str) -> None:
        if is_terminal:
            console.width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
        live.update(Text(f"{heading}: {step}", no_wrap=True, overflow="ellipsis"), refresh=True)

    with Live(
        console=console,
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as live:
        yield draw
