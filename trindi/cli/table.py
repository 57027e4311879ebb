"""The table of ``trindi watch``: events and keys in, lines of text out.

It shows a tree of devices, groups, properties and members, as the client has them. A property with
one member is one line, if its name fits.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.text import Text

from trindi.cli.columns import (
    STYLES,
    Row,
    draw,
    fit,
    head_line,
    max_name_width,
    sparkline,
    widths_of,
)
from trindi.protocol import Kind, SwitchState, defNumberVector, delProperty, setNumberVector

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from trindi.cli.addresses import Pattern
    from trindi.client import IPyClient, RemoteDevice, RemoteMember, RemoteVector
    from trindi.protocol import SnoopEvent


_MAX_HISTORY: Final = 16
"""Numbers in a sparkline."""

_MAX_MESSAGES: Final = 4

_KEYS: Final = "q quit   / filter   ↑ ↓ PgUp PgDn Home End scroll"
_NO_KEYS: Final = "Ctrl-C quits   (no keys: standard input is no terminal)"


def printable(text: str) -> str:
    """Replace control characters, which a terminal would act on."""
    return "".join(one if one.isprintable() else "·" for one in text)


@dataclass
class Table:
    """The table, how far it is scrolled, and its filter.

    Attributes:
        client: what is shown.
        pattern: which members are shown.
        has_keys: there is a keyboard: name the keys.
        filter: a text that shown rows must contain, in any case.
        editing: keys go to the filter.
        top: number of rows above the first one in sight.
        finished: the user has quit.
    """

    client: IPyClient
    pattern: Pattern
    has_keys: bool = True
    filter: str = ""
    editing: bool = False
    top: int = 0
    finished: bool = False
    _page: int = 1
    _width: int = 80
    _history: dict[tuple[str, str], dict[str, deque[float]]] = field(default_factory=dict)
    _messages: deque[Text] = field(default_factory=lambda: deque(maxlen=_MAX_MESSAGES))

    # Events ------------------------------------------------------------------------------------

    def take(self, event: SnoopEvent) -> None:
        """Take an event of the server, which the client has taken already."""
        if event.message and self.pattern.covers_device(event.devicename):
            self._messages.append(_message_line(event.devicename, event.message, event.timestamp))
        if isinstance(event, defNumberVector | setNumberVector):
            self._note_numbers(event)
        elif isinstance(event, delProperty):
            self._forget(event)

    def _note_numbers(self, event: defNumberVector | setNumberVector) -> None:
        names = (event.devicename, event.vectorname)
        # A report may name anything; the members that the client has are bounded.
        members = self.client[names[0]].get(names[1], ()) if names[0] in self.client else ()
        if not members:
            return
        history = self._history.setdefault(names, {})
        for name in [name for name in history if name not in members]:
            del history[name]
        for name, value in event.items():
            if name not in members:
                continue
            numbers = history.setdefault(name, deque(maxlen=_MAX_HISTORY))
            # A property is defined again whenever any client asks for it.
            if isinstance(event, setNumberVector) or not numbers:
                numbers.append(value)

    def _forget(self, event: delProperty) -> None:
        for names in list(self._history):
            if event.devicename in (None, names[0]) and event.vectorname in (None, names[1]):
                del self._history[names]

    # Keys --------------------------------------------------------------------------------------

    def press(self, key: str) -> None:
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
            **dict.fromkeys(["up", "k"], -1),
            **dict.fromkeys(["down", "j"], 1),
            **dict.fromkeys(["page up", "b"], -self._page),
            **dict.fromkeys(["page down", " "], self._page),
            **dict.fromkeys(["home", "g"], -rows),
            **dict.fromkeys(["end", "G"], rows),
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
            yield Row(0, printable(device.name), "bold", is_heading=True)
        for group, rows in groups.items():
            yield Row(1, printable(group) or "-", "bold bright_black", is_heading=True)
            yield from rows

    def _vector_rows(self, vector: RemoteVector) -> list[Row]:
        members = [one for one in vector.members.values() if self._wants(vector, one)]
        if not members:
            return []
        name, style = printable(vector.name), "bright_black" if vector.stale else ""
        head = Row(
            2, name, style, is_heading=True, state=vector.state, time=f"{vector.timestamp:%H:%M:%S}"
        )
        rows = [self._member_row(vector, member) for member in members]
        if len(rows) == 1:
            row = rows[0]._replace(depth=2, name=f"{name}.{rows[0].name}", state=head.state)
            if cell_len(row.indented) <= max_name_width(self._width):
                return [row._replace(time=head.time)]
        return [head, *rows]

    def _member_row(self, vector: RemoteVector, member: RemoteMember) -> Row:
        history = self._history.get((vector.devicename, vector.name), {})
        style = "bright_black" if vector.stale else ""
        value_style = style
        if vector.kind is Kind.LIGHT:
            value_style = style or STYLES.get(member.value, "")
        elif member.value is SwitchState.ON:
            value_style = style or "bold"
        return Row(
            4,
            printable(member.name),
            style,
            value=printable(member.formatted.strip()),
            value_style=value_style,
            is_number=vector.kind is Kind.NUMBER,
            trend=sparkline(history.get(member.name, ())),
        )

    def _wants(self, vector: RemoteVector, member: RemoteMember) -> bool:
        names = f"{vector.devicename}.{vector.name}.{member.name}"
        text = f"{names}\n{vector.label}\n{member.label}\n{vector.group}\n{vector.state}"
        return self.pattern.member.matches(member.name) and (
            self.filter.casefold() in text.casefold()
        )

    # Drawing -----------------------------------------------------------------------------------

    def lines(self, width: int, height: int) -> list[Text]:
        self._width = width
        rows = self._rows()
        messages = list(self._messages)[-max(0, height - 6) :] if height > 6 else []
        self._page = max(1, height - 3 - len(messages))
        self._show_from(self.top, len(rows))
        widths = widths_of(rows, width)
        body = [draw(row, widths) for row in rows[self.top : self.top + self._page]]
        body += [Text()] * (self._page - len(body))
        if not rows:
            body[0] = Text("nothing to show yet", "bright_black")
        head = Text(self._title(rows, width), "reverse")
        lines = [head, head_line(widths), *body, *messages, self._foot()]
        for line in lines:
            line.no_wrap = True
            line.truncate(width, overflow="ellipsis")
        return lines[:height]

    def _title(self, rows: list[Row], width: int) -> str:
        last = min(len(rows), self.top + self._page)
        title = f" {self.client.host}:{self.client.port}"
        if not self.client.connected:
            title += ": not connected, values are old"
        title += f"   lines {min(self.top + 1, last)}-{last} of {len(rows)}"
        if above := _headings_above(rows, self.top):
            title += "   "
            title += _path(above, max(0, width - cell_len(title)))
        return fit(title, width, at_end=True)

    def _foot(self) -> Text:
        if self.editing:
            return Text.assemble((f"/{self.filter}", "bold"), ("█", "blink"), "  Enter, Esc")
        kept = f"only {self.filter!r} (Esc: all)   " if self.filter else ""
        keys = _KEYS if self.has_keys else _NO_KEYS
        return Text.assemble((kept, "bold"), (keys, "bright_black"))


def _headings_above(rows: list[Row], top: int) -> list[str]:
    """Return the headings of the first row in sight that are out of sight themselves."""
    above: list[str] = []
    depth = rows[top].depth if rows else 0
    for row in reversed(rows[:top]):
        if row.depth < depth and row.is_heading:
            above.insert(0, row.name)
            depth = row.depth
    return above


def _path(names: list[str], width: int) -> str:
    """Write all headings, or the first and the last, or as much of these as fits."""
    path = " / ".join(names)
    if cell_len(path) <= width:
        return path
    return fit(" / ".join([names[0], *names[1:][-1:]]), width)


def _message_line(devicename: str | None, message: str, when: datetime | None) -> Text:
    time = "" if when is None else f"{when:%H:%M:%S} "
    name = "" if devicename is None else f"{printable(devicename)}: "
    return Text.assemble((time, "bright_black"), (name, "bold"), printable(message))
