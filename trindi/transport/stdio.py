"""Standard input and output as one stream, as indiserver gives them to a driver.

Under current versions of indiserver, descriptors 0 and 1 are one unix socket; older ones give two
pipes (protocol §6). Debian's 1.9.9 passes BLOBs as descriptors beside the bytes (§4.5), so a unix
socket is read with recvmsg. `guarded_stdio` keeps all but the protocol off standard output, and
makes sure that a log line neither blocks the driver nor fails.
"""

from __future__ import annotations

import array
import contextlib
import errno
import io
import logging
import os
import select
import socket
import stat
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import trio

from trindi.protocol import Decoder

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["StdioStream", "guarded_stdio"]

MAX_DESCRIPTORS: Final = 253
"""Descriptors that one sendmsg may carry under Linux; indiserver sends up to 16 (§4.5)."""

MAX_WAITING_DESCRIPTORS: Final = 512
"""Descriptors that may wait for their element; beyond this the oldest is closed."""

MAX_READ: Final = 1024 * 1024 * 1024
"""Bytes of one pread: Linux reads no more than 2 GiB at a time."""

MAX_LOG_LINE: Final = 1000
"""Bytes of a line on standard error: indiserver closes the pipe at 1024 (§6)."""

MAX_UNFINISHED_LINE: Final = 64 * 1024
"""Characters that may wait for the end of their line; `print` writes the end separately."""


class _Descriptor(NamedTuple):
    """A descriptor that was passed, and how many bytes the stream had received by then."""

    fd: int
    offset: int


class StdioStream(trio.abc.Stream):
    """Standard input and output, or any two descriptors, as one stream.

    The descriptors are made non-blocking. `close` does not close them, and makes them as they were.
    A regular file is read without waiting.

    Args:
        read_fd: where to read from.
        write_fd: where to write to; it may be the same socket.
    """

    def __init__(self, read_fd: int = 0, write_fd: int = 1) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._received = 0
        self._decoder: Decoder | None = None
        self._descriptors: deque[_Descriptor] = deque()
        self._closed = False
        self._socket = _unix_socket(read_fd)
        self._were_blocking = [fd for fd in {read_fd, write_fd} if os.get_blocking(fd)]
        for fd in self._were_blocking:
            os.set_blocking(fd, False)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive at least one byte, or b"" at the end of input. If cancelled, nothing is lost."""
        await trio.lowlevel.checkpoint_if_cancelled()
        self._close_unclaimed()
        while True:
            self._check_open()
            try:
                data = self._receive_nowait(max_bytes or 65536)
            except BlockingIOError:
                await trio.lowlevel.wait_readable(self._read_fd)
            except OSError as error:
                raise trio.BrokenResourceError from error
            else:
                await trio.lowlevel.cancel_shielded_checkpoint()
                return data

    def _receive_nowait(self, max_bytes: int) -> bytes:
        if self._socket is None:
            return os.read(self._read_fd, max_bytes)
        room = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)
        # No program that the author starts may inherit a passed descriptor.
        flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
        data, ancillary, _flags, _address = self._socket.recvmsg(max_bytes, room, flags)
        self._received += len(data)
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors = array.array("i")
                descriptors.frombytes(content[: len(content) - len(content) % 4])
                self._descriptors.extend(_Descriptor(fd, self._received) for fd in descriptors)
        while len(self._descriptors) > MAX_WAITING_DESCRIPTORS:
            os.close(self._descriptors.popleft().fd)
        return data

    # Passed descriptors --------------------------------------------------------------------------

    def decoder(self) -> Decoder:
        """Make the decoder for this stream; it takes attached BLOBs from passed descriptors."""
        self._decoder = Decoder(attachments=self.take_attachment)
        return self._decoder

    def take_attachment(self, size: int) -> bytes:
        """Read the first `size` bytes of the next passed descriptor.

        A descriptor comes with the bytes of its element, or before them, so it is here when the
        element is complete.

        Raises:
            ValueError: there is none, it is no file, or it holds fewer bytes.
        """
        if not self._descriptors:
            raise ValueError("the descriptor of an attached BLOB is missing")
        fd = self._descriptors.popleft().fd
        try:
            return _read_file(fd, size)
        except OSError as error:
            raise ValueError(f"an attached BLOB cannot be read: {error.strerror}") from None
        finally:
            os.close(fd)

    def _close_unclaimed(self) -> None:
        """Close descriptors whose element is decoded already: they must not go to the next one."""
        done = self._decoder.offset if self._decoder else 0
        while self._descriptors and self._descriptors[0].offset <= done:
            os.close(self._descriptors.popleft().fd)

    # Sending -----------------------------------------------------------------------------------

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of the data. If cancelled, any part of it may have been sent."""
        await trio.lowlevel.checkpoint_if_cancelled()
        with memoryview(data) as view:
            sent = 0
            while sent < len(view):
                self._check_open()
                try:
                    sent += os.write(self._write_fd, view[sent:])
                except BlockingIOError:
                    await trio.lowlevel.wait_writable(self._write_fd)
                except OSError as error:
                    raise trio.BrokenResourceError from error
        await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until something can be written."""
        self._check_open()
        try:
            await trio.lowlevel.wait_writable(self._write_fd)
        except PermissionError:
            # epoll does not take a regular file, which never blocks.
            await trio.lowlevel.checkpoint()

    # The end -----------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Do what `close` does."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Give the descriptors back as they were, and close passed ones.

        Tasks that wait to read or write get `trio.ClosedResourceError`.
        """
        if self._closed:
            return
        self._closed = True
        for fd in {self._read_fd, self._write_fd}:
            trio.lowlevel.notify_closing(fd)
        if self._socket is not None:
            self._socket.close()
        while self._descriptors:
            os.close(self._descriptors.popleft().fd)
        for fd in self._were_blocking:
            with contextlib.suppress(OSError):
                os.set_blocking(fd, True)

    def _check_open(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("standard input and output are given back")


def _unix_socket(fd: int) -> socket.socket | None:
    family = getattr(socket, "AF_UNIX", None)
    if family is None or not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return None
    duplicate = socket.socket(fileno=os.dup(fd))
    if duplicate.family == family:
        return duplicate
    duplicate.close()
    return None


def _read_file(fd: int, size: int) -> bytes:
    """Read the start of a file, without moving the offset, which other processes may share."""
    about = os.fstat(fd)
    if not stat.S_ISREG(about.st_mode):
        raise ValueError("an attached BLOB is no file")
    if about.st_size < size:
        raise ValueError("an attached BLOB is shorter than its size")
    parts: list[bytes] = []
    offset = 0
    while offset < size:
        part = os.pread(fd, min(size - offset, MAX_READ), offset)
        if not part:
            raise ValueError("an attached BLOB has become shorter than its size")
        parts.append(part)
        offset += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


# Standard error ----------------------------------------------------------------------------------


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
        """Write the start of a line that has no end yet."""
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


# The guard ---------------------------------------------------------------------------------------


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
        stack.enter_context(_prints_to(_LogStream(error_fd)))
        read_fd = _moved_away(stack, 0, null)
        write_fd = _moved_away(stack, 1, error_fd)
        # Buffered text, from before and from within, must not come out among the protocol.
        _flush(sys.__stdout__)
        stack.callback(_flush, sys.__stdout__)
        yield read_fd, write_fd


@contextlib.contextmanager
def _prints_to(log: _LogStream) -> Iterator[None]:
    """Let Python's own printing and logging write to a `_LogStream`."""
    stdout, stderr = sys.stdout, sys.stderr
    handlers = [
        handler for handler in _log_handlers() if handler.stream in (stdout, stderr, sys.__stderr__)
    ]
    streams = [handler.stream for handler in handlers]
    sys.stdout = sys.stderr = log
    try:
        for handler in handlers:
            handler.setStream(log)
        yield
    finally:
        sys.stdout, sys.stderr = stdout, stderr
        for handler, stream in zip(handlers, streams, strict=True):
            handler.setStream(stream)
        log.finish_line()


def _log_handlers() -> list[logging.StreamHandler[Any]]:
    loggers = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
    found = [
        handler
        for logger in loggers
        if isinstance(logger, logging.Logger)
        for handler in logger.handlers
        if isinstance(handler, logging.StreamHandler)
    ]
    return list(dict.fromkeys(found))


def _moved_away(stack: contextlib.ExitStack, fd: int, stand_in: int) -> int:
    """Replace a descriptor until the stack unwinds; return the duplicate that is it until then."""
    away = os.dup(fd)
    stack.callback(os.close, away)
    os.dup2(stand_in, fd)
    stack.callback(os.dup2, away, fd)
    return away


def _flush(stream: object) -> None:
    if isinstance(stream, io.TextIOBase):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
