"""The client sets the temperature that a thermostat keeps."""

import trio

from trindi import (
    ClientEvent,
    Device,
    IPyDriver,
    IPyServer,
    NumberMember,
    NumberVector,
    newNumberVector,
)


class Thermostat(IPyDriver):
    """A simulated room with a heater, and the target that the client sets."""

    def __init__(self) -> None:
        self.temperature = NumberVector(
            "temperaturevector",
            "Temperature",
            "Values",
            numbermembers=[
                NumberMember("temperature", "Temperature (C)", "%3.1f", membervalue=20),
            ],
        )
        self.target = NumberVector(
            "targetvector",
            "Target",
            "Values",
            perm="rw",
            numbermembers=[
                NumberMember("target", "Target (C)", "%3.1f", min=5, max=30, membervalue=15),
            ],
        )
        self.heating = False
        super().__init__(
            [Device("Thermostat", [self.temperature, self.target])], tasks=[self.regulate]
        )

    async def regulate(self) -> None:
        """Warm or cool the room, and keep it within half a degree of the target."""
        while True:
            await trio.sleep(2)
            self.temperature["temperature"] += 0.1 if self.heating else -0.1
            excess = self.temperature["temperature"] - self.target["target"]
            if abs(excess) > 0.5:
                self.heating = excess < 0

    async def hardware(self) -> None:
        """Report the temperature every ten seconds."""
        while True:
            await trio.sleep(10)
            await self.temperature.send_setVector()

    async def clientevent(self, event: ClientEvent) -> None:
        """Take a new target; one that is out of range never comes as far as this."""
        match event:
            case newNumberVector(devicename="Thermostat", vectorname="targetvector"):
                self.target.update(event)
                # A client shows what it has asked for as busy until it is answered.
                await self.target.send_setVector(state="Ok")


def make_driver() -> Thermostat:
    """Return the driver."""
    return Thermostat()


if __name__ == "__main__":
    trio.run(IPyServer([make_driver()]).run)
