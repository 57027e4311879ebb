"""One frozen class per INDI element: the vocabulary of the whole program.

An INDI element *is* an event. The decoder yields these classes, memory channels carry them, the
router routes them, `clientevent` and `snoopevent` match on them, properties make them, the encoder
writes them. They are named exactly as the protocol names its elements, against PEP 8's habit for
classes; only `Message` differs from its element ``message``, so that the attribute of that name
stays free.

`ELEMENTS` at the foot is the one table of element name, class and attributes; decoder and encoder
both read it. This module does no I/O and reads no XML.
"""

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
from dataclasses import field
from datetime import datetime
from enum import Enum
from types import MappingProxyType
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Generic,
    NamedTuple,
    TypeAlias,
    TypeVar,
)

from trindi.protocol.event_class import event
from trindi.protocol.values import BLOBPolicy, Permission, Rule, State, SwitchState

V = TypeVar("V")

_EMPTY: Final[Mapping[str, Any]] = MappingProxyType({})


def _nothing() -> Mapping[str, Any]:
    return _EMPTY


class Limits(NamedTuple):
    """The range of a number; ``min == max`` means none, ``step == 0`` any increment (§3.3)."""

    min: float
    max: float
    step: float


class NumberLabel(NamedTuple):
    """What a definition says of a number beside its value."""

    label: str
    format: str
    min: float
    max: float
    step: float


class SizeFormat(NamedTuple):
    """What a BLOB says of itself: bytes once decoded and decompressed, and its file suffix."""

    size: int
    format: str


if TYPE_CHECKING:

    class _Values(Mapping[str, V]):
        pass

else:
    # A class made from `Mapping` itself takes ten times as long to tell what is its instance.
    _Values = Generic


class _Members(_Values[V]):
    """A vector's event is a mapping of member name to value."""

    __slots__ = ()
    members: Mapping[str, V]

    def __getitem__(self, name: str) -> V:
        return self.members[name]

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
    # A mapping cannot be hashed; the rest of the event can, and is enough.
    return field(default_factory=_nothing, hash=False)


def _as_received() -> Mapping[str, str]:
    # The text as the peer wrote it is kept for the author, and no part of what the event says.
    return field(default_factory=_nothing, compare=False, repr=False)


# What a client asks ----------------------------------------------------------------------------


@event
class getProperties:
    """Asks for definitions, and subscribes; from a driver: asks to snoop.

    Without `devicename` it asks for everything, without `vectorname` for the whole device.
    `vector` is the driver's own property when the event reaches `clientevent`.
    """

    devicename: str | None = None
    vectorname: str | None = None
    timestamp: datetime | None = field(default=None, compare=False, repr=False)
    vector: Any = field(default=None, compare=False, repr=False)


@event
class enableBLOB:
    """Says whether the sender wants BLOBs of a device, or of one of its properties."""

    devicename: str
    vectorname: str | None = None
    policy: BLOBPolicy = BLOBPolicy.NEVER
    timestamp: datetime | None = field(default=None, compare=False, repr=False)
    vector: Any = field(default=None, compare=False, repr=False)


@event
class newSwitchVector(_Members[SwitchState]):
    """A client wants these switches set."""

    devicename: str
    vectorname: str
    members: Mapping[str, SwitchState] = _members()
    timestamp: datetime | None = None
    vector: Any = field(default=None, compare=False, repr=False)


@event
class newTextVector(_Members[str]):
    """A client wants these texts set."""

    devicename: str
    vectorname: str
    members: Mapping[str, str] = _members()
    timestamp: datetime | None = None
    vector: Any = field(default=None, compare=False, repr=False)


@event
class newNumberVector(_Members[float]):
    """A client wants these numbers set; `text` holds them as received."""

    devicename: str
    vectorname: str
    members: Mapping[str, float] = _members()
    timestamp: datetime | None = None
    text: Mapping[str, str] = _as_received()
    vector: Any = field(default=None, compare=False, repr=False)


@event
class newBLOBVector(_Members[bytes]):
    """A client sends these BLOBs; `sizeformat[name]` is ``(size, format)`` as received.

    A payload is always the plain bytes, also where the format ends in ``.z``.
    """

    devicename: str
    vectorname: str
    members: Mapping[str, bytes] = _members()
    sizeformat: Mapping[str, SizeFormat] = _members()
    timestamp: datetime | None = None
    vector: Any = field(default=None, compare=False, repr=False)


# What a driver defines -------------------------------------------------------------------------


@event
class defSwitchVector(_Members[SwitchState]):
    """Announces a vector of switches with all its members and their values."""

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


@event
class defTextVector(_Members[str]):
    """Announces a vector of texts with all its members and their values."""

    devicename: str
    vectorname: str
    label: str
    group: str
    state: State
    perm: Permission
    members: Mapping[str, str] = _members()
    memberlabels: Mapping[str, str] = _members()
    timeout: float = 0.0
    timestamp: datetime | None = None
    message: str = ""


@event
class defNumberVector(_Members[float]):
    """Announces a vector of numbers; `memberlabels` holds `NumberLabel` tuples."""

    devicename: str
    vectorname: str
    label: str
    group: str
    state: State
    perm: Permission
    members: Mapping[str, float] = _members()
    memberlabels: Mapping[str, NumberLabel] = _members()
    timeout: float = 0.0
    timestamp: datetime | None = None
    message: str = ""
    text: Mapping[str, str] = _as_received()


@event
class defLightVector(_Members[State]):
    """Announces a vector of lights; it has neither permission nor timeout."""

    devicename: str
    vectorname: str
    label: str
    group: str
    state: State
    members: Mapping[str, State] = _members()
    memberlabels: Mapping[str, str] = _members()
    timestamp: datetime | None = None
    message: str = ""

    @property
    def perm(self) -> Permission:
        """Lights are always read-only."""
        return Permission.RO


@event
class defBLOBVector(_Members[None]):
    """Announces a vector of BLOBs; a definition carries no payload, so every value is None."""

    devicename: str
    vectorname: str
    label: str
    group: str
    state: State
    perm: Permission
    members: Mapping[str, None] = _members()
    memberlabels: Mapping[str, str] = _members()
    timeout: float = 0.0
    timestamp: datetime | None = None
    message: str = ""


# What a driver reports -------------------------------------------------------------------------


@event
class setSwitchVector(_Members[SwitchState]):
    """Reports switches and state; holds only the members that were sent."""

    devicename: str
    vectorname: str
    members: Mapping[str, SwitchState] = _members()
    state: State | None = None
    timeout: float | None = None
    timestamp: datetime | None = None
    message: str = ""


@event
class setTextVector(_Members[str]):
    """Reports texts and state; holds only the members that were sent."""

    devicename: str
    vectorname: str
    members: Mapping[str, str] = _members()
    state: State | None = None
    timeout: float | None = None
    timestamp: datetime | None = None
    message: str = ""


@event
class setNumberVector(_Members[float]):
    """Reports numbers and state; `limits[name]` is there where new limits were sent (§2)."""

    devicename: str
    vectorname: str
    members: Mapping[str, float] = _members()
    state: State | None = None
    timeout: float | None = None
    timestamp: datetime | None = None
    message: str = ""
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

    A payload is always the plain bytes: with a format that ends in ``.z`` the encoder compresses
    it and the decoder has decompressed it.
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
    """A property is gone; without `vectorname` the whole device is."""

    devicename: str | None = None
    vectorname: str | None = None
    timestamp: datetime | None = None
    message: str = ""


@event
class pingRequest:
    """Asks the peer to echo `uid`, in stream order (a libindi extension, §2).

    Where `after` is ``getProperties``, not before all definitions that were asked for were sent (an
    extension of ours: others take no notice of it, and reply at once).
    """

    uid: str
    after: str = ""


@event
class pingReply:
    """Answers a `pingRequest`.

    Where `answered` is ``getProperties``, all definitions that were asked for were sent before it.
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


# The table -------------------------------------------------------------------------------------


class Kind(Enum):
    """The five kinds of member; the value is how element names spell it."""

    SWITCH = "Switch"
    TEXT = "Text"
    NUMBER = "Number"
    LIGHT = "Light"
    BLOB = "BLOB"


class Type(Enum):
    """How an attribute is written and read."""

    TEXT = "text"
    STATE = "state"
    PERM = "perm"
    RULE = "rule"
    SECONDS = "seconds"
    TIMESTAMP = "timestamp"


class Attribute(NamedTuple):
    """One attribute of an element.

    Attributes:
        xml: its name on the wire.
        field: its name on the event.
        type: how its value is written.
        required: without it the element is refused.
        default: what the event holds where it is absent.
        always: written even where it holds the default (§2: BaseClient has defaults of its own).
    """

    xml: str
    field: str
    type: Type = Type.TEXT
    required: bool = False
    default: Any = None
    always: bool = False


class Element(NamedTuple):
    """One element: its name on the wire, its class, its attributes in the order they are written.

    Attributes:
        xml: its name on the wire.
        cls: the class of its events.
        attributes: in the order in which they are written.
        kind: the kind of its members, or None where it has none.
        member: the element name of its members, or "".
        content: the field that is written as the element's text, or "".
        fixed: attributes that are always written so, whatever the event holds.
    """

    xml: str
    cls: type[Any]
    attributes: tuple[Attribute, ...]
    kind: Kind | None = None
    member: str = ""
    content: str = ""
    fixed: str = ""

    @property
    def defines(self) -> bool:
        """It is one of the def…Vector elements."""
        return self.member.startswith("def")

    @property
    def reports(self) -> bool:
        """It is one of the set…Vector elements."""
        return self.xml.startswith("set")


_DEVICE = Attribute("device", "devicename", required=True)
_ANY_DEVICE = Attribute("device", "devicename")
_NAME = Attribute("name", "vectorname", required=True)
_ANY_NAME = Attribute("name", "vectorname")
_LABEL = Attribute("label", "label", default="", always=True)
_GROUP = Attribute("group", "group", default="", always=True)
_STATE = Attribute("state", "state", Type.STATE, default=State.OK, always=True)
_NEW_STATE = Attribute("state", "state", Type.STATE)
_PERM = Attribute("perm", "perm", Type.PERM, default=Permission.RO, always=True)
_RULE = Attribute("rule", "rule", Type.RULE, default=Rule.ONE_OF_MANY, always=True)
_TIMEOUT = Attribute("timeout", "timeout", Type.SECONDS, default=0.0, always=True)
_NEW_TIMEOUT = Attribute("timeout", "timeout", Type.SECONDS)
_TIMESTAMP = Attribute("timestamp", "timestamp", Type.TIMESTAMP)
_MESSAGE = Attribute("message", "message", default="")
_UID = Attribute("uid", "uid", required=True)
_AFTER = Attribute("after", "after", default="")
# Of another name: indiserver makes the reply of the request, with all attributes that this has.
_ANSWERED = Attribute("answered", "answered", default="")


def _vectors() -> Iterator[Element]:
    classes = {
        Kind.SWITCH: (defSwitchVector, setSwitchVector, newSwitchVector),
        Kind.TEXT: (defTextVector, setTextVector, newTextVector),
        Kind.NUMBER: (defNumberVector, setNumberVector, newNumberVector),
        Kind.LIGHT: (defLightVector, setLightVector),
        Kind.BLOB: (defBLOBVector, setBLOBVector, newBLOBVector),
    }
    for kind, (def_cls, set_cls, *new_cls) in classes.items():
        perm = () if kind is Kind.LIGHT else (_PERM,)
        rule = (_RULE,) if kind is Kind.SWITCH else ()
        timeout = () if kind is Kind.LIGHT else (_TIMEOUT,)
        new_timeout = () if kind is Kind.LIGHT else (_NEW_TIMEOUT,)
        head = (_DEVICE, _NAME)
        tail = (_TIMESTAMP, _MESSAGE)
        described = (*head, _LABEL, _GROUP, _STATE, *perm, *rule, *timeout, *tail)
        one = f"one{kind.value}"
        yield Element(def_cls.__name__, def_cls, described, kind, f"def{kind.value}")
        yield Element(
            set_cls.__name__, set_cls, (*head, _NEW_STATE, *new_timeout, *tail), kind, one
        )
        for cls in new_cls:
            yield Element(cls.__name__, cls, (*head, _TIMESTAMP), kind, one)


ELEMENTS: Final[Mapping[str, Element]] = MappingProxyType(
    {
        element.xml: element
        for element in (
            # Always 1.7, whatever a peer sent: a libindi driver exits on any other (§0 rule 12).
            Element(
                "getProperties", getProperties, (_ANY_DEVICE, _ANY_NAME), fixed='version="1.7"'
            ),
            Element("enableBLOB", enableBLOB, (_DEVICE, _ANY_NAME), content="policy"),
            Element("message", Message, (_ANY_DEVICE, _TIMESTAMP, _MESSAGE)),
            Element("delProperty", delProperty, (_ANY_DEVICE, _ANY_NAME, _TIMESTAMP, _MESSAGE)),
            Element("pingRequest", pingRequest, (_UID, _AFTER)),
            Element("pingReply", pingReply, (_UID, _ANSWERED)),
            *_vectors(),
        )
    }
)
"""Every element by its name on the wire."""

ELEMENT_OF: Final[Mapping[type[Any], Element]] = MappingProxyType(
    {element.cls: element for element in ELEMENTS.values()}
)
"""Every element by the class of its events."""
