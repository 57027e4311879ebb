"""What commands print. Each line goes through here, so that a text of a device stays one text."""

from __future__ import annotations

import json
from typing import Any

import click

from trindi.visible import visible


def say(line: str, *, err: bool = False) -> None:
    """Print one line, in which control characters, line ends too, are written as escapes."""
    click.echo(visible(line), err=err)


def to_json(data: Any, indent: int | None = None) -> str:
    """Write JSON, without indent on one line; control characters are escaped as JSON does."""
    written = json.dumps(data, ensure_ascii=False, default=str, indent=indent)
    # A line end in what is written stands between lines: within a text it is escaped already.
    return "\n".join(visible(line, _json_escape) for line in written.split("\n"))


def _json_escape(character: str) -> str:
    return json.dumps(character)[1:-1]
