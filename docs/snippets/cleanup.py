"""A shutter that is closed again however its driver ends."""

import trio

from trindi import Device, IPyDriver, LightMember, LightVector


class Shutter:
    """A simulated shutter; closing it takes two seconds."""

    def __init__(self) -> None:
        self.is_open = False

    async def open(self) -> None:
        await trio.sleep(2)
        self.is_open = True

    async def close(self) -> None:
        await trio.sleep(2)
        self.is_open = False


class Dome(IPyDriver):
    async def hardware(self) -> None:
        shutter = self.driverdata["shutter"]
        try:
            await shutter.open()
            await trio.sleep_forever()
        finally:
            with trio.move_on_after(5, shield=True):
                await shutter.close()


def make_driver(shutter: Shutter | None = None) -> Dome:
    light = LightVector("STATUS", "Status", "Main", lightmembers=[LightMember("SHUTTER")])
    return Dome([Device("Dome", properties=[light])], shutter=shutter or Shutter())
