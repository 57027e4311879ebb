"""A roof that may be open only while a weather station reports that it is safe."""

import math

import trio

from trindi import (
    ClientEvent,
    Device,
    IPyDriver,
    SnoopEvent,
    SwitchMember,
    SwitchVector,
    defLightVector,
    delProperty,
    newSwitchVector,
    setLightVector,
)

STATION = "Weather Station"
STALE = 180.0
"""Seconds for which a report is trusted. The station reports every minute."""


class Roof(IPyDriver):
    safe_until = -math.inf

    async def snoopevent(self, event: SnoopEvent) -> None:
        match event:
            case setLightVector(state="Ok" | "Busy"):
                self.safe_until = trio.current_time() + STALE
            case setLightVector(state="Alert") | defLightVector(state="Alert"):
                await self.close_for_safety("the weather is bad")
            case delProperty():
                await self.close_for_safety("the weather station is gone")

    async def hardware(self) -> None:
        self.safe_until = -math.inf
        while True:
            await trio.sleep(1)
            if not self.is_safe():
                await self.close_for_safety("the weather station is silent")

    def is_safe(self) -> bool:
        return trio.current_time() < self.safe_until

    async def close_for_safety(self, reason: str) -> None:
        self.safe_until = -math.inf
        if self["Roof"]["SHUTTER"]["OPEN"] == "On":
            await self.move("CLOSE", f"[WARNING] The roof closes: {reason}")

    async def clientevent(self, event: ClientEvent) -> None:
        match event:
            case newSwitchVector(vectorname="SHUTTER") if event.get("OPEN") == "On":
                if not self.is_safe():
                    raise RuntimeError("The weather is bad, or not known")
                await self.move("OPEN")
            case newSwitchVector(vectorname="SHUTTER"):
                await self.move("CLOSE")

    async def move(self, where: str, message: str = "") -> None:
        shutter = self["Roof"]["SHUTTER"]
        shutter[where] = True  # and move the roof itself
        await shutter.send_setVector(message, state="Ok")


def make_driver() -> Roof:
    shutter = SwitchVector(
        "SHUTTER",
        "Shutter",
        "Main",
        perm="rw",
        switchmembers=[SwitchMember("OPEN", "Open"), SwitchMember("CLOSE", "Close", True)],
    )
    driver = Roof([Device("Roof", properties=[shutter])])
    driver.snoop(STATION, "WEATHER_STATUS", timeout=60)
    return driver
