"""What owns devices behind the server: drivers in this process, programs, other servers."""

from trindi.server.upstream.base import Broker as Broker, Upstream as Upstream
from trindi.server.upstream.local import LocalUpstream as LocalUpstream
from trindi.server.upstream.relayed import RelayedUpstream as RelayedUpstream
