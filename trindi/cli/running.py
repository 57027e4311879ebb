"""What all commands share that talk to a server: where it is, how they end, what they say then.

Each is one async function of a client. It is done when the function returns: exit status 0. Where
the answer is no it raises, and that is one line and exit status 1. Ctrl-C and SIGTERM end it
quietly, with the exit status that shells expect. This module does not know what is asked.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import sys
import termios
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

import click
import trio

from trindi.cli.ranges import PORT, SECONDS
from trindi.client import IPyClient
from trindi.client.connector import open_tcp
from trindi.errors import TrindiError

__all__ = [
    "Again",
    "Work",
    "connect",
    "patience_option",
    "run_client",
    "run_until_told",
    "server_options",
    "timeout_of",
]

F = TypeVar("F", bound=Callable[..., Any])

_PATIENCE: Final = 2.0
"""Seconds in which a server must have said what there is, where a user has given no others."""

_CONNECT_SECONDS: Final = 10.0
"""Seconds in which a server must let itself be connected to."""

_FAREWELL_SILENCE: Final = 1.0
"""Seconds of silence after which a server is not expected to close the connection itself."""

_FAREWELL_SECONDS: Final = 10.0
"""Seconds in which a server must have taken all that it was sent."""

_BROKE: Final = "the connection broke before the server had taken everything: requests may be lost"

_NOES: Final = (click.ClickException, TrindiError, OSError)
"""What a command may run into, and its user is told in one line."""


Work: TypeAlias = Callable[[IPyClient], Awaitable[None]]
Wrap: TypeAlias = Callable[[trio.abc.Stream], trio.abc.Stream]


# Options ---------------------------------------------------------------------------------------


def server_options(command: F) -> F:
    """Add the options that say where the server is: `host` and `port`."""
    port = click.option(
        "-p",
        "--port",
        default=7624,
        show_default=True,
        envvar="TRINDI_PORT",
        type=PORT,
        help="Port of the server.",
    )
    host = click.option(
        "--host",
        default="localhost",
        show_default=True,
        envvar="TRINDI_HOST",
        metavar="HOST",
        help="Name or address of the server.",
    )
    return host(port(command))


def patience_option(meaning: str, *, beyond: str = "") -> Callable[[F], F]:
    """Add the option ``-t``; `timeout_of` says what it means.

    Args:
        meaning: what it bounds.
        beyond: what is bounded otherwise where it is not given, and how.
    """
    return click.option(
        "-t",
        "--timeout",
        type=SECONDS,
        help=f"{meaning}  [default: {_PATIENCE:g}{beyond}]",
    )


def timeout_of(timeout: float | None) -> float:
    """Say how long to wait for what is not there, where the user may have said it."""
    return _PATIENCE if timeout is None else timeout


# Running ---------------------------------------------------------------------------------------


class Again:
    """Connects a client again and again, the first time with the stream that is there already.

    It is given to the client as its way to connect.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self.first: trio.abc.Stream | None = None

    async def __call__(self) -> trio.abc.Stream:
        """Connect.

        Raises:
            OSError: it cannot.
        """
        stream, self.first = self.first, None
        return await open_tcp(self._host, self._port) if stream is None else stream


def run_client(
    work: Work,
    client: IPyClient,
    *,
    farewell: bool = False,
    wrap: Wrap | None = None,
    again: Again | None = None,
) -> None:
    """Connect a client, do the work, and end.

    Args:
        work: what to do.
        client: is not running yet. Whoever is to hear all listens to it already.
        farewell: make sure that the server has all that it was sent before the connection is
            closed.
        wrap: makes of the stream the one that is used.
        again: how the client reconnects, if it does. It must be able to connect the first time.

    Raises:
        ClickException: it cannot connect, the answer is no, or what was sent may be lost.
        SystemExit: it was told to stop by a signal.
    """
    run_until_told(partial(_talk, work, client, farewell, wrap, again))


def run_until_told(work: Callable[[], Awaitable[BaseException | None]]) -> None:
    """Do the work, and raise what it returns; end quietly if told to stop by a signal."""
    signum, failure = trio.run(_until_told, work)
    if signum:
        sys.exit(128 + signum)
    if failure is not None:
        raise failure


async def _until_told(
    work: Callable[[], Awaitable[BaseException | None]],
) -> tuple[int, BaseException | None]:
    told = 0
    failure = None

    async def listen(scope: trio.CancelScope) -> None:
        nonlocal told
        told = await anext(aiter(signals))
        scope.cancel()

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, nursery.cancel_scope)
            failure = await work()
            nursery.cancel_scope.cancel()
    return told, failure


async def _talk(
    work: Work, client: IPyClient, farewell: bool, wrap: Wrap | None, again: Again | None
) -> BaseException | None:
    """Connect and do the work; return what is to be raised outside of all nurseries."""
    try:
        stream = await connect(client.host, client.port)
    except click.ClickException as error:
        return error
    try:
        stream = stream if wrap is None else wrap(stream)
    except OSError as error:
        await trio.aclose_forcefully(stream)
        return explain(error)
    last_words = _LastWords(stream)
    if farewell:
        stream = last_words
    failure: BaseException | None = None
    async with trio.open_nursery() as nursery:
        if again is None:
            await nursery.start(client.run_on, stream)
        else:
            again.first = stream
            await nursery.start(client.run)
        try:
            await work(client)
            if farewell:
                await _say_farewell(client, last_words)
        except _NOES as error:
            failure = explain(error)
        except ExceptionGroup as group:
            noes, others = group.split(_NOES)
            if noes is None or others is not None:
                raise
            # Several tasks have run into it.
            failure = explain(_first(noes))
        nursery.cancel_scope.cancel()
    return failure


async def connect(host: str, port: int) -> trio.abc.Stream:
    """Connect to a server.

    Raises:
        ClickException: it cannot.
    """
    reason = f"no answer within {_CONNECT_SECONDS:g} s"
    with trio.move_on_after(_CONNECT_SECONDS):
        try:
            return await open_tcp(host, port)
        except (OSError, UnicodeError) as error:
            # A host may be such that it is not even looked up: UnicodeError.
            reason = _reason(error)
    raise click.ClickException(f"cannot connect to {host}:{port}: {reason}")


class _LastWords(trio.abc.HalfCloseableStream):
    """A connection that notes how the server ends it.

    Attributes:
        heard: when the server last said something.
        closed_by_server: the server has closed its side in order.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.heard = trio.current_time()
        self.closed_by_server = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._stream.receive_some(max_bytes)
        self.heard = trio.current_time()
        self.closed_by_server = not data
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        assert isinstance(self._stream, trio.abc.HalfCloseableStream)
        await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def is_acknowledged(self) -> bool:
        """Whether the server's system has all that was sent; True where this one cannot tell."""
        assert isinstance(self._stream, trio.SocketStream)
        try:
            waiting = fcntl.ioctl(self._stream.socket.fileno(), termios.TIOCOUTQ, bytes(4))
        except OSError:
            return True
        return not int.from_bytes(waiting, sys.byteorder)


async def _say_farewell(client: IPyClient, stream: _LastWords) -> None:
    """Close our side, and wait until the server has all that was sent to it.

    A server that has read everything closes the connection. Another one stays silent: then its
    system must have acknowledged everything. What the server says is read until then, because a
    connection that is closed with something unread in it is reset, and a reset loses requests.

    Raises:
        ClickException: the connection broke, or took too long.
    """
    events = client.events()
    limit = trio.current_time() + _FAREWELL_SECONDS
    try:
        # The client closes the stream itself when the server has ended the connection.
        with contextlib.suppress(trio.ClosedResourceError):
            await stream.send_eof()
    except trio.BrokenResourceError:
        raise click.ClickException(_BROKE) from None
    while (now := trio.current_time()) < limit:
        with trio.move_on_at(min(now + _FAREWELL_SILENCE, limit)):
            async for _event in events:
                pass
            if stream.closed_by_server:
                return
            raise click.ClickException(_BROKE)
        is_silent = trio.current_time() >= stream.heard + _FAREWELL_SILENCE
        if is_silent and stream.is_acknowledged():
            return
    if not stream.is_acknowledged():
        raise click.ClickException(
            f"the server has not taken everything within {_FAREWELL_SECONDS:g} s:"
            " requests may be lost"
        )


# What it says ----------------------------------------------------------------------------------


def _first(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def explain(error: Exception) -> BaseException:
    """Turn what a command may run into into one line for its user."""
    if isinstance(error, (click.ClickException, BrokenPipeError)):
        # Whoever read our output has gone: click ends quietly then.
        return error
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return click.ClickException(where + _reason(error))
    return click.ClickException(str(error))


def _reason(error: BaseException) -> str:
    """What the system says; where several ways were tried, of the last one."""
    while isinstance(cause := error.__cause__, (OSError, ExceptionGroup)):
        error = cause.exceptions[-1] if isinstance(cause, ExceptionGroup) else cause
    if isinstance(error, socket.gaierror):
        return str(error.strerror)
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(error)
