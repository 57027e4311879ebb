"""Runs ``trindi serve`` and ``trindi replay``: drivers in one server, until a signal."""

from __future__ import annotations

import logging
import signal
import traceback
from typing import TYPE_CHECKING

import click
import trio

from trindi.cli.output import say
from trindi.cli.targets import TargetError, load_drivers
from trindi.errors import TrindiError
from trindi.server import IPyServer
from trindi.visible import VisibleFormatter

if TYPE_CHECKING:
    from collections.abc import Sequence


def run_serve(
    targets: Sequence[str], host: str, port: int, max_connections: int, log_level: str
) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(VisibleFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=log_level.upper(), handlers=[handler])
    try:
        drivers = [driver for target in targets for driver in load_drivers(target)]
        server = IPyServer(drivers, host, port, max_connections)
    except (TargetError, ValueError, TypeError) as error:
        if error.__cause__ is not None:
            logging.getLogger("trindi").debug("".join(traceback.format_exception(error.__cause__)))
        raise click.ClickException(str(error)) from None
    _serve_until_signalled(server)


def run_replay(file: str, host: str, port: int, speed: float) -> None:
    # Loaded only here: a driver is served without it.
    from trindi.recording import Recording, ReplayDriver

    try:
        driver = ReplayDriver(Recording(file), speed)
    except (TrindiError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from None
    if not len(driver):
        raise click.ClickException(f"{file} has no devices to show")
    _serve_until_signalled(IPyServer([driver], host, port))


def _serve_until_signalled(server: IPyServer) -> None:
    if reason := trio.run(_serve, server):
        raise click.ClickException(reason)


async def _serve(server: IPyServer) -> str:
    """Serve until SIGINT or SIGTERM; return why the server cannot listen, or ""."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            try:
                await nursery.start(server.run)
            except (OSError, UnicodeError) as error:
                # UnicodeError: the name of the host cannot be encoded for DNS.
                reason = getattr(error, "strerror", None) or str(error)
                return f"cannot listen on {server.host} port {server.port}: {reason}"
            names = ", ".join(name for driver in server.drivers for name in driver)
            addresses = ", ".join(f"{host} port {port}" for host, port in server.addresses)
            say(f"Serving {names} on {addresses}", err=True)
            await anext(aiter(signals))
            nursery.cancel_scope.cancel()
    return ""
