"""Names of files and directories that are written: those that cannot be meant are wrong usage."""

from __future__ import annotations

import os
from typing import Any

import click

__all__ = ["DirectoryToFill", "FileToWrite"]


class FileToWrite(click.Path):
    """A parameter that names a file, which is there or can be made."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Refuse what names no file, and what a shell takes for standard output."""
        name = os.path.basename(value)
        if name in ("", ".", ".."):
            # As a path of Python it would be one without the slash.
            self.fail(f"{value!r} names a directory, and no file in it", param, ctx)
        if value == "-":
            self.fail("standard output cannot be written to: name a file", param, ctx)
        return super().convert(value, param, ctx)


class DirectoryToFill(click.Path):
    """A parameter that names a directory, which is there or can be made."""

    def __init__(self) -> None:
        super().__init__(file_okay=False)

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """Refuse what names none, such as a variable of a shell that is not set."""
        if not value:
            self.fail("'' names no directory; . is this one", param, ctx)
        return super().convert(value, param, ctx)
