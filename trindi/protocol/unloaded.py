"""An event of BLOBs some of whose payloads are still to be decompressed, or read from a file.

That may take seconds, so that it is no work for the task that reads a stream. This module knows no
threads: a caller chooses where `load` runs.
"""

from collections.abc import Mapping
from typing import Any

from trindi.errors import ProtocolError
from trindi.protocol.blobs import Loader
from trindi.protocol.elements import ELEMENT_OF
from trindi.protocol.event_class import replace
from trindi.protocol.events import Event


class UnloadedEvent:
    """An event whose payloads take long to load.

    Attributes:
        offset: where its element starts, in bytes from the start of the stream.
        size: bytes of all its payloads, as far as they are known: at most so many are loaded.
    """

    __slots__ = ("_event", "_loaders", "offset", "size")

    def __init__(self, event: Any, loaders: Mapping[str, Loader], size: int) -> None:
        self._event = event
        self._loaders = loaders
        self.offset = 0
        self.size = size

    def load(self) -> Event | ProtocolError:
        """Return the event, or what is wrong with a payload; once only. It may take long."""
        event, loaders, loaded = self._event, self._loaders, {}
        # A decoder may refer to this for as long as the event waits: what was loaded is freed.
        self._event, self._loaders = None, {}
        for name, load in loaders.items():
            try:
                loaded[name] = load()
            except ValueError as error:
                return ProtocolError(
                    f"{name}: {error}",
                    element=ELEMENT_OF[type(event)].xml,
                    offset=self.offset,
                    devicename=event.devicename,
                    vectorname=event.vectorname,
                    malformed=False,
                )
        whole: Event = replace(event, members={**event.members, **loaded})
        return whole
