"""A heater that comes back with the power that a client has set."""

from pathlib import Path

from settings import Settings

from trindi import ClientEvent, Device, IPyDriver, NumberMember, NumberVector, newNumberVector


class Heater(IPyDriver):
    async def hardware(self) -> None:
        power = self["Heater"]["POWER"]
        await self.set_heater(power["PERCENT"])
        await power.send_setVector(state="Ok")

    async def clientevent(self, event: ClientEvent) -> None:
        match event:
            case newNumberVector(vectorname="POWER"):
                await self.set_heater(event["PERCENT"])
                event.vector.update(event)
                await event.vector.send_setVector(state="Ok")
                await self.driverdata["settings"].save(percent=event["PERCENT"])

    async def set_heater(self, percent: float) -> None:
        """Send it to the heater itself."""


def make_driver(path: Path = Path("~/.config/heater.json")) -> Heater:
    settings = Settings(path.expanduser())
    percent = NumberMember("PERCENT", "Power (%)", format="%.0f", min=0, max=100)
    saved = settings.values.get("percent")
    if isinstance(saved, int | float) and percent.min <= saved <= percent.max:
        percent.membervalue = saved
    power = NumberVector("POWER", "Power", "Main", "rw", "Idle", [percent])
    return Heater([Device("Heater", properties=[power])], settings=settings)
