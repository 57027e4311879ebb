"""A terminal that a test looks at, types into and resizes, as a user does."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from typing import TYPE_CHECKING, Any, Final

from tests.kit.processes import ENVIRONMENT, ROOT, join, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

HOME: Final = "\x1b[H"
SCREEN_ON, SCREEN_OFF = "\x1b[?1049h", "\x1b[?1049l"
CURSOR_ON, CURSOR_OFF = "\x1b[?25h", "\x1b[?25l"

_CONTROL: Final = re.compile(r"\x1b\[[?0-9;]*[A-Za-z]")

# Takes the terminal that it is given over, and becomes the program.
_LOGIN: Final = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def plain(text: str) -> str:
    """Leave out of a text what only the terminal understands."""
    return _CONTROL.sub("", text)


def line_with(lines: list[str], text: str) -> str:
    """Return the first line with a text in it, or ""."""
    return next((line for line in lines if text in line), "")


class Terminal:
    """A terminal; `said` is all that was written to it."""

    def __init__(self, width: int = 80, height: int = 24) -> None:
        self._master, self.slave = pty.openpty()
        self.resize(width, height)
        self._attributes = termios.tcgetattr(self.slave)
        self.said = ""
        self._files: list[IO[Any]] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        # A character may arrive in two pieces.
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:
                return
            if not data:
                return
            self.said += decoder.decode(data)

    # What a user does --------------------------------------------------------------------------

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def resize(self, width: int, height: int) -> None:
        """Make the window larger or smaller; whoever runs in it is told by the system."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def lines(self) -> list[str]:
        """The lines of the screen as they were drawn last."""
        shown = self.said.replace(CURSOR_OFF, "").rpartition(HOME)[2]
        return [line.rstrip() for line in plain(shown).replace("\r", "").split("\n")]

    def wait_for(self, text: str) -> list[str]:
        """Wait until a text is on the screen; return its lines."""
        return self.wait(lambda lines: any(text in line for line in lines), repr(text))

    def wait(self, look: Callable[[list[str]], object], what: str) -> list[str]:
        """Wait until the screen is as wanted; return its lines."""

        # The lines that were looked at are returned: the next frame may be half drawn already.
        def find() -> list[str] | None:
            lines = self.lines()
            return lines if look(lines) else None

        try:
            return wait_until(find, what)
        except AssertionError as error:
            screen = "\n".join(self.lines())
            raise AssertionError(f"{error}; the screen is\n{screen}") from None

    # Programs in it ----------------------------------------------------------------------------

    def open(self, mode: str) -> IO[Any]:
        """Open it as a file, for a program in this process."""
        self._files.append(os.fdopen(os.dup(self.slave), mode, encoding="utf-8"))
        return self._files[-1]

    def start(self, *arguments: str) -> subprocess.Popen[Any]:
        """Start `trindi` in it."""
        return subprocess.Popen(
            [sys.executable, "-c", _LOGIN, sys.executable, "-m", "trindi", *arguments],
            cwd=ROOT,
            env=ENVIRONMENT | {"TERM": "xterm-256color"},
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
        )

    @property
    def is_restored(self) -> bool:
        """Whether it is as it was before a program ran in it."""
        return (
            termios.tcgetattr(self.slave) == self._attributes
            and self.said.rfind(SCREEN_OFF) >= self.said.rfind(SCREEN_ON)
            and self.said.rfind(CURSOR_ON) >= self.said.rfind(CURSOR_OFF)
        )

    def close(self) -> None:
        """Take it away."""
        for file in self._files:
            file.close()
        os.close(self.slave)
        join(self._reader)
        os.close(self._master)
