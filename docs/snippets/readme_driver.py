import trio

from trindi import ClientEvent, Device, IPyDriver, NumberMember, NumberVector, newNumberVector


class DewHeater(IPyDriver):
    async def clientevent(self, event: ClientEvent) -> None:
        match event:
            case newNumberVector(vectorname="POWER"):
                event.vector.update(event)  # and set the heater itself
                await event.vector.send_setVector(state="Ok")

    async def hardware(self) -> None:
        lens = self["Dew Heater"]["LENS"]
        while True:
            lens["TEMPERATURE"] = 4.2  # read from a sensor
            await lens.send_setVector(state="Ok")
            await trio.sleep(10)


def make_driver() -> DewHeater:
    temperature = NumberMember("TEMPERATURE", "Lens (°C)", format="%.1f")
    percent = NumberMember("PERCENT", "Power (%)", format="%.0f", min=0, max=100)
    lens = NumberVector("LENS", "Lens", "Main", perm="ro", numbermembers=[temperature])
    power = NumberVector("POWER", "Power", "Main", perm="rw", numbermembers=[percent])
    return DewHeater([Device("Dew Heater", properties=[lens, power])])
