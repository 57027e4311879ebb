"""A serial line for instruments that answer each command with one line."""

import os
import termios
from types import TracebackType

import trio


class SerialLine:
    """A serial port in raw mode: eight data bits, no parity, one stop bit.

    Raises:
        OSError: there is no such port, it may not be opened, or it is no serial port.
    """

    def __init__(self, path: str, speed: int = termios.B9600) -> None:
        # NOCTTY: the port becomes no terminal of ours. NONBLOCK: do not wait for a carrier.
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            control = termios.tcgetattr(fd)[6]
            control[termios.VMIN], control[termios.VTIME] = 1, 0
            flags = termios.CS8 | termios.CREAD | termios.CLOCAL
            termios.tcsetattr(fd, termios.TCSANOW, [0, 0, flags, 0, speed, speed, control])
            termios.tcflush(fd, termios.TCIOFLUSH)
        except termios.error as error:
            os.close(fd)
            raise OSError(f"{path} is no serial port") from error
        self._stream = trio.lowlevel.FdStream(fd)
        self._lock = trio.Lock()
        self._received = bytearray()

    async def __aenter__(self) -> "SerialLine":
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self._stream.aclose()

    async def ask(self, command: str, answer: str, timeout: float = 1.0) -> str:
        """Send a command, and return the rest of the line that begins with `answer`.

        What has come in before the command is discarded, and lines that begin otherwise are
        skipped: they are late answers to earlier commands.

        Raises:
            TooSlowError: no such line came in time.
            BrokenResourceError: the line is gone; open it again.
        """
        try:
            async with self._lock:
                with trio.fail_after(timeout):
                    self._discard_input()
                    await self._stream.send_all(f"{command}\r".encode("ascii"))
                    while not (line := await self._read_line()).startswith(answer):
                        pass
        except trio.TooSlowError:
            raise trio.TooSlowError(f"no answer to {command!r} within {timeout:g} s") from None
        except (termios.error, trio.BrokenResourceError) as error:
            raise trio.BrokenResourceError("the serial line is gone") from error
        return line.removeprefix(answer)

    def _discard_input(self) -> None:
        self._received.clear()
        fd = self._stream.fileno()
        if fd >= 0:  # otherwise the line is closed, and sending says so
            termios.tcflush(fd, termios.TCIFLUSH)

    async def _read_line(self) -> str:
        while b"\r" not in self._received:
            data = await self._stream.receive_some()
            if not data:
                raise trio.BrokenResourceError
            self._received += data
        line, _, self._received = self._received.partition(b"\r")
        return line.decode("ascii", "replace").strip()
