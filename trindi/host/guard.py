"""Standard input and output for the protocol alone, and a log that neither blocks nor fails."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import select
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LOG_LINE: Final = 1000
"""Bytes of a line on standard error: indiserver closes the pipe at 1024 (§6)."""

MAX_UNFINISHED_LINE: Final = 64 * 1024
"""Characters that may wait for the end of their line; `print` writes the end separately."""


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
        log = _LogStream(error_fd)
        stack.callback(log.finish_line)
        for handler in _log_handlers():
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


def _log_handlers() -> list[logging.StreamHandler[Any]]:
    """Return the handlers that write to standard output or standard error."""
    loggers = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
    handlers = [handler for logger in loggers for handler in getattr(logger, "handlers", ())]
    return [
        handler
        for handler in dict.fromkeys(handlers)
        if isinstance(handler, logging.StreamHandler)
        and handler.stream in (sys.stdout, sys.stderr, sys.__stderr__)
    ]


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


class _LogStream(io.TextIOBase):
    """Writes whole lines to a descriptor, and drops those that it does not take at once.

    The reader of our standard error may be slow or gone, or the descriptor may be non-blocking
    because standard output shares it. None of that may stop a driver: a line that cannot be written
    now is dropped, and the next line says how many were. Any thread may write.
    """

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._partial = ""
        self._dropped = 0
        # Re-entrant, because a signal handler may write while its own thread is writing.
        self._lock = threading.RLock()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def write(self, text: str) -> int:
        with self._lock:
            *lines, self._partial = (self._partial + text).split("\n")
            for line in lines:
                self._write_line(line)
            if len(self._partial) > MAX_UNFINISHED_LINE:
                self.finish_line()
        return len(text)

    def flush(self) -> None:
        """Do nothing: whole lines are written already, and others wait for their end."""

    def finish_line(self) -> None:
        with self._lock:
            line, self._partial = self._partial, ""
            if line:
                self._write_line(line)

    def _write_line(self, line: str) -> None:
        lost = f"({self._dropped} lines of this log were dropped)"
        if self._dropped and self._put(lost.encode()):
            self._dropped = 0
        for part in _pieces(line.encode(self.encoding, self.errors)):
            if not self._put(part):
                self._dropped += 1

    def _put(self, data: bytes) -> bool:
        try:
            # A pipe that is writable takes a page, whatever its mode: no line is cut or waits.
            return _is_writable(self._fd) and os.write(self._fd, data + b"\n") > 0
        except OSError as error:
            # The log is not read any more: the driver goes on.
            return error.errno in (errno.EPIPE, errno.EBADF, errno.EIO)


def _is_writable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return any(events & select.POLLOUT for _fd, events in poll.poll(0))


def _pieces(data: bytes) -> Iterator[bytes]:
    """Cut a line that is too long, but not within a character."""
    start = 0
    while len(data) - start > MAX_LOG_LINE:
        stop = start + MAX_LOG_LINE
        while data[stop] & 0xC0 == 0x80:
            stop -= 1
        yield data[start:stop]
        start = stop
    yield data[start:]
