"""One peer on a stream of bytes: what waits for it, how it is read and written, standard I/O."""

from trindi.transport.connection import Connection as Connection
from trindi.transport.containment import (
    contained as contained,
    describe as describe,
    error_reason as error_reason,
    error_text as error_text,
)
from trindi.transport.encoded import (
    EncodedBatch as EncodedBatch,
    EncodedEvent as EncodedEvent,
    Reply as Reply,
    pieces_of as pieces_of,
)
from trindi.transport.event_queue import (
    BLOB_TIMEOUT as BLOB_TIMEOUT,
    BOUND as BOUND,
    HIGH_WATER as HIGH_WATER,
    EventQueue as EventQueue,
)
from trindi.transport.frames import FrameSender as FrameSender
from trindi.transport.log_stream import (
    LogStream as LogStream,
    log_handlers as log_handlers,
    unblocked_log as unblocked_log,
)
from trindi.transport.rawio import raw_io_of as raw_io_of
from trindi.transport.runtime import (
    DEFAULT_RUNTIME as DEFAULT_RUNTIME,
    InThread as InThread,
    Runtime as Runtime,
    YieldBudget as YieldBudget,
    check_trio as check_trio,
)
from trindi.transport.stdio import StdioStream as StdioStream
from trindi.transport.tcp import (
    VanishedCheck as VanishedCheck,
    bare_host as bare_host,
    host_and_port as host_and_port,
    host_of as host_of,
    open_tcp as open_tcp,
    set_keepalive as set_keepalive,
    unacknowledged as unacknowledged,
)
