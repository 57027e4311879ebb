"""A dew heater on a serial line: it answers `T?` with `T 4.2`, and `P 60` with `P 60`."""

import trio
from serial_line import SerialLine

from trindi import ClientEvent, Device, IPyDriver, NumberMember, NumberVector, newNumberVector


class DewHeater(IPyDriver):
    line: SerialLine | None
    wait: float
    first_wait = 1.0
    period = 2.0

    async def hardware(self) -> None:
        self.line, self.wait = None, self.first_wait
        lens = self["Dew Heater"]["LENS"]
        while True:
            try:
                async with SerialLine(self.driverdata["port"]) as self.line:
                    await self.poll(self.line)
            except (OSError, ValueError, trio.BrokenResourceError, trio.TooSlowError) as error:
                await lens.send_setVector(f"[ERROR] {error}", state="Alert")
            finally:
                self.line = None
            await trio.sleep(self.wait)
            self.wait = min(2 * self.wait, 60)

    async def poll(self, line: SerialLine) -> None:
        lens = self["Dew Heater"]["LENS"]
        while True:
            lens["TEMPERATURE"] = await self.read_temperature(line)
            await lens.send_setVector(state="Ok")
            self.wait = self.first_wait
            await trio.sleep(self.period)

    async def read_temperature(self, line: SerialLine) -> float:
        for _attempt in range(2):
            try:
                return float(await line.ask("T?", "T "))
            except trio.TooSlowError:
                continue
        return float(await line.ask("T?", "T "))

    async def clientevent(self, event: ClientEvent) -> None:
        match event:
            case newNumberVector(vectorname="POWER"):
                if self.line is None:
                    raise OSError("the heater is not connected")
                command = f"P {event['PERCENT']:.0f}"
                await self.line.ask(command, command)
                event.vector.update(event)
                await event.vector.send_setVector(state="Ok")


def make_driver(port: str = "/dev/ttyUSB0") -> DewHeater:
    temperature = NumberMember("TEMPERATURE", "Lens (°C)", format="%.1f")
    percent = NumberMember("PERCENT", "Power (%)", format="%.0f", min=0, max=100)
    lens = NumberVector("LENS", "Lens", "Main", state="Idle", numbermembers=[temperature])
    power = NumberVector("POWER", "Power", "Main", perm="rw", numbermembers=[percent])
    return DewHeater([Device("Dew Heater", properties=[lens, power])], port=port)
