"""``trindi serve``: drivers from files or modules, in one server, until told to stop."""

from __future__ import annotations

import logging
import signal
import traceback
from typing import TYPE_CHECKING

import click
import trio

from trindi.cli.ranges import COUNT, LISTEN_PORT
from trindi.cli.targets import TargetError, load_drivers
from trindi.server import IPyServer

if TYPE_CHECKING:
    from trindi.driver import IPyDriver

__all__ = ["serve", "serve_until_told"]

LEVELS = ["debug", "info", "warning", "error"]


@click.command()
@click.argument("targets", metavar="TARGET...", nargs=-1, required=True)
@click.option(
    "--host",
    metavar="HOST",
    default="localhost",
    show_default=True,
    help="Name or address to listen on.",
)
@click.option(
    "-p",
    "--port",
    default=7624,
    show_default=True,
    type=LISTEN_PORT,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--max-connections",
    default=5,
    show_default=True,
    type=COUNT,
    help="Clients at one time.",
)
@click.option(
    "--log-level",
    metavar="LEVEL",
    default="info",
    show_default=True,
    type=click.Choice(LEVELS, case_sensitive=False),
    help="How much to say on standard error: debug, info, warning or error.",
)
def serve(
    targets: tuple[str, ...], host: str, port: int, max_connections: int, log_level: str
) -> None:
    """Serve the drivers of each TARGET to INDI clients.

    A TARGET is path/to/file.py or package.module; its function make_driver returns the driver, or
    a list of drivers. Name another function after a colon: package.module:factory. Stop with
    Ctrl-C.
    """
    logging.basicConfig(
        level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        drivers: list[IPyDriver] = []
        for target in targets:
            drivers += load_drivers(target)
        server = IPyServer(drivers, host, port, max_connections)
    except TargetError as error:
        if error.__cause__ is not None:
            logging.getLogger("trindi").debug("".join(traceback.format_exception(error.__cause__)))
        raise click.ClickException(str(error)) from None
    except (ValueError, TypeError) as error:
        raise click.ClickException(str(error)) from None
    serve_until_told(server)


def serve_until_told(server: IPyServer) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Raises:
        ClickException: it cannot listen.
    """
    if refusal := trio.run(_serve, server):
        raise click.ClickException(refusal)


async def _serve(server: IPyServer) -> str:
    """Serve until told to stop; returns why it could not, or ""."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            try:
                await nursery.start(server.run)
            except (OSError, UnicodeError) as error:
                # A host may be such that it is not even looked up: UnicodeError.
                reason = getattr(error, "strerror", None) or str(error)
                return f"cannot listen on {server.host} port {server.port}: {reason}"
            names = ", ".join(name for driver in server.drivers for name in driver)
            places = ", ".join(f"{host} port {port}" for host, port in server.addresses)
            click.echo(f"Serving {names} on {places}", err=True)
            await anext(aiter(signals))
            nursery.cancel_scope.cancel()
    return ""
