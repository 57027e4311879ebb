"""Switches and a light: the client turns a lamp on and off, and a light shows that it burns."""

import trio

from trindi import (
    ClientEvent,
    Device,
    IPyDriver,
    IPyServer,
    LightMember,
    LightVector,
    SwitchMember,
    SwitchVector,
    newSwitchVector,
)


class LED(IPyDriver):
    """One lamp."""

    def __init__(self) -> None:
        # Under the default rule, OneOfMany, turning one switch on turns the other off.
        self.switch = SwitchVector(
            "LED_SWITCH",
            "Switch",
            "Main Control",
            perm="rw",
            switchmembers=[
                SwitchMember("LED_ON", "On"),
                SwitchMember("LED_OFF", "Off", membervalue="On"),
            ],
        )
        self.light = LightVector(
            "LED_LIGHT", "Light", "Main Control", lightmembers=[LightMember("LED", "LED")]
        )
        super().__init__([Device("LED", [self.switch, self.light])])

    async def clientevent(self, event: ClientEvent) -> None:
        """Turn the lamp on or off."""
        match event:
            case newSwitchVector(vectorname="LED_SWITCH"):
                self.switch.update(event)
                # Here a real driver would set a pin, and report what the pin then says.
                self.light["LED"] = "Ok" if self.switch["LED_ON"] == "On" else "Idle"
                await self.switch.send_setVector(state="Ok")
                await self.light.send_setVector()


def make_driver() -> LED:
    """Return the driver."""
    return LED()


if __name__ == "__main__":
    trio.run(IPyServer([make_driver()]).run)
