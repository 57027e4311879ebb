"""Reads keys from a terminal as they are pressed, and names them."""

from __future__ import annotations

import codecs
import math
import os
import re
import termios
import tty
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


_ESCAPE_TIMEOUT: Final = 0.05
"""Seconds in which the rest of an escape sequence must follow; otherwise the key is Escape."""

_KEY: Final = re.compile(r"\x1b(?:\[[0-9;]*[A-Za-z~]|O[A-Za-z])|.", re.DOTALL)
_INCOMPLETE: Final = re.compile(r"\x1b(?:\[[0-9;]*|O)?\Z")

_NAMES: Final = {
    "\x1b": "escape",
    "\r": "enter",
    "\n": "enter",
    "\x7f": "backspace",
    "\b": "backspace",
    **{f"\x1b{bracket}A": "up" for bracket in "[O"},
    **{f"\x1b{bracket}B": "down" for bracket in "[O"},
    **{f"\x1b{bracket}H": "home" for bracket in "[O"},
    **{f"\x1b{bracket}F": "end" for bracket in "[O"},
    "\x1b[1~": "home",
    "\x1b[4~": "end",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
}


def key_names(text: str) -> Iterator[str]:
    """Yield the names of the keys that a terminal has sent; a character is its own name.

    Other keys are left out.
    """
    for one in _KEY.findall(text):
        name = _NAMES.get(one, one)
        if name.isprintable():
            yield name


@contextmanager
def unbuffered(fd: int) -> Iterator[None]:
    """Let a terminal hand over each key at once, and echo none, within this block."""
    before = termios.tcgetattr(fd)
    tty.setcbreak(fd, termios.TCSANOW)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSANOW, before)


async def read_keys(fd: int, press: Callable[[str], None]) -> None:
    """Call a function with the name of each key, until the terminal has gone.

    If cancelled, an incomplete escape sequence is lost.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = ""
    while True:
        with trio.move_on_after(_ESCAPE_TIMEOUT if text else math.inf):
            await trio.lowlevel.wait_readable(fd)
            data = os.read(fd, 1024)
            if not data:
                return
            text += decoder.decode(data)
            if _INCOMPLETE.search(text):
                continue
        for name in key_names(text):
            press(name)
        text = ""
