"""The one table of INDI elements: name, class of its events, attributes, members.

Decoder, encoder and documents read it; no other module knows how an element is made up.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from trindi.protocol import events
from trindi.protocol.values import Permission, Rule, State


class Kind(Enum):
    """The five kinds of member; the value is how element names spell it."""

    SWITCH = "Switch"
    TEXT = "Text"
    NUMBER = "Number"
    LIGHT = "Light"
    BLOB = "BLOB"


class Attribute(NamedTuple):
    """One attribute of an element."""

    xml: str
    field: str  # of the event
    type: Any = str  # says how its value is read and written
    required: bool = False
    default: Any = None
    always: bool = False  # written even if it is the default: BaseClient has others (§2)


class Element(NamedTuple):
    """One element."""

    xml: str
    cls: type[Any]  # of its events
    attributes: tuple[Attribute, ...]  # in the order in which they are written
    kind: Kind | None = None  # of its members
    member: str = ""  # the element name of its members
    content: str = ""  # the field that is written as its text
    fixed: str = ""  # attributes that are always written so

    @property
    def has_blobs(self) -> bool:
        """Its members carry payloads."""
        return self.member == "oneBLOB"

    @property
    def details(self) -> str:
        """The field for what its members say beside their names and values, or ""."""
        if self.member.startswith("def"):
            return "memberlabels"
        return "limits" if self.cls is events.setNumberVector else ""


_DEVICE = Attribute("device", "devicename", required=True)
_ANY_DEVICE = Attribute("device", "devicename")
_NAME = Attribute("name", "vectorname", required=True)
_ANY_NAME = Attribute("name", "vectorname")
_LABEL = Attribute("label", "label", default="", always=True)
_GROUP = Attribute("group", "group", default="", always=True)
_STATE = Attribute("state", "state", State, default=State.OK, always=True)
_NEW_STATE = Attribute("state", "state", State)
_PERM = Attribute("perm", "perm", Permission, default=Permission.RO, always=True)
_RULE = Attribute("rule", "rule", Rule, default=Rule.ONE_OF_MANY, always=True)
_TIMEOUT = Attribute("timeout", "timeout", float, default=0.0, always=True)
_NEW_TIMEOUT = Attribute("timeout", "timeout", float)
_TIMESTAMP = Attribute("timestamp", "timestamp", datetime)
_MESSAGE = Attribute("message", "message", default="")
_ANY = _ANY_DEVICE, _ANY_NAME
_TAIL = _TIMESTAMP, _MESSAGE
_UID = Attribute("uid", "uid", required=True)
_AFTER = Attribute("after", "after", default="")
# Not "after": indiserver answers with all attributes of the request.
_ANSWERED = Attribute("answered", "answered", default="")


def _vectors() -> Iterator[Element]:
    for kind in Kind:
        is_light, one = kind is Kind.LIGHT, f"one{kind.value}"
        perm = () if is_light else (_PERM,)
        rule = (_RULE,) if kind is Kind.SWITCH else ()
        timeout = () if is_light else (_TIMEOUT,)
        new_timeout = () if is_light else (_NEW_TIMEOUT,)
        described = (_LABEL, _GROUP, _STATE, *perm, *rule, *timeout, *_TAIL)
        for verb, attributes, member in (
            ("def", described, f"def{kind.value}"),
            ("set", (_NEW_STATE, *new_timeout, *_TAIL), one),
            ("new", (_TIMESTAMP,), one),
        ):
            name = f"{verb}{kind.value}Vector"
            if cls := getattr(events, name, None):  # there is no newLightVector
                yield Element(name, cls, (_DEVICE, _NAME, *attributes), kind, member)


ELEMENTS: Final[Mapping[str, Element]] = MappingProxyType(
    {
        element.xml: element
        for element in (
            # Always 1.7, whatever a peer sent: a libindi driver exits on any other (§0 rule 12).
            Element("getProperties", events.getProperties, _ANY, fixed='version="1.7"'),
            Element("enableBLOB", events.enableBLOB, (_DEVICE, _ANY_NAME), content="policy"),
            Element("message", events.Message, (_ANY_DEVICE, *_TAIL)),
            Element("delProperty", events.delProperty, (*_ANY, *_TAIL)),
            Element("pingRequest", events.pingRequest, (_UID, _AFTER)),
            Element("pingReply", events.pingReply, (_UID, _ANSWERED)),
            *_vectors(),
        )
    }
)
"""Every element by its name on the wire."""

ELEMENT_OF: Final[Mapping[type[Any], Element]] = MappingProxyType(
    {element.cls: element for element in ELEMENTS.values()}
)
"""Every element by the class of its events."""
