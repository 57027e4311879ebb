"""The table of ``trindi watch``: events and keys in, lines of text out.

It shows a tree of devices, groups, properties and members, as the client has them. A property with
one member is one line, if its name fits.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.text import Text

from trindi.cli.columns import STYLES, Row, draw, fit, max_name_width, sparkline
from trindi.protocol import Kind, defNumberVector, ends, is_unknown, setNumberVector
from trindi.transport import host_and_port
from trindi.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trindi.cli.addresses import Pattern
    from trindi.client import IPyClient, RemoteDevice, RemoteMember, RemoteVector
    from trindi.protocol import SnoopEvent

_MAX_HISTORY: Final = 16  # numbers in a sparkline
_MAX_MESSAGES: Final = 4

_KEYS: Final = "q quit   / filter   ↑ ↓ PgUp PgDn Home End scroll"
_NO_KEYS: Final = "Ctrl-C quits   (no keys: standard input is no terminal)"


@dataclass
class Table:
    """The table, how far it is scrolled, and its filter.

    Keys are named only where `has_keys`, and go to the filter while `editing` it. Shown rows
    contain the filter, in any case; `top` rows are above the first one in sight.
    """

    client: IPyClient
    pattern: Pattern
    has_keys: bool = True
    filter: str = ""
    editing: bool = False
    top: int = 0
    finished: bool = False
    _page: int = 1
    _last_top: int = 0
    _width: int = 80
    _history: dict[tuple[str, str], dict[str, deque[float]]] = field(default_factory=dict)
    _messages: deque[Text] = field(default_factory=lambda: deque(maxlen=_MAX_MESSAGES))

    def take(self, event: SnoopEvent) -> None:
        if event.message and self.pattern.covers_device(event.devicename):
            self._messages.append(_message_line(event))
        if isinstance(event, defNumberVector | setNumberVector):
            self._note_numbers(event)
        else:
            for names in [names for names in self._history if ends(event, *names)]:
                del self._history[names]

    def _note_numbers(self, event: defNumberVector | setNumberVector) -> None:
        names = (event.devicename, event.vectorname)
        # A report may name anything; the members that the client has are bounded.
        device = self.client.get(names[0])
        members = None if device is None else device.get(names[1])
        if members is None:
            return
        history = self._history.setdefault(names, {})
        for name in history.keys() - members.keys():
            del history[name]
        for name in event.keys() & members.keys():
            numbers = history.setdefault(name, deque(maxlen=_MAX_HISTORY))
            # A property is defined again whenever any client asks for it.
            value = event[name]
            if not is_unknown(value) and (isinstance(event, setNumberVector) or not numbers):
                numbers.append(value)

    def press(self, key: str) -> None:
        if self.editing:
            self._edit(key)
        elif key == "q":
            self.finished = True
        elif key in ("/", "escape"):
            self.editing = key == "/"
            self.filter = ""
        else:
            self._scroll(key)

    def _edit(self, key: str) -> None:
        if key in ("enter", "escape"):
            self.editing = False
            self.filter = self.filter if key == "enter" else ""
        elif key == "backspace":
            self.filter = self.filter[:-1]
        elif len(key) == 1:
            self.filter += key

    def _scroll(self, key: str) -> None:
        page, end = self._page, self._last_top
        up = {"up": 1, "k": 1, "page up": page, "b": page, "home": end, "g": end}
        down = {"down": 1, "j": 1, "page down": page, " ": page, "end": end, "G": end}
        self.top = max(0, min(self.top + down.get(key, 0) - up.get(key, 0), end))

    def _device_rows(self, device: RemoteDevice) -> Iterator[Row]:
        groups: dict[str, list[Row]] = {}
        for vector in device.values():
            rows = self._vector_rows(vector)
            if rows:
                groups.setdefault(vector.group, []).extend(rows)
        if groups:
            yield Row(0, visible(device.name), "bold")
        for group, rows in groups.items():
            yield Row(1, visible(group) or "-", "bold bright_black")
            yield from rows

    def _vector_rows(self, vector: RemoteVector) -> list[Row]:
        if not self.pattern.covers(vector.devicename, vector.name):
            return []
        members = [one for one in vector.members.values() if self._wants(vector, one)]
        style = "bright_black" if vector.stale else ""
        rows = [self._member_row(vector, member, style) for member in members]
        name, time = visible(vector.name), f"{vector.timestamp:%H:%M:%S}"
        if len(rows) == 1:
            row = rows[0]._replace(depth=2, name=f"{name}.{rows[0].name}")
            if cell_len(row.indented) <= max_name_width(self._width):
                return [row._replace(state=vector.state, time=time)]
        return [Row(2, name, style, state=vector.state, time=time), *rows] if rows else []

    def _member_row(self, vector: RemoteVector, member: RemoteMember, style: str) -> Row:
        # Not a text that is equal to a state.
        own_style = STYLES.get(member.value, "") if isinstance(member.value, StrEnum) else ""
        value = Text(visible(member.formatted.strip()), style or own_style)
        history = self._history.get((vector.devicename, vector.name), {})
        is_number = vector.kind is Kind.NUMBER
        trend = sparkline(history.get(member.name, ())) if is_number else None
        return Row(4, visible(member.name), style, value, trend)

    def _wants(self, vector: RemoteVector, member: RemoteMember) -> bool:
        names = f"{vector.devicename}.{vector.name}.{member.name}"
        text = f"{names}\n{vector.label}\n{member.label}\n{vector.group}\n{vector.state}"
        wanted = self.pattern.member.matches(member.name)
        return wanted and self.filter.casefold() in text.casefold()

    def lines(self, width: int, height: int) -> list[Text]:
        self._width = width
        rows = [row for device in self.client.values() for row in self._device_rows(device)]
        messages = list(self._messages)[-max(0, height - 6) :] if height > 6 else []
        self._page = max(1, height - 3 - len(messages))
        self._last_top = max(0, len(rows) - self._page)
        self.top = min(self.top, self._last_top)
        body = draw(rows, slice(self.top, self.top + self._page), width)
        if not rows:
            body.append(
                Text(f"nothing to show yet of {visible(str(self.pattern))}", "bright_black")
            )
        body += [Text()] * (self._page + 1 - len(body))
        lines = [self._title(rows, width), *body, *messages, self._foot()]
        for line in lines:
            line.no_wrap = True
            line.truncate(width, overflow="ellipsis")
        return lines[:height]

    def _title(self, rows: list[Row], width: int) -> Text:
        last = min(len(rows), self.top + self._page)
        title = f" {host_and_port(self.client.host, self.client.port)}"
        if not self.client.connected:
            title += ": not connected, values are old"
        title += f"   lines {min(self.top + 1, last)}-{last} of {len(rows)}"
        if above := _headings_above(rows, self.top):
            title += "   "
            title += _path(above, max(0, width - cell_len(title)))
        line = Text(title, "reverse")
        line.truncate(width, overflow="ellipsis", pad=True)
        return line

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
        if row.depth < depth:
            above.insert(0, row.name)
            depth = row.depth
    return above


def _path(names: list[str], width: int) -> str:
    """Write all headings, or the first and the last, or as much of these as fits."""
    path = " / ".join(names)
    if cell_len(path) <= width:
        return path
    return fit(" / ".join([names[0], *names[1:][-1:]]), width)


def _message_line(event: SnoopEvent) -> Text:
    time = "" if event.timestamp is None else f"{event.timestamp:%H:%M:%S} "
    name = "" if event.devicename is None else f"{visible(event.devicename)}: "
    return Text.assemble((time, "bright_black"), (name, "bold"), visible(event.message))
