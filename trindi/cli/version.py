"""The option ``--version``, also where trindi is run from its sources, and is not installed."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import click

__all__ = ["version_option"]

_SOURCES: Final = Path(__file__).parents[2]


def _version() -> str:
    try:
        return metadata.version("trindi")
    except metadata.PackageNotFoundError:
        return f"{_version_of_sources()} (not installed, from {_SOURCES})"


def _version_of_sources() -> str:
    """Return the version that these sources would be installed as, if they say so."""
    try:
        project = tomllib.loads((_SOURCES / "pyproject.toml").read_text(encoding="utf-8"))
        return str(project["project"]["version"])
    except (OSError, ValueError, KeyError):
        return "unknown"


def _print_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        click.echo(f"trindi, version {_version()}")
        ctx.exit()


def version_option(command: Any) -> Any:
    """Add the option ``--version``."""
    return click.option(
        "--version",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_print_version,
        help="Show the version and exit.",
    )(command)
