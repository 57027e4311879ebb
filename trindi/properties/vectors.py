"""The five kinds of vector: what each holds, sends, and allows a client to ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trindi.errors import ConfigurationError, RefusedError, check_count
from trindi.properties.members import (
    BLOBMember,
    LightMember,
    NumberMember,
    SwitchMember,
    TextMember,
)
from trindi.properties.values import BLOBValue, convert_choice, is_allowed, message_text
from trindi.properties.vector import DEFAULT_GROUP, M, V, Vector
from trindi.protocol import (
    MAX_BLOBS,
    Rule,
    SetVector,
    SizeFormat,
    State,
    SwitchState,
    setBLOBVector,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime


class ValueVector(Vector[M, V]):
    """A vector whose values are state, not data: all but BLOBs."""

    async def send_setVector(
        self,
        message: str = "",
        timestamp: datetime | None = None,
        timeout: float | str | None = None,
        state: str | None = None,
        allvalues: bool = True,
    ) -> None:
        """Send the values, with state and message.

        Never waits for a client. If cancelled, nothing was sent. `allvalues=False` sends only the
        members that changed since they were last sent; if none did, only a given state, timeout or
        message is sent, or nothing. The other arguments and errors are those of `send_defVector`.
        """
        sink = self.sink
        await sink.ready()
        self._update(timeout, state)
        members = list(self._by_name.values())
        if not allvalues:
            members = [member for member in members if member.changed]
        if members or message or state is not None or timeout is not None:
            self._send(sink, members, message, timestamp)
        await sink.yield_if_due()


class SwitchVector(ValueVector[SwitchMember, SwitchState]):
    """Switches, with a rule for how many may be On together.

    Turning one On turns the others Off under ``OneOfMany`` and ``AtMostOne``, but not under
    ``AnyOfMany``. A client shows the `label`, or else the name, under the tab `group`; "" means the
    default. `perm` is ``ro``, ``wo`` or ``rw``; `state` is ``Idle``, ``Ok``, ``Busy`` or ``Alert``.
    ValueError: an illegal value, no members, two members of one name, or too many or few On.
    """

    kind = "Switch"
    _member = SwitchMember

    def __init__(
        self,
        name: str,
        label: str | None = None,
        group: str = DEFAULT_GROUP,
        perm: str = "ro",
        rule: str = "OneOfMany",
        state: str = "Ok",
        switchmembers: Iterable[SwitchMember] = (),
    ) -> None:
        self._rule = convert_choice(Rule, rule, "switch rule")
        super().__init__(name, label, group, perm, state, switchmembers)
        on = sum(member.membervalue is SwitchState.ON for member in self._by_name.values())
        if on > 1 and self._rule is not Rule.ANY_OF_MANY:
            raise ConfigurationError(f"vector {name!r}: {on} switches are On under {rule}")
        self._check_sendable()

    @property
    def rule(self) -> Rule:
        """How many switches may be On together."""
        return self._rule

    def _assign(self, member: SwitchMember, value: SwitchState) -> None:
        super()._assign(member, value)
        if value is SwitchState.ON and self._rule is not Rule.ANY_OF_MANY:
            for other in self._by_name.values():
                if other is not member:
                    other._assign(SwitchState.OFF)

    def _check_sendable(self) -> None:
        if self._rule is Rule.ONE_OF_MANY and SwitchState.ON not in self.values():
            raise ConfigurationError(
                f"vector {self.name!r} has no switch On: OneOfMany wants one, AtMostOne need not"
            )

    def _check_values(self, event: Any) -> None:
        on = [name for name, value in event.items() if value is SwitchState.ON]
        if len(on) > 1 and self._rule is not Rule.ANY_OF_MANY:
            raise RefusedError(f"too many switches are On: {', '.join(on)}")
        if not on and self._rule is Rule.ONE_OF_MANY:
            raise RefusedError("no switch is On: turn another On instead")

    def _converted(self, values: Mapping[str, Any]) -> list[tuple[SwitchMember, Any]]:
        # Those going Off come first.
        return sorted(super()._converted(values), key=lambda item: item[1] == "On")

    def _extra_attributes(self) -> dict[str, Any]:
        return super()._extra_attributes() | {"rule": self._rule}

    def _set_event_of(self, values: Mapping[str, Any], message: str, time: datetime) -> SetVector:
        # Those going Off stand before those On (§3.4).
        off_first = dict(sorted(values.items(), key=lambda item: item[1] is SwitchState.ON))
        return super()._set_event_of(off_first, message, time)


class TextVector(ValueVector[TextMember, str]):
    """Texts; the arguments are those of `SwitchVector` but for `rule`.

    ValueError: texts and labels are together too large to be sent, which is about 1 MB.
    """

    kind = "Text"
    _member = TextMember

    def __init__(
        self,
        name: str,
        label: str | None = None,
        group: str = DEFAULT_GROUP,
        perm: str = "ro",
        state: str = "Ok",
        textmembers: Iterable[TextMember] = (),
    ) -> None:
        super().__init__(name, label, group, perm, state, textmembers)

    def __setitem__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def _converted(self, values: Mapping[str, Any]) -> list[tuple[TextMember, Any]]:
        converted = super()._converted(values)
        self._check_size(self._texts() | {member.name: value for member, value in converted})
        return converted

    def _texts(self) -> dict[str, str]:
        return {name: member.membervalue for name, member in self._by_name.items()}

    def _check_values(self, event: Any) -> None:
        if excess := self._excess(self._texts() | dict(event)):
            raise RefusedError(f"{excess}; use shorter texts")


class NumberVector(ValueVector[NumberMember, float]):
    """Numbers, with limits that clients must keep and the driver need not.

    The arguments are those of `SwitchVector` but for `rule`.
    """

    kind = "Number"
    _member = NumberMember

    def __init__(
        self,
        name: str,
        label: str | None = None,
        group: str = DEFAULT_GROUP,
        perm: str = "ro",
        state: str = "Ok",
        numbermembers: Iterable[NumberMember] = (),
    ) -> None:
        super().__init__(name, label, group, perm, state, numbermembers)

    def _check_values(self, event: Any) -> None:
        for name, value in event.items():
            low, high, _ = self.members[name].limits
            if not is_allowed(value, low, high):
                raise RefusedError(f"{name} {value:g} is not within {low:g} and {high:g}")

    def _set_event_of(self, values: Mapping[str, Any], message: str, time: datetime) -> SetVector:
        known = self._by_name
        limits = {name: known[name].limits for name in values if known[name]._has_unsent_limits}
        return self._set_event(
            self.devicename, self.name, values, self._state, self._timeout, time, message, limits
        )


class LightVector(ValueVector[LightMember, State]):
    """Lights, which clients can only look at.

    The arguments are those of `SwitchVector` but for `perm` and `rule`.
    """

    kind = "Light"
    _member = LightMember

    def __init__(
        self,
        name: str,
        label: str | None = None,
        group: str = DEFAULT_GROUP,
        state: str = "Ok",
        lightmembers: Iterable[LightMember] = (),
    ) -> None:
        super().__init__(name, label, group, "ro", state, lightmembers)

    def _extra_attributes(self) -> dict[str, Any]:
        return {}  # Lights have neither permission nor timeout on the wire.

    def _set_event_of(self, values: Mapping[str, Any], message: str, time: datetime) -> SetVector:
        return self._set_event(self.devicename, self.name, values, self._state, time, message)


class BLOBVector(Vector[BLOBMember, BLOBValue | None]):
    """BLOBs: images and other files.

    There is no `send_setVector`: BLOBs are data, and just those named are sent. The arguments are
    those of `SwitchVector` but for `rule`. A client may upload at most `max_bytes` at once, of all
    members together, decompressed; None means what the server takes. `wait` False is for a stream
    that waits for no client: one that has no room for a frame gets the newest as soon as it has.
    """

    kind = "BLOB"
    _member = BLOBMember

    def __init__(
        self,
        name: str,
        label: str | None = None,
        group: str = DEFAULT_GROUP,
        perm: str = "ro",
        state: str = "Ok",
        blobmembers: Iterable[BLOBMember] = (),
        *,
        max_bytes: int | None = None,
        wait: bool = True,
    ) -> None:
        super().__init__(name, label, group, perm, state, blobmembers)
        check_count("the number of blobmembers", len(self._by_name), 0, MAX_BLOBS)
        self._max_bytes = None if max_bytes is None else check_count("max_bytes", max_bytes, 0)
        self.wait = wait

    def check_upload(self, event: type[Any], membername: str, size: int) -> None:
        self._check_names(event, (membername,))
        if self._max_bytes is not None and size > self._max_bytes:
            raise RefusedError(f"it takes at most {self._max_bytes} bytes")

    def _check_values(self, event: Any) -> None:
        for name in event:
            self.check_upload(type(event), name, sum(map(len, event.values())))

    def status(self, message: str = "") -> SetVector:
        """Make a setBLOBVector event without payloads."""
        text = message_text(message, self._state)
        return self._set_event_of({}, text, self.sink.stamp(None, text))

    def _set_event_of(
        self, values: Mapping[str, bytes], message: str, time: datetime
    ) -> setBLOBVector:
        about = {n: SizeFormat(len(data), self.members[n].blobformat) for n, data in values.items()}
        return setBLOBVector(
            self.devicename, self.name, values, about, self._state, self._timeout, time, message
        )

    async def send_setVectorMembers(
        self,
        message: str = "",
        timestamp: datetime | None = None,
        timeout: float | str | None = None,
        state: str | None = None,
        members: Iterable[str] = (),
    ) -> None:
        """Send the BLOBs of just the named members, with state and message.

        Files are read in a worker thread. Waits until each client that keeps up has room for them:
        at most 5 s, and in the long run at most a tenth of the time. If cancelled, some clients may
        have been sent the frame. KeyError: a name that is no member's. ValueError: a member has no
        value. OSError: a file cannot be read. The other arguments and errors are those of
        `send_defVector`.
        """
        chosen = [self.member(name) for name in members]
        sink = self.sink
        await sink.ready()
        self._update(timeout, state)
        sources = [(member, member.membervalue) for member in chosen]
        values = {member.name: await self._load(member) for member in chosen if self.enabled}
        # It may have been disabled while a file was being read.
        if self.enabled:
            text = message_text(message, self._state)
            event = self._set_event_of(values, text, sink.stamp(timestamp, text))
            await sink.publish_blob(event, wait=self.wait)
            for member, source in sources:
                member.changed = member.membervalue is not source
        await sink.yield_if_due()

    async def _load(self, member: BLOBMember) -> bytes:
        return member._load() if member._is_loaded() else await self.sink.in_thread(member._load)
