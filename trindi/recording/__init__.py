"""Recorded sessions: written from any stream, read, and replayed to either side.

`record` writes what passes through a stream as JSON lines; a `Recording` reads them; `replay` sends
on a stream what one side sent; a `ReplayDriver` shows a recording to clients of any server.
"""

from trindi.recording.jsonl import (
    EndOfStream as EndOfStream,
    Entry as Entry,
    Item as Item,
    RecordingError as RecordingError,
    Side as Side,
    Unparsed as Unparsed,
)
from trindi.recording.player import replay as replay
from trindi.recording.reader import Recording as Recording
from trindi.recording.recorder import RecordedStream as RecordedStream, record as record
from trindi.recording.replay_driver import ReplayDriver as ReplayDriver
