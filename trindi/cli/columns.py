"""The layout of ``trindi watch``: rows in, lines of a terminal out.

rich's own table has no cells that span columns, and cuts texts at the end. Here headings and texts
go on into empty columns, and names are cut in the middle, as similar names often begin alike.
Other columns give way before a name is cut; no name and no value takes the room of all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from trindi.protocol import State, SwitchState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Columns of a terminal.
_GAP: Final = 2
_STATE: Final = 7
_TIME: Final = 8
_MIN_TREND, _MAX_TREND = 5, 16
_MIN_WIDTH: Final = 8

_BLOCKS: Final = "▁▂▃▄▅▆▇█"

STYLES: Final[Mapping[str, str]] = {
    State.IDLE: "bright_black",
    State.OK: "green",
    State.BUSY: "yellow",
    State.ALERT: "bold red",
    SwitchState.ON: "bold",
}


class Row(NamedTuple):
    """One line, its name indented by `depth`; a heading has no value, and only numbers a trend."""

    depth: int
    name: str
    style: str = ""
    value: Text | None = None
    trend: str | None = None
    state: str = ""
    time: str = ""

    @property
    def indented(self) -> str:
        return " " * self.depth + self.name


_HEAD: Final = Row(0, "PROPERTY", "", Text("VALUE"), "TREND", "STATE", "TIME UTC")


class _Widths(NamedTuple):
    """Widths of the columns; `value` is that of a number, a gap and a trend together."""

    name: int
    value: int
    number: int
    time: int


def max_name_width(width: int) -> int:
    """Return how wide a name may be in a terminal of a width."""
    return max(1, width // 2 - 2)


def draw(rows: Sequence[Row], visible: slice, width: int) -> list[Text]:
    """Draw titles and the rows in sight; all rows count for the widths, so that these stay."""
    widths = _widths(rows, width)
    head = Text(_line(_HEAD, widths).plain, "bright_black")
    return [head, *(_line(row, widths) for row in rows[visible])]


def _widths(rows: Sequence[Row], width: int) -> _Widths:
    values = [(row, row.value.cell_len) for row in rows if row.value is not None]
    name = max([_MIN_WIDTH, *(cell_len(row.indented) for row, _ in values)])
    name = min(name, max_name_width(width))
    text = max([_MIN_WIDTH, *(size for _, size in values)])
    number = max([_MIN_WIDTH, *(size for row, size in values if row.trend is not None)])
    time = _TIME if width >= 70 else 0
    room = max(1, width - name - _GAP - _GAP - _STATE - (time and _GAP + time))
    trend = _MAX_TREND if width >= 50 else 0
    value = min(max(number + (trend and _GAP + trend), text), room)
    return _Widths(name, value, min(number, value - _GAP - _MIN_TREND) if trend else value, time)


def _line(row: Row, widths: _Widths) -> Text:
    if row.value is None:
        cells = [Text(fit(row.indented, widths.name + _GAP + widths.value), row.style)]
    else:
        cells = [Text(fit(row.indented, widths.name), row.style), _value(row, row.value, widths)]
    state = f"● {row.state}" if row.state in STYLES else row.state
    cells.append(_cell(Text(state, STYLES.get(row.state, "")), _STATE))
    if widths.time:
        cells.append(_cell(Text(row.time, "bright_black"), widths.time))
    return Text(" " * _GAP).join(cells)


def _value(row: Row, value: Text, widths: _Widths) -> Text:
    value = value.copy()
    if row.trend is not None:
        value.truncate(widths.number, overflow="ellipsis")
        value.pad_left(widths.number - value.cell_len)
        room = widths.value - widths.number - _GAP
        if room > 0:
            # The latest, where there is no room for all.
            value.append(" " * _GAP, "").append(row.trend[-room:], "cyan")
    return _cell(value, widths.value)


def _cell(text: Text, width: int) -> Text:
    text.truncate(width, overflow="ellipsis", pad=True)
    return text


def fit(text: str, width: int) -> str:
    """Pad a text to a width in columns, or cut it, with … in the middle."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    kept = max(0, width - 1)
    start = len(text)
    while cell_len(text[start - 1 :]) <= kept // 2:
        start -= 1
    tail = text[start:]
    return set_cell_size(text, kept - cell_len(tail)) + "…" + tail


def sparkline(values: Sequence[float]) -> str:
    """Draw one block for each number, from the lowest to the highest of them."""
    # Halved: the difference may be more than a float can hold.
    halves = [one / 2 for one in values]
    low = min(halves, default=0.0)
    span = max(halves, default=0.0) - low or 1.0
    return "".join(_BLOCKS[round((one - low) / span * (len(_BLOCKS) - 1))] for one in halves)
