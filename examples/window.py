"""A window that opens when the thermostat's room is warm: it snoops on another driver's device."""

import trio

from trindi import (
    Device,
    IPyDriver,
    IPyServer,
    SnoopEvent,
    SwitchMember,
    SwitchVector,
    defNumberVector,
    setNumberVector,
)

OPEN_ABOVE = 18.0
CLOSE_BELOW = 16.0


class Window(IPyDriver):
    """A window that no client can move, only look at."""

    def __init__(self) -> None:
        self.window = SwitchVector(
            "windowvector",
            "Window",
            "Values",
            switchmembers=[
                SwitchMember("OPEN", "Open"),
                SwitchMember("CLOSED", "Closed", membervalue="On"),
            ],
        )
        super().__init__([Device("Window", [self.window])])
        # The first answer is the definition; after a minute of silence the request is repeated.
        self.snoop("Thermostat", "temperaturevector", timeout=60)

    async def snoopevent(self, event: SnoopEvent) -> None:
        """Look at each temperature that the thermostat defines or reports."""
        match event:
            case defNumberVector() | setNumberVector() if "temperature" in event:
                await self.adjust(event["temperature"])

    async def adjust(self, temperature: float) -> None:
        """Open or close the window where that temperature asks for it."""
        if temperature > OPEN_ABOVE:
            self.window["OPEN"] = "On"
        elif temperature < CLOSE_BELOW:
            self.window["CLOSED"] = "On"
        # Nothing is sent where the window is as it was.
        await self.window.send_setVector(allvalues=False)


def make_driver() -> Window:
    """Return the driver."""
    return Window()


if __name__ == "__main__":
    trio.run(IPyServer([make_driver()]).run)
