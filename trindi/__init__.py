"""trindi: INDI instrument drivers on Trio."""

from trindi.driver import IPyDriver as IPyDriver
from trindi.errors import (
    ConfigurationError as ConfigurationError,
    ProtocolError as ProtocolError,
    TrindiError as TrindiError,
)
from trindi.properties import (
    BLOBMember as BLOBMember,
    BLOBVector as BLOBVector,
    Device as Device,
    LightMember as LightMember,
    LightVector as LightVector,
    NumberMember as NumberMember,
    NumberVector as NumberVector,
    SwitchMember as SwitchMember,
    SwitchVector as SwitchVector,
    TextMember as TextMember,
    TextVector as TextVector,
)
from trindi.protocol import (
    BLOBPolicy as BLOBPolicy,
    ClientEvent as ClientEvent,
    Event as Event,
    Limits as Limits,
    Message as Message,
    NumberLabel as NumberLabel,
    Permission as Permission,
    Rule as Rule,
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
    ClientStatistics as ClientStatistics,
    DriverStatistics as DriverStatistics,
    IPyServer as IPyServer,
    ServerStatistics as ServerStatistics,
)
