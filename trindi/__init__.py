"""trindi: INDI instrument drivers on Trio.

Each public name is imported from its package when it is first used, so that ``import trindi`` is
quick. Type checkers read the imports below; `_NAMES` is the same list for Python.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

__version__ = "0.1.0"

if TYPE_CHECKING:
    from trindi.client import (
        Answer as Answer,
        Events as Events,
        Frame as Frame,
        Frames as Frames,
        IPyClient as IPyClient,
        NotConnected as NotConnected,
        Operations as Operations,
        Progress as Progress,
        PropertyAlert as PropertyAlert,
        PropertyDeleted as PropertyDeleted,
        PropertyError as PropertyError,
        PropertyTimeout as PropertyTimeout,
        RemoteBLOB as RemoteBLOB,
        RemoteDevice as RemoteDevice,
        RemoteMember as RemoteMember,
        RemoteNumber as RemoteNumber,
        RemoteVector as RemoteVector,
        SavedFrames as SavedFrames,
        Settled as Settled,
    )
    from trindi.driver import (
        IPyDriver as IPyDriver,
        Publisher as Publisher,
        Sender as Sender,
    )
    from trindi.errors import (
        ConfigurationError as ConfigurationError,
        ProtocolError as ProtocolError,
        TrindiError as TrindiError,
    )
    from trindi.properties import (
        BLOBMember as BLOBMember,
        BLOBSource as BLOBSource,
        BLOBVector as BLOBVector,
        Device as Device,
        EventSink as EventSink,
        LightMember as LightMember,
        LightVector as LightVector,
        Member as Member,
        NamedMapping as NamedMapping,
        NumberMember as NumberMember,
        NumberVector as NumberVector,
        Numeric as Numeric,
        SwitchMember as SwitchMember,
        SwitchVector as SwitchVector,
        TextMember as TextMember,
        TextVector as TextVector,
        Vector as Vector,
    )
    from trindi.protocol import (
        BLOBPolicy as BLOBPolicy,
        ClientEvent as ClientEvent,
        DefVector as DefVector,
        Event as Event,
        Kind as Kind,
        Limits as Limits,
        Message as Message,
        NewVector as NewVector,
        NumberLabel as NumberLabel,
        Permission as Permission,
        Rule as Rule,
        SetVector as SetVector,
        SizeFormat as SizeFormat,
        SnoopEvent as SnoopEvent,
        State as State,
        SwitchState as SwitchState,
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
        setBLOBVector as setBLOBVector,
        setLightVector as setLightVector,
        setNumberVector as setNumberVector,
        setSwitchVector as setSwitchVector,
        setTextVector as setTextVector,
    )
    from trindi.server import (
        Broker as Broker,
        ClientStatistics as ClientStatistics,
        DriverStatistics as DriverStatistics,
        IPyServer as IPyServer,
        RelayedUpstream as RelayedUpstream,
        ServerStatistics as ServerStatistics,
        Upstream as Upstream,
    )
    from trindi.transport import (
        EncodedBatch as EncodedBatch,
        EncodedEvent as EncodedEvent,
        EventQueue as EventQueue,
        InThread as InThread,
        Runtime as Runtime,
    )

_NAMES: Final = {
    "client": """
        Answer Events Frame Frames IPyClient NotConnected Operations Progress PropertyAlert
        PropertyDeleted PropertyError PropertyTimeout RemoteBLOB RemoteDevice RemoteMember
        RemoteNumber RemoteVector SavedFrames Settled
    """,
    "driver": """
        IPyDriver Publisher Sender
    """,
    "errors": """
        ConfigurationError ProtocolError TrindiError
    """,
    "properties": """
        BLOBMember BLOBSource BLOBVector Device EventSink LightMember LightVector Member
        NamedMapping NumberMember NumberVector Numeric SwitchMember SwitchVector TextMember
        TextVector Vector
    """,
    "protocol": """
        BLOBPolicy ClientEvent DefVector Event Kind Limits Message NewVector NumberLabel
        Permission Rule SetVector SizeFormat SnoopEvent State SwitchState defBLOBVector
        defLightVector defNumberVector defSwitchVector defTextVector delProperty enableBLOB
        getProperties newBLOBVector newNumberVector newSwitchVector newTextVector setBLOBVector
        setLightVector setNumberVector setSwitchVector setTextVector
    """,
    "server": """
        Broker ClientStatistics DriverStatistics IPyServer RelayedUpstream ServerStatistics Upstream
    """,
    "transport": """
        EncodedBatch EncodedEvent EventQueue InThread Runtime
    """,
}
_PACKAGE_OF: Final = {name: package for package, names in _NAMES.items() for name in names.split()}

if not TYPE_CHECKING:
    __all__ = list(_PACKAGE_OF)

    def __getattr__(name: str) -> Any:
        if name in _PACKAGE_OF:
            value = getattr(importlib.import_module(f"trindi.{_PACKAGE_OF[name]}"), name)
        elif name in _NAMES:
            value = importlib.import_module(f"trindi.{name}")
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_PACKAGE_OF, *_NAMES})
