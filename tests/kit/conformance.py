"""A small driver in memory that keeps every rule, made so that others can break one of them.

It is not made with trindi's properties, which would refuse to be broken.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import trio
from trio.testing import memory_stream_pair

from trindi.conformance import Options, Peer, Report, Verdict, check
from trindi.errors import ProtocolError
from trindi.protocol import (
    Decoder,
    DefVector,
    Event,
    NewVector,
    NumberLabel,
    SizeFormat,
    defBLOBVector,
    defLightVector,
    defNumberVector,
    defSwitchVector,
    defTextVector,
    enableBLOB,
    encode,
    getProperties,
    newBLOBVector,
    newNumberVector,
    newSwitchVector,
    newTextVector,
    pingReply,
    pingRequest,
    setBLOBVector,
    setLightVector,
    setNumberVector,
    setSwitchVector,
    setTextVector,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KINDS: dict[type[Any], tuple[type[Any] | None, type[Any]]] = {
    defNumberVector: (newNumberVector, setNumberVector),
    defTextVector: (newTextVector, setTextVector),
    defSwitchVector: (newSwitchVector, setSwitchVector),
    defLightVector: (None, setLightVector),
    defBLOBVector: (newBLOBVector, setBLOBVector),
}

IMAGE = bytes(range(256)) * 4


def definitions(device: str) -> list[Any]:
    """One property of each kind, and more where a rule needs them."""
    now = datetime.now(UTC)

    def about(name: str, perm: str = "rw") -> dict[str, Any]:
        return {
            "devicename": device,
            "vectorname": name,
            "label": name.title(),
            "group": "Main",
            "state": "Ok",
            "timestamp": now,
            **({} if name == "LAMP" else {"perm": perm}),
        }

    # Their fields are enumerations; the words will do.
    switch: Any = defSwitchVector
    light: Any = defLightVector
    limited = NumberLabel("A", "%5.2f", 0, 10, 0.5)
    free = NumberLabel("B", "%g", 0, 0, 0)
    switches = {"X": "X", "Y": "Y"}
    info = {"DRIVER_NAME": "ConformingDriver", "DRIVER_INTERFACE": "0"}
    return [
        switch(
            **about("CONNECTION"),
            rule="OneOfMany",
            members={"CONNECT": "On", "DISCONNECT": "Off"},
            memberlabels={"CONNECT": "Connect", "DISCONNECT": "Disconnect"},
        ),
        defTextVector(**about("DRIVER_INFO", "ro"), members=info, memberlabels=info),
        defNumberVector(
            **about("TARGET"),
            members={"A": 5.5, "B": 1.25},
            memberlabels={"A": limited, "B": free},
        ),
        defNumberVector(**about("READING", "ro"), members={"B": 3}, memberlabels={"B": free}),
        defTextVector(
            **about("NOTE"), members={"T": "some", "U": "text"}, memberlabels={"T": "T", "U": "U"}
        ),
        switch(
            **about("MODE"),
            rule="OneOfMany",
            members={"X": "On", "Y": "Off"},
            memberlabels=switches,
        ),
        switch(
            **about("SHOOT"),
            rule="AtMostOne",
            members={"X": "Off", "Y": "Off"},
            memberlabels=switches,
        ),
        light(**about("LAMP"), members={"L": "Idle"}, memberlabels={"L": "L"}),
        defBLOBVector(**about("FRAME", "ro"), members={"F": None}, memberlabels={"F": "F"}),
        defBLOBVector(**about("UPLOAD"), members={"F": None}, memberlabels={"F": "F"}),
    ]


class ClientStream:
    """One connection to a `ConformingDriver`, and what it wants."""

    def __init__(self, stream: Any, *, gated: bool) -> None:
        self.stream = stream
        self.wanted: set[tuple[str | None, str | None]] = set()
        self.blobs = not gated
        self.decoder = Decoder()
        self.queue, self.waiting = trio.open_memory_channel[bytes](math.inf)

    def wants(self, event: Any) -> bool:
        """Whether it has asked for this."""
        if isinstance(event, setBLOBVector) and not self.blobs:
            return False
        device, name = event.devicename, getattr(event, "vectorname", None)
        asked = {(None, None), (device, None), (device, name)}
        return bool(self.wanted & asked) or device is None


class ConformingDriver:
    """A driver, or a server, that keeps every rule.

    Attributes:
        device: the name of its device.
        defined: its definitions by name.
        values: the values of each property.
        clients: who is connected.
    """

    kind = "program"
    name = "simple"

    def __init__(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.device = "Simple Device"
        self.defined: dict[str, Any] = {each.vectorname: each for each in definitions(self.device)}
        self.values: dict[str, dict[str, Any]] = {
            name: dict(each) for name, each in self.defined.items()
        }
        self.clients: list[ClientStream] = []
        self.asked: list[Any] = []

    # The target --------------------------------------------------------------------------------

    async def connect(self, *, one_socket: bool = False) -> Peer:
        """Connect in memory."""
        await trio.lowlevel.checkpoint()
        ours, theirs = memory_stream_pair()
        client = ClientStream(theirs, gated=self.kind == "server")
        peer = MemoryPeer(ours, self)
        peer.stderr = self.stderr()
        self.nursery.start_soon(self.serve, client, peer, one_socket)
        return peer

    def stderr(self) -> trio.abc.ReceiveStream | None:
        """What it says besides."""
        return None

    # Serving -----------------------------------------------------------------------------------

    async def serve(self, client: ClientStream, peer: MemoryPeer, one_socket: bool) -> None:
        """Serve one connection to its end."""
        self.clients.append(client)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.write, client)
                self.begin(client, one_socket)
                await self.read(client)
                self.clients.remove(client)
                await self.finish(client)
                client.queue.close()
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.clients = [each for each in self.clients if each is not client]
            await trio.aclose_forcefully(client.stream)
            peer.ended.set()

    def begin(self, client: ClientStream, one_socket: bool) -> None:
        """Say nothing before somebody asks."""

    async def read(self, client: ClientStream) -> None:
        """Take what comes."""
        async for data in client.stream:
            self.survive(bytes(data))
            for item in client.decoder.feed_all(bytes(data)):
                self.take(client, item)

    def survive(self, data: bytes) -> None:
        """Do nothing about bad input."""

    async def write(self, client: ClientStream) -> None:
        """Write what waits."""
        async for data in client.waiting:
            await client.stream.send_all(data)

    async def finish(self, client: ClientStream) -> None:
        """Do nothing more once its input has ended; what waits goes out."""

    # Speaking ----------------------------------------------------------------------------------

    def say(self, client: ClientStream, event: Event) -> None:
        """Say something to one."""
        client.queue.send_nowait(self.form(event))

    def tell(self, event: Event) -> None:
        """Say something to all who want to know."""
        for client in self.clients:
            if client.wants(event):
                self.say(client, event)

    def form(self, event: Event) -> bytes:
        """Write an event as it goes out."""
        return encode(event)

    def definition(self, name: str) -> DefVector:
        """Define a property as it is now."""
        definition: DefVector = replace(
            self.defined[name], members=self.values[name], timestamp=self.now()
        )
        return definition

    def report(self, name: str, state: str = "Ok", message: str = "") -> Any:
        """Report a property as it is now."""
        _new, cls = KINDS[type(self.defined[name])]
        members = {} if cls is setBLOBVector else self.values[name]
        return cls(self.device, name, members, state=state, timestamp=self.now(), message=message)

    def now(self) -> datetime:
        """The time of day."""
        return datetime.now(UTC)

    # Listening ---------------------------------------------------------------------------------

    def take(self, client: ClientStream, item: Event | ProtocolError) -> None:
        """Take one thing that came."""
        match item:
            case getProperties():
                client.wanted.add(
                    (None if item.devicename == "*" else item.devicename, item.vectorname)
                )
                for name in self.matching(item):
                    self.say(client, self.definition(name))
            case pingRequest():
                self.say(client, pingReply(item.uid))
            case enableBLOB():
                client.blobs = True
            case ProtocolError():
                self.take_error(client, item)
            case _ if isinstance(item, NewVector) and item.devicename == self.device:
                self.take_request(client, item)

    def matching(self, asked: getProperties) -> Iterator[str]:
        """Yield the names of what was asked for."""
        if asked.devicename in (None, "*", self.device):
            yield from (name for name in self.defined if asked.vectorname in (None, name))

    def take_error(self, client: ClientStream, error: ProtocolError) -> None:
        """Refuse what cannot be read, if there is one to be told."""
        if not error.malformed and error.devicename == self.device:
            self.refuse(client, error.vectorname or "", error.reason)

    def take_request(self, client: ClientStream, event: Any) -> None:
        """Do what is asked, or refuse it."""
        if reason := self.refusal(event):
            self.refuse(client, event.vectorname, reason)
            return
        self.asked.append(event)
        self.obey(event)

    def refuse(self, client: ClientStream, name: str, reason: str) -> None:
        """Refuse something."""
        if name in self.defined:
            self.say(client, self.report(name, "Alert", reason))

    def obey(self, event: Any) -> None:
        """Do it."""
        name = event.vectorname
        if name == "UPLOAD":
            self.tell(self.report(name))
            return
        if getattr(self.defined[name], "rule", "") != "AnyOfMany" and "On" in event.values():
            self.values[name] = dict.fromkeys(self.values[name], "Off")
        self.values[name].update(event)
        if name == "SHOOT" and "On" in event.values():
            self.tell(self.image())
            self.values[name] = dict.fromkeys(self.values[name], "Off")
        self.tell(self.report(name))

    def image(self) -> setBLOBVector:
        """A BLOB that is sent of its own accord."""
        size = {"F": SizeFormat(len(IMAGE), ".bin")}
        return setBLOBVector(self.device, "FRAME", {"F": IMAGE}, size, state="Ok")  # type: ignore[arg-type]

    def refusal(self, event: Any) -> str:
        """Say why something is not done, or ""."""
        found = self.defined.get(event.vectorname)
        if found is None:
            return "there is none"
        checks = (
            self.wrong_kind,
            self.read_only,
            self.no_member,
            self.out_of_range,
            self.broken_rule,
        )
        return next(filter(None, (check(found, event) for check in checks)), "")

    def wrong_kind(self, found: Any, event: Any) -> str:
        return "" if isinstance(event, KINDS[type(found)][0] or ()) else "the wrong kind"

    def read_only(self, found: Any, event: Any) -> str:
        return "read-only" if found.perm == "ro" else ""

    def no_member(self, found: Any, event: Any) -> str:
        return "" if event.keys() <= found.keys() else "no such member"

    def out_of_range(self, found: Any, event: Any) -> str:
        if isinstance(event, newNumberVector):
            for name, value in event.items():
                label = found.memberlabels[name]
                if label.min < label.max and not label.min <= value <= label.max:
                    return "out of range"
        return ""

    def broken_rule(self, found: Any, event: Any) -> str:
        if not isinstance(event, newSwitchVector):
            return ""
        on = sum(value == "On" for value in event.values())
        if on > 1 or (found.rule == "OneOfMany" and not on):
            return "against the rule"
        return ""


class ConformingServer(ConformingDriver):
    """The same as a server."""

    kind = "server"


class MemoryPeer(Peer):
    """One connection in memory."""

    def __init__(self, stream: Any, owner: ConformingDriver) -> None:
        super().__init__(stream)
        self.ended = trio.Event()
        self.kill: Callable[[], None] | None = None
        self._owner = owner

    async def aclose(self) -> None:
        """End it, though it may hang."""
        await super().aclose()
        if self.kill:
            self.kill()

    async def wait_ended(self) -> str:
        """Wait until it has."""
        await self.ended.wait()
        return "it ended"


def mangled(
    change: Callable[[bytes], bytes], base: type[ConformingDriver] = ConformingDriver
) -> type[ConformingDriver]:
    """Make a driver that writes something else than it should."""

    class Mangled(base):  # type: ignore[misc, valid-type]
        def form(self, event: Event) -> bytes:
            return change(super().form(event))

    return Mangled


def replaced(
    pattern: str, by: str, base: type[ConformingDriver] = ConformingDriver, only: str = ""
) -> type[ConformingDriver]:
    """Make a driver that writes `by` for what matches, in what starts with `only`."""

    def change(data: bytes) -> bytes:
        if not data.startswith(only.encode()):
            return data
        return re.sub(pattern.encode(), by.encode(), data)

    return mangled(change, base)


def fragile(
    pattern: bytes, base: type[ConformingDriver] = ConformingDriver
) -> type[ConformingDriver]:
    """Make a driver that ends when it reads this."""

    class Fragile(base):  # type: ignore[misc, valid-type]
        def survive(self, data: bytes) -> None:
            if re.search(pattern, data):
                raise trio.BrokenResourceError

    return Fragile


def findings(report: Report) -> dict[str, Verdict]:
    """Return the rules that are broken."""
    return {
        name: outcome.verdict for name, outcome in report.outcomes.items() if outcome.is_finding
    }


SHOOT = "Simple Device.SHOOT.X=On"

EVERYTHING = Options(write=True, hostile=True, settings=(SHOOT,))

SMALL = 0.001
"""The scale of large bad inputs in most tests, so that a check takes a tenth of a second."""


async def check_small(target: ConformingDriver, options: Options = Options()) -> Report:  # noqa: B008
    """Check with all bad inputs, the large ones scaled down."""
    return await check(target, options._replace(input_scale=SMALL))
