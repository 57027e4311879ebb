"""A window that snoops on the thermostat, and opens when the room is warm."""

from trindi import (
    Device,
    IPyDriver,
    LightMember,
    LightVector,
    SnoopEvent,
    defNumberVector,
    delProperty,
    setNumberVector,
)


class Window(IPyDriver):
    async def snoopevent(self, event: SnoopEvent) -> None:
        vector = self["Window"]["STATUS"]
        match event:
            case defNumberVector() | setNumberVector() if "temperature" in event:
                vector["OPEN"] = "Ok" if event["temperature"] > 18 else "Idle"
                await vector.send_setVector(state="Ok", allvalues=False)
            case delProperty():
                await vector.send_setVector("[WARNING] The thermostat is gone", state="Alert")


def make_driver() -> Window:
    status = LightVector("STATUS", "Status", "Main", lightmembers=[LightMember("OPEN", "Open")])
    driver = Window([Device("Window", properties=[status])])
    driver.snoop("Thermostat", "temperaturevector", timeout=30)
    return driver
