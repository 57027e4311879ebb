"""Checks all that a peer sends, whatever it was asked: each element, and how it fits the others.

Each connection passes its observations here. This module sends nothing, and waits for nothing but
a program's standard error.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

import trio

from trindi.conformance.element_checks import CHECKS
from trindi.conformance.observed import ObservedSnapshot, PropertyKey, key_of, show_key
from trindi.errors import ProtocolError
from trindi.protocol import ELEMENTS, delProperty, parse_timestamp, setBLOBVector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trindi.conformance.report import Findings
    from trindi.conformance.scanner import Observation, RawElement

_VALUE_RULES: Final = frozenset({"def-within", "def-rule", "set-rule", "std-driver-info"})
"""Rules that a value from a client can break."""

_CLIENT_ELEMENTS: Final = ("new", "getProperties", "enableBLOB")

_CLOCK_TOLERANCE: Final = 60.0  # seconds by which a timestamp may be ahead

# A wrong zone shifts times by whole quarters of an hour, at most 14 hours, give or take 10 s.
_QUARTER: Final = 900.0
_MAX_QUARTERS: Final = 14 * 4
_QUARTER_TOLERANCE: Final = 10.0

_STDERR_LINE: Final = 1023  # bytes; at a longer line indiserver closes the pipe (§0 rule 16)


class PassiveChecks:
    """Checks observations as they arrive, and updates the snapshot of the known properties."""

    def __init__(self, findings: Findings, snapshot: ObservedSnapshot, *, of_server: bool) -> None:
        self._findings = findings
        self._snapshot = snapshot
        self._of_server = of_server
        self._ahead: list[float] = []
        self._deferred_key: PropertyKey | None = None
        self._deferred: list[tuple[str, str]] = []
        # Properties that took a request that they had to refuse: that is a finding by itself, and
        # their illegal values are the checker's doing.
        self.excluded: set[PropertyKey] = set()
        self.last_words = ""  # The last line of a program's standard error.
        self.ignore_unknown = False  # Not of unknown elements and junk: a server passes on ours.
        self.deleted = 0  # Devices that were deleted; servers do so when their driver ends.
        self.without_blobs: object = None  # A connection that has not enabled BLOBs.

    def observe(self, source: object, observation: Observation) -> None:
        """Check one observation of the connection `source`."""
        raw, item, junk = observation.raw, observation.item, observation.junk
        if self._may_be_ours(raw):
            return
        self._findings.record("nothing-else", f"there is {junk[:60]!r}" if junk else "")
        if raw is None:
            if isinstance(item, ProtocolError):
                self._findings.record("well-formed", str(item))
            return
        unknown = raw.name not in ELEMENTS
        self._findings.record("known-elements", f"there is a <{raw.name}>" if unknown else "")
        if unknown:
            return
        self._check_form(raw, item, broken=self._check_element(raw))
        for rule, fault in self._snapshot.observe(observation):
            self._record(rule, fault, key_of(item))
        if isinstance(item, delProperty) and item.vectorname is None:
            self.deleted += 1
        said = parse_timestamp(raw.attributes.get("timestamp", ""))
        if said is not None:
            self._ahead.append((said - observation.when).total_seconds())
        if self.without_blobs is not None and isinstance(item, setBLOBVector):
            fault = f"{show_key(key_of(item))} came unasked for"
            self._findings.record("blob-gate", fault if source is self.without_blobs else "")

    def _may_be_ours(self, raw: RawElement | None) -> bool:
        """Whether a client may have sent it: a server passes that on to other clients (§5.2)."""
        if raw is not None and raw.name in ELEMENTS:
            return self._of_server and raw.name.startswith(_CLIENT_ELEMENTS)
        return self.ignore_unknown

    def _check_element(self, raw: RawElement) -> bool:
        """Check the rules for one element; return whether it breaks one."""
        broken = False
        key = (raw.attributes.get("device", ""), raw.attributes.get("name", ""))
        for check in CHECKS:
            if check.applies(raw):
                faults = list(check.faults(raw))
                broken = broken or bool(faults)
                for fault in faults or [""]:
                    self._record(check.rule, fault, key)
        return broken

    def _check_form(self, raw: RawElement, item: object, *, broken: bool) -> None:
        fault = ""
        if raw.repeated:
            fault = f"{raw.address} has the attribute {raw.repeated[0]} twice"
        elif isinstance(item, ProtocolError) and not broken:
            # A broken rule of its own already explains the error.
            fault = f"{raw.address}: {item.reason}"
        self._findings.record("well-formed", fault)

    @contextmanager
    def deferring_values(self, key: PropertyKey) -> Iterator[None]:
        """Defer the value rules of a property until it is known whether a request spoiled them."""
        self._deferred_key = key
        try:
            yield
        finally:
            deferred, self._deferred, self._deferred_key = self._deferred, [], None
            for rule, fault in deferred:
                self._record(rule, fault, key)

    def _record(self, rule: str, fault: str, key: PropertyKey) -> None:
        if rule in _VALUE_RULES and key in self.excluded:
            return
        if rule in _VALUE_RULES and key == self._deferred_key:
            self._deferred.append((rule, fault))
        else:
            self._findings.record(rule, fault)

    def check_times(self) -> None:
        """Check all timestamps together: values may be old, but none may be from the future."""
        if not self._ahead:
            return
        nearest, most = min(self._ahead, key=abs), max(self._ahead)
        fault = ""
        if _is_zone_offset(nearest):
            fault = f"all are off, by {_duration(nearest)} at least: is it local time?"
        elif most > _CLOCK_TOLERANCE:
            fault = f"one is {_duration(most)} ahead: it is from the future"
        self._findings.record("time-utc", fault)
        self._findings.remark("time-utc", f"the nearest to now is off by {_duration(nearest)}")

    async def read_stderr(self, stream: trio.abc.ReceiveStream) -> None:
        """Read standard error to its end: a full pipe would block the program."""
        line = b""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while data := await stream.receive_some(65536):
                *lines, line = (line + bytes(data)).split(b"\n")
                for each in lines:
                    self._check_stderr(each)
                line = line[: _STDERR_LINE + 1]
        self._check_stderr(line)

    def _check_stderr(self, line: bytes) -> None:
        text = line.decode(errors="replace").strip()
        too_long = len(line) > _STDERR_LINE
        fault = f"a line of {len(line)} bytes or more: {text[:40]!r}…" if too_long else ""
        self._findings.record("stderr", fault)
        self.last_words = text[:200] or self.last_words


def _is_zone_offset(seconds: float) -> bool:
    quarters = round(seconds / _QUARTER)
    remainder = abs(seconds - quarters * _QUARTER)
    return 0 < abs(quarters) <= _MAX_QUARTERS and remainder <= _QUARTER_TOLERANCE


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(abs(seconds)), 60)
    clock = f"{'-' if seconds < 0 else ''}{minutes // 60}:{minutes % 60:02}:{rest:02}"
    return clock if minutes else f"{seconds:.1f} s"
