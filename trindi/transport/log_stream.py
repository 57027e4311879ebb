"""A log that never makes the program wait: lines that cannot be written now are dropped.

Logging writes where it is called, in the task that serves all peers. A reader that stops, such as a
pager, must not stop that.
"""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import select
import stat
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LINE: Final = select.PIPE_BUF - 1
"""Bytes of a line, without its end: a pipe that is writable takes so many without waiting."""

MAX_UNFINISHED_LINE: Final = 64 * 1024
"""Characters that may wait for the end of their line; `print` writes the end separately."""


class LogStream(io.TextIOBase):
    """Writes whole lines to a descriptor, and drops those that it does not take at once.

    Its reader may be slow or gone, or it may be non-blocking because another stream shares it: a
    line that cannot be written now is dropped, and the next line says how many were. Lines of more
    than `max_line` bytes are cut into several. Any thread may write.
    """

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, fd: int, max_line: int = MAX_LINE) -> None:
        super().__init__()
        self._fd = fd
        self._max_line = max_line
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
        for part in _pieces(line.encode(self.encoding, self.errors), self._max_line):
            if not self._put(part):
                self._dropped += 1

    def _put(self, data: bytes) -> bool:
        try:
            # A pipe that is writable takes a page, whatever its mode: no line is cut or waits.
            return _is_writable(self._fd) and os.write(self._fd, data + b"\n") > 0
        except OSError as error:
            # The log is not read any more: the program goes on.
            return error.errno in (errno.EPIPE, errno.EBADF, errno.EIO)


def _is_writable(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return any(events & select.POLLOUT for _fd, events in poll.poll(0))


def _pieces(data: bytes, most: int) -> Iterator[bytes]:
    """Cut a line that is too long, but not within a character."""
    start = 0
    while len(data) - start > most:
        stop = start + most
        while data[stop] & 0xC0 == 0x80:
            stop -= 1
        yield data[start:stop]
        start = stop
    yield data[start:]


def log_handlers() -> list[logging.StreamHandler[Any]]:
    """Return the handlers that write to a stream, of all loggers."""
    loggers = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
    handlers = [handler for logger in loggers for handler in getattr(logger, "handlers", ())]
    return [one for one in dict.fromkeys(handlers) if isinstance(one, logging.StreamHandler)]


class _UnblockedLog:
    """Gives each handler a `LogStream` for as long as someone uses it."""

    def __init__(self) -> None:
        self._users: Counter[object] = Counter()  # by handler
        self._undo: dict[object, contextlib.ExitStack] = {}

    @contextlib.contextmanager
    def use(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for handler in log_handlers():
                self._borrow(handler, handler, stack)
            last = logging.lastResort
            if isinstance(last, logging.StreamHandler):
                # One name for it: what stands in for it is another handler.
                self._borrow("last resort", last, stack)
            yield

    def _borrow(
        self, key: object, handler: logging.StreamHandler[Any], stack: contextlib.ExitStack
    ) -> None:
        if key not in self._undo:
            undo = _replaced(handler)
            if undo is None:
                return
            self._undo[key] = undo
        self._users[key] += 1
        stack.callback(self._give_back, key)

    def _give_back(self, key: object) -> None:
        self._users[key] -= 1
        if not self._users[key]:
            del self._users[key]
            self._undo.pop(key).close()


def _replaced(handler: logging.StreamHandler[Any]) -> contextlib.ExitStack | None:
    """Replace a handler's stream, if it may wait; return what undoes that."""
    stream = handler.stream
    try:
        fd = stream.fileno()
        # One that is ours already, or a file, never waits.
        if isinstance(stream, LogStream) or stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        own = _duplicate(fd)
    except (AttributeError, OSError, ValueError):
        # It is none of the system's, or it is closed.
        return None
    undo = contextlib.ExitStack()
    undo.callback(os.close, own)
    log = LogStream(own)
    undo.callback(log.finish_line)
    if handler is logging.lastResort:
        # Python's own, which warns where no handler was set up, looks up standard error each time.
        undo.callback(setattr, logging, "lastResort", handler)
        logging.lastResort = logging.StreamHandler(log)
        logging.lastResort.setLevel(handler.level)
    else:
        undo.callback(handler.setStream, stream)
        handler.setStream(log)
    return undo


def _duplicate(fd: int) -> int:
    """Duplicate a descriptor; a terminal is opened anew, since it may wait within a line."""
    if os.isatty(fd):
        with contextlib.suppress(OSError):
            return os.open(os.ttyname(fd), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
    return os.dup(fd)


unblocked_log: Final = _UnblockedLog().use
"""A context in which logging drops lines rather than wait.

It takes the handlers that there are when it begins, and that write to a pipe, a socket or a
terminal. At its end they have their streams again."""
