"""What all parts of a check share: who is checked, what is known of it, and how it is asked.

The stream has no answers that name their questions. But a peer keeps the order of one stream, so
whatever is tried is followed by a request for one definition, the *sentinel*: when that is there,
everything before it has been read, and what came meanwhile is the answer. The definition also shows
the values as they are now. A peer that has ended is started, or connected to, again.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from trindi.conformance.judging import Judge
from trindi.conformance.link import Link
from trindi.conformance.picture import Picture, Place, Property, place_of
from trindi.conformance.rules import GROUP_OF
from trindi.conformance.targets import UnreachableError
from trindi.errors import ProtocolError, TrindiError
from trindi.protocol import BLOBPolicy, DefVector, Event, enableBLOB, getProperties

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import trio

    from trindi.conformance.report import Ledger
    from trindi.conformance.settings import Setting
    from trindi.conformance.targets import Target
    from trindi.conformance.wire import Seen

__all__ = [
    "BEHIND",
    "Answer",
    "GoneError",
    "Options",
    "Progress",
    "Session",
    "definitions",
    "is_definition",
]

_START: Final = 15.0
"""Seconds at least for the first definition of what was just started, or starts again."""

_QUIET: Final = 0.5
"""Seconds of silence after which all definitions are taken to be there."""

_PAUSE: Final = 0.2
"""Seconds for what should not come."""

_SETTLE: Final = 10.0
"""Seconds that silence is waited for."""


BEHIND: Final = "a driver behind it has ended: its device was deleted"
"""What is said of a server whose driver has not survived something."""


Progress: TypeAlias = Callable[[str, str], None]
"""Is told what begins: a heading, and what it is in particular."""


class GoneError(TrindiError):
    """There is nothing left to check."""


class Options(NamedTuple):
    """How to check.

    Attributes:
        timeout: seconds for each answer.
        write: requests that a driver may act on are made, too, and values are written as they are.
        hostile: what drivers and servers in wide use crash on is sent, too.
        settings: what to set first, each a `Setting` or ``DEVICE.PROPERTY.MEMBER=VALUE``.
    """

    timeout: float = 5.0
    write: bool = False
    hostile: bool = False
    settings: tuple[Setting | str, ...] = ()


class Answer(NamedTuple):
    """What came back.

    Attributes:
        heard: all that came, up to the sentinel.
        definition: the sentinel; None where it cannot be read.
    """

    heard: list[Seen]
    definition: DefVector | None


def defines(seen: Seen) -> bool:
    """Whether this is a definition, be it legal or not."""
    if isinstance(seen.item, ProtocolError):
        return (seen.item.element or "").startswith("def")
    return isinstance(seen.item, DefVector)


def is_definition(seen: Seen, place: Place) -> bool:
    """Whether this defines that property, be it legal or not."""
    return defines(seen) and place_of(seen.item) == place


def definitions(link: Link, place: Place) -> list[Seen]:
    """Return how a property was defined, each time since `Link.forget`."""
    return [seen for seen in link.heard if is_definition(seen, place)]


class Session:
    """One check.

    Args:
        target: what is checked.
        ledger: what is seen of each rule.
        options: how to check.
        nursery: where tasks run that read and write.
        progress: is told what begins.

    Attributes:
        link: the peer, or to a server the connection that sees everything.
        picture: what is known of its properties.
        judge: judges all that is seen.
        devices: the names of the properties of each device, as a report shows them.
        progress: is told what begins.
        by_name: sentinels are asked for by their names.
        nameless: those that are not defined when they are.
    """

    link: Link

    def __init__(
        self,
        target: Target,
        ledger: Ledger,
        options: Options,
        nursery: trio.Nursery,
        progress: Progress,
    ) -> None:
        self.target = target
        self.ledger = ledger
        self.options = options
        self.picture = Picture()
        self.judge = Judge(ledger, self.picture, of_server=not self.is_program)
        self.devices: dict[str, tuple[str, ...]] = {}
        self.progress = progress
        self._nursery = nursery
        self.by_name = True
        self.nameless: set[Place] = set()

    @property
    def is_program(self) -> bool:
        """Whether a program is checked, and no server."""
        return self.target.kind == "program"

    def allows(self, rule: str) -> bool:
        """Whether what a rule needs is there."""
        return self.ledger.allows(rule)

    @property
    def first_patience(self) -> float:
        """Seconds for the first answer of all: a program has to start, and a server is there."""
        return self._timeout if self.is_program else self.options.timeout

    @property
    def _timeout(self) -> float:
        return max(self.options.timeout, _START)

    def begin(self, rule: str) -> None:
        """Say which rule is checked next."""
        self.progress(GROUP_OF[rule], rule)

    # Peers -------------------------------------------------------------------------------------

    async def open(self, *, one_socket: bool = False) -> Link:
        """Make a new link: start the program again, or connect again.

        Raises:
            UnreachableError: there is nothing there.
        """
        peer = await self.target.connect(one_socket=one_socket)
        link: Link = await self._nursery.start(Link(peer, self.judge.see).run)
        if peer.stderr is not None:
            self._nursery.start_soon(self.judge.read_stderr, peer.stderr)
        return link

    @asynccontextmanager
    async def fresh(self) -> AsyncIterator[Link]:
        """Lend a connection that nothing was asked on; of a program, the one that there is."""
        if self.is_program:
            yield self.link
            return
        try:
            link = await self.open()
        except UnreachableError as error:
            self.ledger.judge("two-clients", str(error))
            raise GoneError(str(error)) from None
        try:
            yield link
        finally:
            link.close()

    async def mend(self) -> None:
        """Begin again if the peer has ended.

        Raises:
            GoneError: it is not to be had again.
        """
        if self.link.ended:
            await self.revive()

    async def revive(self) -> None:
        """Begin again with a peer that has ended, or hangs.

        Raises:
            GoneError: there is none, or it defines nothing.
        """
        self.link.close()
        self.picture.properties.clear()
        try:
            self.link = await self.open()
        except UnreachableError as error:
            raise GoneError(str(error)) from None
        if not await self.ask_all():
            raise GoneError("it defines nothing any more")

    # Asking ------------------------------------------------------------------------------------

    async def ask_all(self, link: Link | None = None, seconds: float | None = None) -> bool:
        """Ask for everything, and wait until it is there; False where nothing comes.

        Args:
            link: on which link.
            seconds: how long the first definition is waited for.
        """
        link = link or self.link
        seconds = self._timeout if seconds is None else seconds
        await link.send(getProperties(), seconds=seconds)
        if not await link.wait_for(defines, seconds):
            return False
        await self.settle(link)
        if not self.is_program and link is self.link:
            await self._enable_blobs()
        return True

    async def _enable_blobs(self) -> None:
        wanted = [enableBLOB(device, None, BLOBPolicy.ALSO) for device in self.picture.devices()]
        await self.link.send(*wanted, seconds=self.options.timeout)

    async def settle(self, link: Link | None = None) -> None:
        """Wait until all definitions are there, as far as one can tell."""
        await (link or self.link).wait_quiet(_QUIET, _SETTLE)

    async def pause(self, link: Link | None = None) -> None:
        """Wait a moment for what should not come."""
        await (link or self.link).wait_quiet(_PAUSE, _SETTLE)

    async def exchange(
        self, *items: Event | bytes, place: Place, link: Link | None = None, timeout: float = 1.0
    ) -> Answer | None:
        """Send something, and return what is answered until a definition comes that is asked after.

        Args:
            items: what to send.
            place: whose definition to ask for.
            link: on which link.
            timeout: how many times longer than usual an answer is waited for.

        Returns:
            The answer; None where the definition does not come.
        """
        link = link or self.link
        seconds = self.options.timeout * timeout
        link.forget()
        named = self.by_name and place not in self.nameless
        sentinel = getProperties(*place) if named else getProperties()
        await link.send(*items, sentinel, seconds=seconds)
        if not await link.wait_for(lambda seen: is_definition(seen, place), seconds):
            return None
        definition = definitions(link, place)[-1].item
        legal = definition if isinstance(definition, DefVector) else None
        return Answer(list(link.heard), legal)

    # What is known -----------------------------------------------------------------------------

    @property
    def properties(self) -> list[Property]:
        """All properties, as they are now."""
        return list(self.picture.properties.values())

    def some_place(self) -> Place:
        """Return a property; one that can be asked for, if it can be.

        Raises:
            GoneError: there is none.
        """
        place = self._one_of(list(self.picture.properties))
        if place is None:
            raise GoneError("there is no property that can be read")
        return place

    def place_in(self, device: str) -> Place | None:
        """Return a property of a device, likewise; None where the device is not there any more."""
        return self._one_of([place for place in self.picture.properties if place[0] == device])

    def _one_of(self, places: list[Place]) -> Place | None:
        first = next(iter(places), None)
        return next((place for place in places if place not in self.nameless), first)
