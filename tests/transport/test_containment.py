"""What code of an author raises goes no further, whatever it is; what ends the program passes."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
import trio

from trindi.transport import contained, describe, error_text


class NoException(BaseException):
    """Of a program that knows no better."""


class SpeechlessError(Exception):
    """Cannot say what is wrong."""

    def __str__(self) -> str:
        raise NoException


FAULTS = [
    ValueError("oops"),
    asyncio.CancelledError(),
    GeneratorExit(),
    StopIteration(),
    NoException(),
    SpeechlessError(),
    BaseExceptionGroup("", [ValueError(), BaseExceptionGroup("", [GeneratorExit()])]),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_whatever_is_raised_is_handled(fault: BaseException) -> None:
    handled: list[BaseException] = []

    def handle(error: BaseException) -> bool:
        handled.append(error)
        return True

    with contained(handle):
        raise fault
    assert handled == [fault]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
def test_what_is_not_handled_goes_on(fault: BaseException) -> None:
    with pytest.raises(type(fault)) as caught, contained(lambda _: False):
        raise fault
    assert caught.value is fault


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_passes(end: type[BaseException]) -> None:
    handled: list[Any] = []
    with pytest.raises(end), contained(handled.append):  # type: ignore[arg-type]
        raise end
    assert handled == []


async def test_a_cancellation_passes_and_what_comes_with_it_is_handled() -> None:
    handled: list[str] = []

    def handle(error: BaseException) -> bool:
        assert isinstance(error, BaseExceptionGroup)
        handled.extend(map(describe, error.exceptions))
        return True

    with trio.CancelScope() as scope:
        scope.cancel()
        with contained(handle):
            try:
                await trio.lowlevel.checkpoint()
            except trio.Cancelled as cancelled:
                raise BaseExceptionGroup("", [cancelled, ValueError("oops")]) from None
        raise AssertionError("it was cancelled")
    assert scope.cancelled_caught
    assert handled == ["ValueError: oops"]


def test_an_error_is_described_even_if_it_cannot_say_what_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert describe(ValueError("oops")) == "ValueError: oops"
    assert describe(ValueError()) == "ValueError"
    assert (describe(SpeechlessError()), error_text(SpeechlessError())) == ("SpeechlessError", "")
    logging.getLogger("author").error("failed", exc_info=SpeechlessError())
    assert "SpeechlessError" in caplog.text


async def sleep_a_second() -> None:
    await asyncio.sleep(1)


async def sleep_no_time() -> None:
    await asyncio.sleep(0)


async def wait_for_an_event() -> None:
    await asyncio.Event().wait()


ASYNCIO = [sleep_a_second, sleep_no_time, wait_for_an_event]


@pytest.mark.parametrize("call", ASYNCIO)
async def test_what_asyncio_raises_is_explained(call: Any) -> None:
    handled: list[BaseException] = []

    def handle(error: BaseException) -> bool:
        handled.append(error)
        return True

    for _ in range(2):
        with contained(handle):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(call)
    (error,) = handled[0].exceptions  # type: ignore[attr-defined]
    (note,) = error.__notes__
    assert note.startswith("asyncio does not work here, under Trio: write trio.sleep(")
    assert describe(error).endswith(note)
    assert describe(RuntimeError("oops")) == "RuntimeError: oops"
