"""The layout of ``trindi watch``: rows in, lines of a terminal out.

rich's own table has no cells that span columns, and cuts texts at the end. Here headings and texts
go on into empty columns, and names are cut in the middle, as similar names often begin alike.
Other columns give way before a name is cut; no name and no value takes the room of all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from trindi.protocol import State

if TYPE_CHECKING:
    from collections.abc import Sequence


# Columns of a terminal.
_GAP: Final = 2
_STATE: Final = 7
_TIME: Final = 8
_MIN_TREND, _MAX_TREND = 5, 16
_MIN_VALUE: Final = 8

_BLOCKS: Final = "▁▂▃▄▅▆▇█"

STYLES: Final = {
    State.IDLE: "bright_black",
    State.OK: "green",
    State.BUSY: "yellow",
    State.ALERT: "bold red",
}


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        depth: columns by which the name is indented.
        name: the name.
        style: style of the name.
        is_heading: there is no value; the name goes on up to the state.
        value: the value.
        value_style: style of the value.
        is_number: the value is aligned to the right, and has a trend.
        trend: the last values, as a sparkline.
        state: state of the property, in the first row of a property.
        time: when the state was reported.
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
        return " " * self.depth + self.name


class Widths(NamedTuple):
    """Widths of the columns; 0 for a column that there is no room for."""

    name: int
    value: int
    trend: int
    state: int
    time: int

    @property
    def text(self) -> int:
        """Width of a value that has no trend."""
        return self.value + (self.trend and _GAP + self.trend)


# Sharing -----------------------------------------------------------------------------------------


def _room(width: int) -> tuple[int, int, int]:
    """Return the widths of name and value together, of the smallest trend, and of the time."""
    time = _TIME if width >= 70 else 0
    trend = _MIN_TREND if width >= 50 else 0
    fixed = sum(_GAP + one for one in (_STATE, trend, time) if one) + _GAP
    return max(2, width - fixed), trend, time


def max_name_width(width: int) -> int:
    """Return how wide a name may be in a terminal of a width."""
    room, _trend, _time = _room(width)
    return max(1, room * 2 // 3)


def widths_of(rows: Sequence[Row], width: int) -> Widths:
    """Share the width of a terminal among the columns.

    All rows count, also those out of sight, so that columns stay where they are while one scrolls.
    """
    room, trend, time = _room(width)
    wanted = max((cell_len(row.indented) for row in rows if not row.is_heading), default=0)
    name = min(max(wanted, _MIN_VALUE), max_name_width(width))
    room -= name
    number = max((cell_len(row.value) for row in rows if row.is_number), default=0)
    text = max((cell_len(row.value) for row in rows), default=0)
    if not trend:
        return Widths(name, min(max(text, _MIN_VALUE), room), 0, _STATE, time)
    value = min(max(number, _MIN_VALUE), room)
    trend += min(max(_MAX_TREND, text - value - _GAP) - trend, room - value)
    return Widths(name, value, trend, _STATE, time)


# Drawing -----------------------------------------------------------------------------------------


def head_line(widths: Widths) -> Text:
    """Draw the titles of the columns."""
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
        # The latest, where there is no room for all.
        line.append(" " * _GAP).append(fit(row.trend[-widths.trend :], widths.trend), "cyan")


def fit(text: str, width: int, *, at_end: bool = False) -> str:
    """Pad a text to a width in columns, or cut it, with … in the middle or at the end."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    kept = max(0, width - 1)
    tail = "" if at_end else _tail(text, kept // 2)
    return set_cell_size(text, kept - cell_len(tail)) + "…" + tail


def _tail(text: str, width: int) -> str:
    start = len(text)
    while start and cell_len(text[start - 1 :]) <= width:
        start -= 1
    return text[start:]


def sparkline(values: Sequence[float]) -> str:
    """Draw one block for each number, from the lowest to the highest of them."""
    low, high = min(values, default=0.0), max(values, default=0.0)
    # Halved first: the difference may be more than a float can hold.
    span = high / 2 - low / 2
    if not span:
        return _BLOCKS[0] * len(values)
    last = len(_BLOCKS) - 1
    return "".join(_BLOCKS[round((one / 2 - low / 2) / span * last)] for one in values)
