"""The ``trindi`` command."""

from __future__ import annotations

import click

from trindi.cli.check import check
from trindi.cli.serve import serve

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trindi")
def main() -> None:
    """INDI instrument drivers on Trio."""


main.add_command(serve)
main.add_command(check)
