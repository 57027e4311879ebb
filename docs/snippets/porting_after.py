import trio

from trindi import (
    Device,
    IPyDriver,
    IPyServer,
    NumberMember,
    NumberVector,
    getProperties,
    newNumberVector,
)


class Heater:
    def __init__(self) -> None:
        self.temperature = 20.0
        self.target = 15.0

    async def run(self) -> None:
        while True:
            await trio.sleep(2)
            self.temperature += 0.1 if self.temperature < self.target else -0.1


class HeaterDriver(IPyDriver):
    async def clientevent(self, event: object) -> None:
        match event:
            case getProperties():
                await event.vector.send_defVector()
            case newNumberVector(vectorname="target") if "target" in event:
                target = self.indi_number_to_float(event["target"])
                self.driverdata["heater"].target = target
                event.vector["target"] = str(target)
                await event.vector.send_setVector(state="Ok")

    async def hardware(self) -> None:
        heater = self.driverdata["heater"]
        vector = self["Heater"]["temperature"]
        while True:
            await trio.sleep(10)
            vector["temperature"] = str(heater.temperature)
            await vector.send_setVector()


def make_driver() -> HeaterDriver:
    heater = Heater()
    temperature = NumberVector(
        name="temperature",
        label="Temperature",
        group="Main",
        perm="ro",
        state="Ok",
        numbermembers=[NumberMember(name="temperature", format="%3.1f", membervalue="20.0")],
    )
    target = NumberVector(
        name="target",
        label="Target",
        group="Main",
        perm="rw",
        state="Ok",
        numbermembers=[
            NumberMember(name="target", format="%3.1f", min="5", max="30", membervalue="15.0")
        ],
    )
    device = Device(devicename="Heater", properties=[temperature, target])
    return HeaterDriver(devices=[device], tasks=[heater.run], heater=heater)


if __name__ == "__main__":
    server = IPyServer([make_driver()])
    trio.run(server.run)
