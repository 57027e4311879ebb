"""A simulated thermostat and heater that keep a temperature around 15C."""

import trio

from trindi import Device, IPyDriver, IPyServer, NumberMember, NumberVector, getProperties


class ThermalControl:
    """This is a simulation containing variables only, normally it
    would control a real heater, and take temperature measurements
    from a sensor."""

    def __init__(self):
        """Set start up values"""
        self.temperature = 20
        self.target = 15
        self.heater = "Off"

    async def run_thermostat(self):
        """This simulates temperature increasing/decreasing, and turns
        on/off a heater if moving too far from the target."""
        while True:
            await trio.sleep(2)
            if self.heater == "On":
                # increasing temperature if the heater is on
                self.temperature += 0.1
            else:
                # decreasing temperature if the heater is off
                self.temperature -= 0.1

            if self.temperature > self.target + 0.5:
                # too hot
                self.heater = "Off"

            if self.temperature < self.target - 0.5:
                # too cold
                self.heater = "On"


class ThermoDriver(IPyDriver):
    """IPyDriver is subclassed here, with two methods created to handle incoming events
    and to transmit the temperature to the client"""

    async def clientevent(self, event):
        """On receiving data, this is called, and should handle any necessary actions"""
        match event:
            case getProperties():
                await event.vector.send_defVector()

    async def hardware(self):
        """This is a continuously running coroutine which is used
        to transmit the temperature to connected clients."""
        thermalcontrol = self.driverdata["thermalcontrol"]
        vector = self["Thermostat"]["temperaturevector"]
        while True:
            await trio.sleep(10)
            vector["temperature"] = str(thermalcontrol.temperature)
            await vector.send_setVector()


def make_driver():
    "Returns an instance of the driver"
    thermalcontrol = ThermalControl()
    stringtemperature = str(thermalcontrol.temperature)
    temperaturemember = NumberMember(
        name="temperature", format="%3.1f", min="-50", max="99", membervalue=stringtemperature
    )
    temperaturevector = NumberVector(name="temperaturevector", numbermembers=[temperaturemember])
    thermostat = Device(devicename="Thermostat", properties=[temperaturevector])
    return ThermoDriver(
        devices=[thermostat], tasks=[thermalcontrol.run_thermostat], thermalcontrol=thermalcontrol
    )


if __name__ == "__main__":
    driver = make_driver()
    server = IPyServer([driver])
    trio.run(server.run)
