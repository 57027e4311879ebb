"""The ``trindi`` command."""

from __future__ import annotations

import logging
from typing import Final

import click

from trindi.cli.check import check
from trindi.cli.get import get
from trindi.cli.page import Commands
from trindi.cli.record import record
from trindi.cli.replay import replay
from trindi.cli.save_blobs import save_blobs
from trindi.cli.serve import serve
from trindi.cli.set import set_values
from trindi.cli.wait import wait

__all__ = ["main"]

# What there is to say is said in one line, and not by logging's last resort.
logging.getLogger("trindi").addHandler(logging.NullHandler())

_SECTIONS: Final = {
    "Serve": [serve],
    "Look and set": [get, set_values, wait, save_blobs],
    "Record and check": [record, replay, check],
}

_EXAMPLES: Final = [
    ("trindi serve examples/thermostat_target.py", "A thermostat at port 7624."),
    ("trindi get 'Thermostat.*._STATE'", "In which states its properties are."),
    ("trindi set Thermostat.targetvector.target=18", "Warmer."),
    ("trindi wait 'Thermostat.temperaturevector.temperature > 17'", "Until it is."),
]


@click.group(
    cls=Commands,
    sections=_SECTIONS,
    examples=_EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="trindi")
def main() -> None:
    """INDI instrument drivers on Trio: serve them, look at them, set them, test them."""
