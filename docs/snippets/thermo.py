#!/usr/bin/env python3
"""A thermostat that reports its temperature, and whose target a client sets."""

import logging

import trio

from trindi import ClientEvent, Device, IPyDriver, NumberMember, NumberVector, newNumberVector


class Room:
    """A simulated room with a heater; yours would read a sensor and switch a relay."""

    def __init__(self) -> None:
        self.temperature = 20.0
        self.target = 15.0
        self.heating = False

    async def control(self) -> None:
        while True:
            await trio.sleep(2)
            self.temperature += 0.1 if self.heating else -0.1
            if self.temperature > self.target + 0.5:
                self.heating = False
            elif self.temperature < self.target - 0.5:
                self.heating = True


class Thermostat(IPyDriver):
    async def hardware(self) -> None:
        room = self.driverdata["room"]
        vector = self["Thermostat"]["temperaturevector"]
        while True:
            await trio.sleep(10)
            vector["temperature"] = room.temperature
            await vector.send_setVector()

    async def clientevent(self, event: ClientEvent) -> None:
        match event:
            case newNumberVector(vectorname="targetvector"):
                event.vector.update(event)
                self.driverdata["room"].target = event["target"]
                await event.vector.send_setVector()


def make_driver() -> Thermostat:
    room = Room()
    temperature = NumberMember(
        "temperature", "Temperature", format="%3.1f", min=-50, max=99, membervalue=room.temperature
    )
    target = NumberMember(
        "target", "Target", format="%3.1f", min=5, max=30, step=0.5, membervalue=room.target
    )
    vectors = [
        NumberVector("temperaturevector", "Temperature", "Main", numbermembers=[temperature]),
        NumberVector("targetvector", "Target", "Main", perm="rw", numbermembers=[target]),
    ]
    thermostat = Device("Thermostat", properties=vectors)
    return Thermostat([thermostat], tasks=[room.control], room=room)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    trio.run(make_driver().run)
