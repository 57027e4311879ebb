"""Standard input and output as one stream, the way indiserver hands them to a driver.

Under current versions of indiserver descriptors 0 and 1 are one unix socket, older ones gave two
pipes (protocol §6). Debian's 1.9.9 hands BLOBs over as descriptors beside the bytes (§4.5), so a
unix socket is read with recvmsg. Nothing but the protocol may reach standard output, and a log line
must neither block the driver nor fail: `guarded_stdio` sees to both.
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
from collections import deque
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["StdioStream", "guarded_stdio"]

MAX_DESCRIPTORS: Final = 16
"""Descriptors of one message, as indiserver has it (§4.5)."""

MAX_WAITING_DESCRIPTORS: Final = 64
"""Descriptors that may wait for their element; the oldest is closed for each one over this."""

MAX_LOG_LINE: Final = 1000
"""Bytes of a line on standard error: indiserver closes the pipe at 1024 (§6)."""


class StdioStream(trio.abc.Stream):
    """Standard input and output, or any two descriptors, as one stream.

    The descriptors are made non-blocking, and given back as they were by `aclose`, which does not
    close them.

    Args:
        read_fd: where to read from.
        write_fd: where to write to; it may be the same socket.
    """

    def __init__(self, read_fd: int = 0, write_fd: int = 1) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._were_blocking = [fd for fd in {read_fd, write_fd} if os.get_blocking(fd)]
        for fd in self._were_blocking:
            os.set_blocking(fd, False)
        self._socket = _unix_socket(read_fd)
        self._descriptors: deque[int] = deque()
        self._closed = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive at least one byte, or b"" at the end of input. If cancelled, nothing is lost."""
        await trio.lowlevel.checkpoint_if_cancelled()
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
        data, ancillary, _flags, _address = self._socket.recvmsg(max_bytes, room)
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors = array.array("i")
                descriptors.frombytes(content[: len(content) - len(content) % 4])
                self._keep(descriptors)
        return data

    def _keep(self, descriptors: array.array[int]) -> None:
        self._descriptors.extend(descriptors)
        while len(self._descriptors) > MAX_WAITING_DESCRIPTORS:
            os.close(self._descriptors.popleft())

    def take_attachment(self, size: int) -> bytes:
        """Read the first `size` bytes of the next descriptor that was handed over.

        Raises:
            ValueError: none was, or it holds fewer bytes.
        """
        if not self._descriptors:
            raise ValueError("the descriptor of an attached BLOB is missing")
        with open(self._descriptors.popleft(), "rb") as file:
            try:
                if os.fstat(file.fileno()).st_size < size:
                    raise ValueError("an attached BLOB is shorter than its size")
                file.seek(0)
                return file.read(size)
            except OSError as error:
                raise ValueError(f"an attached BLOB cannot be read: {error.strerror}") from None

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
        await trio.lowlevel.wait_writable(self._write_fd)

    async def aclose(self) -> None:
        """Give the descriptors back as they were; close those that were handed over."""
        self._close()
        await trio.lowlevel.checkpoint()

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._socket is not None:
            self._socket.close()
        while self._descriptors:
            os.close(self._descriptors.popleft())
        for fd in self._were_blocking:
            with contextlib.suppress(OSError):
                os.set_blocking(fd, True)

    def _check_open(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("standard input and output are given back")


def _unix_socket(fd: int) -> socket.socket | None:
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return None
    duplicate = socket.socket(fileno=os.dup(fd))
    if duplicate.family == socket.AF_UNIX:
        return duplicate
    duplicate.close()
    return None


# Standard error ----------------------------------------------------------------------------------


class _LogStream(io.TextIOBase):
    """Writes whole lines to a descriptor, and drops those that it will not take at once.

    Whoever reads our standard error may be slow, gone, or share a non-blocking descriptor with
    standard output. None of that may stop a driver: a line that cannot be written now is dropped,
    and the next one that can says how many were.
    """

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._partial = ""
        self._dropped = 0

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def write(self, text: str) -> int:
        *lines, self._partial = (self._partial + text).split("\n")
        for line in lines:
            self._write_line(line)
        if len(self._partial) > MAX_LOG_LINE:
            self._write_line(self._partial)
            self._partial = ""
        return len(text)

    def flush(self) -> None:
        """Whole lines are out already; the start of one waits for its end."""

    def _write_line(self, line: str) -> None:
        if self._dropped and self._put(f"({self._dropped} lines of this log were dropped)"):
            self._dropped = 0
        data = line.encode("utf-8", "backslashreplace")
        for start in range(0, len(data) or 1, MAX_LOG_LINE):
            if not self._put_bytes(data[start : start + MAX_LOG_LINE]):
                self._dropped += 1

    def _put(self, line: str) -> bool:
        return self._put_bytes(line.encode())

    def _put_bytes(self, data: bytes) -> bool:
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        try:
            # A pipe that is writable takes a page, whatever its mode: no line is cut or waits.
            if not any(events & select.POLLOUT for _fd, events in poll.poll(0)):
                return False
            return os.write(self._fd, data + b"\n") > 0
        except OSError as error:
            # Nobody reads the log any more: that is no reason to stop observing.
            return error.errno in (errno.EPIPE, errno.EBADF, errno.EIO)


@contextlib.contextmanager
def guarded_stdio() -> Iterator[None]:
    """Send what is printed to standard error, a line at a time, where it can do no harm."""
    log = _LogStream(2)
    stdout, stderr = sys.stdout, sys.stderr
    handlers = [
        handler
        for handler in (*logging.getLogger().handlers, *logging.getLogger("trindi").handlers)
        if isinstance(handler, logging.StreamHandler) and handler.stream in (stdout, stderr)
    ]
    streams = [handler.setStream(log) for handler in handlers]
    sys.stdout = sys.stderr = log
    try:
        yield
    finally:
        sys.stdout, sys.stderr = stdout, stderr
        for handler, stream in zip(handlers, streams, strict=True):
            handler.setStream(stream)
