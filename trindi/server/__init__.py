"""Several upstreams behind listeners: the hub, the routing, the clients, the supervision."""

from trindi.server.server import IPyServer as IPyServer
from trindi.server.statistics import (
    ClientStatistics as ClientStatistics,
    DriverStatistics as DriverStatistics,
    ServerStatistics as ServerStatistics,
)
from trindi.server.upstream import (
    Broker as Broker,
    LocalUpstream as LocalUpstream,
    RelayedUpstream as RelayedUpstream,
    Upstream as Upstream,
)
