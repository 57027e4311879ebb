"""INDI 1.7, sans-IO: bytes to typed events and events to bytes.

A `Decoder` is fed the bytes of a peer, cut anywhere, and returns events; `encode` writes an event
as bytes. Nothing here reads a socket, waits or logs. The floors above import from this package, not
from its modules, and know an element by the name of its class. Only the progress of a BLOB that is
not whole, and the checker, look at tags.
"""

from trindi.protocol.blobs import (
    COMPRESSED as COMPRESSED,
    MAX_BLOBS as MAX_BLOBS,
    Admit as Admit,
    Attachments as Attachments,
    Base64 as Base64,
    Loader as Loader,
    compress as compress,
    decode_base64 as decode_base64,
    decompress as decompress,
    plain_format as plain_format,
)
from trindi.protocol.decoder import (
    MAX_BLOB_BYTES as MAX_BLOB_BYTES,
    MAX_ELEMENT_BYTES as MAX_ELEMENT_BYTES,
    MAX_IGNORED as MAX_IGNORED,
    Decoder as Decoder,
)
from trindi.protocol.element_reader import read_address as read_address
from trindi.protocol.elements import (
    ELEMENT_OF as ELEMENT_OF,
    ELEMENTS as ELEMENTS,
    Attribute as Attribute,
    Element as Element,
    Kind as Kind,
)
from trindi.protocol.encoder import encode as encode, encode_parts as encode_parts
from trindi.protocol.event_class import replace as replace
from trindi.protocol.events import (
    ClientEvent as ClientEvent,
    DefVector as DefVector,
    Event as Event,
    Limits as Limits,
    Message as Message,
    NewVector as NewVector,
    NumberLabel as NumberLabel,
    SetVector as SetVector,
    SizeFormat as SizeFormat,
    SnoopEvent as SnoopEvent,
    defBLOBVector as defBLOBVector,
    defLightVector as defLightVector,
    defNumberVector as defNumberVector,
    defSwitchVector as defSwitchVector,
    defTextVector as defTextVector,
    delProperty as delProperty,
    enableBLOB as enableBLOB,
    getProperties as getProperties,
    newBLOBVector as newBLOBVector,
    newNumberVector as newNumberVector,
    newSwitchVector as newSwitchVector,
    newTextVector as newTextVector,
    pingReply as pingReply,
    pingRequest as pingRequest,
    setBLOBVector as setBLOBVector,
    setLightVector as setLightVector,
    setNumberVector as setNumberVector,
    setSwitchVector as setSwitchVector,
    setTextVector as setTextVector,
)
from trindi.protocol.markup import (
    MAX_ATTRIBUTES as MAX_ATTRIBUTES,
    MAX_NAME_LENGTH as MAX_NAME_LENGTH,
    Buffer as Buffer,
)
from trindi.protocol.matching import (
    EVERY_DEVICE as EVERY_DEVICE,
    BLOBPolicies as BLOBPolicies,
    Interest as Interest,
    covered_devices as covered_devices,
    covers as covers,
    ends as ends,
    is_all as is_all,
    matches as matches,
)
from trindi.protocol.rewriter import MAX_DEPTH as MAX_DEPTH, MAX_ODD_TAG as MAX_ODD_TAG
from trindi.protocol.snapshot import (
    MAX_SNAPSHOT_BYTES as MAX_SNAPSHOT_BYTES,
    Change as Change,
    Effect as Effect,
    Property as Property,
    Record as Record,
    Snapshot as Snapshot,
    text_growth as text_growth,
)
from trindi.protocol.spans import Span as Span
from trindi.protocol.unloaded import UnloadedEvent as UnloadedEvent
from trindi.protocol.values import (
    MAX_ATTRIBUTE_LENGTH as MAX_ATTRIBUTE_LENGTH,
    NO_READING as NO_READING,
    BLOBPolicy as BLOBPolicy,
    Permission as Permission,
    Rule as Rule,
    State as State,
    SwitchState as SwitchState,
    check_format as check_format,
    check_name as check_name,
    clean as clean,
    format_number as format_number,
    format_timestamp as format_timestamp,
    is_unknown as is_unknown,
    number_to_text as number_to_text,
    parse_number as parse_number,
    parse_reading as parse_reading,
    parse_timestamp as parse_timestamp,
    reading_to_text as reading_to_text,
    resolution as resolution,
    to_float as to_float,
    to_reading as to_reading,
    to_utc as to_utc,
)
