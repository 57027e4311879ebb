"""A kit for testing drivers and their clients: in memory, in virtual time, the same each time.

The fixtures for pytest are in `pytest_trindi`, a plugin that pytest loads by itself.
"""

from trindi.recording import Recording as Recording, record as record, replay as replay
from trindi.testing.faults import (
    Cut as Cut,
    Direction as Direction,
    Fault as Fault,
    FaultyStream as FaultyStream,
    Garbage as Garbage,
    Reset as Reset,
    Slow as Slow,
    Stall as Stall,
)
from trindi.testing.kit import (
    connect as connect,
    join as join,
    replay_to as replay_to,
    start_driver as start_driver,
    start_replay as start_replay,
    start_server as start_server,
)
from trindi.testing.reproducible import (
    EPOCH as EPOCH,
    at_once as at_once,
    make_reproducible as make_reproducible,
    virtual_now as virtual_now,
)
