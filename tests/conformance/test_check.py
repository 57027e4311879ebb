"""A check as a whole: what it leaves alone, and drivers that end, hang, or take their time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from tests.kit.conformance import (
    SHOOT,
    ClientStream,
    ConformingDriver,
    ConformingServer,
    MemoryPeer,
    check_small,
    definitions,
    findings,
    fragile,
)
from trindi.conformance import (
    GROUPS,
    RULES,
    Options,
    Peer,
    Setting,
    SettingError,
    UnreachableError,
    Verdict,
    check,
    split_setting,
)
from trindi.conformance.observed import UNKNOWN_NAME
from trindi.protocol import (
    Event,
    Limits,
    NewVector,
    delProperty,
    getProperties,
    newNumberVector,
    pingReply,
    pingRequest,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trindi.conformance import Report
    from trindi.errors import ProtocolError

HOSTILE = Options(hostile=True)


def seen(report: Report, rule: str) -> str:
    return " | ".join(report.outcomes[rule].seen)


# What it leaves alone ----------------------------------------------------------------------------


class Noting(ConformingDriver):
    """It notes every request, and takes all that can be taken."""

    def __init__(self, nursery: trio.Nursery) -> None:
        super().__init__(nursery)
        self.requests: list[Any] = []

    def take_request(self, client: ClientStream, event: Any) -> None:
        self.requests.append(event)
        super().take_request(client, event)


class NotingServer(Noting):
    kind = "server"


@pytest.mark.parametrize("base", [Noting, NotingServer])
@pytest.mark.parametrize("options", [Options(), HOSTILE])
async def test_no_request_is_one_that_a_driver_would_take(
    base: type[Noting],
    options: Options,
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
) -> None:
    driver = base(nursery)
    before = {name: dict(values) for name, values in driver.values.items()}
    report = await check_small(driver, options)
    assert report.conforms()
    # A BLOB of another size than it says is taken for what it is (§9).
    taken = [event for event in driver.asked if not options.hostile or event.vectorname != "UPLOAD"]
    assert taken == []
    assert driver.values == before


async def test_to_a_server_nothing_is_sent_that_could_move_anything(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    driver = NotingServer(nursery)
    await check_small(driver)
    requests = [event for event in driver.requests if event.vectorname in driver.defined]
    writable = [
        event
        for event in requests
        if driver.defined[event.vectorname].perm == "rw"
        and not driver.wrong_kind(driver.defined[event.vectorname], event)
    ]
    # All that can be read, is of the right kind, and is about what may be written, would move it.
    assert writable == []
    assert requests != []


@pytest.mark.parametrize("base", [Noting, NotingServer])
async def test_with_write_the_values_stay_as_they_are(
    base: type[Noting], nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    driver = base(nursery)
    before = {name: dict(values) for name, values in driver.values.items()}
    report = await check_small(driver, Options(write=True))
    assert findings(report) == {}
    assert {event.vectorname for event in driver.asked} == {"CONNECTION", "TARGET", "NOTE", "MODE"}
    assert driver.values == before


class DefinesNoteAgain(Noting):
    """Where it moves, it has another note: and says so only after the answer."""

    def obey(self, event: Any) -> None:
        if event.vectorname == "NOTE":
            assert event["T"] == self.values["NOTE"]["T"], "it is as it is now"
        super().obey(event)
        if event.vectorname == "TARGET":
            self.nursery.start_soon(self.note)

    async def note(self) -> None:
        await trio.sleep(0.1)
        self.values["NOTE"]["T"] += "!"
        self.defined["NOTE"] = self.definition("NOTE")
        self.tell(self.defined["NOTE"])

    async def read(self, client: ClientStream) -> None:
        async for data in client.stream:
            # One thing after another: what it has been asked before, it has done by now.
            await trio.sleep(0.2)
            for item in client.decoder.feed_all(bytes(data)):
                self.take(client, item)


@pytest.mark.parametrize("order", [1, -1])
async def test_what_is_defined_again_is_written_as_it_is_then(
    order: int, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    driver = DefinesNoteAgain(nursery)
    driver.defined = dict(list(driver.defined.items())[::order])
    report = await check_small(driver, Options(write=True))
    assert findings(report) == {}
    assert driver.values["NOTE"]["T"] == "some!!!"
    written = [event["T"] for event in driver.asked if event.vectorname == "NOTE"]
    assert written == ["some!!!" if order == 1 else "some"] * 2


class LosesNote(DefinesNoteAgain):
    """Where it moves, it has no note any more."""

    async def note(self) -> None:
        await trio.sleep(0.1)
        if self.defined.pop("NOTE", None):
            gone = delProperty(self.device, "NOTE")
            self.tell(gone)


class HidesNote(DefinesNoteAgain):
    """Where it has moved, it does not say any more what its note is."""

    hidden = False

    async def note(self) -> None:
        await trio.lowlevel.checkpoint()
        self.hidden = True

    def matching(self, asked: getProperties) -> Iterator[str]:
        for name in super().matching(asked):
            if name != "NOTE" or not self.hidden:
                yield name


@pytest.mark.parametrize(
    ("base", "expected"), [(LosesNote, {}), (HidesNote, {"write-answered": Verdict.FAIL})]
)
async def test_what_cannot_be_asked_for_any_more_is_not_written(
    base: type[DefinesNoteAgain],
    expected: dict[str, Verdict],
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
) -> None:
    driver = base(nursery)
    report = await check_small(driver, Options(write=True))
    # Asked for on one socket, it is not there either; that is another matter.
    broken = {rule: verdict for rule, verdict in findings(report).items() if rule != "one-socket"}
    assert broken == expected
    if expected:
        fault = "NOTE with T, U: it was asked for its values first: it does not answer"
        assert fault in seen(report, "write-answered")
    names = [event.vectorname for event in driver.asked]
    assert "TARGET" in names
    assert "NOTE" not in names


class Narrows(ConformingDriver):
    """Its limits narrow with each request that it refuses."""

    def __init__(self, nursery: trio.Nursery) -> None:
        super().__init__(nursery)
        self.beyond: list[tuple[float, float]] = []

    def out_of_range(self, found: Any, event: Any) -> str:
        reason = super().out_of_range(found, event)
        if reason:
            limits = found.memberlabels["A"]
            self.beyond.append((event["A"], limits.max))
            narrow = limits._replace(min=limits.min + 1, max=limits.max - 1)
            labels = {**found.memberlabels, "A": narrow}
            self.defined["TARGET"] = replace(found, memberlabels=labels)
        return reason


async def test_limits_are_those_of_the_last_definition(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    driver = Narrows(nursery)
    assert findings(await check_small(driver)) == {}
    assert driver.beyond == [(10.5, 10), (0.5, 9)]


class TakesAll(ConformingDriver):
    def read_only(self, found: Any, event: Any) -> str:
        return ""

    def out_of_range(self, found: Any, event: Any) -> str:
        return ""


async def test_what_is_taken_once_is_not_tried_again(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    driver = TakesAll(nursery)
    report = await check_small(driver, HOSTILE)
    taken = "A 10.5, where the limit is 10, was taken: A became 10.5"
    assert taken in seen(report, "range")
    out = [event for event in driver.asked if event.vectorname == "TARGET" and event["A"] > 10]
    assert len(out) == 1
    assert not any(event.get("A", 0) < 0 for event in driver.asked)


class ReportsWiderLimits(TakesAll):
    """Behind each definition it reports limits that are wider than the defined ones."""

    def take(self, client: ClientStream, item: Event | ProtocolError) -> None:
        super().take(client, item)
        if isinstance(item, getProperties):
            limits = {"A": Limits(0, 1000, 1)}
            self.say(client, replace(self.report("TARGET"), limits=limits))


async def test_limits_are_those_of_the_definition_not_of_a_report(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    report = await check_small(ReportsWiderLimits(nursery))
    taken = "A 10.5, where the limit is 10, was taken: A became 10.5"
    assert taken in seen(report, "range")


class TakesRounded(TakesAll):
    """It takes whole numbers only."""

    def obey(self, event: Any) -> None:
        if isinstance(event, newNumberVector):
            event = replace(event, members={name: int(value) for name, value in event.items()})
        super().obey(event)


async def test_what_is_taken_and_rounded_is_found(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    driver = TakesRounded(nursery)
    label = driver.defined["TARGET"].memberlabels["A"]
    labels = {**driver.defined["TARGET"].memberlabels, "A": label._replace(step=1.5)}
    driver.defined["TARGET"] = replace(driver.defined["TARGET"], memberlabels=labels)
    report = await check_small(driver)
    assert "A 11.5, where the limit is 10, was taken: A became 11" in seen(report, "range")
    # What follows of it is no finding of its own.
    assert report.outcomes["def-within"].verdict is Verdict.PASS


class IsBeyond(TakesAll):
    """It is over its limits already."""

    def __init__(self, nursery: trio.Nursery) -> None:
        super().__init__(nursery)
        self.values["TARGET"]["A"] = 20.0


async def test_what_is_beyond_its_limits_already_can_be_taken_too(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    report = await check_small(IsBeyond(nursery))
    assert "A 10.5, where the limit is 10, was taken: A became 10.5" in seen(report, "range")
    assert "A is 20, and its limits are 0 and 10" in seen(report, "def-within")


# Drivers that end ---------------------------------------------------------------------------------


class EndsOn(ConformingDriver):
    """It ends when something comes."""

    starts = 0

    def begin(self, client: ClientStream, one_socket: bool) -> None:
        self.starts += 1

    def take(self, client: ClientStream, item: Event | ProtocolError) -> None:
        if self.is_too_much(item):
            raise trio.BrokenResourceError
        super().take(client, item)

    def is_too_much(self, item: Any) -> bool:
        raise NotImplementedError


class EndsOnReading(EndsOn):
    def is_too_much(self, item: Any) -> bool:
        return getattr(item, "vectorname", "") == "READING" and isinstance(item, NewVector)


async def test_a_driver_that_ends_is_started_again(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    driver = EndsOnReading(nursery)
    report = await check_small(driver)
    assert findings(report) == {"read-only": Verdict.FAIL}
    assert seen(report, "read-only") == "Simple Device.READING: writing it: it ended"
    # What comes after it is checked all the same.
    assert report.outcomes["wrong-kind"].verdict is Verdict.PASS
    assert driver.starts == 4


class EndsWhenAskedByName(EndsOn):
    def is_too_much(self, item: Any) -> bool:
        return isinstance(item, getProperties) and item.vectorname is not None


async def test_a_driver_that_ends_when_asked_by_name_is_asked_for_all(
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
) -> None:
    report = await check_small(EndsWhenAskedByName(nursery))
    assert "it ended" in seen(report, "ask-property")
    # A question for a name that there is not ends it, too.
    assert findings(report).keys() == {"ask-property", "ask-nothing"}
    assert report.outcomes["read-only"].verdict is Verdict.PASS


class IgnoresNames(ConformingDriver):
    def matching(self, asked: getProperties) -> Iterator[str]:
        return iter(()) if asked.vectorname else super().matching(asked)


async def test_a_driver_that_ignores_names_is_asked_for_all(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    report = await check_small(IgnoresNames(nursery))
    assert findings(report) == {"ask-property": Verdict.FAIL}
    assert "it does not answer" in seen(report, "ask-property")


class IgnoresTheNameOfLamp(ConformingDriver):
    def matching(self, asked: getProperties) -> Iterator[str]:
        return iter(()) if asked.vectorname == "LAMP" else super().matching(asked)


async def test_a_driver_that_ignores_one_name_is_asked_for_all_instead(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    report = await check_small(IgnoresTheNameOfLamp(nursery))
    assert findings(report) == {"ask-property": Verdict.FAIL}
    assert seen(report, "ask-property") == "Simple Device.LAMP was asked for: it does not answer"
    # As many as there are properties, and once more alone.
    assert report.outcomes["ask-property"].checked == 12


class Renames(ConformingDriver):
    """It has another device at some time."""

    def rename(self) -> None:
        old, self.device = self.device, "Other Device"
        self.defined = {each.vectorname: each for each in definitions(self.device)}
        for client in self.clients:
            client.queue.send_nowait(b'<delProperty device="%s"/>' % old.encode())
            for name in self.defined:
                self.say(client, self.definition(name))


class RenamesWhenAsked(Renames):
    def matching(self, asked: getProperties) -> Iterator[str]:
        if asked.devicename == "Simple Device" and asked.vectorname is None:
            self.rename()
        return super().matching(asked)


async def test_a_device_that_goes_while_it_is_asked_ends_no_check(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    report = await check_small(RenamesWhenAsked(nursery))
    assert report.ended == ""
    # With one socket it is what it was at first no more.
    assert findings(report).keys() == {"ask-device", "one-socket"}
    assert report.outcomes["eof"].verdict is Verdict.PASS


class DeletesWhenAsked(RenamesWhenAsked):
    def rename(self) -> None:
        self.defined = {}
        self.tell(delProperty(self.device))


async def test_where_the_last_device_goes_there_is_nothing_left_to_check(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    report = await check_small(DeletesWhenAsked(nursery))
    assert report.ended == "there is no property that can be read"


class EndsOnAForeignRequest(EndsOn, Renames):
    """It ends on the first one, and has another device from then on."""

    def is_too_much(self, item: Any) -> bool:
        is_foreign = getattr(item, "vectorname", "") == UNKNOWN_NAME and isinstance(item, NewVector)
        return is_foreign and self.starts == 1

    def begin(self, client: ClientStream, one_socket: bool) -> None:
        super().begin(client, one_socket)
        if self.starts == 2:
            self.rename()


class RestartsOnAForeignRequest(Renames):
    """A server whose driver ends on the first one, and which has another one then."""

    kind = "server"

    def take(self, client: ClientStream, item: Event | ProtocolError) -> None:
        is_foreign = getattr(item, "vectorname", "") == UNKNOWN_NAME and isinstance(item, NewVector)
        if is_foreign and self.device == "Simple Device":
            self.rename()
        else:
            super().take(client, item)


@pytest.mark.parametrize(
    ("driver", "fate"),
    [
        (EndsOnAForeignRequest, "it ended"),
        (RestartsOnAForeignRequest, "a driver behind it has ended: its device was deleted"),
    ],
)
async def test_a_device_that_goes_over_a_foreign_request_is_not_tried_again(
    driver: type[ConformingDriver],
    fate: str,
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
) -> None:
    report = await check_small(driver(nursery))
    assert report.ended == ""
    # A program that has another device later is not what it was with one socket.
    assert findings(report).keys() - {"one-socket"} == {"no-property"}
    place = "Simple Device.CONNECTION: Simple Device.TRINDI_CHECK_NOTHING"
    assert seen(report, "no-property") == f"{place}: {fate}"
    # The device is not there any more, and the new one was not there before.
    assert report.outcomes["no-device"].verdict is Verdict.NOT_APPLICABLE


class DiesForGood(EndsOnReading):
    """Then it cannot be started any more."""

    async def connect(self, *, one_socket: bool = False) -> Peer:
        if self.starts:
            raise UnreachableError("cannot start it")
        return await super().connect(one_socket=one_socket)


async def test_a_driver_that_cannot_be_started_again_ends_the_check(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    report = await check_small(DiesForGood(nursery))
    assert findings(report) == {"read-only": Verdict.FAIL}
    assert seen(report, "wrong-kind") == "not checked: cannot start it"
    assert seen(report, "eof") == "not checked: cannot start it"
    assert report.devices["Simple Device"]


class ForgetsAll(EndsOnReading):
    """When it is started again, it defines nothing."""

    def matching(self, asked: getProperties) -> Iterator[str]:
        return super().matching(asked) if self.starts == 1 else iter(())


async def test_a_driver_that_defines_nothing_any_more_ends_the_check(
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
) -> None:
    report = await check_small(ForgetsAll(nursery))
    assert findings(report) == {"read-only": Verdict.FAIL}
    assert seen(report, "eof") == "not checked: it defines nothing any more"


class DeletesAll(ConformingDriver):
    """It deletes its device when it is asked too much."""

    def refuse(self, client: ClientStream, name: str, reason: str) -> None:
        super().refuse(client, name, reason)
        if name == "UPLOAD":
            client.queue.send_nowait(b'<delProperty device="Simple Device"/>')
            self.defined.clear()


async def test_a_driver_without_properties_ends_the_check(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    report = await check_small(DeletesAll(nursery))
    assert "not checked" in seen(report, "eof")


class EndsAtOnce(ConformingDriver):
    def begin(self, client: ClientStream, one_socket: bool) -> None:
        raise trio.BrokenResourceError

    def stderr(self) -> trio.abc.ReceiveStream:
        stream = trio.testing.MemoryReceiveStream()
        stream.put_data(b"Traceback:\nNameError: name 'x' is not defined\n")
        stream.put_eof()
        return stream


async def test_a_program_that_is_no_driver(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    report = await check_small(EndsAtOnce(nursery))
    assert seen(report, "ask-all") == (
        "nothing was defined: it ended, and said: NameError: name 'x' is not defined"
    )
    assert report.devices == {}
    assert not report.conforms()


class Silent(ConformingDriver):
    """It takes connections, and says nothing."""

    def say(self, client: ClientStream, event: Event) -> None:
        pass


class SilentServer(Silent):
    kind = "server"


class OnlyChats(SilentServer):
    """It says something, but not what it is asked for."""

    def say(self, client: ClientStream, event: Event) -> None:
        client.queue.send_nowait(b"<message message='hello'/>")


@pytest.mark.parametrize(
    ("driver", "seconds"), [(SilentServer, 3), (OnlyChats, 3), (Silent, 15)], ids=str
)
async def test_a_peer_that_defines_nothing_is_asked_once(
    driver: type[Silent],
    seconds: float,
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
) -> None:
    start = trio.current_time()
    report = await check_small(driver(nursery), Options(timeout=3))
    # A server is there, and a program has to start first.
    assert trio.current_time() - start < seconds + 1
    assert seen(report, "ask-all") == f"nothing was defined: it has not answered for {seconds} s"
    assert report.ended == "nothing was defined"
    assert seen(report, "read-only") == "not checked: nothing was defined"
    # Who says nothing at all keeps no rule by that.
    early = Verdict.PASS if driver is OnlyChats else Verdict.NOT_APPLICABLE
    assert report.outcomes["ask-first"].verdict is early


async def test_more_patience_is_for_programs_too(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    report = await check_small(Silent(nursery), Options(timeout=60))
    assert seen(report, "ask-all").endswith("for 60 s")


class Nowhere(ConformingDriver):
    async def connect(self, *, one_socket: bool = False) -> Peer:
        raise UnreachableError("there is nothing")


async def test_there_is_nothing_to_check(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    with pytest.raises(UnreachableError, match="there is nothing"):
        await check_small(Nowhere(nursery))


class OnlyOne(ConformingServer):
    """It takes two connections, and no more."""

    async def connect(self, *, one_socket: bool = False) -> Peer:
        if len(self.clients) == 2:
            raise UnreachableError("too many")
        return await super().connect(one_socket=one_socket)


async def test_a_server_that_takes_no_further_connection(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    report = await check_small(OnlyOne(nursery))
    assert findings(report) == {"two-clients": Verdict.FAIL}
    assert seen(report, "ask-star") == "not checked: too many"


# What is told meanwhile --------------------------------------------------------------------------


@pytest.mark.parametrize("base", [ConformingDriver, ConformingServer])
async def test_each_rule_that_takes_time_is_told_as_it_begins(
    base: type[ConformingDriver],
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
) -> None:
    told: dict[str, str] = {}
    options = Options(write=True, hostile=True, settings=(SHOOT,))

    def tell(heading: str, what: str) -> None:
        told[what] = heading

    report = await check(base(nursery), options, tell)
    (first, what), *rest = [(heading, what) for what, heading in told.items()]
    assert (first, what) == ("Connecting" if base is ConformingServer else "Starting", "simple")
    assert ("Setting", SHOOT) in rest
    rest.remove(("Setting", SHOOT))
    assert all(RULES[rule] in GROUPS[heading] for heading, rule in rest)
    # All that is asked and tried; what is judged by the way is not told of.
    asked = [
        *("Asking for definitions", "Requests that must be refused"),
        *("Requests that must be taken", "Bad input that must be survived"),
        *("A driver as a program", "A server"),
    ]
    silent = {"stderr", "blob-gate", "refusal-said"}
    expected = {
        rule.name
        for heading in asked
        for rule in GROUPS[heading]
        if report.outcomes[rule.name].checked and rule.name not in silent
    }
    assert {rule for _heading, rule in rest} == expected
    assert report.ended == ""


# Drivers that hang -------------------------------------------------------------------------------


class Hangs(ConformingDriver):
    """It hangs when something comes, with what it has to say."""

    async def read(self, client: ClientStream) -> None:
        async for data in client.stream:
            for item in client.decoder.feed_all(bytes(data)):
                if getattr(item, "vectorname", "") == "READING" and isinstance(item, NewVector):
                    await trio.sleep_forever()
                self.take(client, item)

    async def serve(self, client: ClientStream, peer: MemoryPeer, one_socket: bool) -> None:
        with trio.CancelScope() as scope:
            peer.kill = scope.cancel
            await super().serve(client, peer, one_socket)


async def test_a_driver_that_hangs_is_killed_and_started_again(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    report = await check_small(Hangs(nursery))
    assert findings(report) == {"read-only": Verdict.FAIL}
    assert seen(report, "read-only").endswith("writing it: it does not answer")
    assert report.outcomes["wrong-kind"].verdict is Verdict.PASS


class NeverEnds(ConformingDriver):
    async def finish(self, client: ClientStream) -> None:
        await trio.sleep_forever()


async def test_a_driver_that_does_not_end(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    report = await check_small(NeverEnds(nursery))
    assert findings(report).keys() == {"eof", "eof-cut"}
    assert seen(report, "eof") == "it has not ended after 10 s"


# Requests that take their time -------------------------------------------------------------------


class TakesTime(ConformingDriver):
    """It is Busy for a time, as its definition says."""

    timeout = 60.0
    needed = 50.0
    state = "Ok"

    def __init__(self, nursery: trio.Nursery) -> None:
        super().__init__(nursery)
        self.defined["TARGET"] = replace(self.defined["TARGET"], timeout=self.timeout)

    def obey(self, event: Any) -> None:
        if event.vectorname != "TARGET":
            super().obey(event)
            return
        self.tell(self.report("TARGET", "Busy"))
        self.nursery.start_soon(self.work)

    async def work(self) -> None:
        await trio.sleep(self.needed)
        self.tell(self.report("TARGET", self.state, "so it is"))


class TakesTooLong(TakesTime):
    timeout = 10.0


class Fails(TakesTime):
    state = "Alert"


async def test_what_takes_its_time_is_waited_for(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    assert findings(await check_small(TakesTime(nursery), Options(write=True))) == {}


async def test_what_takes_longer_than_it_says_is_found(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    report = await check_small(TakesTooLong(nursery), Options(write=True))
    assert findings(report) == {"write-answered": Verdict.FAIL}
    assert "it is Busy after 10 s" in seen(report, "write-answered")


async def test_what_a_device_refuses_is_a_warning(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    report = await check_small(Fails(nursery), Options(write=True))
    assert findings(report) == {"write-answered": Verdict.WARN}
    assert "answered with Alert so it is" in seen(report, "write-answered")


class CutsSexagesimals(ConformingDriver):
    """It reads a number as C does: as far as its first component."""

    def obey(self, event: Any) -> None:
        if isinstance(event, newNumberVector):
            numbers = {name: float(text.split(":")[0]) for name, text in event.text.items()}
            event = replace(event, members=numbers)
        super().obey(event)


async def test_what_is_read_as_its_first_component_is_found(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    report = await check_small(CutsSexagesimals(nursery), Options(write=True))
    assert findings(report) == {"write-sexagesimal": Verdict.FAIL}
    assert "A was 5.5, and became 5" in seen(report, "write-sexagesimal")


class Unreadable(ConformingDriver):
    """What it takes makes its definition unreadable."""

    def take_error(self, client: ClientStream, error: ProtocolError) -> None:
        if "nan" in error.reason:
            self.values["TARGET"]["A"] = 10.25
        super().take_error(client, error)

    def form(self, event: Event) -> bytes:
        return super().form(event).replace(b">10.25<", b"><a/><")


async def test_a_definition_that_becomes_unreadable_is_found(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    report = await check_small(Unreadable(nursery), Options(write=True))
    assert "its definition cannot be read any more" in seen(report, "not-finite")


# Settings ----------------------------------------------------------------------------------------


async def test_settings_are_made_first_and_waited_for(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    driver = TakesTime(nursery)
    note = Setting(("Simple Device", "NOTE"), "T", "a < b")
    settings = ("Simple Device.TARGET.B=2:30", SHOOT.replace("On", "on"), note)
    report = await check_small(driver, Options(settings=settings))
    assert findings(report) == {}
    assert [dict(event) for event in driver.asked] == [{"B": 2.5}, {"X": "On"}, {"T": "a < b"}]
    assert report.outcomes["blob-size"].verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ("Simple Device.NONE.A=1", "there is no Simple Device.NONE"),
        ("Simple Device.TARGET.X=1", "there is no member X"),
        ("Simple Device.READING.B=1", "it cannot be written"),
        ("Simple Device.LAMP.L=Ok", "it cannot be written"),
        ("Simple Device.UPLOAD.F=x", "it cannot be written"),
        ("Simple Device.MODE.X=Maybe", "a switch is On or Off"),
        ("Simple Device.TARGET.A=five", "'five' is not a number"),
        ("Simple Device.TARGET.A=11", "it was answered with Alert out of range"),
    ],
)
async def test_a_setting_that_cannot_be_made(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock, setting: str, reason: str
) -> None:
    with pytest.raises(SettingError) as caught:
        await check_small(ConformingDriver(nursery), Options(settings=(setting,)))
    assert str(caught.value) == f"cannot set {setting!r}: {reason}"


@pytest.mark.parametrize("text", ["A.B.C", "A.B=1", "A..C=1", ".B.C=1", "A.B.=1", "=1", ""])
def test_what_is_no_setting(text: str) -> None:
    with pytest.raises(SettingError, match=r"is not DEVICE\.PROPERTY\.MEMBER=VALUE"):
        split_setting(text)


def test_a_device_may_have_dots() -> None:
    expected = (("My.Device", "A"), "B", "x=y")
    assert split_setting("My.Device.A.B=x=y") == expected
    assert split_setting('"My.Device".A.B=x=y') == expected


# Bad input ---------------------------------------------------------------------------------------


class Falls(ConformingServer):
    """A bad client ends the connections of all."""

    async def read(self, client: ClientStream) -> None:
        try:
            await super().read(client)
        except trio.BrokenResourceError:
            for each in self.clients:
                await trio.aclose_forcefully(each.stream)


async def test_a_server_may_send_a_bad_client_away(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    report = await check_small(fragile(b"<a><a>", ConformingServer)(nursery), HOSTILE)
    assert findings(report) == {}
    assert seen(report, "bad-nesting") == "the connection that it came on was closed"


async def test_a_server_may_not_fall_with_a_bad_client(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    report = await check_small(fragile(b"<oneText[^<]*</oneNumber>", Falls)(nursery), HOSTILE)
    assert report.outcomes["bad-tags"].verdict is Verdict.FAIL
    assert "another client is not answered" in seen(report, "bad-tags")


class Restarts(ConformingServer):
    """A server that starts its driver again, and says so, as indiserver does."""

    def restart(self) -> None:
        for client in self.clients:
            client.queue.send_nowait(b'<delProperty device="Simple Device"/>')
            for name in self.defined:
                self.say(client, self.definition(name))

    def take_request(self, client: ClientStream, event: Any) -> None:
        if event.vectorname == "READING":
            self.restart()
        else:
            super().take_request(client, event)

    def survive(self, data: bytes) -> None:
        if b"version='2.0'" in data:
            self.restart()


async def test_a_driver_that_ends_behind_a_server_is_found(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    report = await check_small(Restarts(nursery), HOSTILE)
    said = "a driver behind it has ended: its device was deleted"
    assert findings(report) == {"read-only": Verdict.FAIL, "bad-version": Verdict.FAIL}
    assert seen(report, "read-only") == f"Simple Device.READING: writing it: {said}"
    assert seen(report, "bad-version") == said


class LosesTheNext(ConformingDriver):
    """What it reads up to the next semicolon is lost, once there was a bare &."""

    lost = False

    async def read(self, client: ClientStream) -> None:
        async for data in client.stream:
            if b"salt & pepper" in data:
                self.lost = True
            elif b";" in data:
                self.lost = False
                data = data.partition(b";")[2]  # noqa: PLW2901 - what is left of it
            for item in () if self.lost else client.decoder.feed_all(bytes(data)):
                self.take(client, item)


class LosesTheNextServer(LosesTheNext):
    kind = "server"


@pytest.mark.parametrize("base", [LosesTheNext, LosesTheNextServer])
async def test_an_element_that_is_lost_is_a_warning(
    base: type[ConformingDriver],
    nursery: trio.Nursery,
    autojump_clock: trio.testing.MockClock,
) -> None:
    report = await check_small(base(nursery))
    assert report.outcomes["bad-ampersand"].verdict is Verdict.WARN
    assert seen(report, "bad-ampersand") == "the element behind it was lost"


class Deaf(ConformingServer):
    """It reads no more of a connection on which there was a bare &."""

    async def read(self, client: ClientStream) -> None:
        async for data in client.stream:
            if b"salt & pepper" in data:
                await trio.sleep_forever()
            for item in client.decoder.feed_all(bytes(data)):
                self.take(client, item)


async def test_a_connection_that_is_not_answered_is_a_warning(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    report = await check_small(Deaf(nursery))
    assert findings(report) == {"bad-ampersand": Verdict.WARN}
    assert seen(report, "bad-ampersand") == "it does not answer any more"


class ReadsComments(ConformingDriver):
    """It ends a comment at any >."""

    async def read(self, client: ClientStream) -> None:
        async for data in client.stream:
            for item in client.decoder.feed_all(bytes(data).replace(b"<!-- a >", b"")):
                self.take(client, item)


async def test_a_comment_that_is_carried_out_is_a_warning(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    report = await check_small(ReadsComments(nursery))
    assert findings(report) == {"bad-comment": Verdict.WARN}


# Pings -------------------------------------------------------------------------------------------


class WaitsForPings(ConformingDriver):
    """It asks for a ping after each BLOB, and says no more until it has it, as libindi does."""

    waits = False
    pings = 0

    def obey(self, event: Any) -> None:
        super().obey(event)
        if event.vectorname == "SHOOT":
            self.pings += 1
            self.waits = True
            for client in self.clients:
                client.queue.send_nowait(self.form(pingRequest(f"SetBLOB/{self.pings}")))

    def take(self, client: ClientStream, item: Event | ProtocolError) -> None:
        if item == pingReply(f"SetBLOB/{self.pings}"):
            self.waits = False
        if not self.waits:
            super().take(client, item)


async def test_pings_of_a_driver_are_answered(
    nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    driver = WaitsForPings(nursery)
    report = await check_small(driver, Options(settings=(SHOOT, SHOOT)))
    assert driver.pings == 2
    assert findings(report) == {}
