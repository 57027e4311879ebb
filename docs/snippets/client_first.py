"""Connects to a server, prints all that it has, and sets the target of the thermostat."""

import trio

from trindi import IPyClient


def show(client: IPyClient) -> None:
    for device in client.values():
        for vector in device.values():
            for member in vector.members.values():
                print(f"{device.name}.{vector.name}.{member.name} = {member.formatted.strip()}")


async def main(host: str = "localhost", port: int = 7624) -> None:
    async with IPyClient(host, port) as client:
        show(client)
        target = client["Thermostat"]["targetvector"]
        with trio.fail_after(10):
            await target.set_and_wait(target=18.5)
        print(f"{target.label} is now {target['target']}, and {target.state}")


if __name__ == "__main__":
    trio.run(main)
