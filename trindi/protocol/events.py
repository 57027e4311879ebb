"""One frozen class for each INDI element: the vocabulary of the whole program.

An INDI element *is* an event. The decoder returns these classes, queues carry them, the router
routes them, `clientevent` and `snoopevent` match on them, properties make them, the encoder writes
them. Against PEP 8 they are named exactly as the protocol names its elements; only `Message` is not
``message``, so that the attribute of that name stays free.

This module knows no XML: how an element is written is in `elements`.
"""

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from dataclasses import field
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

from trindi.protocol.event_class import event
from trindi.protocol.values import BLOBPolicy, Permission, Rule, State, SwitchState

V = TypeVar("V")
L = TypeVar("L")

_EMPTY: Final[Mapping[str, Any]] = MappingProxyType({})


class Limits(NamedTuple):
    """The range of a number; ``min == max`` means none, ``step == 0`` any increment (§3.3)."""

    min: float
    max: float
    step: float


class NumberLabel(NamedTuple):
    """Label, display format and limits of a number, as its definition has them."""

    label: str
    format: str
    min: float
    max: float
    step: float


class SizeFormat(NamedTuple):
    """Size of a BLOB in bytes, decoded and decompressed, and its file suffix."""

    size: int
    format: str


if TYPE_CHECKING:

    class _Values(Mapping[str, V]):
        pass

else:
    # `isinstance` takes ten times as long on a class made from `Mapping` itself.
    _Values = Generic


class _Members(_Values[V]):
    """The event of a vector: a mapping of member name to value."""

    __slots__ = ()
    members: Mapping[str, V]

    def __getitem__(self, name: str) -> V:
        try:
            return self.members[name]
        except KeyError:
            event: Any = self
            what = f"{type(self).__name__} of {event.devicename}.{event.vectorname}"
            held = f"only {', '.join(self.members)}" if self.members else "nor any other"
            raise KeyError(f"{what} holds no member {name!r}, {held}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)

    def __contains__(self, name: object) -> bool:
        return name in self.members

    def get(self, name: str, default: Any = None) -> Any:
        return self.members.get(name, default)

    def keys(self) -> KeysView[str]:
        return self.members.keys()

    def values(self) -> ValuesView[V]:
        return self.members.values()

    def items(self) -> ItemsView[str, V]:
        return self.members.items()


Mapping.register(_Members)


def _members() -> Mapping[str, Any]:
    # A mapping cannot be hashed; the other fields can, and are enough.
    return field(default_factory=lambda: _EMPTY, hash=False)


def _unseen() -> Any:
    # Two events that mean the same are equal, whenever and to which driver they came.
    return field(default=None, compare=False, repr=False)


def _no_news() -> bool:
    # The receiver notes it; two events that say the same are equal.
    return field(default=False, compare=False, repr=False)


def _as_received() -> Mapping[str, str]:
    # What the peer wrote is for the author to see; two events that mean the same are equal.
    return field(default_factory=lambda: _EMPTY, compare=False, repr=False)


@event
class getProperties:
    """A request for definitions that also subscribes; from a driver, a request to snoop.

    Without `devicename` it asks for everything, without `vectorname` for the whole device.
    `vector` is the driver's own property when the event reaches `clientevent`.
    """

    devicename: str | None = None
    vectorname: str | None = None
    timestamp: datetime | None = _unseen()
    vector: Any = _unseen()


@event
class enableBLOB:
    """Whether the sender wants BLOBs of a device, or of one of its properties."""

    devicename: str
    vectorname: str | None = None
    policy: BLOBPolicy = BLOBPolicy.NEVER
    timestamp: datetime | None = _unseen()
    vector: Any = _unseen()


@event
class _NewVector(_Members[V]):
    devicename: str
    vectorname: str
    members: Mapping[str, V] = _members()
    timestamp: datetime | None = None
    vector: Any = _unseen()


@event
class newSwitchVector(_NewVector[SwitchState]):
    """A client asks to set these switches."""


@event
class newTextVector(_NewVector[str]):
    """A client asks to set these texts."""


@event
class newNumberVector(_Members[float]):
    """A client asks to set these numbers; `text` holds them as received."""

    devicename: str
    vectorname: str
    members: Mapping[str, float] = _members()
    timestamp: datetime | None = None
    text: Mapping[str, str] = _as_received()
    vector: Any = _unseen()


@event
class newBLOBVector(_Members[bytes]):
    """A client sends these BLOBs; `sizeformat[name]` is ``(size, format)`` as received.

    A payload is always decompressed, also where the format ends in ``.z``.
    """

    devicename: str
    vectorname: str
    members: Mapping[str, bytes] = _members()
    sizeformat: Mapping[str, SizeFormat] = _members()
    timestamp: datetime | None = None
    vector: Any = _unseen()


@event
class _DefVector(_Members[V], Generic[V, L]):
    devicename: str
    vectorname: str
    label: str
    group: str
    state: State
    perm: Permission
    members: Mapping[str, V] = _members()
    memberlabels: Mapping[str, L] = _members()
    timeout: float = 0.0
    timestamp: datetime | None = None
    message: str = ""
    repeated: bool = _no_news()


@event
class defSwitchVector(_Members[SwitchState]):
    """Defines a vector of switches with all its members and their values."""

    devicename: str
    vectorname: str
    label: str
    group: str
    state: State
    perm: Permission
    rule: Rule
    members: Mapping[str, SwitchState] = _members()
    memberlabels: Mapping[str, str] = _members()
    timeout: float = 0.0
    timestamp: datetime | None = None
    message: str = ""
    repeated: bool = _no_news()


@event
class defTextVector(_DefVector[str, str]):
    """Defines a vector of texts with all its members and their values."""


@event
class defNumberVector(_DefVector[float, NumberLabel]):
    """Defines a vector of numbers; `memberlabels` holds `NumberLabel` tuples."""

    text: Mapping[str, str] = _as_received()


@event
class defLightVector(_Members[State]):
    """Defines a vector of lights; it has neither permission nor timeout."""

    devicename: str
    vectorname: str
    label: str
    group: str
    state: State
    members: Mapping[str, State] = _members()
    memberlabels: Mapping[str, str] = _members()
    timestamp: datetime | None = None
    message: str = ""
    repeated: bool = _no_news()

    @property
    def perm(self) -> Permission:
        """Lights are always read-only."""
        return Permission.RO


@event
class defBLOBVector(_DefVector[None, str]):
    """Defines a vector of BLOBs; a definition has no payloads, so every value is None."""


@event
class _SetVector(_Members[V]):
    devicename: str
    vectorname: str
    members: Mapping[str, V] = _members()
    state: State | None = None
    timeout: float | None = None
    timestamp: datetime | None = None
    message: str = ""


@event
class setSwitchVector(_SetVector[SwitchState]):
    """Reports switches and state; holds only the members that were sent."""


@event
class setTextVector(_SetVector[str]):
    """Reports texts and state; holds only the members that were sent."""


@event
class setNumberVector(_SetVector[float]):
    """Reports numbers and state; `limits` has the members that were sent new limits (§2)."""

    limits: Mapping[str, Limits] = _members()
    text: Mapping[str, str] = _as_received()


@event
class setLightVector(_Members[State]):
    """Reports lights and state; holds only the members that were sent."""

    devicename: str
    vectorname: str
    members: Mapping[str, State] = _members()
    state: State | None = None
    timestamp: datetime | None = None
    message: str = ""


@event
class setBLOBVector(_Members[bytes]):
    """Delivers BLOBs; `sizeformat[name]` is ``(size, format)``.

    A payload is always decompressed: where the format ends in ``.z`` the encoder compresses it.
    """

    devicename: str
    vectorname: str
    members: Mapping[str, bytes] = _members()
    sizeformat: Mapping[str, SizeFormat] = _members()
    state: State | None = None
    timeout: float | None = None
    timestamp: datetime | None = None
    message: str = ""


@event
class Message:
    """A line for humans, about a device or, without `devicename`, about everything."""

    devicename: str | None = None
    message: str = ""
    timestamp: datetime | None = None


@event
class delProperty:
    """Deletes a property; without `vectorname` the whole device, without `devicename` all."""

    devicename: str | None = None
    vectorname: str | None = None
    timestamp: datetime | None = None
    message: str = ""


@event
class pingRequest:
    """Asks the peer to echo `uid`, in stream order (a libindi extension, §2).

    Where `after` is ``getProperties``, the reply comes after all definitions that were asked for.
    That is an extension of trindi; other programs ignore it and reply at once.
    """

    uid: str
    after: str = ""


@event
class pingReply:
    """Answers a `pingRequest`.

    Where `answered` is ``getProperties``, all definitions that were asked for came before it.
    """

    uid: str
    answered: str = ""


NewVector: TypeAlias = newSwitchVector | newTextVector | newNumberVector | newBLOBVector
DefVector: TypeAlias = (
    defSwitchVector | defTextVector | defNumberVector | defLightVector | defBLOBVector
)
SetVector: TypeAlias = (
    setSwitchVector | setTextVector | setNumberVector | setLightVector | setBLOBVector
)
ClientEvent: TypeAlias = getProperties | enableBLOB | NewVector
SnoopEvent: TypeAlias = DefVector | SetVector | Message | delProperty
Event: TypeAlias = ClientEvent | SnoopEvent | pingRequest | pingReply
