"""Standard input and output as one stream, as indiserver gives them to a driver.

Under current versions of indiserver, descriptors 0 and 1 are one unix socket; older ones give two
pipes (protocol §6). Debian's 1.9.9 passes BLOBs as descriptors beside the bytes (§4.5), so a unix
socket is read with recvmsg.
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
import stat
from collections import deque
from typing import Final, NamedTuple

import trio

from trindi.protocol import Admit, Decoder
from trindi.transport.rawio import has_hung_up

MAX_DESCRIPTORS: Final = 253  # in one sendmsg under Linux; indiserver sends up to 16 (§4.5)
MAX_WAITING_DESCRIPTORS: Final = 512  # for their element; beyond this the oldest is closed
MAX_READ: Final = 1024 * 1024 * 1024  # bytes of one pread: Linux takes no more than 2 GiB


class _Descriptor(NamedTuple):
    fd: int
    offset: int  # bytes that the stream had received by then


class AttachedFile:
    """A passed descriptor: reads its file when it is called, in any thread, and closes it."""

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._size = size

    def __call__(self) -> bytes:
        """Read; ValueError: it is no file, or it holds fewer bytes."""
        try:
            return _read_file(self._fd, self._size)
        except OSError as error:
            raise ValueError(f"an attached BLOB cannot be read: {error.strerror}") from None
        finally:
            self._close()

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    # Nobody may want it, and then nobody reads it.
    __del__ = _close


class StdioStream(trio.abc.Stream):
    """Standard input and output, or any two descriptors, as one stream.

    The descriptors are made non-blocking. `close` does not close them, and makes them as they were.
    A regular file is read without waiting. Both may be the same socket.
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

    def decoder(self, admit: Admit | None = None) -> Decoder:
        """Make the decoder for this stream; it takes attached BLOBs from passed descriptors."""
        self._decoder = Decoder(attachments=self.take_attachment, admit=admit)
        return self._decoder

    def take_attachment(self, size: int) -> AttachedFile:
        """Take the next passed descriptor, to read its first `size` bytes.

        A descriptor comes with the bytes of its element, or before them, so it is here when the
        element is complete. ValueError: there is none.
        """
        if not self._descriptors:
            raise ValueError("the descriptor of an attached BLOB is missing")
        return AttachedFile(self._descriptors.popleft().fd, size)

    def _close_unclaimed(self) -> None:
        """Close descriptors whose element is decoded already: they must not go to the next one."""
        done = self._decoder.offset if self._decoder else 0
        while self._descriptors and self._descriptors[0].offset <= done:
            os.close(self._descriptors.popleft().fd)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
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
        self._check_open()
        try:
            await trio.lowlevel.wait_writable(self._write_fd)
        except PermissionError:
            # epoll does not take a regular file, which never blocks.
            await trio.lowlevel.checkpoint()

    def hung_up(self) -> bool:
        """Whether nobody reads standard output any more; the end of input does not say so."""
        return self._closed or has_hung_up(self._write_fd)

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Give the descriptors back as they were, and close passed ones."""
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
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        return None
    duplicate = socket.socket(fileno=os.dup(fd))
    if duplicate.family == socket.AF_UNIX:
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
