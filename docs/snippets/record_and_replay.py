"""Noting all that a server says in a night, and showing that night again, an hour in a minute."""

import sys

import trio

from trindi import IPyServer
from trindi.protocol import encode, getProperties
from trindi.recording import Recording, ReplayDriver, record


async def record_night(host: str, port: int, path: str) -> None:
    async with record(await trio.open_tcp_stream(host, port), path) as stream:
        await stream.send_all(encode(getProperties()))
        while await stream.receive_some():
            pass


def show_night(path: str, port: int) -> IPyServer:
    return IPyServer([ReplayDriver(Recording(path), speed=60)], port=port)


if __name__ == "__main__":
    trio.run(record_night, "localhost", 7624, sys.argv[1])
