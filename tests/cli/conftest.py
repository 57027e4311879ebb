"""Servers for commands to talk to."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.kit.cli import Background, Script, Served
from tests.kit.processes import join
from tests.kit.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trindi import IPyDriver


@pytest.fixture
def started() -> Iterator[list[Background]]:
    """What is to be ended with the test."""
    backgrounds: list[Background] = []
    yield backgrounds
    for background in backgrounds:
        background.close()


@pytest.fixture
def serve(started: list[Background]) -> Callable[..., Served]:
    """Serve drivers."""

    def start(*drivers: IPyDriver) -> Served:
        served = Served(*drivers)
        started.append(served)
        return served

    return start


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    """A server with a property of every kind."""
    return serve()


@pytest.fixture
def script(started: list[Background]) -> Callable[..., Script]:
    """Serve what a test has written."""

    def start(said: bytes, stays: float = 30.0, **options: Any) -> Script:
        made = Script(said, stays, **options)
        started.append(made)
        return made

    return start


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A terminal for a command to run in."""
    terminal = Terminal()
    yield terminal
    terminal.close()


@pytest.fixture
def beside() -> Iterator[Callable[[Callable[[], object]], None]]:
    """Do something beside the command."""
    threads: list[threading.Thread] = []

    def start(work: Callable[[], object]) -> None:
        threads.append(threading.Thread(target=work))
        threads[-1].start()

    yield start
    for thread in threads:
        join(thread)
