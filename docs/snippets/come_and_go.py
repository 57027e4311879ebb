"""A server whose driver comes and goes with the serial port of its instrument."""

from pathlib import Path

import trio
from serial_heater import make_driver

from trindi import IPyDriver, IPyServer


async def follow(server: IPyServer, port: str) -> None:
    driver: IPyDriver | None = None
    while True:
        if driver is None and is_there(port):
            driver = make_driver(port)
            server.add_driver(driver)
        elif driver is not None and not is_there(port):
            await server.remove(driver)
            driver = None
        await trio.sleep(1)


def is_there(port: str) -> bool:
    return Path(port).exists()


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server = await nursery.start(IPyServer([]).run)
        nursery.start_soon(follow, server, "/dev/ttyUSB0")


if __name__ == "__main__":
    trio.run(main)
