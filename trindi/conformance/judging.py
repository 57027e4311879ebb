"""Judges all that a peer says, whatever it was asked: each element, and how it fits the others.

Every link tells it of what it sees. This module asks nothing, and waits for nothing but a program's
standard error.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import trio

from trindi.conformance.elements import CHECKS, applies
from trindi.conformance.picture import place_of
from trindi.errors import ProtocolError
from trindi.protocol import ELEMENTS, delProperty, parse_timestamp, setBLOBVector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trindi.conformance.link import Link
    from trindi.conformance.picture import Picture, Place
    from trindi.conformance.report import Ledger
    from trindi.conformance.wire import Raw, Seen

__all__ = ["Judge"]

_OF_VALUES: Final = frozenset({"def-within", "def-rule", "set-rule", "std-driver-info"})
"""Rules that are broken by values which a driver may have from a client."""

_OF_CLIENTS: Final = ("new", "getProperties", "enableBLOB")

_NEAR: Final = 60.0
"""Seconds by which a timestamp may be ahead; clocks differ."""

_QUARTER: Final = 900.0

_ZONES: Final = 14 * 4
"""Quarters of an hour by which a zone differs from UTC at most."""

_TO_A_QUARTER: Final = 10.0
"""Seconds by which local time may miss a quarter; what misses it by more is just an old value."""

_STDERR_LINE: Final = 1023
"""Bytes of a line on standard error, after which indiserver closes the pipe (§0 rule 16)."""


class Judge:
    """Judges what is seen.

    Args:
        ledger: is told.
        picture: what is known; what is seen is put into it.
        of_server: it is a server that is checked.

    Attributes:
        last_words: the last line of a program's standard error.
        echoes: what we send may come back, broken as it is.
        deleted: how often a whole device was deleted; a server says so of a driver that has ended.
        without_blobs: a link that has asked for everything, but not for BLOBs.
    """

    def __init__(self, ledger: Ledger, picture: Picture, *, of_server: bool) -> None:
        self._ledger = ledger
        self._picture = picture
        self._of_server = of_server
        self._ahead: list[float] = []
        self._tried: Place | None = None
        self._held: list[tuple[str, str]] = []
        self._spoiled: set[Place] = set()
        self.last_words = ""
        self.echoes = False
        self.deleted = 0
        self.without_blobs: Link | None = None

    # Elements ----------------------------------------------------------------------------------

    def see(self, link: Link, seen: Seen) -> None:
        """Judge one thing that was seen."""
        if self._is_echo(seen):
            return
        self._ledger.judge("nothing-else", f"there is {seen.junk[:60]!r}" if seen.junk else "")
        if seen.raw is None:
            if isinstance(seen.item, ProtocolError):
                self._ledger.judge("well-formed", str(seen.item))
            return
        unknown = seen.raw.name not in ELEMENTS
        self._ledger.judge("known-elements", f"there is a <{seen.raw.name}>" if unknown else "")
        if unknown:
            return
        self._judge_form(seen.raw, seen.item, broken=self._judge_element(seen.raw))
        for rule, fault in self._picture.take(seen):
            self._judge(rule, fault, place_of(seen.item))
        if isinstance(seen.item, delProperty) and seen.item.vectorname is None:
            self.deleted += 1
        self._note_time(seen)
        self._judge_blobs(link, seen)

    def _is_echo(self, seen: Seen) -> bool:
        """Whether a client may have said it: a server hands that to its other clients (§5.2)."""
        name = seen.raw.name if seen.raw is not None else ""
        if name in ELEMENTS:
            return self._of_server and name.startswith(_OF_CLIENTS)
        return self.echoes

    def _judge_element(self, raw: Raw) -> bool:
        """Check the rules for one element; returns whether it breaks one."""
        broken = False
        place = (raw.attributes.get("device", ""), raw.attributes.get("name", ""))
        for check in CHECKS:
            if not applies(check, raw):
                continue
            faults = list(check.faults(raw))
            broken = broken or bool(faults)
            for fault in faults or [""]:
                self._judge(check.rule, fault, place)
        return broken

    def _judge_form(self, raw: Raw, item: object, *, broken: bool) -> None:
        fault = ""
        if raw.repeated:
            fault = f"{raw.place} has the attribute {raw.repeated[0]} twice"
        elif isinstance(item, ProtocolError) and not broken:
            # Where a rule of its own is broken, that says what is wrong.
            fault = f"{raw.place}: {item.reason}"
        self._ledger.judge("well-formed", fault)

    def _judge_blobs(self, link: Link, seen: Seen) -> None:
        """A BLOB for one who asked shows whether others are spared."""
        if self.without_blobs is None or not isinstance(seen.item, setBLOBVector):
            return
        unasked = link is self.without_blobs
        place = f"{seen.item.devicename}.{seen.item.vectorname}"
        self._ledger.judge("blob-gate", f"{place} came unasked for" if unasked else "")

    # What the checker has done -----------------------------------------------------------------

    @contextmanager
    def trying(self, place: Place) -> Iterator[None]:
        """Try something on a property, and judge its values only once it has not been spoiled."""
        self._tried = place
        try:
            yield
        finally:
            held, self._held, self._tried = self._held, [], None
            for rule, fault in held:
                self._judge(rule, fault, place)

    def spoil(self, place: Place) -> None:
        """Judge the values of a property no more: it has taken what had to be refused.

        That is a finding by itself; what follows of it is what the checker has done.
        """
        self._spoiled.add(place)

    def _judge(self, rule: str, fault: str, place: Place) -> None:
        """Judge what was said of a property, unless it may not be to blame for it."""
        if rule not in _OF_VALUES or place not in {self._tried, *self._spoiled}:
            self._ledger.judge(rule, fault)
        elif place not in self._spoiled:
            self._held.append((rule, fault))

    # Times -------------------------------------------------------------------------------------

    def _note_time(self, seen: Seen) -> None:
        assert seen.raw is not None
        said = parse_timestamp(seen.raw.attributes.get("timestamp", ""))
        if said is not None:
            self._ahead.append((said - seen.when).total_seconds())

    def judge_times(self) -> None:
        """Judge all timestamps together: values may be old, but none is from the future."""
        if not self._ahead:
            return
        nearest, most = min(self._ahead, key=abs), max(self._ahead)
        fault = ""
        if _is_of_a_zone(nearest):
            fault = f"all are off, by {_span(nearest)} at least: is it local time?"
        elif most > _NEAR:
            fault = f"one is {_span(most)} ahead: it is from the future"
        self._ledger.judge("time-utc", fault)
        self._ledger.remark("time-utc", f"the nearest to now is off by {_span(nearest)}")

    # Standard error ----------------------------------------------------------------------------

    async def read_stderr(self, stream: trio.abc.ReceiveStream) -> None:
        """Read a program's standard error to its end: left unread it would hold the program up."""
        line = b""
        try:
            while data := await stream.receive_some(65536):
                *lines, line = (line + bytes(data)).split(b"\n")
                for each in lines:
                    self._judge_line(each)
                # No more is needed to know that it is too long.
                line = line[: _STDERR_LINE + 1]
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        self._judge_line(line)

    def _judge_line(self, line: bytes) -> None:
        text = line.decode(errors="replace").strip()
        too_long = len(line) > _STDERR_LINE
        fault = f"a line of {len(line)} bytes or more: {text[:40]!r}…" if too_long else ""
        self._ledger.judge("stderr", fault)
        self.last_words = text[:200] or self.last_words


def _is_of_a_zone(seconds: float) -> bool:
    """Whether local time may be off by so much: zones differ by whole quarters of an hour."""
    quarters = round(seconds / _QUARTER)
    return 0 < abs(quarters) <= _ZONES and abs(seconds - quarters * _QUARTER) <= _TO_A_QUARTER


def _span(seconds: float) -> str:
    """Show a span of time, in one unit or two."""
    minutes, rest = divmod(round(abs(seconds)), 60)
    if not minutes:
        return f"{seconds:.1f} s"
    hours, minutes = divmod(minutes, 60)
    return f"{'-' if seconds < 0 else ''}{hours}:{minutes:02}:{rest:02}"
