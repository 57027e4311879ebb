"""Several drivers behind one port: the listener, the limits, the routing, the supervision."""

from trindi.server.server import (
    ClientStatistics as ClientStatistics,
    DriverStatistics as DriverStatistics,
    IPyServer as IPyServer,
    ServerStatistics as ServerStatistics,
)
