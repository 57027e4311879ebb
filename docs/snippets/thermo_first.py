#!/usr/bin/env python3
"""A thermostat that reports its temperature, and can only be looked at."""

import logging

import trio

from trindi import Device, IPyDriver, NumberMember, NumberVector


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


def make_driver() -> Thermostat:
    room = Room()
    temperature = NumberMember(
        "temperature", "Temperature", format="%3.1f", min=-50, max=99, membervalue=room.temperature
    )
    vector = NumberVector("temperaturevector", "Temperature", "Main", numbermembers=[temperature])
    thermostat = Device("Thermostat", properties=[vector])
    return Thermostat([thermostat], tasks=[room.control], room=room)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    trio.run(make_driver().run)
