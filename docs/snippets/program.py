"""Two drivers in one server, in a program of one's own that says how it fares."""

import logging

import snooping
import trio
from thermo import make_driver

from trindi import IPyServer

logger = logging.getLogger(__name__)


async def watch(server: IPyServer) -> None:
    while True:
        await trio.sleep(60)
        seen = server.statistics()
        logger.info(
            "%d clients, %d bytes wait for them, %d restarts",
            len(seen.clients),
            seen.queue_bytes,
            seen.restarts,
        )


async def main(port: int = 7624) -> None:
    drivers = [make_driver(), snooping.make_driver()]
    async with trio.open_nursery() as nursery:
        server = await nursery.start(IPyServer(drivers, port=port, maxconnections=20).run)
        logger.info("listening on %s", server.addresses)
        nursery.start_soon(watch, server)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    trio.run(main)
