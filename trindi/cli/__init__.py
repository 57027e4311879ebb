"""The ``trindi`` command."""

from __future__ import annotations

import logging
from typing import Final

import click

from trindi.cli.check import check
from trindi.cli.completion import completion
from trindi.cli.get import get
from trindi.cli.page import Commands
from trindi.cli.record import record
from trindi.cli.replay import replay
from trindi.cli.save_blobs import save_blobs
from trindi.cli.serve import serve
from trindi.cli.set import set_values
from trindi.cli.version import version_option
from trindi.cli.wait import wait
from trindi.cli.watch import watch

__all__ = ["main"]

# What there is to say is said in one line, and not by logging's last resort.
logging.getLogger("trindi").addHandler(logging.NullHandler())

_SECTIONS: Final = {
    "Serve": [serve],
    "Look and set": [watch, get, set_values, wait, save_blobs],
    "Record and check": [record, replay, check],
    "Your shell": [completion],
}

_EXAMPLES: Final = [
    ("A thermostat on port 7624", "trindi serve examples/thermostat_target.py"),
    ("All that it says, live", "trindi watch"),
    ("Warmer, and wait until it is", "trindi set --wait Thermostat.targetvector.target=18"),
    ("", "trindi wait 'Thermostat.temperaturevector.temperature > 17'"),
    ("All properties that are busy", "trindi get '*.*._STATE' | grep =Busy"),
    ("Ten images", "trindi save-blobs 'CCD Simulator.CCD1' images --count 10"),
    ("A night, and again in a minute", "trindi record night.jsonl"),
    ("", "trindi replay night.jsonl --serve 7625 --speed 600"),
    ("Does a driver keep to the protocol", "trindi check ./my_driver.py"),
]


@click.group(
    cls=Commands,
    sections=_SECTIONS,
    examples=_EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@version_option
def main() -> None:
    """INDI instrument drivers on Trio: serve them, look at them, set them.

    All commands but serve and replay are clients of any INDI server, trindi's or not: on this
    machine at port 7624, or where --host and --port say, or TRINDI_HOST and TRINDI_PORT in the
    environment. Properties are named DEVICE.VECTOR.MEMBER, as "trindi get" prints them.

    They end with exit status 0 if all is well, 1 if the answer is no (with one line that says
    why), and 2 if they were called wrongly. "trindi COMMAND --help" says more of each.
    """
