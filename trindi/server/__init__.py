"""Several drivers behind one port: the listener, the limits, the routing, the supervision."""

from trindi.server.server import IPyServer as IPyServer
from trindi.server.statistics import (
    ClientStatistics as ClientStatistics,
    DriverStatistics as DriverStatistics,
    ServerStatistics as ServerStatistics,
)
