"""The ``trindi`` command."""

from __future__ import annotations

from typing import Final

import click

from trindi import __version__
from trindi.cli import client_commands as client, server_commands as server
from trindi.cli.group import CommandGroup

__all__ = ["main"]

_SECTIONS: Final = {
    "Serve": [server.serve],
    "Look and set": [client.watch, client.get, client.set_values, client.wait, client.save_blobs],
    "Record and check": [client.record, server.replay, server.check],
    "Your shell": [server.completion],
}

_EXAMPLES: Final = """\b
Examples:
  trindi serve examples/thermostat_target.py    # a thermostat on port 7624
  trindi watch                                  # all that it says, live
  trindi set --wait Thermostat.targetvector.target=18          # warmer
  trindi wait 'Thermostat.temperaturevector.temperature > 17'  # until it is
  trindi get '*.*._STATE' | grep =Busy          # all that is busy
  trindi save-blobs 'CCD Simulator.CCD1' images --count 10     # ten images
  trindi record night.jsonl                     # a night ...
  trindi replay night.jsonl --serve 7625 --speed 600           # ... in a minute
  trindi check ./my_driver.py                   # against the protocol
"""


@click.group(
    cls=CommandGroup,
    sections=_SECTIONS,
    epilog=_EXAMPLES,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)
@click.version_option(__version__, prog_name="trindi")
def main() -> None:
    """INDI instrument drivers on Trio: serve them, look at them, set them.

    All commands but serve and replay are clients of any INDI server, trindi's or not: on this
    machine at port 7624, or where --host and --port say, or TRINDI_HOST and TRINDI_PORT in the
    environment. Properties are named DEVICE.VECTOR.MEMBER, as "trindi get" prints them.

    They end with exit status 0 if all is well, 1 if the answer is no (with one line that says
    why), and 2 if they were called wrongly. "trindi COMMAND --help" says more of each.
    """
    import logging

    # Commands print their errors themselves; without a handler logging would print them as well.
    logging.getLogger("trindi").addHandler(logging.NullHandler())
