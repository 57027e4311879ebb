"""What an author declares: members, vectors and devices. No tasks, no sockets, no wire."""

from trindi.properties.device import Device as Device
from trindi.properties.members import (
    BLOBMember as BLOBMember,
    LightMember as LightMember,
    Member as Member,
    NumberMember as NumberMember,
    SwitchMember as SwitchMember,
    TextMember as TextMember,
    check_text as check_text,
)
from trindi.properties.vector import EventSink as EventSink, Vector as Vector
from trindi.properties.vectors import (
    BLOBVector as BLOBVector,
    LightVector as LightVector,
    NumberVector as NumberVector,
    SwitchVector as SwitchVector,
    TextVector as TextVector,
)
