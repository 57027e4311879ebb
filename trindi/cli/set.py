"""Runs ``trindi set``: asks devices for new values, each read as the definition wants it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import click

from trindi.cli.addresses import Address, Assignment
from trindi.cli.client_app import run_client
from trindi.cli.lookup import find_vector, refusal
from trindi.cli.output import say
from trindi.client import IPyClient, PropertyError, PropertyTimeout
from trindi.client.requests import check_writable, make_request
from trindi.protocol import Kind, SwitchState
from trindi.visible import join_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trindi.client import RemoteVector
    from trindi.protocol import Message

_TIMEOUT: Final = 2.0  # seconds to wait for a property that is not there, as the help page says
_Texts: TypeAlias = dict[str, str]  # the new values of one property: member name to text


def run_set(
    host: str, port: int, assignments: Sequence[Assignment], wait: bool, timeout: float | None
) -> None:
    """Set values, with one request for all members of a property."""
    wanted: dict[Address, _Texts] = {}
    for address, text in assignments:
        texts = wanted.setdefault(address.vector, {})
        if address.membername in texts:
            raise click.UsageError(f"{address} is given two values")
        texts[address.membername] = text
    client = IPyClient(host, port, ask_for=dict.fromkeys(one.devicename for one in wanted))
    # With --wait, the devices have confirmed each request already.
    run_client(partial(_set, wanted, wait, timeout), client, farewell=not wait)


async def _set(
    wanted: dict[Address, _Texts], wait: bool, timeout: float | None, client: IPyClient
) -> None:
    seconds = _TIMEOUT if timeout is None else timeout
    for address in list(wanted)[: 1 if wait else None]:
        await find_vector(client, address, seconds)
    # All that is defined already is checked before anything is sent.
    for address, texts in wanted.items():
        if address.vectorname in client.get(address.devicename, ()):
            await _check(client, client[address.devicename][address.vectorname], texts)
    for address, texts in wanted.items():
        vector = await find_vector(client, address, seconds)
        values = await _check(client, vector, texts)
        if wait:
            await _set_and_wait(client, vector, values, timeout)
        else:
            await vector.set(values)


async def _set_and_wait(
    client: IPyClient, vector: RemoteVector, values: dict[str, Any], timeout: float | None
) -> None:
    """Wait until the device has done it, by default for as long as the property says.

    What the device says until then is printed on standard error.
    """
    names = (vector.devicename, vector.name)
    if vector.kind is Kind.BLOB:
        # The device answers with a BLOB vector as well.
        await client.enable_blobs(*names)
    # 0 would be no limit.
    limit = None if timeout is None else max(timeout, 1e-9)
    try:
        answer = await client.set_and_wait(*names, values, timeout=limit)
    except PropertyError as error:
        _print_messages(error.messages, but=error.message)
        if isinstance(error, PropertyTimeout):
            passed = f"{timeout:g} s have passed" if timeout is not None else ""
            reason = passed or f"{error.message}; it may take longer with --timeout"
            raise click.ClickException(
                f"{join_names(*names)} is still {vector.state}: {reason}"
            ) from None
        raise click.ClickException(
            str(error).replace(" ".join(names), join_names(*names), 1)
        ) from None
    _print_messages(answer.messages)
    if not answer.done:
        reason = ", ".join(
            f"{name} is {_shown(vector, name, reported)}, not {_shown(vector, name, asked)}"
            for name, (asked, reported) in answer.differences.items()
        )
        raise click.ClickException(f"{join_names(*names)} is {answer.state}, but {reason}")


def _print_messages(messages: Sequence[Message], but: str = "") -> None:
    for message in messages:
        if message.message != but:
            say(f"{message.devicename}: {message.message}", err=True)


def _shown(vector: RemoteVector, name: str, value: Any) -> str:
    """Write a value in full, as one that looks the same would be no reason."""
    return f"{value:.12g}" if vector.kind is Kind.NUMBER else repr(str(value))


async def _check(client: IPyClient, vector: RemoteVector, texts: _Texts) -> dict[str, Any]:
    """Return the values for a request; ClickException if it cannot be right."""
    address = Address(vector.devicename, vector.name)
    unknown = [address._replace(membername=name) for name in texts if name not in vector]
    if unknown:
        raise await refusal(client, unknown)
    try:
        check_writable(vector, texts)
        values = {name: _read(vector.kind, name, text) for name, text in texts.items()}
        make_request(vector, values)
    except (ValueError, TypeError) as error:
        reason = str(error.args[0]).replace(f"{' '.join(address[:2])} is", "it is", 1)
        raise click.ClickException(f"cannot set {address}: {reason}") from None
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
