"""How the lines of ``trindi watch`` share the width of a terminal. Pure: rows in, lines out.

Names come first: the columns beside them give way before a name is cut, and it is cut in the
middle, for what is alike often begins alike. No name and no value takes the room of all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from trindi.protocol import State

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["STYLES", "Row", "Widths", "draw", "fit", "head_line", "name_room", "widths_of"]

_TREND: Final = 16
"""Columns of a sparkline, where there is room for it."""

_GAP: Final = 2
_STATE: Final = 7
_TIME: Final = 8

_LEAST_TREND: Final = 5
_LEAST_VALUE: Final = 8

STYLES: Final = {
    State.IDLE: "bright_black",
    State.OK: "green",
    State.BUSY: "yellow",
    State.ALERT: "bold red",
}


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        depth: under how many headings it is; it is indented by that.
        name: what stands first.
        style: that of the name.
        is_heading: the name is all there is, but for state and time.
        value: its value.
        value_style: that of the value.
        is_number: the value goes to the right, and has a trend.
        trend: its last values, as a sparkline.
        state: that of its property, where it stands for it.
        time: when that was reported.
    """

    depth: int
    name: str
    style: str
    is_heading: bool = False
    value: str = ""
    value_style: str = ""
    is_number: bool = False
    trend: str = ""
    state: State | None = None
    time: str = ""

    @property
    def indented(self) -> str:
        """The name where it stands."""
        return " " * self.depth + self.name


class Widths(NamedTuple):
    """Columns of each part of a line; 0 for one that there is no room for.

    Texts go on where numbers have their trend, and headings up to the state.
    """

    name: int
    value: int
    trend: int
    state: int
    time: int

    @property
    def text(self) -> int:
        """Columns of a value that has no trend."""
        return self.value + (self.trend and _GAP + self.trend)


# Sharing -----------------------------------------------------------------------------------------


def _room(width: int) -> tuple[int, int, int]:
    """Share the width; return the columns of name and values together, least trend, and time."""
    time = _TIME if width >= 70 else 0
    trend = _LEAST_TREND if width >= 50 else 0
    fixed = sum(_GAP + one for one in (_STATE, trend, time) if one) + _GAP
    return max(2, width - fixed), trend, time


def name_room(width: int) -> int:
    """Columns that a name may have; the rest is for its value."""
    room, _trend, _time = _room(width)
    return max(1, room * 2 // 3)


def widths_of(rows: Sequence[Row], width: int) -> Widths:
    """Share the width of a terminal among the columns.

    All rows count, and not those in sight alone, so that nothing jumps while one scrolls.
    """
    room, trend, time = _room(width)
    wanted = max((cell_len(row.indented) for row in rows if not row.is_heading), default=0)
    name = min(max(wanted, _LEAST_VALUE), name_room(width))
    room -= name
    number = max((cell_len(row.value) for row in rows if row.is_number), default=0)
    text = max((cell_len(row.value) for row in rows), default=0)
    if not trend:
        return Widths(name, min(max(text, _LEAST_VALUE), room), 0, _STATE, time)
    value = min(max(number, _LEAST_VALUE), room)
    trend += min(max(_TREND, text - value - _GAP) - trend, room - value)
    return Widths(name, value, trend, _STATE, time)


# Drawing -----------------------------------------------------------------------------------------


def head_line(widths: Widths) -> Text:
    """Draw what stands over the columns."""
    heads = ("PROPERTY", "VALUE", "TREND", "STATE", "TIME UTC")
    cells = [fit(head, size, at_end=True) for head, size in zip(heads, widths, strict=True) if size]
    return Text((" " * _GAP).join(cells), "bright_black")


def draw(row: Row, widths: Widths) -> Text:
    """Draw one row."""
    gap = " " * _GAP
    if row.is_heading:
        line = Text(fit(row.indented, widths.name + _GAP + widths.text), row.style)
    else:
        line = Text(fit(row.indented, widths.name), row.style)
        line.append(gap)
        _draw_value(line, row, widths)
    style = "" if row.state is None else STYLES[row.state]
    line.append(gap).append(fit(f"● {row.state}" if row.state else "", widths.state), style)
    if widths.time:
        line.append(gap).append(fit(row.time, widths.time), "bright_black")
    return line


def _draw_value(line: Text, row: Row, widths: Widths) -> None:
    if not row.is_number:
        line.append(fit(row.value, widths.text, at_end=True), row.value_style)
        return
    value = fit(row.value, widths.value, at_end=True).rstrip()
    line.append(" " * (widths.value - cell_len(value))).append(value, row.value_style)
    if widths.trend:
        # Where there is no room for all, the latest.
        line.append(" " * _GAP).append(fit(row.trend[-widths.trend :], widths.trend), "cyan")


def fit(text: str, width: int, *, at_end: bool = False) -> str:
    """Make a text as wide as that, with … in the place of what there is no room for.

    Args:
        text: what to show.
        width: in columns; some characters take two, and some none.
        at_end: the end gives way, and not the middle.
    """
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    kept = max(0, width - 1)
    tail = "" if at_end else _tail(text, kept // 2)
    return set_cell_size(text, kept - cell_len(tail)) + "…" + tail


def _tail(text: str, width: int) -> str:
    """Return as much of the end of a text as fits."""
    start = len(text)
    while start and cell_len(text[start - 1 :]) <= width:
        start -= 1
    return text[start:]
