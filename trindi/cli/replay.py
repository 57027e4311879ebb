"""``trindi replay``: a recording as a server, which any client can look at."""

from __future__ import annotations

import click

from trindi.cli.ranges import FACTOR, LISTEN_PORT
from trindi.cli.running import explain
from trindi.cli.serve import serve_until_told
from trindi.errors import TrindiError
from trindi.recording import Recording, ReplayDriver
from trindi.server import IPyServer

__all__ = ["replay"]


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--serve",
    "port",
    default=7624,
    show_default=True,
    type=LISTEN_PORT,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--host",
    metavar="HOST",
    default="localhost",
    show_default=True,
    help="Name or address to listen on.",
)
@click.option(
    "--speed",
    default=1.0,
    show_default=True,
    type=FACTOR,
    help="Recorded seconds in a second; inf leaves no pauses.",
)
def replay(file: str, port: int, host: str, speed: float) -> None:
    """Serve a recording to INDI clients until Ctrl-C.

    It begins when a client first asks, with the definitions that the recording begins with, and
    goes on at the recorded times. The last values stay. What clients want set is refused.
    """
    try:
        driver = ReplayDriver(Recording(file), speed)
    except (TrindiError, ValueError, OSError) as error:
        raise explain(error) from None
    if not len(driver):
        raise click.ClickException(f"{file} has no devices to show")
    serve_until_told(IPyServer([driver], host, port))
