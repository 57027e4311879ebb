"""Recorded sessions: written from any stream, read, and played again to either side.

`record` notes what passes through a stream as JSON lines; a `Recording` reads them; `replay` says
on a stream what one side has said; a `ReplayDriver` is a recording that clients can look at.
"""

from trindi.recording.driver import ReplayDriver as ReplayDriver
from trindi.recording.entries import (
    Ended as Ended,
    Entry as Entry,
    Garbled as Garbled,
    RecordingError as RecordingError,
    Side as Side,
)
from trindi.recording.playing import replay as replay
from trindi.recording.recorder import RecordedStream as RecordedStream, record as record
from trindi.recording.recording import Recording as Recording
