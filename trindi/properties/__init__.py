"""What an author declares: members, vectors and devices. No tasks, no sockets, no wire."""

from trindi.properties.device import Device as Device
from trindi.properties.members import (
    BLOBMember as BLOBMember,
    LightMember as LightMember,
    Member as Member,
    NumberMember as NumberMember,
    SwitchMember as SwitchMember,
    TextMember as TextMember,
)
from trindi.properties.owners import (
    EventSink as EventSink,
    NamedMapping as NamedMapping,
    check_names_of as check_names_of,
    hidden_name as hidden_name,
    reserved_names as reserved_names,
)
from trindi.properties.values import (
    MAX_DEFINITION_BYTES as MAX_DEFINITION_BYTES,
    MAX_MESSAGE_BYTES as MAX_MESSAGE_BYTES,
    BLOBSource as BLOBSource,
    BLOBValue as BLOBValue,
    Numeric as Numeric,
    blob_format as blob_format,
    check_blob_format as check_blob_format,
    check_sendable_text as check_sendable_text,
    check_text as check_text,
    convert_blob as convert_blob,
    convert_choice as convert_choice,
    convert_switch as convert_switch,
    is_allowed as is_allowed,
    message_text as message_text,
    read_blob as read_blob,
)
from trindi.properties.vector import Vector as Vector
from trindi.properties.vectors import (
    BLOBVector as BLOBVector,
    LightVector as LightVector,
    NumberVector as NumberVector,
    SwitchVector as SwitchVector,
    TextVector as TextVector,
)
