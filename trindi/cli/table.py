"""The table of ``trindi watch``: a client's picture, as much of it as fits into a terminal.

Pure but for the picture that it looks at: keys in, lines of text out. Widths are chosen for all
rows, and not for those in sight, so that nothing jumps while one scrolls.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from trindi.cli.sparkline import sparkline
from trindi.protocol import (
    Kind,
    State,
    SwitchState,
    defNumberVector,
    delProperty,
    setNumberVector,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from trindi.cli.addresses import Pattern
    from trindi.client import IPyClient, RemoteDevice, RemoteMember, RemoteVector
    from trindi.protocol import SnoopEvent

__all__ = ["Table"]

_HISTORY: Final = 16
"""Numbers in a sparkline, and columns of it."""

_MESSAGES: Final = 4
"""Messages in sight."""

_STYLES: Final = {
    State.IDLE: "bright_black",
    State.OK: "green",
    State.BUSY: "yellow",
    State.ALERT: "bold red",
}

_KEYS: Final = "q quit   / filter   ↑ ↓ PgUp PgDn Home End scroll"


class Row(NamedTuple):
    """One line of the table; a heading has a name only."""

    name: str
    name_style: str
    value: str = ""
    value_style: str = ""
    right: bool = False
    trend: str = ""
    state: State | None = None
    time: str = ""


def shown(text: str) -> str:
    """Leave out of a text what would do something to the terminal."""
    return "".join(one if one.isprintable() else "·" for one in text)


@dataclass
class Table:
    """What is shown, and how far it is scrolled.

    Attributes:
        client: what is looked at.
        pattern: which members are shown.
        filter: of these only what has this text in it; upper and lower case are the same.
        editing: keys go to the filter.
        top: how many rows are above those in sight.
        finished: the user has seen enough.
    """

    client: IPyClient
    pattern: Pattern
    filter: str = ""
    editing: bool = False
    top: int = 0
    finished: bool = False
    _page: int = 1
    _history: dict[tuple[str, str], dict[str, deque[float]]] = field(default_factory=dict)
    _messages: deque[Text] = field(default_factory=lambda: deque(maxlen=_MESSAGES))

    # Hearing -----------------------------------------------------------------------------------

    def hear(self, event: SnoopEvent) -> None:
        """Take what the server says."""
        if event.message and self._concerns(event.devicename):
            self._messages.append(_message_line(event.devicename, event.message, event.timestamp))
        if isinstance(event, defNumberVector | setNumberVector):
            self._note_numbers(event)
        elif isinstance(event, delProperty):
            self._forget(event)

    def _concerns(self, devicename: str | None) -> bool:
        return devicename is None or self.pattern.device.matches(devicename)

    def _note_numbers(self, event: defNumberVector | setNumberVector) -> None:
        place = (event.devicename, event.vectorname)
        if place[1] not in self.client.get(place[0], ()):
            return
        history = self._history.setdefault(place, {})
        for name, value in event.items():
            numbers = history.setdefault(name, deque(maxlen=_HISTORY))
            # It is defined again whenever any client asks.
            if isinstance(event, setNumberVector) or not numbers:
                numbers.append(value)

    def _forget(self, event: delProperty) -> None:
        for place in list(self._history):
            if event.devicename in (None, place[0]) and event.vectorname in (None, place[1]):
                del self._history[place]

    # Keys --------------------------------------------------------------------------------------

    def press(self, key: str) -> None:
        """Do what a key is for."""
        if self.editing:
            self._edit(key)
        elif key == "q":
            self.finished = True
        elif key == "/":
            self.editing = True
            self.filter = ""
        elif key == "escape":
            self.filter = ""
        else:
            self._scroll(key)

    def _edit(self, key: str) -> None:
        if key == "escape":
            self.filter = ""
        if key in ("enter", "escape"):
            self.editing = False
        elif key == "backspace":
            self.filter = self.filter[:-1]
        elif len(key) == 1:
            self.filter += key

    def _scroll(self, key: str) -> None:
        rows = len(self._rows())
        steps = {
            "up": -1,
            "k": -1,
            "down": 1,
            "j": 1,
            "page up": -self._page,
            "b": -self._page,
            "page down": self._page,
            " ": self._page,
            "home": -rows,
            "g": -rows,
            "end": rows,
            "G": rows,
        }
        self._show_from(self.top + steps.get(key, 0), rows)

    def _show_from(self, top: int, rows: int) -> None:
        self.top = max(0, min(top, rows - self._page))

    # Rows --------------------------------------------------------------------------------------

    def _rows(self) -> list[Row]:
        rows: list[Row] = []
        for device in self.client.values():
            rows += self._device_rows(device)
        return rows

    def _device_rows(self, device: RemoteDevice) -> Iterator[Row]:
        groups: dict[str, list[Row]] = {}
        for vector in device.values():
            if self.pattern.covers(device.name, vector.name):
                rows = self._vector_rows(vector)
                if rows:
                    groups.setdefault(vector.group, []).extend(rows)
        if groups:
            yield Row(shown(device.name), "bold")
        for group, rows in groups.items():
            yield Row(f" {shown(group) or '-'}", "bold bright_black")
            yield from rows

    def _vector_rows(self, vector: RemoteVector) -> list[Row]:
        history = self._history.get((vector.devicename, vector.name), {})
        rows: list[Row] = []
        for member in vector.members.values():
            if not self._wants(vector, member):
                continue
            first = not rows
            rows.append(
                Row(
                    shown(f"  {vector.name}.{member.name}"),
                    "bright_black" if vector.stale else "",
                    *_value(vector, member),
                    trend=sparkline(history.get(member.name, ())),
                    state=vector.state if first else None,
                    time=f"{vector.timestamp:%H:%M:%S}" if first else "",
                )
            )
        return rows

    def _wants(self, vector: RemoteVector, member: RemoteMember) -> bool:
        names = f"{vector.devicename}.{vector.name}.{member.name}"
        text = f"{names}\n{vector.label}\n{member.label}\n{vector.group}\n{vector.state}"
        return self.pattern.member.matches(member.name) and (
            self.filter.casefold() in text.casefold()
        )

    # Drawing -----------------------------------------------------------------------------------

    def lines(self, width: int, height: int) -> list[Text]:
        """Draw the table for a terminal of this size."""
        rows = self._rows()
        messages = list(self._messages)[-max(0, height - 6) :] if height > 6 else []
        self._page = max(1, height - 3 - len(messages))
        self._show_from(self.top, len(rows))
        widths = _widths(rows, width)
        body = [_draw(row, widths) for row in rows[self.top : self.top + self._page]]
        body += [Text()] * (self._page - len(body))
        if not rows:
            body[0] = Text("nothing to show yet", "bright_black")
        head = Text(set_cell_size(self._title(rows), width), "reverse")
        lines = [head, _head_line(widths), *body, *messages, self._foot()]
        for line in lines:
            line.no_wrap = True
            line.truncate(width, overflow="ellipsis")
        return lines[:height]

    def _title(self, rows: list[Row]) -> str:
        last = min(len(rows), self.top + self._page)
        where = f"{self.client.host}:{self.client.port}"
        what = f" {where}" if self.client.connected else f" {where}: not connected, values are old"
        return f"{what}   lines {min(self.top + 1, last)}-{last} of {len(rows)}"

    def _foot(self) -> Text:
        if self.editing:
            return Text.assemble((f"/{self.filter}", "bold"), ("█", "blink"), "  Enter, Esc")
        kept = f"   only {self.filter!r} (Esc: all)" if self.filter else ""
        return Text.assemble((_KEYS, "bright_black"), (kept, "bold"))


def _message_line(devicename: str | None, message: str, when: datetime | None) -> Text:
    time = "" if when is None else f"{when:%H:%M:%S} "
    name = "" if devicename is None else f"{shown(devicename)}: "
    return Text.assemble((time, "bright_black"), (name, "bold"), shown(message))


def _value(vector: RemoteVector, member: RemoteMember) -> tuple[str, str, bool]:
    """Return how a value is shown: its text, its style, and whether it goes to the right."""
    text = shown(member.formatted.strip())
    style = "bright_black" if vector.stale else ""
    if vector.kind is Kind.LIGHT:
        style = style or _STYLES.get(member.value, "")
    elif member.value is SwitchState.ON:
        style = style or "bold"
    return text, style, vector.kind is Kind.NUMBER


class Widths(NamedTuple):
    """Columns of each part of a line; 0 for one that there is no room for."""

    name: int
    value: int
    trend: int
    state: int
    time: int


def _widths(rows: list[Row], width: int) -> Widths:
    trend = _HISTORY if width >= 70 else 0
    state = 7
    time = 8 if width >= 60 else 0
    room = max(2, width - sum(one + 2 for one in (trend, state, time) if one) - 2)
    name = max((cell_len(row.name) for row in rows), default=8)
    value = max((cell_len(row.value) for row in rows), default=8)
    if name + value > room:
        name = min(name, max(room // 2, room - value))
    return Widths(name, min(max(value, 8), room - name), trend, state, time)


def _head_line(widths: Widths) -> Text:
    heads = ("PROPERTY", "VALUE", "TREND", "STATE", "TIME UTC")
    cells = [set_cell_size(head, size) for head, size in zip(heads, widths, strict=True) if size]
    return Text("  ".join(cells), "bright_black")


def _draw(row: Row, widths: Widths) -> Text:
    line = Text(_fit(row.name, widths.name), row.name_style)
    if not row.value and row.state is None and not row.trend:
        line.truncate(widths.name)
        return line
    value = _fit(row.value, widths.value)
    if row.right:
        value = value.rstrip().rjust(widths.value)
    line.append("  ").append(value, row.value_style)
    if widths.trend:
        line.append("  ").append(_fit(row.trend, widths.trend), "cyan")
    word = row.state or ""
    line.append("  ").append(_fit(f"● {word}" if word else "", widths.state), _style(row.state))
    if widths.time:
        line.append("  ").append(_fit(row.time, widths.time), "bright_black")
    return line


def _style(state: State | None) -> str:
    return "" if state is None else _STYLES[state]


def _fit(text: str, width: int) -> str:
    """Make a text as wide as that, with … in the place of what there is no room for."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, max(0, width - 1)) + "…"
