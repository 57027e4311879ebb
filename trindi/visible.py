"""Texts of peers for a terminal or a log: on one line, and with nothing that a terminal acts on.

A text from outside may clear a screen, turn round what stands beside it, or look like a line of its
own. Names in a line are written so that they can be given to a command. This module knows
characters only.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final
from unicodedata import category

if TYPE_CHECKING:
    from collections.abc import Callable

# What Python does not count as printable, and no terminal acts on: blanks, and what fonts may have.
_HARMLESS: Final = frozenset(["Zs", "Co", "Cn"])

_SPECIAL_IN_NAMES: Final = re.compile(r"""^["']|[.=*]""")


def _backslashed(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def visible(text: str, escape: Callable[[str], str] = _backslashed) -> str:
    r"""Write control characters as Python does, such as \x1b, \n or \u202e.

    These are all of Unicode's: C0 and C1, line ends, marks and overrides of direction, what has no
    width, lone surrogates. Other characters stay, and so does a backslash.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or category(one) in _HARMLESS else escape(one) for one in text
    )


def join_names(*names: str, special: re.Pattern[str] = _SPECIAL_IN_NAMES, quote: str = '"') -> str:
    """Write DEVICE.VECTOR.MEMBER; parts that have something special are quoted."""
    return ".".join(_quoted(name, quote) if special.search(name) else name for name in names)


def _quoted(name: str, quote: str) -> str:
    if quote in name:
        quote = "'" if quote == '"' else '"'
    return f"{quote}{name}{quote}"


def indented(text: str) -> str:
    """Make each line visible; all but the first are indented, so that none looks like the first."""
    first, *others = map(visible, text.split("\n"))
    return "\n".join([first, *(f"{'' if one.startswith(' ') else '    '}{one}" for one in others)])


class VisibleFormatter(logging.Formatter):
    """Writes a record, and the traceback below it."""

    def format(self, record: logging.LogRecord) -> str:
        return indented(super().format(record))


class _Visible:
    """An argument of a record; it is written where a failure of that is contained."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __str__(self) -> str:
        return visible(str(self._value))


def _make_visible(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        numbers = (int, float)
        record.args = tuple(
            one if isinstance(one, numbers) else _Visible(one) for one in record.args
        )
    if record.exc_info:
        # Formatters take this text where there is one.
        record.exc_text = indented(logging.Formatter().formatException(record.exc_info))
    return True


def get_logger(name: str) -> logging.Logger:
    """Return a logger whose records are safe for a terminal, whatever formatter writes them."""
    logger = logging.getLogger(name)
    logger.addFilter(_make_visible)
    return logger
