"""A client: a live mirror of the devices of an INDI server, and what can be asked of them."""

from trindi.client.answer import Answer as Answer
from trindi.client.client import IPyClient as IPyClient
from trindi.client.errors import (
    NotConnected as NotConnected,
    PropertyAlert as PropertyAlert,
    PropertyDeleted as PropertyDeleted,
    PropertyError as PropertyError,
    PropertyTimeout as PropertyTimeout,
)
from trindi.client.inbox import (
    Events as Events,
    Frame as Frame,
    Frames as Frames,
    Progress as Progress,
)
from trindi.client.remote import (
    Operations as Operations,
    RemoteBLOB as RemoteBLOB,
    RemoteDevice as RemoteDevice,
    RemoteMember as RemoteMember,
    RemoteNumber as RemoteNumber,
    RemoteVector as RemoteVector,
)
from trindi.client.saving import SavedFrames as SavedFrames
from trindi.client.server_connection import Settled as Settled
