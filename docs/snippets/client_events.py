"""Follows what the devices say, and says when a property changes its state."""

import trio

from trindi import Events, IPyClient, Message, delProperty


async def follow(events: Events) -> None:
    states: dict[tuple[str, str], str] = {}
    async for event in events:
        match event:
            case Message():
                print(f"{event.devicename or 'the server'}: {event.message}")
            case delProperty():
                print(f"{event.devicename} {event.vectorname or ''} is gone")
            case _ if event.state is not None:
                place = (event.devicename, event.vectorname)
                if states.get(place) != event.state:
                    print(f"{event.devicename} {event.vectorname} is {event.state}")
                states[place] = event.state


async def main(host: str = "localhost", port: int = 7624) -> None:
    client = IPyClient(host, port, reconnect=True)
    # Before it is connected: so the first definitions come, too.
    events = client.events()
    async with client:
        await follow(events)


if __name__ == "__main__":
    trio.run(main)
