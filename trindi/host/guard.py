"""Standard input and output for the protocol alone, and a log that neither blocks nor fails."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import TYPE_CHECKING, Final

from trindi.transport import LogStream, log_handlers

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LOG_LINE: Final = 1000
"""Bytes of a line on standard error: indiserver closes the pipe at 1024 (§6)."""


@contextlib.contextmanager
def guarded_stdio() -> Iterator[tuple[int, int]]:
    """Keep standard input and output for the protocol alone; yield descriptors for it.

    Until the context ends, all other output goes to standard error: Python's line by line and
    without blocking, that of C libraries and child processes as it comes. Other readers of standard
    input find its end. Everything is put back at the end.

    Raises:
        OSError: standard input or output is closed.
    """
    # If it was closed at the start, its number may by now be that of another descriptor.
    if sys.__stdin__ is None or sys.__stdout__ is None:
        raise OSError(errno.EBADF, "standard input or output is closed")
    with contextlib.ExitStack() as stack:
        null = os.open(os.devnull, os.O_RDWR)
        stack.callback(os.close, null)
        error_fd = null if sys.__stderr__ is None else 2
        log = LogStream(error_fd, MAX_LOG_LINE)
        stack.callback(log.finish_line)
        for handler in log_handlers():
            if handler.stream in (sys.stdout, sys.stderr, sys.__stderr__):
                stack.callback(handler.setStream, handler.stream)
                handler.setStream(log)
        stack.enter_context(contextlib.redirect_stdout(log))
        stack.enter_context(contextlib.redirect_stderr(log))
        read_fd = _moved_away(stack, 0, null)
        write_fd = _moved_away(stack, 1, error_fd)
        # Buffered text, from before and from within, must not come out among the protocol.
        _flush(sys.__stdout__)
        stack.callback(_flush, sys.__stdout__)
        yield read_fd, write_fd


def _moved_away(stack: contextlib.ExitStack, fd: int, stand_in: int) -> int:
    """Replace a descriptor until the stack unwinds; return its duplicate."""
    away = os.dup(fd)
    stack.callback(os.close, away)
    os.dup2(stand_in, fd)
    stack.callback(os.dup2, away, fd)
    return away


def _flush(stream: object) -> None:
    if isinstance(stream, io.TextIOBase):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
