"""Runs ``trindi set``: asks devices for new values, each read as the definition wants it."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import trio

from trindi.cli.addresses import Address, Assignment, join
from trindi.cli.client_app import run_client
from trindi.cli.lookup import find_vector, refusal
from trindi.cli.options import timeout_or_default
from trindi.client import IPyClient, PropertyError, PropertyTimeout
from trindi.client.requests import check_writable, make_request
from trindi.protocol import Kind, SwitchState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trindi.client import RemoteVector


class _NewValues(NamedTuple):
    """What one property is asked for: member name to text."""

    vector: Address
    texts: dict[str, str]


def run_set(
    host: str, port: int, assignments: Sequence[Assignment], *, wait: bool, timeout: float | None
) -> None:
    """Set values, with one request for all members of a property."""
    every = _grouped(assignments)
    devices = list(dict.fromkeys(one.vector.devicename for one in every))
    client = IPyClient(host, port, ask_for=devices)
    # With --wait, the devices have confirmed each request already.
    run_client(partial(_set, every, wait, timeout), client, farewell=not wait)


def _grouped(assignments: Sequence[Assignment]) -> list[_NewValues]:
    found: dict[Address, _NewValues] = {}
    for address, text in assignments:
        texts = found.setdefault(address.vector, _NewValues(address.vector, {})).texts
        if address.membername in texts:
            raise click.UsageError(f"{address} is given two values")
        texts[address.membername] = text
    return list(found.values())


async def _set(
    every: list[_NewValues], wait: bool, timeout: float | None, client: IPyClient
) -> None:
    seconds = timeout_or_default(timeout)
    for one in every[:1] if wait else every:
        await find_vector(client, one.vector, seconds)
    # All that is defined already is checked before anything is sent.
    for one in every:
        if one.vector.vectorname in client.get(one.vector.devicename, ()):
            await _check(client, client[one.vector.devicename][one.vector.vectorname], one)
    for one in every:
        vector = await find_vector(client, one.vector, seconds)
        values = await _check(client, vector, one)
        if wait:
            await _set_and_wait(client, vector, values, timeout)
        else:
            await vector.set(values)


async def _set_and_wait(
    client: IPyClient, vector: RemoteVector, values: dict[str, Any], timeout: float | None
) -> None:
    """Set values, and wait until the device reports Ok or Idle.

    Without a timeout, that of the property counts.
    """
    names = (vector.devicename, vector.name)
    try:
        with trio.fail_after(math.inf if timeout is None else timeout):
            if vector.kind is Kind.BLOB:
                # The device answers with a BLOB vector as well.
                await client.enable_blobs(*names)
            # 0 disables the property's own timeout: the user has given another.
            await client.set_and_wait(*names, values, timeout=None if timeout is None else 0)
            return
    except trio.TooSlowError:
        reason = f"{timeout:g} s have passed"
    except PropertyTimeout as error:
        reason = f"{error.message}; it may take longer with --timeout"
    except PropertyError as error:
        raise click.ClickException(str(error).replace(" ".join(names), join(*names), 1)) from None
    raise click.ClickException(f"{join(*names)} is still {vector.state}: {reason}")


# Values ----------------------------------------------------------------------------------------


async def _check(client: IPyClient, vector: RemoteVector, wanted: _NewValues) -> dict[str, Any]:
    unknown = [name for name in wanted.texts if name not in vector]
    if unknown:
        raise await refusal(client, [wanted.vector._replace(membername=name) for name in unknown])
    try:
        check_writable(vector, wanted.texts)
        values = {name: _read(vector.kind, name, text) for name, text in wanted.texts.items()}
        make_request(vector, values)
    except (ValueError, TypeError) as error:
        names = f"{vector.devicename} {vector.name}"
        reason = str(error.args[0]).replace(f"{names} is", "it is", 1)
        raise click.ClickException(f"cannot set {wanted.vector}: {reason}") from None
    return values


def _read(kind: Kind, name: str, text: str) -> SwitchState | Path | str:
    """Read a switch or a BLOB; the client reads numbers and texts itself."""
    if kind is Kind.SWITCH:
        try:
            return SwitchState(text.capitalize())
        except ValueError:
            raise ValueError(f"{name} is On or Off, not {text!r}") from None
    if kind is Kind.BLOB:
        if not text.startswith("@"):
            raise ValueError(f"{name} is a BLOB, and is given as @FILE")
        return Path(text[1:])
    return text
