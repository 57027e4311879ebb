"""Logging to a pipe or a terminal that nobody reads makes nobody wait."""

from __future__ import annotations

import io
import logging
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

import pytest

from tests.kit.server import Bench, start, until
from tests.kit.stdio import open_descriptors
from trindi.transport import unblocked_log

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import trio

logger = logging.getLogger("author")


@contextmanager
def handler_of(stream: TextIO) -> Iterator[logging.StreamHandler[TextIO]]:
    """Let a handler of one's own write there."""
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.propagate = True


@pytest.fixture(params=["pipe", "terminal"])
def unread(request: pytest.FixtureRequest) -> Iterator[tuple[TextIO, int]]:
    """A stream that nobody reads, and the descriptor where it could be read."""
    read_fd, write_fd = os.pipe() if request.param == "pipe" else os.openpty()
    with open(write_fd, "w", encoding="utf-8") as stream:
        yield stream, read_fd
    os.close(read_fd)


def test_what_finds_no_room_is_dropped_and_counted(unread: tuple[TextIO, int]) -> None:
    stream, read_fd = unread
    before = open_descriptors()
    with handler_of(stream) as handler:
        with unblocked_log():
            for number in range(1000):
                logger.warning("line %d %s", number, "x" * 500)
            seen = os.read(read_fd, 1024 * 1024)
            while b"were dropped" not in seen:
                logger.warning("and on")
                seen += os.read(read_fd, 1024 * 1024)
        assert seen.startswith(b"line 0 ")
        assert handler.stream is stream
    assert open_descriptors() == before


def test_pythons_own_handler_of_last_resort_does_not_wait_either(
    unread: tuple[TextIO, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, read_fd = unread
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    last = logging.lastResort
    with unblocked_log():
        for _ in range(1000):
            logger.info("unheard")
            logger.warning("x" * 500)
    assert logging.lastResort is last
    assert os.read(read_fd, 500) == b"x" * 500


def test_files_and_streams_in_memory_are_left_alone(tmp_path: Path) -> None:
    """They take lines of any length, and make nobody wait."""
    with (tmp_path / "log").open("w") as file:
        for stream in (file, io.StringIO()):
            with handler_of(stream) as handler, unblocked_log():
                assert handler.stream is stream
    file.close()
    with handler_of(file) as handler, unblocked_log():
        assert handler.stream is file


def test_it_lasts_until_the_last_user_has_gone(unread: tuple[TextIO, int]) -> None:
    """As where a client runs beside a server."""
    stream, _read_fd = unread
    with handler_of(stream) as handler:
        first, second = unblocked_log(), unblocked_log()
        first.__enter__()
        stand_in = handler.stream
        second.__enter__()
        first.__exit__(None, None, None)
        assert handler.stream is stand_in is not stream
        second.__exit__(None, None, None)
        assert handler.stream is stream


def test_each_user_gives_back_what_it_alone_used(unread: tuple[TextIO, int]) -> None:
    """A terminal that a command has opened anew must not stay open for a server beside it."""
    stream, _read_fd = unread
    with unblocked_log(), handler_of(stream) as handler:
        with unblocked_log():
            stand_in = handler.stream
            assert stand_in is not stream
        assert handler.stream is stream
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(stand_in.fileno())


class Chatty(Bench):
    async def hardware(self) -> None:
        for _ in range(1000):
            logger.warning("x" * 500)
        await self.count()


async def test_a_server_goes_on_where_nobody_reads_its_log(
    nursery: trio.Nursery, unread: tuple[TextIO, int]
) -> None:
    stream, _read_fd = unread
    with handler_of(stream) as handler:
        driver = Chatty()
        await start(nursery, driver)
        await until(lambda: driver.counted > 0)
        assert handler.stream is not stream
        nursery.cancel_scope.cancel()
