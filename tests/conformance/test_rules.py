"""Every rule: who breaks it is found out, and who keeps all of them conforms.

Each case is the plain driver with one thing wrong. A rule without a case could never fail, so the
cases are compared with the table.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import trio
import trio.testing

from tests.kit.conformance import (
    EVERYTHING,
    ClientStream,
    ConformingDriver,
    ConformingServer,
    MemoryPeer,
    check_small,
    findings,
    fragile,
    mangled,
    replaced,
)
from trindi.conformance import GROUPS, RULES, Needs, Verdict, check
from trindi.protocol import (
    Event,
    Message,
    defSwitchVector,
    getProperties,
    newNumberVector,
    newSwitchVector,
    pingRequest,
    setNumberVector,
    setTextVector,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from trindi.errors import ProtocolError

READING = '<defNumberVector device="Simple Device" name="READING"'
INFO = '<setTextVector device="Simple Device" name="DRIVER_INFO"'


# The stream and definitions ----------------------------------------------------------------------


class LabelGrows(ConformingDriver):
    """Its label is another one each time."""

    times = 0

    def form(self, event: Event) -> bytes:
        self.times += 1
        label = f'label="Note {self.times}"'
        return super().form(event).replace(b'label="Note"', label.encode())


class Keys(ConformingDriver):
    """It has read-only switches, of which some are On."""

    state = ("On", "Off")
    defined_state = ("On", "Off")

    def __init__(self, nursery: trio.Nursery) -> None:
        super().__init__(nursery)
        members = dict(zip("XY", self.defined_state, strict=True))
        keys: Any = defSwitchVector
        self.defined["KEYS"] = keys(
            self.device, "KEYS", "Keys", "Main", "Ok", "ro", "OneOfMany", members, members
        )
        self.values["KEYS"] = members

    def report(self, name: str, state: str = "Ok", message: str = "") -> Any:
        report = super().report(name, state, message)
        if name != "KEYS":
            return report
        return replace(report, members=dict(zip("XY", self.state, strict=True)))


class NoKeyDefined(Keys):
    defined_state = ("Off", "Off")


class TwoKeysReported(Keys):
    state = ("On", "On")


class Renamed(ConformingDriver):
    """One of its properties has a dot in its name."""

    def __init__(self, nursery: trio.Nursery) -> None:
        super().__init__(nursery)
        for table in (self.defined, self.values):
            table["LA.MP"] = table.pop("LAMP")
        self.defined["LA.MP"] = replace(self.defined["LA.MP"], vectorname="LA.MP")


class Reordered(ConformingDriver):
    """Its CONNECTION has the switches the other way round."""

    def __init__(self, nursery: trio.Nursery) -> None:
        super().__init__(nursery)
        values = self.values["CONNECTION"]
        self.values["CONNECTION"] = dict(reversed(values.items()))


class LocalTime(ConformingDriver):
    """It takes local time for UTC."""

    def now(self) -> datetime:
        return super().now() + timedelta(hours=2)


class Ahead(ConformingDriver):
    """One of its clocks is fast."""

    def form(self, event: Event) -> bytes:
        if isinstance(event, setTextVector):
            event = replace(event, timestamp=self.now() + timedelta(minutes=2))
        return super().form(event)


# Asking ------------------------------------------------------------------------------------------


class Greets(ConformingDriver):
    def begin(self, client: ClientStream, one_socket: bool) -> None:
        self.say(client, Message(None, "Welcome", self.now()))


class Answers(ConformingDriver):
    """It finds the answer to getProperties in a way of its own."""

    def matching(self, asked: getProperties) -> Iterator[str]:
        if not self.is_odd(asked):
            return super().matching(asked)
        return iter(self.odd(asked))

    def is_odd(self, asked: getProperties) -> bool:
        return True

    def odd(self, asked: getProperties) -> list[str]:
        return list(self.defined)


class DefinesNothing(Answers):
    def odd(self, asked: getProperties) -> list[str]:
        return []


class AnswersOnce(Answers):
    times = 0

    def is_odd(self, asked: getProperties) -> bool:
        self.times += asked == getProperties()
        return self.times > 1 and asked == getProperties()

    def odd(self, asked: getProperties) -> list[str]:
        return list(self.defined)[1:]


class IgnoresDevice(Answers):
    def is_odd(self, asked: getProperties) -> bool:
        return asked.devicename == self.device and asked.vectorname is None

    def odd(self, asked: getProperties) -> list[str]:
        return []


class AnswersAllForOne(Answers):
    def is_odd(self, asked: getProperties) -> bool:
        return asked.devicename == self.device and asked.vectorname in self.defined


class IgnoresStar(Answers):
    def is_odd(self, asked: getProperties) -> bool:
        return asked.devicename == "*"

    def odd(self, asked: getProperties) -> list[str]:
        return []


class AnswersForNobody(Answers):
    def is_odd(self, asked: getProperties) -> bool:
        return asked.devicename not in (None, "*", self.device)


class AnswersForNothing(Answers):
    def is_odd(self, asked: getProperties) -> bool:
        return asked.vectorname not in (None, *self.defined)


class NoPing(ConformingServer):
    def take(self, client: ClientStream, item: Event | ProtocolError) -> None:
        if not isinstance(item, pingRequest):
            super().take(client, item)


# Requests ----------------------------------------------------------------------------------------


class WritesReadOnly(ConformingDriver):
    def read_only(self, found: Any, event: Any) -> str:
        return ""


class NoLimits(ConformingDriver):
    def out_of_range(self, found: Any, event: Any) -> str:
        return ""


class LosesSwitch(ConformingDriver):
    def broken_rule(self, found: Any, event: Any) -> str:
        return super().broken_rule(found, event) if "On" in event.values() else ""


class TwoOn(ConformingDriver):
    def broken_rule(self, found: Any, event: Any) -> str:
        return "" if "On" in event.values() else super().broken_rule(found, event)


class ReadsAnything(ConformingDriver):
    """It reads what cannot be read as another value."""

    text = ""
    name = "TARGET"
    values_read: ClassVar[dict[str, Any]] = {"A": 0.0}

    def take_error(self, client: ClientStream, error: ProtocolError) -> None:
        if error.vectorname == self.name and self.text in error.reason:
            self.values[self.name] |= self.values_read
            self.tell(self.report(self.name))
        else:
            super().take_error(client, error)


class ReadsNoNumber(ReadsAnything):
    text = "abc"


class ReadsNaN(ReadsAnything):
    text = "nan"


class ReadsNoSwitch(ReadsAnything):
    name = "MODE"
    values_read: ClassVar[dict[str, Any]] = {"X": "Off", "Y": "On"}


class AnyKind(ConformingDriver):
    """It takes text for a number, as 0."""

    def take_request(self, client: ClientStream, event: Any) -> None:
        if event.vectorname == "TARGET" and not isinstance(event, newNumberVector):
            event = newNumberVector(self.device, "TARGET", {"A": 0.0})
        super().take_request(client, event)


class FirstValue(ConformingDriver):
    """It looks at values and not at names: any switch that is not On turns the first one Off."""

    def take_request(self, client: ClientStream, event: Any) -> None:
        if event.vectorname == "MODE" and not event.keys() <= self.values["MODE"].keys():
            self.values["MODE"]["X"] = "Off"
        super().take_request(client, event)


class DefinesOnDemand(ConformingDriver):
    def refuse(self, client: ClientStream, name: str, reason: str) -> None:
        if name not in self.defined:
            self.say(client, replace(self.defined["NOTE"], vectorname=name))
        super().refuse(client, name, reason)


class AnswersForOthers(ConformingDriver):
    def take(self, client: ClientStream, item: Event | ProtocolError) -> None:
        super().take(client, item)
        name = getattr(item, "devicename", None)
        if name not in (None, "*", self.device) and not isinstance(item, getProperties):
            self.say(client, replace(self.defined["NOTE"], devicename=name))


class Silent(ConformingDriver):
    def refuse(self, client: ClientStream, name: str, reason: str) -> None:
        """Say nothing."""


class NeverAnswers(ConformingDriver):
    def tell(self, event: Event) -> None:
        if not isinstance(event, setNumberVector):
            super().tell(event)


class WantsAll(ConformingDriver):
    def no_member(self, found: Any, event: Any) -> str:
        missing = found.keys() - event.keys() and not isinstance(event, newSwitchVector)
        return "some are missing" if missing else super().no_member(found, event)


class NoSexagesimal(ConformingDriver):
    def refusal(self, event: Any) -> str:
        if isinstance(event, newNumberVector) and any(":" in text for text in event.text.values()):
            return "no number"
        return super().refusal(event)


# Bad input ---------------------------------------------------------------------------------------


BREAKING = {
    "bad-junk": b"is this INDI",
    "bad-bracket": b"<1 <2>",
    "bad-tags": b"<oneText[^<]*</oneNumber>",
    "bad-attributes": b"x=y/>",
    "bad-comment": b"<!-- a >",
    "bad-doctype": b"<!DOCTYPE",
    "bad-ampersand": b"salt & pepper",
    "bad-unknown": b"<INDI",
    "bad-duplicate": b"device=[^>]* device=[^>]*></newTextVector>",
    "bad-long-attribute": b" x='xxx",
    "bad-many-members": b"'m0'",
    "bad-long-text": b">xxxx",
    "bad-size-missing": b"size='3x'",
    "bad-base64": b"!!!",
    "bad-attached": b"attached='true'",
    "bad-version": b"version='2.0'",
    "bad-nesting": b"<a><a>",
    "bad-end-tag": b"</xxx",
    "bad-size": b"size='abc'",
    "bad-size-negative": b"size='-5'",
    "bad-size-small": b"size='3'",
    "bad-enclen": b"enclen='abc'",
}


# The ends ----------------------------------------------------------------------------------------


class Stays(ConformingDriver):
    """It takes its time to end; more where it is in the middle of an element."""

    when_cut = False

    async def finish(self, client: ClientStream) -> None:
        if bool(client.decoder.held) == self.when_cut:
            await trio.sleep(5)
        await super().finish(client)


class StaysWhenCut(Stays):
    when_cut = True


class Chatty(ConformingDriver):
    def stderr(self) -> trio.abc.ReceiveStream:
        stream = trio.testing.MemoryReceiveStream()
        stream.put_data(b"short\n" + b"long " * 300 + b"\n")
        stream.put_eof()
        return stream


class NotOnSockets(ConformingDriver):
    def begin(self, client: ClientStream, one_socket: bool) -> None:
        if one_socket:
            raise trio.BrokenResourceError


class FirstComesFirst(ConformingServer):
    """Its second client is not told all."""

    def say(self, client: ClientStream, event: Event) -> None:
        second = len(self.clients) > 1 and client is self.clients[1]
        if not second or getattr(event, "vectorname", "") != "LAMP":
            super().say(client, event)


class TellsAll(ConformingServer):
    def say(self, client: ClientStream, event: Event) -> None:
        for each in self.clients:
            super().say(each, event)


class BLOBsForAll(ConformingServer):
    def tell(self, event: Event) -> None:
        for client in self.clients:
            client.blobs = True
        super().tell(event)


class FallsWithOne(ConformingServer):
    """All of its connections end with one that is cut off."""

    async def serve(self, client: ClientStream, peer: MemoryPeer, one_socket: bool) -> None:
        await super().serve(client, peer, one_socket)
        if client.decoder.held:
            for each in self.clients:
                await trio.aclose_forcefully(each.stream)


class HangsUp(ConformingServer):
    """It drops what waits for a client that has closed its half."""

    async def write(self, client: ClientStream) -> None:
        await trio.sleep(0.05)
        await super().write(client)

    async def finish(self, client: ClientStream) -> None:
        raise trio.BrokenResourceError


class FallsUnderQuestions(ConformingServer):
    """All of its connections end when one has asked too often."""

    def take(self, client: ClientStream, item: Event | ProtocolError) -> None:
        super().take(client, item)
        if client.waiting.statistics().current_buffer_used > 3000:
            raise trio.BrokenResourceError

    async def serve(self, client: ClientStream, peer: MemoryPeer, one_socket: bool) -> None:
        await super().serve(client, peer, one_socket)
        if client.waiting.statistics().current_buffer_used > 3000:
            for each in self.clients:
                await trio.aclose_forcefully(each.stream)


# The cases ---------------------------------------------------------------------------------------

CASES: dict[str, type[ConformingDriver]] = {
    "well-formed": replaced(" label=", ' label="again" label=', only=READING),
    "known-elements": replaced("$", "<trindi/>", only=READING),
    "nothing-else": replaced("$", "debug: read 3\n", only=READING),
    "encoding": mangled(lambda data: data.replace(b'label="Note"', b'label="No\xe9"')),
    "lengths": replaced('label="Lamp"', f'label="{"L" * 64}"'),
    "names": Renamed,
    "def-required": replaced(' perm="ro"', "", only=READING),
    "def-legal": replaced('timeout="0"', 'timeout="soon"', only=READING),
    "def-label": replaced(' label="Lamp"', ""),
    "def-members": replaced("(<defNumber .*</defNumber>)", r"\1\1", only=READING),
    "def-number": replaced(' format="%g"', "", only=READING),
    "def-plain": replaced(">3<", ">3:00<", only=READING),
    "def-range": replaced('step="0"', 'step="-1"', only=READING),
    "def-within": replaced('min="0" max="0"', 'min="5" max="9"', only=READING),
    "def-format": replaced('format="%g"', 'format="%d"', only=READING),
    "def-value": replaced(">Idle</defLight>", ">Blue</defLight>"),
    "def-rule": NoKeyDefined,
    "def-same": LabelGrows,
    "std-connection": Reordered,
    "std-driver-info": replaced(">0</defText>", ">camera</defText>"),
    "set-state": replaced(' state="[A-Z][a-z]*"', "", only="<set"),
    "set-legal": replaced(" state=", ' timeout="soon" state=', only="<set"),
    "set-plain": replaced(">1.25<", ">1:15<", only="<set"),
    "set-rule": TwoKeysReported,
    "set-defined": replaced("</set", '<oneText name="MORE">x</oneText></set', only=INFO),
    "set-whole": replaced('<oneText name="DRIVER_NAME">[^<]*</oneText>', "", only=INFO),
    "time-form": replaced('timestamp="([^"]*)"', r'timestamp="\1Z"'),
    "time-utc": LocalTime,
    "blob-size": replaced('size="1024"', 'size="1000"'),
    "blob-format": replaced('format=".bin"', 'format="."'),
    "blob-base64": replaced(">AAEC", ">A!EC"),
    "blob-layout": replaced(">(AAEC.{68})", r">\1\n"),
    "ask-first": Greets,
    "ask-all": DefinesNothing,
    "ask-again": AnswersOnce,
    "ask-device": IgnoresDevice,
    "ask-property": AnswersAllForOne,
    "ask-star": IgnoresStar,
    "ask-nobody": AnswersForNobody,
    "ask-nothing": AnswersForNothing,
    "ping": NoPing,
    "read-only": WritesReadOnly,
    "range": NoLimits,
    "switch-rule": LosesSwitch,
    "bad-number": ReadsNoNumber,
    "bad-switch": ReadsNoSwitch,
    "wrong-kind": AnyKind,
    "no-member": FirstValue,
    "no-property": DefinesOnDemand,
    "no-device": AnswersForOthers,
    "refusal-said": Silent,
    "two-on": TwoOn,
    "not-finite": ReadsNaN,
    "write-answered": NeverAnswers,
    "write-partial": WantsAll,
    "write-sexagesimal": NoSexagesimal,
    **{rule: fragile(pattern) for rule, pattern in BREAKING.items()},
    "eof": Stays,
    "eof-cut": StaysWhenCut,
    "stderr": Chatty,
    "one-socket": NotOnSockets,
    "two-clients": FirstComesFirst,
    "only-asked": TellsAll,
    "blob-gate": BLOBsForAll,
    "cut-off": FallsWithOne,
    "half-close": HangsUp,
    "slow-reader": FallsUnderQuestions,
}
"""For each rule a driver that breaks it."""

BESIDES = {
    "set-state": {"write-answered"},
    "ask-again": {"one-socket"},
    # What is defined at a wish cannot be written.
    "no-property": {"write-answered"},
    "no-device": {"write-answered"},
    "only-asked": {"blob-gate"},
}
"""What is broken thereby, if anything."""


@pytest.mark.parametrize("base", [ConformingDriver, ConformingServer])
async def test_who_keeps_every_rule_conforms(
    base: type[ConformingDriver], nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    report = await check(base(nursery), EVERYTHING)
    assert findings(report) == {}
    assert report.conforms(strict=True)
    missing = {name for name, each in report.outcomes.items() if each.verdict == "n/a"}
    other = Needs.SERVER if base is ConformingDriver else Needs.PROGRAM
    # Standard error is a pipe's; the plain driver has none.
    assert missing == {rule.name for rule in RULES.values() if other in rule.needs} | {"stderr"}


@pytest.mark.parametrize("rule", CASES)
async def test_who_breaks_a_rule_is_found_out(
    rule: str, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    report = await check_small(CASES[rule](nursery), EVERYTHING)
    outcome = report.outcomes[rule]
    assert outcome.verdict in (RULES[rule].breach, Verdict.FAIL), outcome
    assert outcome.seen
    assert findings(report).keys() - BESIDES.get(rule, set()) == {rule}
    assert not report.conforms(strict=True)


def test_there_is_a_case_for_every_rule() -> None:
    assert CASES.keys() == RULES.keys()


def test_the_rules_have_names_of_their_own() -> None:
    assert len(RULES) == sum(len(rules) for rules in GROUPS.values())


def test_every_rule_has_a_source() -> None:
    sections = re.compile(r"§\d+(\.\d+)?( rule \d+)?(, §\d+(\.\d+)?( rule \d+)?)*")
    assert [rule.name for rule in RULES.values() if not sections.fullmatch(rule.source)] == []
