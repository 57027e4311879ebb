"""One peer on a stream of bytes: what waits for it, how it is read and written, standard I/O."""

from trindi.transport.conditions import (
    USUAL as USUAL,
    Conditions as Conditions,
    InThread as InThread,
)
from trindi.transport.connection import Connection as Connection
from trindi.transport.outbox import (
    BLOB_PATIENCE as BLOB_PATIENCE,
    BOUND as BOUND,
    HIGH_WATER as HIGH_WATER,
    Bundle as Bundle,
    Outbox as Outbox,
    Parcel as Parcel,
    put_when_room as put_when_room,
)
from trindi.transport.stdio import StdioStream as StdioStream, guarded_stdio as guarded_stdio
from trindi.transport.turns import Turns as Turns
